"""Dialect of `POST /completions`, OpenAI's older protocol, by which editors complete code: one text and a continuation.

Shapes: https://platform.openai.com/docs/api-reference/completions. Most providers have chat completions only. So a chat
completion continues the text, unless the provider's profile says that the provider knows `/completions`. The reader of
chat completions reads both kinds of answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.ai.models.catalogue import Kind, Model
from shared.ai.models.usage_report import UsageForm
from shared.ai.openai.completions import ChatCompletions, Completion, CompletionEvents
from shared.ai.openai.dialect import Demand, count
from shared.ai.openai.ends import FILTER, LENGTH, STOP
from shared.ai.openai.passthrough import Json
from shared.ai.ports import ChatEvent
from shared.ai.tokens import Usage
from shared.kernel.errors import InvalidValue

PATH = "/completions"
CHAT = ChatCompletions()
LIMIT = "max_tokens"
LIMIT_DEFAULT = 16
"""Limit of OpenAI's for a completion whose request names no limit."""
CONTINUE = "Continue the text exactly where it ends. Answer with the continuation only."
"""Instruction to a chat model. The text counts as input."""
ONLY_HERE = frozenset({"prompt", "suffix", "echo", "best_of", "logprobs"})
OBJECT = "text_completion"


class TextCompletions:
    """Dialect of `POST /completions`; see `Dialect`.

    `is_direct`: requests go to the provider's `/completions`, which also takes a suffix. Otherwise they go to its chat
    completions.
    """

    kind: Kind = "chat"

    def __init__(self, *, is_direct: bool = False) -> None:
        self._is_direct = is_direct
        self.path = PATH if is_direct else CHAT.path

    def demand(self, body: Json) -> Demand:
        """Return the measure of a body; see `Dialect.demand`."""
        self._refuse_others(body)
        demand = CHAT.demand(self._as_chat(body))
        suffix = body.get("suffix")
        return demand if not suffix else replace(demand, texts=(*demand.texts, str(suffix)))

    def sent(self, body: Json, model: Model, output_cap: int, *, is_whole: bool) -> Json:
        """Return the body for the upstream: the upstream's model name, and an output of at most `output_cap` tokens.

        See `Dialect.sent`.
        """
        sent = CHAT.sent(self._as_chat(body), model, output_cap, is_whole=is_whole)
        if not self._is_direct:
            return sent
        limit = min(value for name, value in sent.items() if name in {LIMIT, "max_completion_tokens"})
        kept = {name: value for name, value in sent.items() if name not in {"messages", "max_completion_tokens"}}
        beside = {"suffix": body["suffix"]} if body.get("suffix") else {}
        return {**kept, **beside, LIMIT: limit, "prompt": prompt_of(body)}

    def reader(self, body: Json, form: UsageForm) -> "TextReader":
        """Return a reader of the answer to `body`; see `Dialect.reader`."""
        return TextReader(CHAT.reader(body, form))

    def transcript(self, body: Json) -> "TextTranscript":
        """Return an empty transcript of the answer to `body`; see `Dialect.transcript`."""
        return TextTranscript()

    def pieces(self, answer: Json) -> Iterator[Json]:
        """Yield a whole answer as the objects of a stream, without the end; see `Dialect.pieces`.

        Each choice in one piece.
        """
        for choice in answer["choices"]:
            yield {**_head(answer), "choices": [{**choice, "finish_reason": None}]}

    def tail(self, answer: Json, body: Json, told: int) -> Sequence[Json]:
        """Return the last objects of the stream, after `told` objects; see `Dialect.tail`.

        The end of each choice, and the usage if the request includes usage.
        """
        tail: list[dict[str, Any]] = [
            {**_head(answer), "choices": [{**choice, "text": ""}]} for choice in answer["choices"]
        ]
        if (body.get("stream_options") or {}).get("include_usage"):
            tail.append({**_head(answer), "choices": [], "usage": answer["usage"]})
        tail[-1]["credits"] = answer["credits"]
        return tail

    def _refuse_others(self, body: Json) -> None:
        if body.get("suffix") and not (self._is_direct and isinstance(body["suffix"], str)):
            raise InvalidValue("suffix", "is not offered for this model: send the text before the cursor alone")
        if body.get("echo"):
            raise InvalidValue("echo", "is not offered here: the prompt is not answered")
        if body.get("logprobs") is not None:
            raise InvalidValue("logprobs", "is not offered for completions: ask for a chat completion")
        if body.get("best_of") not in {None, 1} or isinstance(body.get("best_of"), bool):
            raise InvalidValue("best_of", "is not offered here: answers that are not shown would be paid for")

    def _as_chat(self, body: Json) -> dict[str, Any]:
        """Return the request for a chat completion that continues the text."""
        user = {"role": "user", "content": prompt_of(body)}
        asked = [user] if self._is_direct else [{"role": "system", "content": CONTINUE}, user]
        kept = {name: value for name, value in body.items() if name not in ONLY_HERE}
        return {**kept, LIMIT: count(body, LIMIT) or LIMIT_DEFAULT, "messages": asked}


