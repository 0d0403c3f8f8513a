"""Dialect of `POST /responses`, OpenAI's protocol: requests are measured, answers are read and assembled.

Shapes: https://platform.openai.com/docs/api-reference/responses. Nothing is kept with the provider, since all users
share the provider's key. A request that names something kept there is refused. Otherwise one user could continue
another user's conversation. Responses that a request refers to are kept here (`kept_responses`). Their content stands
in the request before the request reaches this module.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.ai.models.catalogue import Kind, Model
from shared.ai.models.image_tokens import PromptImage
from shared.ai.models.usage_report import UsageForm, read_usage
from shared.ai.openai.dialect import (
    Demand,
    as_text,
    asks_to_think,
    bounded_images,
    count,
    function_tools,
    prompt_image,
    refuse,
    refuse_other_prices,
    refuse_uncounted,
    told_usage,
)
from shared.ai.openai.growing import GrowingText
from shared.ai.openai.kept_responses import ENCRYPTED
from shared.ai.openai.passthrough import Json
from shared.ai.openai.prompt_files import files_of, is_file
from shared.ai.openai.response_events import ResponseEvents
from shared.ai.openai.response_tools import ToolNames
from shared.ai.openai.wire_texts import RaggedObject, cleaned
from shared.ai.ports import AnswerEnd, ChatEvent, PassedEvent, RawDelta, UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.errors import InvalidValue

LIMIT = "max_output_tokens"
PARTS_MAX = 1_000
"""Most parts of an item. A part with a higher number is not believed."""
LIMIT_MIN = 16
"""Least limit that the provider accepts, in tokens."""
REFUSED = {
    "previous_response_id": "must be resolved before the provider is asked",
    "conversation": "is not offered here: nothing is kept, send the conversation",
    "prompt": "is not offered here: nothing is kept, send the prompt",
    "background": "is not offered here",
}
ABOUT_THE_PROMPT = ("instructions", "tools", "text", "tool_choice")
PARTS = frozenset({"input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"})
ITEMS = frozenset(
    {"message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}
)
"""Items that consist of their text only. Items of hosted tools bring images and files with a price of their own."""
NOT_TEXT = frozenset({"type", "role", "status"})
USAGE = ("input_tokens", "output_tokens")
ENDED_AS = {"completed": "response.completed", "incomplete": "response.incomplete"}
"""Type of the last stream event, by the status of the answer. An answer in one piece is read as that event."""
LAST = frozenset(ENDED_AS.values())
FAILED = frozenset({"response.failed", "error"})


class Responses:
    """See `Dialect`. Each request has an instance.

    `names` are the names of functions in namespaces. `is_kept`: the response is kept here for the user. `previous_id`
    is the response that the request continues, None if there is none.
    """

    path = "/responses"
    kind: Kind = "chat"

    def __init__(
        self, *, names: ToolNames | None = None, is_kept: bool = False, previous_id: str | None = None
    ) -> None:
        self._names = names or ToolNames()
        self._is_kept = is_kept
        self._previous_id = previous_id

    def demand(self, body: Json) -> Demand:
        """See `Dialect.demand`."""
        refuse(body, REFUSED)
        refuse_other_prices(body)
        tools = function_tools(body)
        texts, images = _input(body.get("input"))
        texts += [as_text(body[name]) for name in ABOUT_THE_PROMPT if body.get(name) is not None]
        return Demand(
            texts=tuple(texts),
            images=images,
            files=files_of(body.get("input")),
            limit=count(body, LIMIT),
            uses_tools=bool(tools),
            has_hidden_output=asks_to_think(body),
        )

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """See `Dialect.sent`. The provider keeps nothing. If the response is kept here, reasoning comes encrypted."""
        include = body.get("include")
        asked = include if isinstance(include, list) else []
        wants_reasoning = self._is_kept and model.is_reasoning and ENCRYPTED not in asked
        return {
            **body,
            **({"include": [*asked, ENCRYPTED]} if wants_reasoning else {}),
            "model": model.upstream_model,
            LIMIT: output_cap if body.get(LIMIT) else max(LIMIT_MIN, output_cap),
            "stream": not is_whole,
            "store": False,
        }

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """See `AnswerReader.events`. Raises UpstreamUnavailable for an answer that failed."""
        raw, text = cleaned(raw) if isinstance(raw, RaggedObject) else raw, ""
        raw = self._told_as_kept(self._names.named_back(raw))
        if raw.get("object") == "response":
            raw, text = {"type": ENDED_AS.get(str(raw.get("status")), "error"), "response": raw}, _text_of(raw)
        kind, delta = str(raw.get("type")), raw.get("delta")
        if kind in FAILED or (raw.get("error") and "type" not in raw):
            raise UpstreamUnavailable(has_begun=True)
        if kind in LAST:
            response = raw.get("response")
            if not isinstance(response, Mapping):
                raise UpstreamUnavailable(has_begun=True)
            yield RawDelta(text, raw) if text else PassedEvent(raw)
            yield from _end_of(response)
        elif kind.endswith(".delta") and isinstance(delta, str) and delta:
            yield RawDelta(delta, raw)
        else:
            yield PassedEvent(raw)

    def _told_as_kept(self, raw: Json) -> Json:
        """Return an object of the answer that describes the keeping here, not at the provider."""
        if isinstance(response := raw.get("response"), Mapping):
            return {**raw, "response": self._told_as_kept(response)}
        if not self._is_kept and self._previous_id is None:
            return raw
        told: dict[str, Any] = {"store": self._is_kept} if "store" in raw else {}
        if self._previous_id is not None and raw.get("object") == "response":
            told["previous_response_id"] = self._previous_id
        return {**raw, **told}

    def reader(self, body: Json, form: UsageForm) -> ResponseEvents:
        """See `Dialect.reader`."""
        return ResponseEvents(self.events, _text_of)

    def transcript(self, body: Json) -> "Response":
        """See `Dialect.transcript`."""
        return Response()

    def pieces(self, answer: Json) -> Iterator[Json]:
        """See `Dialect.pieces`: each item in one piece, with the events that clients expect."""
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        events: list[Json] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        for at, item in enumerate(answer.get("output") or ()):
            events += _item_events(at, item)
        for number, event in enumerate(events):
            yield {**event, "sequence_number": number}

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """See `Dialect.tail`."""
        kind = "response.incomplete" if answer.get("status") == "incomplete" else "response.completed"
        return [{"type": kind, "sequence_number": told, "response": answer, "credits": answer["credits"]}]


class Response:
    """See `Transcript`. The last event brings the whole answer. If the answer ends early, the pieces are joined."""

    def __init__(self) -> None:
        self._begun: dict[str, Any] = {}
        self._items: dict[int, GrowingItem] = {}
        self._whole: Json | None = None
        self.told = 0

    def take(self, raw: Json) -> Json | None:
        """See `Transcript.take`."""
        kind, response = raw.get("type"), raw.get("response")
        if kind in LAST:
            self._whole = response
            return None
        number = raw.get("sequence_number")
        self.told = (number if isinstance(number, int) else self.told) + 1
        if isinstance(response, Mapping):
            self._begun = dict(response)
        elif isinstance(at := raw.get("output_index"), int):
            self._take_item(at, raw)
        return raw

    def end(self, reason: str, counted: Usage | None) -> Json:
        """See `Transcript.end`."""
        usage = told_usage(USAGE, counted) if counted else None
        if self._whole is not None:
            return self._whole if usage is None else {**self._whole, "usage": usage}
        output = [{**self._items[at].whole, "status": "incomplete"} for at in sorted(self._items)]
        details = {"reason": "max_output_tokens"}
        end = {"status": "incomplete", "incomplete_details": details, "output": output, "usage": usage}
        return {"object": "response", **self._begun, **end}

    def _take_item(self, at: int, raw: Json) -> None:
        if isinstance(raw.get("item"), Mapping):
            self._items[at] = GrowingItem(raw["item"])
        item = self._items.setdefault(at, GrowingItem({"type": "message", "role": "assistant", "content": []}))
        if raw.get("type") == "response.output_text.delta":
            item.add_text(raw.get("content_index"), str(raw.get("delta") or ""))
        elif raw.get("type") == "response.function_call_arguments.delta":
            item.add_arguments(str(raw.get("delta") or ""))


class GrowingItem:
    """Output item that grows with each delta, in time proportional to the delta."""

    def __init__(self, begun: Json) -> None:
        self._begun = dict(begun)
        self._texts: dict[int, GrowingText] = {}
        self._arguments: GrowingText | None = None

    def add_text(self, at: object, text: str) -> None:
        """Append text to a part of the content. If `at` names no part below PARTS_MAX, append to the first part."""
        number = at if isinstance(at, int) and 0 <= at < PARTS_MAX else 0
        if number not in self._texts:
            parts = _listed(self._begun.get("content"))
            self._texts[number] = GrowingText(str(parts[number].get("text") or "") if number < len(parts) else "")
        self._texts[number].add(text)

    def add_arguments(self, text: str) -> None:
        """Append text to the arguments of a function call."""
        if self._arguments is None:
            self._arguments = GrowingText(str(self._begun.get("arguments") or ""))
        self._arguments.add(text)

    @property
    def whole(self) -> dict[str, Any]:
        """Return the item as plain values."""
        item = dict(self._begun)
        if self._texts:
            content = [dict(part) for part in _listed(item.get("content"))]
            for number in range(max(self._texts) + 1):
                if number == len(content):
                    content.append({"type": "output_text", "text": "", "annotations": []})
                if number in self._texts:
                    content[number]["text"] = self._texts[number].whole
            item["content"] = content
        if self._arguments is not None:
            item["arguments"] = self._arguments.whole
        return item


def _text_of(response: Json) -> str:
    """Return the text of an answer in one piece that counts as tokens, for an upstream that reports no usage."""
    found = list[Any]()
    for item in _listed(response.get("output")):
        found += [item.get("name"), item.get("arguments"), item.get("input")]
        found += [part.get("text") or part.get("refusal") for part in _listed(item.get("content"))]
    return "".join(text for text in found if isinstance(text, str))


def _listed(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _end_of(response: Json) -> Iterator[ChatEvent]:
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    yield AnswerEnd("stop" if reason is None else "content_filter" if reason == "content_filter" else "length")
    if (usage := read_usage(response.get("usage"))) is not None:
        yield UsageReport(usage)


def _input(given: Any) -> tuple[list[str], tuple[PromptImage, ...]]:
    """Return the texts of an input, and the images in the input. Raises InvalidValue."""
    if isinstance(given, str) and given:
        return [given], ()
    if not isinstance(given, list) or not given:
        raise InvalidValue("input", "must be a text, or a list of items")
    texts, images = list[str](), list[PromptImage]()
    for at, item in enumerate(given):
        field = f"input.{at}"
        if not isinstance(item, Mapping) or item.get("type") == "item_reference":
            raise InvalidValue(field, "must be an item: nothing is kept here that could be referred to")
        if item.get("type", "message") not in ITEMS:
            raise InvalidValue(field, "must be a message, a call of a function, its output, or reasoning")
        refuse_uncounted(item, field)
        parts: list[Any] = next((item[name] for name in ("content", "output") if isinstance(item.get(name), list)), [])
        found = [_part(part, f"{field}.content.{number}") for number, part in enumerate(parts)]
        images += [part for part in found if isinstance(part, PromptImage)]
        rest = {n: v for n, v in item.items() if n not in NOT_TEXT and v is not None and not (v is parts and parts)}
        texts.append("\n".join([*(part for part in found if isinstance(part, str)), as_text(rest)]))
    return texts, bounded_images(images, "input")


def _part(part: Any, field: str) -> str | PromptImage:
    """Return the text or the image of a part. Raises InvalidValue."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in PARTS:
        return as_text(part.get("text") or part.get("refusal") or "")
    if is_file(part):
        return ""
    if kind == "input_image" and not part.get("file_id"):
        return prompt_image(part.get("image_url"), part.get("detail"), field)
    raise InvalidValue(field, "must be a text or an image_url: nothing else has a price in tokens here")


