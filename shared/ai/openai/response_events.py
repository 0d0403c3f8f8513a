"""Metering of the events of a response: content beyond the earlier events is counted by size. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.ai.openai.dialect import as_text
from shared.ai.openai.passthrough import Json
from shared.ai.ports import ChatEvent, PassedEvent, RawDelta

ITEM_DONE = "response.output_item.done"
LAST = frozenset({"response.completed", "response.incomplete"})
QUIET = frozenset(
    {
        *("response.created", "response.queued", "response.in_progress", "keepalive", "ping"),
        *("response.output_item.added", "response.content_part.added", "response.content_part.done"),
        *("response.output_text.done", "response.output_text.annotation.added", "response.refusal.done"),
        *("response.function_call_arguments.done", "response.custom_tool_call_input.done"),
        *("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
        *("response.reasoning_summary_text.done", "response.reasoning_text.done"),
    }
)
"""Events that announce or repeat the content of other events."""
NOT_CONTENT = frozenset({"type", "sequence_number", "output_index", "content_index", "item_id", "obfuscation"})


class ResponseEvents:
    """See `AnswerReader`. `understood` reads the meaning of one event alone."""

    def __init__(self, understood: Callable[[Json], Iterator[ChatEvent]], text_of: Callable[[Json], str]) -> None:
        self._understood = understood
        self._text_of = text_of
        self._said = Counter[object]()

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """See `AnswerReader.events`."""
        for event in self._understood(raw):
            if isinstance(event, RawDelta):
                self._said[event.raw.get("output_index")] += len(event.text)
                yield event
            else:
                yield self._metered(event.raw) if isinstance(event, PassedEvent) else event

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """See `AnswerReader.end`: nothing is left after the last event."""
        return iter(())

    def _metered(self, raw: Json) -> ChatEvent:
        """Return an event with the text that no earlier event brought, if there is any."""
        text = self._beyond(raw)
        return RawDelta(text, raw) if text else PassedEvent(raw)

    def _beyond(self, raw: Json) -> str:
        kind = str(raw.get("type"))
        if kind == ITEM_DONE:
            at, said = raw.get("output_index"), self._text_of({"output": [raw.get("item")]})
            beyond = said[self._said[at] :]
            self._said[at] += len(beyond)
            return beyond
        if kind in LAST:
            response: Any = raw.get("response")
            return self._text_of(response)[self._said.total() :] if isinstance(response, Mapping) else ""
        unknown = {name: value for name, value in raw.items() if name not in NOT_CONTENT and value not in (None, "")}
        return "" if kind in QUIET or not unknown else as_text(unknown)
