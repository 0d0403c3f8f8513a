"""What the AI domain needs from outside: a model that streams its answer, a model that paints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from shared.ai.models import DEFAULT_UPSTREAM
from shared.ai.pictures import Picture
from shared.ai.tokens import Usage
from shared.kernel.errors import Rejected, Unavailable

Role = Literal["system", "user", "assistant"]
WHOLE_SECONDS_MAX = 200.0
"""An answer that comes in one piece has to be there by then: nobody could end it, or hold on for it, meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    """One message of a prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a model is asked. `max_output_tokens` bounds everything it generates, hidden reasoning included.

    `is_whole`: the answer is to come in one piece. `end_user` is the pseudonym of the user who asks; empty tells none.
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
    """The next piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class RawDelta(TextDelta):
    """A piece of an answer with the object that it came in, which is passed on.

    `text` is all that was generated with the piece, reasoning and tool calls too.
    """

    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HiddenDelta:
    """A piece of what a model generates that its caller does not get, such as reasoning; it is billed as output."""

    text: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Something of the upstream's that is no text, for who passes it on."""

    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Tokens so far, as the upstream counts them. The last report counts; zero is a count."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finished:
    """The upstream ended the answer, and why: `stop`, `length`, `content_filter`, …"""

    reason: str


ChatEvent: TypeAlias = TextDelta | HiddenDelta | UsageReport | Finished | Passed


class ChatStream(Protocol):
    """An answer in the making. Nothing is sent before the first `next`."""

    def __iter__(self) -> Iterator[ChatEvent]:
        """Itself."""
        ...

    def __next__(self) -> ChatEvent:
        """The next event. Raises UpstreamUnavailable, UpstreamRejected."""
        ...

    def close(self) -> None:
        """Abort the upstream call, also while another thread is blocked in `next`; closing twice is fine."""
        ...


class ChatModel(Protocol):
    """An upstream that answers prompts."""

    def stream(self, request: ChatRequest) -> ChatStream:
        """The answer to `request`. Never retried behind the caller's back: every call costs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What a model is asked to paint: one picture. `size` is as its price names it, `1024x1024` or `auto`.

    `quality` is as its price names it, too; None lets the upstream choose.

    `wants_base64`: the upstream has to be told to send the picture itself, not an address. `end_user` is the pseudonym
    of the user who asks; empty tells none.
    """

    model: str
    prompt: str
    size: str
    quality: str | None = None
    wants_base64: bool = False
    end_user: str = ""


class ImageModel(Protocol):
    """An upstream that paints."""

    def generate(self, request: ImageRequest) -> Picture:
        """One picture, whole and of a kind we keep. Never retried behind the caller's back: every call costs.

        Raises UpstreamUnavailable, UpstreamRejected, NoPicture.
        """
        ...


class ModelListing(Protocol):
    """What providers list of their models."""

    def fetch(self, upstream: str) -> Sequence[Mapping[str, Any]]:
        """Each model as the provider says it; numbers with a point come as `Decimal`.

        Raises UpstreamUnavailable, and InvalidValue for an upstream that is not set up.
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
        """True if the provider had begun to answer, so that it may bill the call."""


class UpstreamTimedOut(UpstreamUnavailable):
    """The answer took longer than we wait for, so that we cut the call; the provider may bill it."""

    def __init__(self) -> None:
        super().__init__(
            "The model took too long to answer; its provider may bill the call, so it is charged.", has_begun=True
        )


class UpstreamBusy(UpstreamUnavailable):
    """The model provider takes no more requests for now; it may say for how long."""

    code = "upstream_busy"

    def __init__(self, *, retry_after_ms: int | None = None, has_begun: bool = False) -> None:
        super().__init__(
            "The model provider is busy; try again later.", has_begun=has_begun, retry_after_ms=retry_after_ms
        )


class UpstreamOverloaded(UpstreamUnavailable):
    """The model provider is out of service for a time that it names."""

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
