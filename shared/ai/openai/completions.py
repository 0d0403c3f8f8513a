"""Chat completions in OpenAI's protocol (`POST /chat/completions`): measures, reads chunk by chunk, and assembles the
answer.

Shapes: https://platform.openai.com/docs/api-reference/chat.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.ai.models.catalogue import Kind, Model
from shared.ai.models.image_tokens import PromptImage
from shared.ai.models.usage_report import UsageForm
from shared.ai.openai.completion_reader import CompletionReader, ReadPiece, openai_usage
from shared.ai.openai.dialect import (
    CHOICES_MAX,
    Demand,
    as_text,
    asks_to_think,
    bounded_images,
    count,
    function_tools,
    items,
    prompt_image,
    refuse,
    refuse_other_prices,
    refuse_uncounted,
)
from shared.ai.openai.growing import GrowingObject
from shared.ai.openai.passthrough import Json
from shared.ai.openai.prompt_files import files_of, is_file
from shared.ai.openai.wire_texts import THINKING_PARTS
from shared.ai.ports import AnswerEnd, ChatEvent, PassedEvent, RawDelta, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.errors import InvalidValue

LIMITS = ("max_completion_tokens", "max_tokens")
ABOUT_STREAMING = ("stream", "stream_options")
ABOUT_THE_PROMPT = ("tools", "functions", "response_format", "tool_choice", "prediction")
REFUSED = {
    "audio": "is not offered here: audio has no price in text tokens",
}
FINISHED = frozenset({"stop", "length", "content_filter", "tool_calls", "function_call"})


class ChatCompletions:
    """Dialect of `POST /chat/completions`; see `Dialect`."""

    path = "/chat/completions"
    kind: Kind = "chat"

    def demand(self, body: Json) -> Demand:
        """Return the measure of a body; see `Dialect.demand`.

        Each of `n` answers counts towards the most output.
        """
        refuse(body, REFUSED)
        refuse_other_prices(body)
        if not isinstance(body.get("stream_options") or {}, Mapping):
            raise InvalidValue("stream_options", "must be an object")
        if any(each != "text" for each in items(body, "modalities")):
            raise InvalidValue("modalities", "must be text; nothing else is offered here")
        texts, images = _prompt(items(body, "messages"))
        texts += [as_text(body[name]) for name in ABOUT_THE_PROMPT if body.get(name) is not None]
        limits = [limit for name in LIMITS if (limit := count(body, name)) is not None]
        choices = count(body, "n", most=CHOICES_MAX) or 1
        return Demand(
            texts=tuple(texts),
            images=images,
            files=files_of(body.get("messages")),
            choices=choices,
            limit=min(limits, default=None),
            uses_tools=bool(function_tools(body) or items(body, "functions")),
            has_hidden_output=body.get("prediction") is not None or asks_to_think(body),
        )

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """Return the body for the upstream: the upstream's model name, and an output of at most `output_cap` tokens.

        The provider is told to store nothing: `store` is left out.

        If `store` is true, `metadata` is left out too, since only stored answers may have metadata. See `Dialect.sent`.
        """
        default = LIMITS[0] if model.is_reasoning else LIMITS[1]
        limit = next((name for name in LIMITS if body.get(name) is not None), default)
        left_out = {*LIMITS, *ABOUT_STREAMING, "store", *(["metadata"] if body.get("store") else [])}
        kept = {name: value for name, value in body.items() if name not in left_out}
        sent = {**kept, "model": model.upstream_model, limit: max(1, output_cap // (body.get("n") or 1))}
        if is_whole:
            return sent
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        return {**sent, "stream": True, "stream_options": options}

    def reader(self, body: Json, form: UsageForm) -> "CompletionEvents":
        """Return a reader of the answer to `body`; see `Dialect.reader`."""
        return CompletionEvents(CompletionReader(count(body, "n", most=CHOICES_MAX) or 1, form))

    def transcript(self, body: Json) -> "Completion":
        """Return an empty transcript of the answer to `body`; see `Dialect.transcript`."""
        return Completion()

    def pieces(self, answer: Json) -> Iterator[Json]:
        """Yield a whole answer as the objects of a stream, without the end; see `Dialect.pieces`.

        Each choice in one piece.
        """
        for choice in answer["choices"]:
            message = dict(choice["message"])
            if calls := message.get("tool_calls"):
                message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls)]
            shown = {
                "index": choice["index"],
                "delta": message,
                "logprobs": choice.get("logprobs"),
                "finish_reason": None,
            }
            yield _chunk(answer, [shown])

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """Return the last objects of the stream, after `told` objects; see `Dialect.tail`.

        The end of each choice, and the usage if the body requests the usage.
        """
        tail = [_chunk(answer, [_ending(choice)]) for choice in answer["choices"]]
        if (body.get("stream_options") or {}).get("include_usage"):
            tail.append({**_chunk(answer, []), "usage": answer["usage"]})
        tail[-1]["credits"] = answer["credits"]
        return tail


class CompletionEvents:
    """Translator of a chat completion's objects into events; see `AnswerReader`."""

    def __init__(self, reader: CompletionReader) -> None:
        self._reader = reader

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """Yield the events of one object of the answer; see `AnswerReader.events`.

        Raises RequestRefused if the provider refuses the request at once.
        """
        return self._told(self._reader.read(raw))

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """Yield the events of the end of the answer; see `AnswerReader.end`."""
        return self._told(self._reader.end(is_done=is_done))

    def _told(self, heard: ReadPiece) -> Iterator[ChatEvent]:
        if heard.chunk is not None:
            yield RawDelta(heard.metered, heard.chunk) if heard.metered else PassedEvent(heard.chunk)
        if heard.finish is not None:
            yield AnswerEnd(heard.finish)
        if heard.usage is not None:
            yield UsageReport(heard.usage)


