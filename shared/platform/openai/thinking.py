"""Chat completions with tools, unstreamed: one step of an agent."""

from collections.abc import Mapping
from typing import Any

from shared.ai.agents.thinking import ThinkingMessage, ThinkRequest, Thought, ToolCall
from shared.ai.openai.completion_reader import CompletionReader
from shared.ai.openai.completions import Completion
from shared.ai.openai.ends import STOP
from shared.ai.openai.passthrough import Json
from shared.ai.openai.wire_texts import RaggedObject, cleaned
from shared.ai.ports import UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.platform.openai.chat import PATH
from shared.platform.openai.upstream import OpenAIUpstream, StreamEnd

THINK_SECONDS_MAX = 150.0
"""Time limit of the whole call. A step ends well before its function (540 s) would be ended."""
CALL_ID_CHARACTERS_MAX = 200
NAME_CHARACTERS_MAX = 64


class OpenAIThinkingModel:
    """Client for chat completions with tools, one whole answer at a time; see `ThinkingModel`."""

    def __init__(self, upstream: OpenAIUpstream, *, seconds: float = THINK_SECONDS_MAX) -> None:
        self._upstream = upstream
        self._seconds = seconds

    def think(self, request: ThinkRequest) -> Thought:
        """Return the whole answer, in bounded time; see `ThinkingModel.think`."""
        from shared.platform.openai.network import ending_after

        with ending_after(self._seconds):
            return self._thought(request)

    def close(self) -> None:
        """Close idle connections."""
        self._upstream.close()

    def _thought(self, request: ThinkRequest) -> Thought:
        """Read the streamed answer to its end and return the thought in it.

        Raises UpstreamUnavailable if the stream ends without a finish reason.
        """
        reader, answer, end = CompletionReader(form=self._upstream.profile.usage_form), Completion(), StreamEnd()
        usage: Usage | None = None
        finish: str | None = None
        sent: Json | None = None
        for raw in self._upstream.read(PATH, _body(request), request.end_user, end):
            heard = reader.read(raw)
            sent = _message_in(cleaned(raw) if isinstance(raw, RaggedObject) else raw) or sent
            if heard.chunk is not None:
                answer.take(heard.chunk)
            usage, finish = heard.usage or usage, heard.finish or finish
        heard = reader.end(is_done=end.is_done)
        if heard.chunk is not None:
            answer.take(heard.chunk)
        finish = finish or heard.finish
        if finish is None:
            raise UpstreamUnavailable(has_begun=True)
        message = answer.end(STOP, None)["choices"][0]["message"]
        return _thought_of(message, sent or message, usage, finish)


def _body(request: ThinkRequest) -> dict[str, Any]:
    """Return the body of a chat completion that asks for this thought.

    A reasoning model has its limit in a field of its own.
    """
    limit = "max_completion_tokens" if request.is_reasoning else "max_tokens"
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(said) for said in request.messages],
        limit: request.max_output_tokens,
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in request.tools
        ]
    return body


def _message(said: ThinkingMessage) -> Mapping[str, object]:
    """Return a message in the provider's format. The provider's own messages are returned unchanged."""
    if said.raw is not None:
        return said.raw
    message: dict[str, object] = {"role": said.role, "content": said.content}
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    if said.role == "tool":
        message["tool_call_id"] = said.call_id
    return message


def _message_in(raw: Json) -> Json | None:
    """Return the whole message of an answer as the provider sent it; None for a part of a stream."""
    choices = raw.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    return message if isinstance(message, Mapping) else None


def _thought_of(message: Json, sent: Json, usage: Usage | None, finish: str) -> Thought:
    calls = message.get("tool_calls") or ()
    return Thought(
        text=_clean(str(message.get("content") or message.get("refusal") or "")),
        calls=tuple(_call(call) for call in calls if isinstance(call.get("function"), Mapping)),
        usage=usage,
        finish_reason=finish,
        raw=sent,
    )


def _call(call: Json) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=_clean(str(call.get("id") or ""))[:CALL_ID_CHARACTERS_MAX],
        name=_clean(str(function.get("name") or ""))[:NAME_CHARACTERS_MAX],
        arguments=_clean(str(function.get("arguments") or "{}")),
    )


def _clean(text: str) -> str:
    """Replace a NUL, which cannot be stored everywhere."""
    return text.replace("\0", "\ufffd")
