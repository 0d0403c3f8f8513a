"""Events of a streamed response in OpenAI's published shape, with the members that a provider left out. Pure.

Clients grow the answer from the events. So an item, or a part, is announced before the first delta, and content that no
delta brought comes as a delta. A whole answer becomes the events of a stream.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.ai.models.usage_report import UsageForm, usage_in
from shared.ai.openai.dialect import as_text
from shared.ai.openai.passthrough import Json
from shared.ai.openai.response_head import ResponseHead, published_usage
from shared.ai.openai.response_items import (
    ID_PREFIXES,
    published_annotation,
    published_item,
    published_logprobs,
    published_part,
    published_thoughts,
    text_or,
    unknown_of,
    whole_or,
)
from shared.ai.openai.response_pieces import (
    ANNOTATION_ADDED,
    ARGUMENTS,
    BEGINNINGS,
    BY_PART,
    CONTENTS,
    CREATED,
    ENDED_AS,
    ITEM_ADDED,
    ITEM_DONE,
    LAST,
    PART_ADDED,
    PART_DONE,
    STARTED,
    SUMMARY,
    SUMMARY_ADDED,
    SUMMARY_DONE,
    TEXT,
    ItemContent,
    content_named,
    emptied,
    item_events,
)
from shared.ai.openai.tool_pieces import arguments_text
from shared.ai.openai.wire_texts import HalfCharacters, RaggedObject, cleaned, content_of

PARTS_MAX = 1_000
"""Most parts of an item. A part with a higher number is not believed."""
PART_KINDS = frozenset({PART_ADDED, PART_DONE, SUMMARY_ADDED, SUMMARY_DONE})
ADDED_KINDS = frozenset({PART_ADDED, SUMMARY_ADDED})
ALIASES: Mapping[str, str] = {
    "response.reasoning.delta": "response.reasoning_text.delta",
    "response.reasoning.done": "response.reasoning_text.done",
    "response.reasoning_summary.delta": "response.reasoning_summary_text.delta",
    "response.reasoning_summary.done": "response.reasoning_summary_text.done",
}
"""Other names of events."""
NOT_CONTENT = frozenset({"type", "sequence_number", "output_index", "content_index", "item_id", "obfuscation", "usage"})
Place = tuple[int, str, int]
"""Place of content: the item, the member that numbers the part, and the part's number."""


