"""Events of a streamed response: their types, and the events that bring one whole item. Pure.

Shapes: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.ai.openai.passthrough import Json

CREATED, STARTED, QUEUED = "response.created", "response.in_progress", "response.queued"
BEGINNINGS: Mapping[str, str] = {CREATED: "in_progress", STARTED: "in_progress", QUEUED: "queued"}
"""Events that bring the head of the answer, with the answer's status."""
ENDED_AS: Mapping[str, str] = {"completed": "response.completed", "incomplete": "response.incomplete"}
"""Type of the last stream event, by the status of the answer."""
LAST: Mapping[str, str] = {kind: status for status, kind in ENDED_AS.items()}
ITEM_ADDED, ITEM_DONE = "response.output_item.added", "response.output_item.done"
PART_ADDED, PART_DONE = "response.content_part.added", "response.content_part.done"
SUMMARY_ADDED, SUMMARY_DONE = "response.reasoning_summary_part.added", "response.reasoning_summary_part.done"
TEXT, REFUSAL = "response.output_text", "response.refusal"
ARGUMENTS, INPUT = "response.function_call_arguments", "response.custom_tool_call_input"
THOUGHT, SUMMARY = "response.reasoning_text", "response.reasoning_summary_text"
ANNOTATION_ADDED = f"{TEXT}.annotation.added"


@dataclass(frozen=True, slots=True)
class ItemContent:
    """Growing content of an item.

    `item` is the type of the item. `list_name` names the list of parts, `index` the member that numbers a part; both
    are empty for content without parts. `part` is the type of a part. `member` holds the whole content.
    """

    item: str
    member: str
    list_name: str = ""
    index: str = ""
    part: str = ""

    def empty_part(self) -> dict[str, Any]:
        """Return a part without content."""
        beside: Json = {"annotations": [], "logprobs": []} if self.part == "output_text" else {}
        return {"type": self.part, self.member: "", **beside}


CONTENTS: Mapping[str, ItemContent] = {
    TEXT: ItemContent("message", "text", "content", "content_index", "output_text"),
    REFUSAL: ItemContent("message", "refusal", "content", "content_index", "refusal"),
    ARGUMENTS: ItemContent("function_call", "arguments"),
    INPUT: ItemContent("custom_tool_call", "input"),
    THOUGHT: ItemContent("reasoning", "text", "content", "content_index", "reasoning_text"),
    SUMMARY: ItemContent("reasoning", "text", "summary", "summary_index", "summary_text"),
}
"""Contents that come as `{name}.delta` and `{name}.done`, by that name."""
BY_PART: Mapping[str, str] = {content.part: name for name, content in CONTENTS.items() if content.part}


def content_named(kind: str) -> tuple[str, ItemContent] | None:
    """Return the name and the content of an event whose type ends in `.delta` or `.done`; None for any other event."""
    name = kind.removesuffix(".delta") if kind.endswith(".delta") else kind.removesuffix(".done")
    return (name, CONTENTS[name]) if name in CONTENTS and name != kind else None


def item_events(at: int, item: Json) -> list[Json]:
    """Return the events that bring one whole item, at place `at` of the answer."""
    here = {"item_id": item.get("id"), "output_index": at}
    events: list[Json] = [{"type": ITEM_ADDED, "output_index": at, "item": emptied(item)}]
    for name, content in CONTENTS.items():
        if item.get("type") != content.item or content.part:
            continue
        told, beside = item.get(content.member) or "", {"name": item.get("name")} if name == ARGUMENTS else {}
        events += [{"type": f"{name}.delta", **here, "delta": told}] if told else []
        events.append({"type": f"{name}.done", **here, **beside, content.member: told})
    for list_name, index in (("summary", "summary_index"), ("content", "content_index")):
        for number, part in enumerate(item.get(list_name) or ()):
            events += part_events({**here, index: number}, part)
    return [*events, {"type": ITEM_DONE, "output_index": at, "item": item}]


def part_events(here: Json, part: Json) -> list[Json]:
    """Return the events that bring one whole part. `here` says where the part stands."""
    name = BY_PART[str(part.get("type"))]
    content = CONTENTS[name]
    added, done = (SUMMARY_ADDED, SUMMARY_DONE) if name == SUMMARY else (PART_ADDED, PART_DONE)
    told: str = part.get(content.member) or ""
    beside: Json = {"logprobs": part.get("logprobs") or []} if name == TEXT else {}
    return [
        {"type": added, **here, "part": content.empty_part()},
        *([{"type": f"{name}.delta", **here, "delta": told, **beside}] if told else []),
        {"type": f"{name}.done", **here, content.member: told, **beside},
        {"type": done, **here, "part": part},
    ]


def emptied(item: Json) -> Json:
    """Return an item as it stands before the first delta."""
    kind = item.get("type")
    empty: dict[str, Any] = {}
    for content in CONTENTS.values():
        if content.item == kind and (content.list_name or content.member) in item:
            empty[content.list_name or content.member] = [] if content.list_name else ""
    return {**item, **empty, "status": "in_progress"} if empty else item
