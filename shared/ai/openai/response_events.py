"""Meaning of the events of a response: generated text, the end and the usage. Pure.

Content beyond the earlier events is metered by size before the content is passed on.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from shared.ai.models.usage_report import read_usage, usage_in
from shared.ai.openai.ends import failure_in
from shared.ai.openai.passthrough import Json
from shared.ai.openai.response_pieces import ITEM_DONE, LAST
from shared.ai.openai.response_shape import PublishedEvents, as_event
from shared.ai.openai.response_tools import ToolNames
from shared.ai.ports import AnswerEnd, ChatEvent, HiddenDelta, PassedEvent, RawDelta, UpstreamUnavailable, UsageReport

FAILED = frozenset({"response.failed", "response.cancelled", "error"})


class ResponseEvents:
    """Translator of a response's objects into events; see `AnswerReader`.

    `names` are the names of functions in namespaces.
    """

    def __init__(self, published: PublishedEvents, names: ToolNames) -> None:
        self._published = published
        self._names = names
        self._said = Counter[object]()

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """Yield the events of one object of the answer; see `AnswerReader.events`.

        Raises UpstreamUnavailable and its kinds, RequestRefused.
        """
        raw = as_event(raw)
        kind = str(raw.get("type"))
        if kind in FAILED or (raw.get("error") and "type" not in raw):
            raise failure_in(_told(raw), is_first=not self._said) or UpstreamUnavailable(has_begun=True)
        if kind in LAST and not isinstance(raw.get("response"), Mapping):
            raise UpstreamUnavailable(has_begun=True)
        events = self._published.take(self._names.named_back(raw))
        yield from self._understood(events)
        if not events and (usage := usage_in(raw)) is not None:
            yield UsageReport(usage)

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """Yield the end of the answer; see `AnswerReader.end`. Only halves of characters can be left to deliver."""
        return self._understood(self._published.rest())

    def _understood(self, events: list[Json]) -> Iterator[ChatEvent]:
        if hidden := self._published.unmetered():
            yield HiddenDelta(hidden)
        for event in events:
            text = self._new_text(event)
            yield RawDelta(text, event) if text else PassedEvent(event)
            if event["type"] in LAST:
                yield from _end_of(event["response"])

    def _new_text(self, event: Json) -> str:
        """Return the generated text that no earlier event has brought."""
        at, delta, kind = event.get("output_index"), event.get("delta"), event["type"]
        if isinstance(delta, str):
            self._said[at] += len(delta)
            return delta
        if kind == ITEM_DONE:
            said = text_of({"output": [event["item"]]})
            beyond = said[self._said[at] :]
            self._said[at] += len(beyond)
            return beyond
        return text_of(event["response"])[self._said.total() :] if kind in LAST else ""


def text_of(response: Json) -> str:
    """Return the text of an answer that counts as tokens, for an upstream that reports no usage."""
    found = list[Any]()
    for item in response["output"]:
        found += [item.get("name"), item.get("arguments"), item.get("input")]
        parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
        found += [part.get("text") or part.get("refusal") for part in parts if isinstance(part, Mapping)]
    return "".join(text for text in found if isinstance(text, str))


def _told(raw: Json) -> Json:
    """Return an object of a failed answer with the error at the place where chat completions have one."""
    response = raw.get("response")
    inner = response.get("error") if isinstance(response, Mapping) else None
    return {**raw, "error": raw.get("error") or inner or raw}


def _end_of(response: Json) -> Iterator[ChatEvent]:
    details = response.get("incomplete_details")
    reason = details["reason"] if details else None
    yield AnswerEnd("stop" if reason is None else "content_filter" if reason == "content_filter" else "length")
    if (usage := read_usage(response.get("usage"))) is not None:
        yield UsageReport(usage)