class PublishedEvents:
    """Reader of one answer that returns each event in the published shape, behind the events that it lacks."""

    def __init__(self, head: ResponseHead, form: UsageForm = "auto") -> None:
        self._head = head
        self._form = form
        self._halves = HalfCharacters()
        self._cut: dict[str, Json] = {}
        self._items: list[Json] = []
        self._by_id: dict[str, int] = {}
        self._by_index: dict[object, int] = {}
        self._left_out: set[object] = set()
        self._opened: set[Place] = set()
        self._said: set[Place] = set()
        self._done: set[int] = set()
        self._is_begun = False
        self._unmetered: list[str] = []

    def take(self, raw: Json) -> list[Json]:
        """Return the events of one object of an answer. An object that OpenAI does not publish returns no event."""
        kind = ALIASES.get(str(raw.get("type")), str(raw.get("type")))
        content = content_named(kind)
        if content is not None and kind.endswith(".delta"):
            return [*self._beginning({}), *self._delta(*content, raw)]
        clean: Json = cleaned(raw) if isinstance(raw, RaggedObject) else raw
        response = clean.get("response")
        if kind in BEGINNINGS and isinstance(response, Mapping):
            return [self._headed(kind, response)] if self._is_begun else self._beginning(response)
        if kind in LAST and isinstance(response, Mapping):
            return [*self._beginning(response), *self.rest(), *self._end(kind, clean, response)]
        if content is None and kind not in {ITEM_ADDED, ITEM_DONE, ANNOTATION_ADDED, *PART_KINDS}:
            self._meter({n: v for n, v in clean.items() if n not in NOT_CONTENT})
            return []
        before = [*self._beginning({}), *self.rest()]
        if kind in {ITEM_ADDED, ITEM_DONE}:
            return [*before, *self._item(kind, clean)]
        told = self._content_done(*content, clean) if content is not None else self._beside(kind, clean)
        return [*before, *told]

    def unmetered(self) -> str:
        """Return the text, since the last call, that stands in no published member."""
        text, self._unmetered = "".join(self._unmetered), []
        return text

    def rest(self) -> list[Json]:
        """Return a delta for each character whose second half never came."""
        return [{**self._cut[name], "delta": text} for name, text in self._halves.rest().items()]

    # The head ------------------------------------------------------------------------------------------------------

    def _beginning(self, response: Json) -> list[Json]:
        """Return the first events of an answer; none if the answer has begun."""
        if self._is_begun:
            return []
        self._is_begun = True
        return [self._headed(CREATED, response), self._headed(STARTED, response)]

    def _headed(self, kind: str, response: Json) -> Json:
        self._unmetered.append(self._head.newly_unknown(response))
        return {"type": kind, "response": self._head.published(response, BEGINNINGS[kind])}

    def _end(self, kind: str, raw: Json, response: Json) -> Iterator[Json]:
        """Yield the events of content that no event has brought, then the last event with the whole answer."""
        listed, output = response.get("output"), list[Json]()
        for item in listed if isinstance(listed, list) else ():
            if not isinstance(item, Mapping):
                continue
            place = self._place_at_the_end(item, len(output))
            told = published_item(item, self._head.answer_id, len(output), is_done=True)
            if told is None:
                self._meter(item)
                continue
            output.append(told)
            yield from self._announced(told, item, None) if place is None else ()
            yield from self._finished(len(self._items) - 1 if place is None else place, told, item)
        usage = usage_in(response, self._form) or usage_in(raw, self._form)
        self._unmetered.append(self._head.newly_unknown(response))
        counted = {} if usage is None else {"usage": published_usage(usage, response.get("usage"))}
        yield {"type": kind, "response": {**self._head.published(response, LAST[kind]), "output": output, **counted}}

    # Items ---------------------------------------------------------------------------------------------------------

    def _item(self, kind: str, raw: Json) -> list[Json]:
        """Return the events of an item that is added or done."""
        item, index = raw.get("item"), _index_of(raw)
        if not isinstance(item, Mapping):
            return []
        place = self._place(index, item.get("id"), is_new=kind == ITEM_ADDED)
        at = len(self._items) if place is None else place
        told = published_item(item, self._head.answer_id, at, is_done=kind == ITEM_DONE)
        if told is None:
            self._left_out |= {index, text_or(item.get("id"))} - {None, ""}
            self._meter(item if kind == ITEM_DONE else {})
            return []
        events = self._announced(told, item, index) if place is None else []
        return events if kind == ITEM_ADDED else [*events, *self._finished(at, told, item)]

    def _announced(self, told: Json, item: Json, index: object) -> list[Json]:
        """Return the event that adds an item. `index` is the provider's number of the item, None if unknown."""
        place = len(self._items)
        known = {name: value for name, value in told.items() if name not in unknown_of(told)}
        self._items.append(known if told["type"] in ID_PREFIXES else told)
        if item_id := text_or(item.get("id")):
            self._by_id[item_id] = place
        if index is not None:
            self._by_index[index] = place
            self._left_out.discard(index)
        return [{"type": ITEM_ADDED, "output_index": place, "item": emptied(self._items[place])}]

    def _finished(self, place: int, told: Json, item: Json) -> list[Json]:
        """Return the events that finish an item: content that no delta has brought, and the whole item."""
        if place in self._done:
            return []
        self._done.add(place)
        if told["type"] in ID_PREFIXES:
            self._meter(unknown_of(item))
        events = list[Json]()
        for event in item_events(place, told)[1:]:
            where = _place_of(event)
            if event["type"] == ITEM_DONE or (where not in self._said and not self._is_repeated(event, where)):
                events.append(event)
        return events

    def _is_repeated(self, event: Json, where: Place) -> bool:
        return event["type"] in ADDED_KINDS and where in self._opened

    def _place(self, index: object, item_id: object, *, is_new: bool = False) -> int | None:
        """Return the place of an item; None for an item that no event has announced.

        The id decides first, then the provider's number. `is_new`: another id under the same number is another item.
        """
        if isinstance(item_id, str) and item_id in self._by_id:
            return self._by_id[item_id]
        place = self._by_index.get(index)
        is_other = place is not None and is_new and bool(item_id) and place in self._by_id.values()
        return None if is_other else place

    def _place_at_the_end(self, item: Json, at: int) -> int | None:
        """Return the place of the `at`-th item of the whole answer; None for an item that no event has announced."""
        if (place := self._by_id.get(text_or(item.get("id")))) is not None:
            return place
        is_same = at < len(self._items) and self._items[at]["type"] == (item.get("type") or "message")
        return at if is_same else None

    # Contents ------------------------------------------------------------------------------------------------------

    def _delta(self, name: str, content: ItemContent, raw: Json) -> list[Json]:
        """Return the events of a piece of text, joined to half a character before."""
        delta = raw.get("delta")
        text = delta if isinstance(delta, str) else content_of(delta).text
        found = self._found(content, raw)
        if found is None or not text:
            self._meter({"delta": text})
            return []
        events, place = found
        where = self._where(content, place, raw)
        event = self._event(f"{name}.delta", content, where, {"delta": "", **_logprobs(name, raw)})
        key = f"{name} {where}"
        self._cut[key] = event
        told = self._halves.join(key, text)
        opened = [*events, *self._opening(content, where)]
        self._said.add(where)
        return [*opened, {**event, "delta": told}] if told else opened

    def _content_done(self, name: str, content: ItemContent, raw: Json) -> list[Json]:
        """Return the events of a content that is done, and a delta if no delta brought any of the content."""
        value, found = raw.get(content.member), None
        if value is not None:
            found = self._found(content, raw)
        if found is None:
            return []
        events, place = found
        where = self._where(content, place, raw)
        told = arguments_text(value)
        done = {content.member: told, **_logprobs(name, raw)}
        if name == ARGUMENTS:
            done["name"] = text_or(raw.get("name"), str(self._items[place].get("name", "")))
        events += self._opening(content, where)
        if told and where not in self._said:
            events.append(self._event(f"{name}.delta", content, where, {"delta": told, **_logprobs(name, {})}))
        self._said.add(where)
        return [*events, self._event(f"{name}.done", content, where, done)]

    def _beside(self, kind: str, raw: Json) -> list[Json]:
        """Return the events of a part that begins or ends, or of an annotation."""
        if kind == ANNOTATION_ADDED:
            content, told = CONTENTS[TEXT], published_annotation(raw.get("annotation"))
            added = {"annotation_index": whole_or(raw.get("annotation_index"), 0), "annotation": told}
        else:
            told = _part_of(kind, raw.get("part"))
            content = CONTENTS[BY_PART[told["type"]]] if told is not None else CONTENTS[TEXT]
            added = {"part": told}
        found = self._found(content, raw) if told is not None else None
        if found is None or told is None:
            return []
        events, place = found
        where = self._where(content, place, raw)
        if kind in ADDED_KINDS:
            return [*events, *self._opening(content, where, is_named=True)]
        events += self._opening(content, where)
        if kind == ANNOTATION_ADDED:
            return [*events, self._event(kind, content, where, added)]
        name, text = BY_PART[told["type"]], told.get(content.member)
        if text and where not in self._said:
            events += self._content_done(name, content, {**raw, content.member: text})
        return [*events, self._event(kind, content, where, added)]

    def _found(self, content: ItemContent, raw: Json) -> tuple[list[Json], int] | None:
        """Return the place of the item that an event is about, and the event that adds the item if it is missing.

        None if the item is left out of the answer.
        """
        index, item_id = _index_of(raw), raw.get("item_id")
        if not {index, text_or(item_id)}.isdisjoint(self._left_out):
            return None
        place = self._place(index, item_id)
        if place is None and index is None and not item_id and self._items:
            place = len(self._items) - 1
        if place is not None and self._items[place]["type"] == content.item:
            return [], place
        same = [at for at, item in enumerate(self._items) if item["type"] == content.item and at not in self._done]
        if place is not None and same:
            return [], same[-1]
        named = {"type": content.item, "id": item_id} if place is None else {"type": content.item}
        told = published_item(named, self._head.answer_id, len(self._items), is_done=False)
        assert told is not None, "items of generated text are published"
        return self._announced(told, named, index if place is None else None), len(self._items) - 1

    def _where(self, content: ItemContent, place: int, raw: Json) -> Place:
        number = whole_or(raw.get(content.index), 0) if content.index else 0
        return place, content.list_name, number if 0 <= number < PARTS_MAX else 0

    def _opening(self, content: ItemContent, where: Place, *, is_named: bool = False) -> list[Json]:
        """Return the event that adds a part; none if the part is there. A part of reasoning must be named."""
        if (
            not content.part
            or where in self._opened
            or not (is_named or content.item == "message" or _is_summary(content))
        ):
            return []
        self._opened.add(where)
        kind = SUMMARY_ADDED if _is_summary(content) else PART_ADDED
        return [self._event(kind, content, where, {"part": content.empty_part()})]

    def _event(self, kind: str, content: ItemContent, where: Place, told: Json) -> Json:
        place, _, number = where
        index = {content.index: number} if content.index else {}
        return {"type": kind, "item_id": self._items[place]["id"], "output_index": place, **index, **told}

    def _meter(self, members: Json) -> None:
        self._unmetered += [as_text(value) for value in members.values() if value not in (None, "", [], {})]


