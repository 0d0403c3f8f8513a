"""A chat model behind an OpenAI-compatible API, through OpenAI's SDK."""

from collections.abc import Generator, Iterator
from typing import Any

from shared.ai.end_user import named_by
from shared.ai.ports import (
    WHOLE_SECONDS_MAX,
    ChatEvent,
    ChatRequest,
    Finished,
    TextDelta,
    UsageReport,
)
from shared.ai.usage_report import usage_in
from shared.platform.openai.client import Provider, failure
from shared.platform.openai.exchange import Exchange


class OpenAIChatModel:
    """Asks for chat completions, streamed or in one piece. `end_user_fields` tell the provider who the end user is."""

    def __init__(self, *, base_url: str, api_key: str, end_user_fields: tuple[str, ...] = ()) -> None:
        self._provider = Provider(base_url=base_url, api_key=api_key)
        self._end_user_fields = end_user_fields

    def stream(self, request: ChatRequest) -> "OpenAIStream":
        """See `ChatModel.stream`."""
        return OpenAIStream(self._provider, request, self._end_user_fields)

    def close(self) -> None:
        """Close idle connections."""
        self._provider.close()


class OpenAIStream(Exchange[ChatEvent]):
    """See `ChatStream`."""

    def __init__(self, provider: Provider, request: ChatRequest, end_user_fields: tuple[str, ...]) -> None:
        self._provider = provider
        self._request = request
        self._end_user_fields = end_user_fields
        super().__init__(self._read)

    def _read(self) -> Generator[ChatEvent, None, None]:
        import openai

        try:
            from shared.platform.openai.chunks import Chunks
            from shared.platform.openai.network import hurry

            client = self._provider.client()
            body = {**_body(self._request), **named_by(self._end_user_fields, self._request.end_user)}
            if self._request.is_whole:
                hurry(WHOLE_SECONDS_MAX)
                yield from _events(client.post("/chat/completions", cast_to=object, body=body))
                return

            # The SDK's typed method looks through every message of a prompt for what it would have to convert.
            chunks = client.post("/chat/completions", cast_to=object, body=body, stream=True, stream_cls=Chunks)
            try:
                for chunk in chunks:
                    yield from _events(chunk)
            finally:
                chunks.close()
        except (openai.OpenAIError, ValueError) as error:
            # Refused, not reached, cut off, an error event in the stream, or a chunk that is not JSON.
            raise failure(error, self._request.model) from None


def _body(request: ChatRequest) -> dict[str, Any]:
    # Models that reason take their limit by the newer name only, and other providers know the older one only.
    limit = "max_completion_tokens" if request.is_reasoning else "max_tokens"
    asked = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        limit: request.max_output_tokens,
    }
    return asked if request.is_whole else {**asked, "stream": True, "stream_options": {"include_usage": True}}


def _events(chunk: Any) -> Iterator[ChatEvent]:
    """What a chunk says, or an answer of one piece. What is absent, null or of another shape says nothing."""
    if not isinstance(chunk, dict):
        return
    for choice in _listed(chunk.get("choices")):
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            text = delta.get("content") or delta.get("refusal")
            if isinstance(text, str) and text:
                yield TextDelta(text)
        if choice.get("finish_reason"):
            yield Finished(str(choice["finish_reason"]))
    if (usage := usage_in(chunk)) is not None:
        yield UsageReport(usage)


def _listed(choices: Any) -> list[dict[str, Any]]:
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
