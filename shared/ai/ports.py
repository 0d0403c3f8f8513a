"""Ports of the AI domain: a model that streams an answer, a model that paints, and a provider's list of models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from shared.ai.pictures import Picture
from shared.ai.tokens import Usage
from shared.kernel.errors import Rejected, Unavailable

Role = Literal["system", "user", "assistant"]
DEFAULT_UPSTREAM = "default"
"""Name of the upstream that a model has whose document names none."""
WHOLE_SECONDS_MAX = 200.0
"""Longest wait for an answer in one piece. Meanwhile nobody can end the call or enlarge the hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    """Role and text of one message in a prompt.

    `tokens` is the expected number of tokens of the text, if counted before; None if the text has to be counted.
    """

    role: Role
    content: str
    tokens: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """Question to a chat model. `max_output_tokens` bounds all generated tokens, hidden reasoning included.

    `is_whole`: the answer must come in one piece. `end_user` is the pseudonym of the user who asks. If empty, none is
    sent.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    max_output_tokens: int
    is_reasoning: bool = False
    upstream: str = DEFAULT_UPSTREAM
    is_whole: bool = False
    end_user: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Next piece of the answer's text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class RawDelta(TextDelta):
    """Piece of an answer with the JSON object that brought the piece, to be passed on.

    `text` is all that was generated with the piece, reasoning and tool calls too.
    """

    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HiddenDelta:
    """Piece of generated text that the caller does not get, such as reasoning. The provider bills the text."""

    text: str


@dataclass(frozen=True, slots=True)
class PassedEvent:
    """Upstream event that brings no text, to be passed on to the client."""

    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Tokens so far, as the upstream counts them. The last report counts; zero is a count."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """End of the answer, with the upstream's reason: `stop`, `length`, `content_filter`, …"""

    reason: str


ChatEvent: TypeAlias = TextDelta | HiddenDelta | UsageReport | AnswerEnd | PassedEvent


class ChatStream(Protocol):
    """Answer in progress. The first `next` sends the request."""

    def __iter__(self) -> Iterator[ChatEvent]:
        """Return the stream."""
        ...

    def __next__(self) -> ChatEvent:
        """Return the next event. Raises UpstreamUnavailable, UpstreamRejected."""
        ...

    def close(self) -> None:
        """Abort the upstream call, also while another thread is blocked in `next`; closing twice is fine."""
        ...


class ChatModel(Protocol):
    """Upstream that answers prompts."""

    def stream(self, request: ChatRequest) -> ChatStream:
        """Return the answer to `request`. Never retries, since every call costs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """Order for one picture. `size` and `quality` are as the model's price names them, such as `1024x1024` or `auto`.

    If `quality` is None, the upstream chooses. `wants_base64`: the request must demand the picture itself, not an
    address. `end_user` is the pseudonym of the user who asks. If empty, none is sent.
    """

    model: str
    prompt: str
    size: str
    quality: str | None = None
    wants_base64: bool = False
    end_user: str = ""


class ImageModel(Protocol):
    """Upstream that paints."""

    def generate(self, request: ImageRequest) -> Picture:
        """Paint and return one picture, whole and of a kind that we keep. Never retries, since every call costs.

        Raises UpstreamUnavailable, UpstreamRejected, NoPicture.
        """
        ...


class ModelListing(Protocol):
    """Lists of models that providers publish."""

    def fetch(self, upstream: str) -> Sequence[Mapping[str, Any]]:
        """Return each model as the provider describes the model; numbers with a point come as `Decimal`.

        Raises UpstreamUnavailable. Raises InvalidValue for an upstream that is not set up.
        """
        ...

    def reach(self, upstream: str) -> None:
        """Return if the provider answers and takes our key, without reading the listing. Costs nothing.

        A provider without a listing, or one that limits our requests, answers. Raises UpstreamUnavailable.
        """
        ...


class UpstreamUnavailable(Unavailable):
    """The model provider could not be reached, failed, or is too busy."""

    code = "upstream_unavailable"

    def __init__(
        self,
        detail: str = "The model provider is unavailable; try again.",
        *,
        has_begun: bool = False,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(detail, **({} if retry_after_ms is None else {"retry_after_ms": retry_after_ms}))
        self.has_begun = has_begun
        """True if the provider had begun to answer, and therefore may bill the call."""


class UpstreamTimedOut(UpstreamUnavailable):
    """The answer exceeded the time limit, so we cut the call. The provider may bill the call."""

    def __init__(self) -> None:
        super().__init__(
            "The model took too long to answer; its provider may bill the call, so it is charged.", has_begun=True
        )


class UpstreamBusy(UpstreamUnavailable):
    """The model provider takes no more requests for now. `retry_after_ms` is the provider's wait; None if unknown."""

    code = "upstream_busy"

    def __init__(self, *, retry_after_ms: int | None = None, has_begun: bool = False) -> None:
        super().__init__(
            "The model provider is busy; try again later.", has_begun=has_begun, retry_after_ms=retry_after_ms
        )


class UpstreamOverloaded(UpstreamUnavailable):
    """The model provider is out of service for the time in `retry_after_ms`."""

    code = "upstream_overloaded"

    def __init__(self, *, retry_after_ms: int) -> None:
        super().__init__("The model provider is overloaded; try again later.", retry_after_ms=retry_after_ms)


class UpstreamMisconfigured(UpstreamUnavailable):
    """The model provider refuses our key, our account or our model's name: an operator has to act."""

    code = "upstream_misconfigured"

    def __init__(self) -> None:
        super().__init__("This model cannot be used at the moment; its operator has been told.")


class UpstreamRejected(Rejected):
    """The model provider refused this request; asking again will not help."""

    code = "upstream_rejected"

    def __init__(self, detail: str = "The model provider refused this request.") -> None:
        super().__init__(detail)
