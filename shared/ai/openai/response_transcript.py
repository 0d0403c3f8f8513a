"""Answer of the Responses API under assembly, from events in the published shape. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.ai.openai.growing import GrowingText
from shared.ai.openai.passthrough import Json
from shared.ai.openai.response_head import ResponseHead, published_usage
from shared.ai.openai.response_items import ID_PREFIXES
from shared.ai.openai.response_pieces import LAST, ItemContent, content_named
from shared.ai.tokens import Usage


class ResponseTranscript:
    """Transcript of a response; see `Transcript`.

    The last event brings the whole answer. If the answer ends early, the pieces are joined.
    """

    def __init__(self, head: ResponseHead) -> None:
        self._begun: Json = head.published({}, "in_progress")
        self._items: dict[int, GrowingItem] = {}
        self._whole: Json | None = None
        self.told = 0

    def take(self, raw: Json) -> Json | None:
        """Add a delivered object, and return the object for the client; None if the client gets nothing now.

        Events are numbered here, since some providers do not number their events. See `Transcript.take`.
        """
        response = raw.get("response")
        if raw.get("type") in LAST:
            self._whole = response
            return None
        if isinstance(response, Mapping):
            self._begun = response
        elif isinstance(at := raw.get("output_index"), int):
            self._take_item(at, raw)
        number, self.told = self.told, self.told + 1
        return {**raw, "sequence_number": number}

    def end(self, reason: str, counted: Usage | None) -> Json:
        """Return the whole answer; see `Transcript.end`.

        If the last event brings no items, the items of the earlier events count.
        """
        whole, usage = self._whole, {} if counted is None else {"usage": published_usage(counted)}
        if whole is None:
            details = {"reason": "content_filter" if reason == "content_filter" else "max_output_tokens"}
            end = {"status": "incomplete", "incomplete_details": details, "output": self._output("incomplete")}
            return {**self._begun, **end, **usage}
        output = whole.get("output") or self._output("completed")
        return {**whole, "output": output, **usage}

    def _output(self, status: str) -> list[Json]:
        return [self._items[at].whole(status) for at in sorted(self._items)]

    def _take_item(self, at: int, raw: Json) -> None:
        item, kind = raw.get("item"), str(raw.get("type"))
        if isinstance(item, Mapping):
            self._items[at] = GrowingItem(item)
            return
        content = content_named(kind)
        if content is not None and kind.endswith(".delta") and at in self._items:
            self._items[at].add(content[1], raw)


class GrowingItem:
    """Output item that grows with each delta, in time proportional to the delta."""

    def __init__(self, begun: Json) -> None:
        self._begun = dict(begun)
        self._texts: dict[tuple[str, int], tuple[ItemContent, GrowingText]] = {}

    def add(self, content: ItemContent, raw: Json) -> None:
        """Append a delta to the content of the item, or of a part."""
        where = content.list_name or content.member, int(raw.get(content.index) or 0)
        if where not in self._texts:
            self._texts[where] = content, GrowingText()
        self._texts[where][1].add(str(raw["delta"]))

    def whole(self, status: str) -> dict[str, Any]:
        """Return the item as plain values. `status` is the status of an item that no event has finished."""
        item = dict(self._begun)
        for (name, number), (content, text) in sorted(self._texts.items(), key=lambda each: each[0]):
            if not content.part:
                item[name] = text.whole
                continue
            parts = list(item.get(name) or ())
            parts += [content.empty_part() for _ in range(number + 1 - len(parts))]
            parts[number] = {**content.empty_part(), content.member: text.whole}
            item[name] = parts
        if item.get("type") in ID_PREFIXES and item.get("status") == "in_progress":
            item["status"] = status
        return item
