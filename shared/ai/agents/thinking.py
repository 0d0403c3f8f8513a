"""Port to a model that may call tools, with the shapes of questions and answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from shared.ai.ports import DEFAULT_UPSTREAM, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.events import log

Speaker = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """Description of a tool for a model. `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """Call of a tool that a model wants. `arguments` is the model's own text, which may not be JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingMessage:
    """Message of a conversation with tools. `call_id` names the call that a tool's message answers."""

    role: Speaker
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    raw: Mapping[str, Any] | None = None
    """Message as the model's provider sent the object and wants the object back; None for any other message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkRequest:
    """Question to a model. `max_output_tokens` bounds all generated tokens, hidden reasoning included.

    `end_user` is the pseudonym of the user who asks. If empty, none is sent.
    """

    model: str
    messages: tuple[ThinkingMessage, ...]
    tools: tuple[ToolSpec, ...]
    max_output_tokens: int
    is_reasoning: bool = False
    upstream: str = DEFAULT_UPSTREAM
    end_user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """Answer of a model: text, calls of tools, or both. `usage` is None if the provider reported none."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    finish_reason: str = "stop"
    raw: Mapping[str, Any] | None = field(default=None, compare=False)
    """Message as the provider sent the object. The provider wants the object back unchanged."""


class ThinkingModel(Protocol):
    """Upstream that thinks one step at a time."""

    def think(self, request: ThinkRequest) -> Thought:
        """Return the whole answer, in bounded time. Never retries, since every call costs.

        Raises UpstreamUnavailable, UpstreamRejected.
        """
        ...


class Thinkers:
    """Model with tools that forwards each request to the upstream that the model's document names."""

    def __init__(self, by_name: Mapping[str, ThinkingModel]) -> None:
        self._by_name = by_name

    def think(self, request: ThinkRequest) -> Thought:
        """Return the whole answer, in bounded time; see `ThinkingModel.think`.

        Raises UpstreamUnavailable for an upstream that is not set up here.
        """
        model = self._by_name.get(request.upstream)
        if model is None:
            log("upstream_not_set_up", "ERROR", upstream=request.upstream, model=request.model)
            raise UpstreamUnavailable("This model's provider is not set up here.")
        return model.think(request)
