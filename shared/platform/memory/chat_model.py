"""A model that answers from a script: for tests, and for trying things without an upstream."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from shared.ai.ports import ChatEvent, ChatRequest, Finished, TextDelta, UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage

Scripted: TypeAlias = ChatEvent | Exception | float
"""What happens next: an event, a failure, or silence for so many seconds."""


def says(*words: str, usage: Usage | None = None, reason: str = "stop") -> list[Scripted]:
    """The script of an answer in these pieces; without `usage` it is never reported."""
    reported = [UsageReport(usage)] if usage else []
    return [*map(TextDelta, words), Finished(reason), *reported]


HELLO = says("Hel", "lo", " there", ".", usage=Usage(input_tokens=12, output_tokens=4))


@dataclass(slots=True)
class ScriptedChatModel:
    """Plays `scripts` one after the other, then the last again and again. It remembers what it was asked."""

    scripts: Sequence[Sequence[Scripted]] = (HELLO,)
    requests: list[ChatRequest] = field(default_factory=list)
    streams: list["ScriptedStream"] = field(default_factory=list)

    def stream(self, request: ChatRequest) -> "ScriptedStream":
        """See `ChatModel.stream`."""
        script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
        self.requests.append(request)
        stream = ScriptedStream(script)
        self.streams.append(stream)
        return stream


class ScriptedStream:
    """One answer being played. `is_aborted`: closed before its end."""

    def __init__(self, script: Sequence[Scripted]) -> None:
        self._script = iter(script)
        self._closed = threading.Event()
        self.is_finished = False
        self.is_aborted = False

    def __iter__(self) -> Iterator[ChatEvent]:
        """See `ChatStream`."""
        return self

    def __next__(self) -> ChatEvent:
        """See `ChatStream`."""
        for item in self._script:
            if isinstance(item, float):
                self._closed.wait(item)
            if self._closed.is_set():
                raise UpstreamUnavailable
            if isinstance(item, Exception):
                raise item
            if not isinstance(item, float):
                return item
        self.is_finished = True
        raise StopIteration

    def close(self) -> None:
        """See `ChatStream`."""
        self.is_aborted = self.is_aborted or not self.is_finished
        self._closed.set()
