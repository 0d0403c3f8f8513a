"""Port through which the OpenAI routes reach an upstream's endpoints, with the provider's shapes unchanged."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from shared.ai.models.catalogue import Model
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.kernel.events import log

Json: TypeAlias = Mapping[str, Any]


class RawStream(Protocol):
    """Answer in progress, as JSON objects: one per event, or a single object if the answer is not streamed."""

    @property
    def is_done(self) -> bool:
        """Return True once the upstream has ended the answer, by the protocol's last event or by a whole answer."""
        ...

    def __iter__(self) -> Iterator[Json]:
        """Return the stream."""
        ...

    def __next__(self) -> Json:
        """Return the next object. Raises UpstreamUnavailable, UpstreamRejected, RequestRefused."""
        ...

    def close(self) -> None:
        """Abort the upstream call, also while another thread is blocked in `next`; closing twice is fine."""
        ...


class Passthrough(Protocol):
    """Upstream that speaks OpenAI's protocol."""

    def ask(self, path: str, body: Json, end_user: str = "") -> RawStream:
        """Return the answer to `POST {path}` with this body. The first `next` sends the request, once only.

        `end_user` is the pseudonym of the user who asks, for an upstream that wants a pseudonym. If empty, none is
        sent.
        """
        ...


class Passthroughs:
    """Upstreams by their names in the settings. A model's document names the upstream that has the model."""

    def __init__(self, by_name: Mapping[str, Passthrough]) -> None:
        self._by_name = by_name

    def of(self, model: Model) -> Passthrough:
        """Return the upstream of this model. Raises UpstreamUnavailable if the settings have no such upstream."""
        found = self._by_name.get(model.upstream)
        if found is None:
            log("upstream_not_set_up", "ERROR", upstream=model.upstream, model=model.id)
            raise UpstreamUnavailable("This model's provider is not set up here.")
        return found


class RequestRefused(UpstreamRejected):
    """The model provider says that the request itself is wrong. The message is the provider's own."""

    code = "request_refused"

    def __init__(self, told: Json) -> None:
        message = told.get("message")
        super().__init__(
            message if isinstance(message, str) and message else "The model provider refused this request."
        )
        self.told = told
