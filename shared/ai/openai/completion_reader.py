"""Reader of chat completions from any provider, streamed or whole: returns chunks in OpenAI's shape.

Chat, the OpenAI routes and agents use this reader. A chunk has numbered tool calls, text in place of the provider's
parts, OpenAI's finish reasons and OpenAI's meaning of usage. Members that are passed on beside the text are metered by
size. The size steers the hold; the provider's report decides the charge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.ai.models.usage_report import BEDROCK, INPUT, UsageForm, later_usage, summed_usage, usage_in
from shared.ai.openai.choice_reader import ChoiceAddition, ChoiceReader
from shared.ai.openai.completion_shape import published_chunk, published_counts
from shared.ai.openai.dialect import as_text
from shared.ai.openai.ends import CALLS, STOP, end_of, failure_in
from shared.ai.openai.passthrough import Json
from shared.ai.openai.wire_texts import RaggedObject, cleaned
from shared.ai.tokens import Usage

HEAD = ("id", "created", "model")
"""Members of which only the first value counts: later metadata does not replace the first."""
FREE_AT_TOP = frozenset(
    {
        *HEAD,
        *("object", "choices", "usage", "error", "system_fingerprint", "service_tier", "x_groq", "provider", "timings"),
        *("prompt_filter_results", "prompt_token_ids", "prompt_logprobs", "kv_transfer_params", "obfuscation", "nvext"),
        *("usage_metadata", "usageMetadata", "metrics", "meta", "stats", BEDROCK),
        *("base_resp", "input_sensitive", "output_sensitive", "request_id"),
    }
)
FREE_AT_CHOICE = frozenset(
    {
        *("index", "delta", "message", "finish_reason", "native_finish_reason", "stop_reason", "matched_stop"),
        *("content_filter_results", "content_filter_offsets", "logprobs", "usage", "token_ids", "error", "seed"),
    }
)
"""Members that are not metered: without generated text, or with a repetition of such text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPiece:
    """Reading of one object of an answer.

    `chunk` is the object in OpenAI's shape, None if nothing of the object belongs to the answer. `shown` is delivered
    text. `metered` is all generated text, reasoning and calls. `hidden` is the metered text that is not shown. `finish`
    is None until every choice has ended. `usage` is None if the object reports none.
    """

    chunk: Json | None = None
    shown: str = ""
    metered: str = ""
    hidden: str = ""
    finish: str | None = None
    usage: Usage | None = None