class TextReader:
    """Translator of a text or chat completion's objects into events; see `AnswerReader`."""

    def __init__(self, reader: CompletionEvents) -> None:
        self._reader = reader

    def events(self, raw: Json) -> Iterator[ChatEvent]:
        """Yield the events of one object of the answer; see `AnswerReader.events`."""
        return self._reader.events(_as_chunk(raw))

    def end(self, *, is_done: bool) -> Iterator[ChatEvent]:
        """Yield the events of the end of the answer; see `AnswerReader.end`."""
        return self._reader.end(is_done=is_done)


class TextTranscript:
    """Transcript of a text completion; see `Transcript`."""

    told = 0

    def __init__(self) -> None:
        self._chat = Completion()

    def take(self, raw: Json) -> Json | None:
        """Add a delivered object, and return the object for the client; None if the client gets nothing now.

        Only text is passed on: a completion has no other members. See `Transcript.take`.
        """
        shown = self._chat.take(raw)
        if shown is None:
            return None
        texts = [(choice, (choice.get("delta") or {}).get("content")) for choice in shown["choices"]]
        told = [_choice(choice["index"], text, None) for choice, text in texts if text]
        return {**_head(shown), "choices": told} if told else None

    def end(self, reason: str, counted: Usage | None) -> Json:
        """Return the whole answer; see `Transcript.end`."""
        whole = self._chat.end(reason, counted)
        choices = [
            _choice(choice["index"], choice["message"].get("content") or "", _ending(choice["finish_reason"]))
            for choice in whole["choices"]
        ]
        return {**_head(whole), "choices": choices, "usage": whole["usage"]}


def prompt_of(body: Json) -> str:
    """Return the only text of a request. Raises InvalidValue for several texts, and for tokens."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise InvalidValue("prompt", "must be one text")
    return prompt


def _as_chunk(raw: Json) -> Json:
    """Return an object of a text completion in the shape of a chat completion; any other object unchanged."""
    choices = raw.get("choices")
    if not isinstance(choices, list) or not any(isinstance(each, Mapping) and "text" in each for each in choices):
        return raw
    return {**raw, "object": "chat.completion.chunk", "choices": [_as_delta(each) for each in choices]}


def _as_delta(choice: Any) -> Any:
    if not isinstance(choice, Mapping) or "text" not in choice:
        return choice
    kept = {name: value for name, value in choice.items() if name not in {"text", "logprobs"}}
    return {**kept, "delta": {"content": choice["text"]}}


def _head(answer: Json) -> dict[str, Any]:
    names = ("id", "created", "model", "system_fingerprint")
    return {**{name: answer[name] for name in names if name in answer}, "object": OBJECT}


def _ending(reason: str) -> str:
    """Return the finish reason of a text completion, which knows no calls of tools."""
    return reason if reason in {LENGTH, FILTER} else STOP


def _choice(index: int, text: str, finish: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