class Completion:
    """Transcript of a chat completion with one or several choices, assembled from chunks; see `Transcript`."""

    told = 0

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, GrowingChoice] = {}
        self._usage: Json | None = None

    def take(self, raw: Json) -> Json | None:
        """Add a delivered object, and return the object for the client; None if the client gets nothing now.

        Finish reason and usage reach the client only after the payment. See `Transcript.take`.
        """
        self._head |= {name: value for name, value in raw.items() if name not in NOT_OF_THE_HEAD and value is not None}
        self._usage = raw.get("usage") or self._usage
        shown = []
        for choice in raw["choices"]:
            delta = choice["delta"]
            self._choices.setdefault(choice["index"], GrowingChoice()).add(choice, delta)
            if any(value is not None for value in delta.values()):
                beside = {name: value for name, value in choice.items() if name != "message"}
                shown.append({**beside, "finish_reason": None})
        beside = {name: value for name, value in raw.items() if name != "usage"}
        return {**beside, **_head(self._head), "object": CHUNK, "choices": shown} if shown else None

    def end(self, reason: str, counted: Usage | None) -> Json:
        """Return the whole answer; see `Transcript.end`.

        If no choice came, the answer gets one empty choice: clients look at the first.
        """
        ended = reason if reason in FINISHED else "length"
        grown = self._choices or {0: GrowingChoice()}
        choices = [_told(index, grown[index].whole, ended) for index in sorted(grown)]
        usage = openai_usage(counted) if counted else self._usage
        head = {**self._head, **_head(self._head)}
        return {**head, "object": "chat.completion", "choices": choices, "usage": usage}


NOT_OF_THE_HEAD = frozenset({"object", "choices", "usage"})
CHUNK = "chat.completion.chunk"
UNNAMED = "chatcmpl-unnamed"
"""Id of an answer without an id from the provider. OpenAI's shapes require an id."""


