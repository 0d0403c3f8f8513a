"""Chat completions with tools, whole: one step of an agent."""

from collections.abc import Mapping
from typing import Any

from shared.ai.end_user import named_by
from shared.ai.ports import UpstreamUnavailable
from shared.ai.thinking import Said, ThinkRequest, Thought, ToolCall
from shared.ai.usage_report import usage_in
from shared.platform.openai.client import Provider, failure

THINK_SECONDS_MAX = 150.0
"""For the whole call: a step ends itself well before the function that runs it (540 s) would be ended."""
CALL_ID_CHARACTERS_MAX = 200
NAME_CHARACTERS_MAX = 64


class OpenAIThinkingModel:
    """See `ThinkingModel`. `end_user_fields` tell the provider who the end user is."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        seconds: float = THINK_SECONDS_MAX,
        end_user_fields: tuple[str, ...] = (),
    ) -> None:
        self._provider = Provider(base_url=base_url, api_key=api_key)
        self._end_user_fields = end_user_fields
        self._seconds = seconds

    def think(self, request: ThinkRequest) -> Thought:
        """See `ThinkingModel.think`."""
        import openai

        from shared.platform.openai.network import ending_after

        body = {**_body(request), **named_by(self._end_user_fields, request.end_user)}
        with ending_after(self._seconds):
            try:
                return _thought(self._provider.client().chat.completions.create(**body))
            except (openai.OpenAIError, ValueError, AttributeError, TypeError, RecursionError) as error:
                # Refused, not reached, cut off, or an answer that is none.
                raise failure(error, request.model) from None

    def close(self) -> None:
        """Close idle connections."""
        self._provider.close()


def _body(request: ThinkRequest) -> dict[str, Any]:
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


def _message(said: Said) -> Mapping[str, object]:
    message: dict[str, object] = {"role": said.role, "content": said.content}
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    if said.role == "tool":
        message["tool_call_id"] = said.call_id
    return message


def _thought(answer: Any) -> Thought:
    if not answer.choices:
        raise UpstreamUnavailable(has_begun=True)
    choice = answer.choices[0]
    text = choice.message.content or getattr(choice.message, "refusal", None) or ""
    return Thought(
        text=_clean(str(text)),
        calls=tuple(_call(call) for call in choice.message.tool_calls or () if getattr(call, "function", None)),
        usage=usage_in(answer.model_dump()),
        finish_reason=str(choice.finish_reason or "stop"),
    )


def _call(call: Any) -> ToolCall:
    return ToolCall(
        id=_clean(str(call.id or ""))[:CALL_ID_CHARACTERS_MAX],
        name=_clean(str(call.function.name or ""))[:NAME_CHARACTERS_MAX],
        arguments=_clean(str(call.function.arguments or "{}")),
    )


def _clean(text: str) -> str:
    """Half a character, or a NUL, cannot be stored everywhere."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
