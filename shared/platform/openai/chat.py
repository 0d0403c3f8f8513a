"""Chat model behind an OpenAI-compatible API."""

from collections.abc import Generator, Iterator
from typing import Any

from shared.ai.openai.completion_reader import CompletionReader, ReadPiece
from shared.ai.ports import AnswerEnd, ChatEvent, ChatRequest, HiddenDelta, TextDelta, UsageReport
from shared.platform.openai.exchange import Exchange
from shared.platform.openai.upstream import OpenAIUpstream, StreamEnd

PATH = "/chat/completions"


class OpenAIChatModel:
    """Client for chat completions, streamed or in one piece."""

    def __init__(self, upstream: OpenAIUpstream) -> None:
        self._upstream = upstream

    def stream(self, request: ChatRequest) -> Exchange[ChatEvent]:
        """Return the answer to `request`; see `ChatModel.stream`."""
        end = StreamEnd()
        return Exchange(lambda: self._read(request, end), end)

    def close(self) -> None:
        """Close idle connections."""
        self._upstream.close()

    def _read(self, request: ChatRequest, end: StreamEnd) -> Generator[ChatEvent, None, None]:
        reader = CompletionReader(form=self._upstream.profile.usage_form)
        for raw in self._upstream.read(PATH, _body(request), request.end_user, end):
            yield from _events(reader.read(raw))
        yield from _events(reader.end(is_done=end.is_done))


def _body(request: ChatRequest) -> dict[str, Any]:
    # Models that reason take their limit by the newer name at OpenAI; a profile knows what others take.
    limit = "max_completion_tokens" if request.is_reasoning else "max_tokens"
    asked = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        limit: request.max_output_tokens,
    }
    return asked if request.is_whole else {**asked, "stream": True, "stream_options": {"include_usage": True}}


def _events(heard: ReadPiece) -> Iterator[ChatEvent]:
    """Yield the chat events of a parsed object: hidden text, text to deliver, the finish reason, and the usage."""
    if heard.hidden:
        yield HiddenDelta(heard.hidden)
    if heard.shown:
        yield TextDelta(heard.shown)
    if heard.finish is not None:
        yield AnswerEnd(heard.finish)
    if heard.usage is not None:
        yield UsageReport(heard.usage)
