"""Chat model that answers from a script: for tests, and for trials without an upstream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from shared.ai.ports import AnswerEnd, ChatEvent, ChatRequest, TextDelta, UsageReport
from shared.ai.tokens import Usage
from shared.platform.memory.played import PlayedAnswer

Scripted: TypeAlias = ChatEvent | Exception | float
"""Step of a script: an event, a failure, or a silence in seconds."""


def says(*words: str, usage: Usage | None = None, reason: str = "stop") -> list[Scripted]:
    """Return the script of an answer in these pieces. Without `usage`, the answer reports no usage."""
    reported = [UsageReport(usage)] if usage else []
    return [*map(TextDelta, words), AnswerEnd(reason), *reported]


HELLO = says("Hel", "lo", " there", ".", usage=Usage(input_tokens=12, output_tokens=4))


@dataclass(slots=True)
class ScriptedChatModel:
    """Chat model that plays `scripts` in order, then repeats the last. `requests` records every request."""

    scripts: Sequence[Sequence[Scripted]] = (HELLO,)
    requests: list[ChatRequest] = field(default_factory=list)
    streams: list[PlayedAnswer[ChatEvent]] = field(default_factory=list)

    def stream(self, request: ChatRequest) -> PlayedAnswer[ChatEvent]:
        """Return the answer of the next script; see `ChatModel.stream`."""
        script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
        self.requests.append(request)
        stream: PlayedAnswer[ChatEvent] = PlayedAnswer(script)
        self.streams.append(stream)
        return stream