def _head(told: Json) -> Json:
    """Return the members that every answer has, with a default for a missing or mistyped member."""
    created = told.get("created")
    is_time = isinstance(created, int | float) and not isinstance(created, bool)
    return {
        "id": str(told.get("id") or UNNAMED),
        "created": int(created) if is_time and created is not None else 0,
        "model": str(told.get("model") or ""),
    }


def _prompt(messages: Sequence[Any]) -> tuple[list[str], tuple[PromptImage, ...]]:
    """Return the texts of messages, and the images among them. Raises InvalidValue."""
    if not messages:
        raise InvalidValue("messages", "must have at least one message")
    texts, images = list[str](), list[PromptImage]()
    for at, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise InvalidValue(f"messages.{at}", "must be an object")
        refuse_uncounted(message, f"messages.{at}")
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        found = [_part(part, f"messages.{at}.content.{number}") for number, part in enumerate(parts)]
        images += [part for part in found if isinstance(part, PromptImage)]
        rest = {name: value for name, value in message.items() if name not in {"role", "content"} and value is not None}
        is_whole = content is not None and not isinstance(content, list)
        said = [as_text(content)] if is_whole else [part for part in found if isinstance(part, str)]
        texts.append("\n".join([*said, *([as_text(rest)] if rest else [])]))
    return texts, bounded_images(images, "messages")


def _part(part: Any, field: str) -> str | PromptImage:
    """Return the text or the image of a part of a message; an empty text for a file. Raises InvalidValue."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in {"text", "refusal"} and isinstance(part.get(kind), str):
        return str(part[kind])
    if kind in THINKING_PARTS:
        return as_text(part)
    if is_file(part):
        return ""
    if kind == "image_url":
        image = part.get("image_url")
        named = image if isinstance(image, Mapping) else {"url": image}
        return prompt_image(named.get("url"), named.get("detail"), field)
    raise InvalidValue(field, "must be a text or an image_url: nothing else has a price in tokens here")


def _listed(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


class GrowingChoice:
    """Choice under assembly from chunks. The message and the log probabilities grow; other members are replaced."""

    def __init__(self) -> None:
        self._message = GrowingObject()
        self._logprobs: GrowingObject | None = None
        self._beside: dict[str, Any] = {"finish_reason": None}

    def add(self, choice: Json, delta: Json) -> None:
        """Add a chunk's choice. `delta` is the chunk's addition to the message."""
        if isinstance(whole := choice.get("message"), Mapping):
            self._message = GrowingObject()
        self._message.add(whole if isinstance(whole, Mapping) else delta)
        for name, value in choice.items():
            if name == "logprobs" and isinstance(value, Mapping):
                self._logprobs = self._logprobs or GrowingObject()
                self._logprobs.add(value)
            elif name not in {"index", "delta", "message", "logprobs"} and value is not None:
                self._beside[name] = value

    @property
    def whole(self) -> dict[str, Any]:
        """Assembled choice as plain values."""
        logprobs = self._logprobs.whole if self._logprobs is not None else None
        return {"message": self._message.whole, "logprobs": logprobs, **self._beside}


def _told(index: int, choice: Json, ended: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": None, **choice["message"]}
    if calls := _listed(message.get("tool_calls")):
        message["tool_calls"] = [{n: v for n, v in call.items() if n != "index"} for call in calls]
    if message.get("content") == "" and (calls or message.get("function_call")):
        message["content"] = None
    return {**choice, "index": index, "message": message, "finish_reason": choice["finish_reason"] or ended}


def _chunk(answer: Json, choices: list[Any]) -> dict[str, Any]:
    head = {name: value for name, value in answer.items() if name not in {*NOT_OF_THE_HEAD, "credits"}}
    return {**head, "object": CHUNK, "choices": choices}


def _ending(choice: Json) -> dict[str, Any]:
    beside = {name: value for name, value in choice.items() if name not in {"message", "logprobs"}}
    return {**beside, "delta": {}, "logprobs": None}