class CompletionReader:
    """Reader of one answer. `choices` is the requested number of choices. `form` says where the provider counts
    reasoning.
    """

    def __init__(self, choices: int = 1, form: UsageForm = "auto") -> None:
        self._wanted = choices
        self._form = form
        self._choices: dict[int, ChoiceReader] = {}
        self._head: dict[str, Any] = {}
        self._beside: dict[str, str] = {}
        self._usage: Usage | None = None
        self._zero: Usage | None = None
        self._usage_by_choice: dict[int, Usage] = {}
        self._finish: str | None = None
        self._last: str | None = None
        self._is_closed = False
        self._is_ragged = False

    def read(self, raw: Json) -> ReadPiece:
        """Return the reading of one object. Raises UpstreamUnavailable and its kinds, RequestRefused."""
        if (failure := failure_in(raw, is_first=not self._is_begun)) is not None:
            raise failure
        self._is_ragged = isinstance(raw, RaggedObject)
        usage = self._reported(raw)
        choices = raw.get("choices")
        if not isinstance(choices, list) and usage is None and not str(raw.get("object")).startswith("chat.completion"):
            return ReadPiece()
        self._is_closed = self._is_closed or (usage is not None and not choices and self._is_begun)
        all_said, told = ChoiceAddition(), list[Json]()
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping):
                said, canonical = self._choice(choice)
                told.append(canonical)
                _join(all_said, said)
        top = self._top(raw, all_said)
        reported = {"usage": self._canonical(raw)} if usage is not None else {}
        chunk = published_chunk({**top, "choices": told, **reported})
        return ReadPiece(
            chunk=chunk,
            shown="".join(all_said.shown),
            metered="".join(all_said.metered),
            hidden="".join(all_said.hidden),
            finish=self._ended(),
            usage=usage,
        )

    def end(self, *, is_done: bool) -> ReadPiece:
        """Return the reading of the end of the answer. `is_done`: the provider has said that the answer is complete.

        If no finish reason came, the answer has ended if the provider said so, by the protocol or by a last usage
        report.
        """
        usage = self._zero if is_done and self._usage is None else None
        if not self._is_begun or self._finish is not None or not (is_done or self._is_closed):
            return ReadPiece(usage=usage)
        endings = {index: choice.ending() for index, choice in self._choices.items()}
        told = [{"index": index, "delta": said.delta} for index, said in endings.items() if said.delta]
        text = "".join(text for said in endings.values() for text in said.shown)
        has_calls = any(choice.has_calls for choice in self._choices.values())
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": told} if told else None
        return ReadPiece(chunk=chunk, shown=text, metered=text, finish=CALLS if has_calls else STOP, usage=usage)

    @property
    def _is_begun(self) -> bool:
        return any(choice.is_begun for choice in self._choices.values())

    def _choice(self, raw: Json) -> tuple[ChoiceAddition, Json]:
        """Return the addition of a raw choice, and the choice in OpenAI's shape."""
        at = raw.get("index")
        index = at if isinstance(at, int) and not isinstance(at, bool) and at >= 0 else 0
        reader = self._choices.setdefault(index, ChoiceReader())
        delta, message, told = raw.get("delta"), raw.get("message"), dict[str, Any]()
        made_up_id = f"call_{self._head.get('id') or 'x'}_{index}"
        if isinstance(message, Mapping) and not (isinstance(delta, Mapping) and delta):
            said, told["message"] = reader.whole(message, made_up_id)
        else:
            said = reader.piece(delta if isinstance(delta, Mapping) else {}, made_up_id)
        finish = end_of(raw.get("finish_reason"), has_calls=reader.has_calls)
        if finish is not None:
            reader.is_ended = True
            finish = "function_call" if finish == STOP and reader.has_legacy_call else finish
            self._last = finish
            left = reader.ending()
            said.delta |= {name: _joined(said.delta.get(name), value) for name, value in left.delta.items()}
            _join(said, left)
        rest = {n: v for n, v in raw.items() if n not in {"index", "delta", "message", "finish_reason", "usage"}}
        rest = cleaned(rest) if self._is_ragged else rest
        said.meter(*(as_text(v) for n, v in rest.items() if n not in FREE_AT_CHOICE and v not in (None, "", [], {})))
        return said, {"index": index, "delta": said.delta, **rest, **told, "finish_reason": finish}

    def _ended(self) -> str | None:
        """Return the finish reason once, when the last choice has ended; otherwise None."""
        ended = [choice for choice in self._choices.values() if choice.is_ended]
        if self._finish is not None or len(ended) < max(self._wanted, len(self._choices)):
            return None
        self._finish = self._last
        return self._finish

    def _top(self, raw: Json, said: ChoiceAddition) -> dict[str, Any]:
        """Return the members beside the choices. Unknown members are metered whenever a value changes."""
        for name in HEAD:
            if name not in self._head and raw.get(name):
                self._head[name] = raw[name]
        rest = {n: v for n, v in raw.items() if n not in {"choices", "usage", *HEAD}}
        rest = cleaned(rest) if self._is_ragged else rest
        for name, value in rest.items():
            if name in FREE_AT_TOP or value in (None, "", [], {}):
                continue
            if self._beside.get(name) != (text := as_text(value)):
                self._beside[name] = text
                said.meter(text)
        return {**self._head, **rest}

    def _reported(self, raw: Json) -> Usage | None:
        """Return the usage so far; None if this object reports none."""
        found = usage_in({n: v for n, v in raw.items() if n != "choices"}, self._form)
        if found is None:
            found = self._of_choices(raw)
        if found is not None and self._is_on_the_way(raw, found):
            self._zero, found = found, None
        if found is not None:
            self._usage = found = later_usage(self._usage, found)
        return found

    def _is_on_the_way(self, raw: Json, usage: Usage) -> bool:
        """Return True for zero usage in a piece of a stream: some providers report zeros until the end.

        If the provider completes the answer without another report, the zeros are the report.
        """
        choices = raw.get("choices")
        listed = [each for each in choices if isinstance(each, Mapping)] if isinstance(choices, list) else []
        is_piece = any("delta" in each or self._is_begun for each in listed)
        return is_piece and not usage.input_tokens and not usage.output_tokens

    def _of_choices(self, raw: Json) -> Usage | None:
        """Return the summed usage of the choices that have reported their own; None if this object reports none."""
        choices, is_reported = raw.get("choices"), False
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and (own := usage_in({"choices": [choice]}, self._form)) is not None:
                at, is_reported = choice.get("index"), True
                index = at if isinstance(at, int) else 0
                self._usage_by_choice[index] = later_usage(self._usage_by_choice.get(index), own)
        return summed_usage(self._usage_by_choice.values()) if is_reported else None

    def _canonical(self, raw: Json) -> Json:
        """Return the usage so far in OpenAI's meaning, with the other members of the provider's report."""
        assert self._usage is not None, "there was a report"
        return openai_usage(self._usage, raw.get("usage"))


def openai_usage(usage: Usage, report: object = None) -> Json:
    """Return a usage as OpenAI reports it: reasoning inside the output, cached input inside the input.

    Further members of the provider's `report` are kept.
    """
    told = dict(report) if isinstance(report, Mapping) and any(name in report for name in INPUT[:1]) else {}
    total = usage.input_tokens + usage.output_tokens
    counts = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total}
    details = {
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
    for name, numbers in details.items():
        if isinstance(before := told.get(name), Mapping):
            details[name] = {**published_counts(before), **numbers}
    known = {name: numbers for name, numbers in details.items() if name in told or any(numbers.values())}
    return {**cleaned(told), **counts, **known}


def _joined(before: Any, value: Any) -> Any:
    """Return a text, or a list of calls, behind the value before."""
    return [*(before or ()), *value] if isinstance(value, list) else str(before or "") + value


def _join(said: ChoiceAddition, more: ChoiceAddition) -> None:
    """Add the texts of `more` to `said`, but not the delta."""
    said.shown += more.shown
    said.hidden += more.hidden
    said.metered += more.metered