def _item_events(at: int, item: Json) -> list[Json]:
    here = {"output_index": at, "item_id": item.get("id")}
    events: list[Json] = [{"type": "response.output_item.added", "output_index": at, "item": _emptied(item)}]
    if item.get("type") == "message":
        for number, part in enumerate(item.get("content") or ()):
            events += _part_events({**here, "content_index": number}, part)
    elif item.get("type") == "function_call":
        told = "response.function_call_arguments"
        events.append({"type": f"{told}.delta", **here, "delta": item.get("arguments", "")})
        events.append({"type": f"{told}.done", **here, "arguments": item.get("arguments", "")})
    return [*events, {"type": "response.output_item.done", "output_index": at, "item": item}]


def _part_events(here: Json, part: Json) -> list[Json]:
    name = "refusal" if part.get("type") == "refusal" else "text"
    told = "response.refusal" if name == "refusal" else "response.output_text"
    text = part.get(name, "")
    beside: Json = {} if name == "refusal" else {"logprobs": []}
    return [
        {"type": "response.content_part.added", **here, "part": {**part, name: ""}},
        {"type": f"{told}.delta", **here, "delta": text, **beside},
        {"type": f"{told}.done", **here, name: text, **beside},
        {"type": "response.content_part.done", **here, "part": part},
    ]


def _emptied(item: Json) -> Json:
    empty: Mapping[str, Json] = {"message": {"content": []}, "function_call": {"arguments": ""}}
    return {**item, **empty.get(str(item.get("type")), {}), "status": "in_progress"}
