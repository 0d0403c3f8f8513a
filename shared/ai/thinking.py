"""A model that may call tools: what it is asked, what it answers, and the port that it is asked through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from shared.ai.models import DEFAULT_UPSTREAM
from shared.ai.ports import UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.events import log

Speaker = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as a model is told about it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that a model wants used. `arguments` is what it wrote, JSON or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message of such a conversation. `call_id` says which call a tool's message answers."""

    role: Speaker
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    raw: Mapping[str, Any] | None = None
    """What the model said, as its provider sent it and wants it back; None for any other message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkRequest:
    """What a model is asked. `max_output_tokens` bounds everything it generates, hidden reasoning included.

    `end_user` is the pseudonym of the user who asks; empty tells none.
    """

    model: str
    messages: tuple[Said, ...]
    tools: tuple[ToolSpec, ...]
    max_output_tokens: int
    is_reasoning: bool = False
    upstream: str = DEFAULT_UPSTREAM
    end_user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """What it answered: text, or tools to be used, or both. `usage` is None if it was not reported."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    finish_reason: str = "stop"
    raw: Mapping[str, Any] | None = field(default=None, compare=False)
    """The message as the provider sent it, which wants it back unchanged."""


class ThinkingModel(Protocol):
    """An upstream that thinks one step at a time."""

    def think(self, request: ThinkRequest) -> Thought:
        """The whole answer, in bounded time; never retried behind the caller's back, as every call costs.

        Raises UpstreamUnavailable, UpstreamRejected.
        """
        ...


class Thinkers:
    """Several upstreams as one, by their names in the settings: a model's document says which of them has it."""

    def __init__(self, by_name: Mapping[str, ThinkingModel]) -> None:
        self._by_name = by_name

    def think(self, request: ThinkRequest) -> Thought:
        """See `ThinkingModel.think`. Raises UpstreamUnavailable for an upstream that is not set up here."""
        model = self._by_name.get(request.upstream)
        if model is None:
            log("upstream_not_set_up", "ERROR", upstream=request.upstream, model=request.model)
            raise UpstreamUnavailable("This model's provider is not set up here.")
        return model.think(request)
