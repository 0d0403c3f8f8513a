"""What the OpenAI routes need of an upstream: its endpoints, with the shapes as they are."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from shared.ai.models import Model
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.kernel.events import log

Json: TypeAlias = Mapping[str, Any]


class RawStream(Protocol):
    """An answer in the making: its events as JSON objects; of one that is not streamed, the whole as the only one."""

    @property
    def is_done(self) -> bool:
        """True once the upstream has said that this was all, by its protocol's last event or by a whole answer."""
        ...

    def __iter__(self) -> Iterator[Json]:
        """Itself."""
        ...

    def __next__(self) -> Json:
        """The next object. Raises UpstreamUnavailable, UpstreamRejected, RequestRefused."""
        ...

    def close(self) -> None:
        """Abort the upstream call, also while another thread is blocked in `next`; closing twice is fine."""
        ...


class Passthrough(Protocol):
    """An upstream that speaks OpenAI's protocol."""

    def ask(self, path: str, body: Json, end_user: str = "") -> RawStream:
        """What `POST {path}` answers to this body. Nothing is sent before the first `next`, and nothing twice.

        `end_user` is the pseudonym of the user who asks, for an upstream that wants one; empty tells none.
        """
        ...


class Passthroughs:
    """Several upstreams by their names in the settings: a model's document says which of them has it."""

    def __init__(self, by_name: Mapping[str, Passthrough]) -> None:
        self._by_name = by_name

    def of(self, model: Model) -> Passthrough:
        """The upstream of this model. Raises UpstreamUnavailable for one that is not set up here."""
        found = self._by_name.get(model.upstream)
        if found is None:
            log("upstream_not_set_up", "ERROR", upstream=model.upstream, model=model.id)
            raise UpstreamUnavailable("This model's provider is not set up here.")
        return found


class RequestRefused(UpstreamRejected):
    """The model provider says that the request itself is wrong; it says so in its own words."""

    code = "request_refused"

    def __init__(self, told: Json) -> None:
        message = told.get("message")
        super().__init__(
            message if isinstance(message, str) and message else "The model provider refused this request."
        )
        self.told = told