def as_event(raw: Json) -> Json:
    """Return an answer in one piece, or an event under another name, as the last event of a stream."""
    if raw.get("object") == "response":
        raw = {"type": "response.done", "response": raw}
    if raw.get("type") != "response.done" or not isinstance(response := raw.get("response"), Mapping):
        return raw
    is_told = isinstance(response.get("output"), list) and not response.get("error")
    status = response.get("status") or ("completed" if is_told else "failed")
    return {**raw, "type": ENDED_AS.get(str(status), "error")}


def _place_of(event: Json) -> Place:
    for name, list_name in (("summary_index", "summary"), ("content_index", "content")):
        if name in event:
            return event["output_index"], list_name, event[name]
    return event["output_index"], "", 0


def _index_of(raw: Json) -> int | None:
    index = raw.get("output_index")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _part_of(kind: str, part: object) -> dict[str, Any] | None:
    if kind in {SUMMARY_ADDED, SUMMARY_DONE}:
        return next(iter(published_thoughts(part, "summary_text")), None)
    return published_part(part)


def _is_summary(content: ItemContent) -> bool:
    return content is CONTENTS[SUMMARY]


def _logprobs(name: str, raw: Json) -> Json:
    return {"logprobs": published_logprobs(raw.get("logprobs"))} if name == TEXT else {}
