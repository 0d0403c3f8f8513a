"""Answers of providers at random: what is true of each, and its bytes in any form that was ever seen.

Nothing here knows the code under test. A form is drawn piece by piece: how usage is told and where, how calls come, how
text is cut, what stands between the chunks, how lines end, and where the connection ends.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

Chunk = dict[str, Any]
WORDS = (
    "one ",
    "two ",
    "Zürich ",
    "日本語 ",
    "👩‍👩‍👧 ",
    "naïve ",
    "\u2028",
    "\\ ",
    '" ',
    "a\nb ",
    "x" * 40 + " ",
    "ha",
    "ha",
)
HEARTBEATS = (
    ": ping\n\n",
    ":\n\n",
    "data:\n\n",
    "data: \n\n",
    'event: ping\ndata: {"type": "ping"}\n\n',
    "retry: 3000\n\n",
)
FINISHES = {
    "stop": ("stop", "eos", "end_turn", "STOP"),
    "length": ("length", "MAX_TOKENS", "max_tokens"),
    "content_filter": ("content_filter", "SAFETY"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What an answer says and what its provider bills. `calls` are names and arguments."""

    text: str
    calls: tuple[tuple[str, Mapping[str, Any]], ...]
    prompt: int
    visible: int
    hidden: int
    finish: str

    @property
    def output(self) -> int:
        """The output tokens that are billed."""
        return self.visible + self.hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The bytes of one answer, in pieces. `reported_at` is how many bytes hold all of its report."""

    truth: Truth
    body: bytes
    pieces: tuple[bytes, ...]
    reported_at: int
    is_cut: bool
    is_broken: bool
    forms: tuple[str, ...] = field(default=())


def drawn_truth(random: Random) -> Truth:
    """Draw an answer: text, or calls of tools, or both."""
    has_calls = random.random() < 0.3
    text = "" if has_calls and random.random() < 0.6 else "".join(random.choices(WORDS, k=random.randint(1, 12)))
    calls = [
        (random.choice(("get_weather", "get_time")), {"city": random.choice(("Bern", "Zürich")), "n": at})
        for at in range(random.randint(1, 3) if has_calls else 0)
    ]
    finish = "tool_calls" if calls else random.choice(("stop", "stop", "stop", "length", "content_filter"))
    return Truth(
        text=text,
        calls=tuple(calls),
        prompt=random.randint(1, 300),
        visible=random.randint(1, 60),
        hidden=random.choice((0, 0, random.randint(1, 800))),
        finish=finish,
    )


class Form:
    """One way to tell an answer."""

    def __init__(self, random: Random, truth: Truth, profile: str) -> None:
        self._random = random
        self.truth = truth
        self.usage = random.choice(USAGES if profile == "xai" or truth.hidden > truth.visible else USAGES[:-1])
        self.calls = random.choice(CALLS)
        self.parts = random.random() < 0.2
        self.metadata = random.random() < 0.3
        self.repeats = random.random() < 0.2
        self.closing = not truth.calls and random.random() < 0.15
        self.halves = random.random() < 0.1
        self.has_done = random.random() < 0.9
        self.has_finish = random.random() < 0.93 or not self.has_done

    def report(self) -> Chunk:
        """The report, in the words of its form."""
        truth = self.truth
        total = truth.prompt + truth.output
        plain = {"prompt_tokens": truth.prompt, "completion_tokens": truth.output, "total_tokens": total}
        thinking = {"completion_tokens_details": {"reasoning_tokens": truth.hidden}}
        if self.usage == "total":
            return {**plain, "completion_tokens": truth.visible}
        if self.usage in {"beside", "beside_no_total"}:
            told = {**plain, "completion_tokens": truth.visible, **thinking}
            return told if self.usage == "beside" else {n: v for n, v in told.items() if n != "total_tokens"}
        if self.usage == "floats":
            return {name: float(number) for name, number in plain.items()}
        if self.usage == "cached":
            return {**plain, "prompt_tokens_details": {"cached_tokens": truth.prompt // 2}, **thinking}
        if self.usage == "names":
            return {"input_tokens": truth.prompt, "output_tokens": truth.output}
        return {**plain, **thinking}

    def placed(self, chunk: Chunk) -> Chunk:
        """The chunk with the report where the form has it."""
        if self.usage == "groq":
            return {**chunk, "x_groq": {"id": "r", "usage": {"queue_time": 0.1, **self.report()}}}
        if self.usage == "choice" and chunk["choices"]:
            return {**chunk, "choices": [{**chunk["choices"][0], "usage": self.report()}]}
        return {**chunk, "usage": self.report()}

    def before(self, chunk: Chunk, share: float) -> Chunk:
        """The chunk with what the form reports on the way."""
        zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        if self.usage == "zeros":
            return {**chunk, "usage": zero}
        if self.usage == "null":
            return {**chunk, "usage": None}
        if self.usage == "running":
            so_far = int(self.truth.output * share)
            totals = {"completion_tokens": so_far, "total_tokens": self.truth.prompt + so_far}
            return {**chunk, "usage": {"prompt_tokens": self.truth.prompt, **totals}}
        return chunk

    def whole(self) -> Chunk:
        """The answer in one piece."""
        return self.placed({**HEAD, "object": "chat.completion", "choices": [self._message_choice()]})

    def chunks(self) -> Iterator[Chunk]:
        """The answer in chunks; the last has the report."""
        deltas = [{"role": "assistant", "content": ""}, *self._text_deltas(), *self._call_deltas()]
        if self.metadata:
            yield {**HEAD, "id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
        for at, delta in enumerate(deltas):
            yield self._dressed(self.before(chunk_of(delta), (at + 1) / (len(deltas) + 1)))
        ending = self._finish() if self.has_finish else None
        last = chunk_of({}, ending)
        if self.closing:
            last = {**HEAD, "choices": [{**self._message_choice(), "finish_reason": ending}]}
        if self.usage in {"choice", "groq", "running", "with_end"} and (self.has_finish or self.usage != "choice"):
            yield self.placed(last)
            return
        yield self.before(last, 1.0)
        yield self.placed({**HEAD, "choices": [] if self._random.random() < 0.8 else [{"index": 0, "delta": {}}]})

    def _finish(self) -> str:
        if self.truth.finish == "tool_calls":
            return self._random.choice(("tool_calls", "stop"))
        return self._random.choice(FINISHES[self.truth.finish])

    def _dressed(self, chunk: Chunk) -> Chunk:
        if self.metadata and self._random.random() < 0.3:
            chunk = {**chunk, "id": self._random.choice(("", "other")), "system_fingerprint": "fp"}
        if self.repeats:
            choice = chunk["choices"][0]
            chunk = {**chunk, "choices": [{**choice, "delta": {"role": "assistant", **choice["delta"], "format": "f"}}]}
        return chunk

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.parts else text

    def _text_deltas(self) -> Iterator[Chunk]:
        text, at = self.truth.text, 0
        if self.truth.hidden and self._random.random() < 0.5:
            thought = [{"type": "text", "text": "hm"}]
            yield (
                {"content": [{"type": "thinking", "thinking": thought}]} if self.parts else {"reasoning_content": "hm"}
            )
        pieces = list(_utf16_halves(text)) if self.halves else list(text)
        while at < len(pieces):
            size = self._random.randint(1, 12)
            yield {"content": self._content("".join(pieces[at : at + size]))}
            at += size

    def _call_deltas(self) -> Iterator[Chunk]:
        for at, (name, arguments) in enumerate(self.truth.calls):
            told = json.dumps(arguments)
            index = {"index": {"null": None, "zero": 0}.get(self.calls, at)} if self.calls != "none" else {}
            own = {"id": f"call_{at}", "type": "function"}
            if self.calls in {"whole", "null", "zero", "none"} or self._random.random() < 0.3:
                inner = arguments if self.calls == "object" else told
                yield {"tool_calls": [{**index, **own, "function": {"name": name, "arguments": inner}}]}
                continue
            if self.calls == "object":
                yield {"tool_calls": [{**index, **own, "function": {"name": name, "arguments": arguments}}]}
                continue
            cut = self._random.randint(0, len(told))
            again = self._random.choice(({}, {"id": ""}, {"id": None, "type": None}))
            named = self._random.choice(({}, {"name": None}, {"name": ""}))
            yield {"tool_calls": [{**index, **own, "function": {"name": name, "arguments": told[:cut]}}]}
            if cut < len(told):
                yield {"tool_calls": [{**index, **again, "function": {**named, "arguments": told[cut:]}}]}

    def _message_choice(self) -> Chunk:
        calls = [
            {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for at, (name, arguments) in enumerate(self.truth.calls)
        ]
        message = {"role": "assistant", "content": self._content(self.truth.text) if self.truth.text else None}
        return {
            "index": 0,
            "message": {**message, **({"tool_calls": calls} if calls else {})},
            "finish_reason": self._finish(),
        }


HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "m"}
USAGES = (
    *("last", "with_end", "running", "zeros", "null", "choice", "groq", "floats", "cached", "names", "total", "beside"),
    "beside_no_total",
)
CALLS = ("index", "whole", "null", "zero", "none", "object")


def chunk_of(delta: Chunk, finish: str | None = None) -> Chunk:
    """A chunk of one choice."""
    return {**HEAD, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def played(random: Random, profile: str, *, is_whole: bool) -> Played:
    """Draw an answer and its bytes."""
    truth = drawn_truth(random)
    form = Form(random, truth, profile)
    if is_whole:
        body = json.dumps(form.whole(), ensure_ascii=random.random() < 0.5).encode()
        reported_at = len(body)
    else:
        body, reported_at = _streamed(random, form)
    is_cut = random.random() < 0.3
    if is_cut:
        body = body[: random.randint(0, len(body) - 1)]
    return Played(
        truth=truth,
        body=body,
        pieces=tuple(_pieces(random, body)),
        reported_at=reported_at,
        is_cut=is_cut,
        is_broken=is_cut and random.random() < 0.5,
        forms=(
            profile,
            form.usage,
            form.calls,
            *(n for n in FLAGS if getattr(form, n)),
            *(["whole"] if is_whole else []),
        ),
    )


FLAGS = ("parts", "metadata", "repeats", "closing", "halves", "has_done", "has_finish")


def _streamed(random: Random, form: Form) -> tuple[bytes, int]:
    """The bytes of a stream, and how many of them hold the report."""
    end = random.choice(("\n", "\n", "\r\n", "\r"))
    space = random.choice(("data: ", "data:"))
    is_ascii = form.halves or random.random() < 0.5
    has_heartbeats, has_ids = random.random() < 0.3, random.random() < 0.2
    told = ["\ufeff"] if random.random() < 0.1 else []
    for number, chunk in enumerate(form.chunks()):
        if has_heartbeats and random.random() < 0.5:
            told.append(random.choice(HEARTBEATS))
        ids = f"id: {number}\nevent: message\n" if has_ids else ""
        told.append(f"{ids}{space}{json.dumps(chunk, ensure_ascii=is_ascii)}\n\n")
    reported_at = len("".join(told).replace("\n", end).encode())
    if form.has_done:
        told.append(random.choice((f"{space}[DONE]\n\n", f"{space}[DONE]", f"{space}[DONE] \n\n")))
    return "".join(told).replace("\n", end).encode(), reported_at


def _pieces(random: Random, body: bytes) -> Iterator[bytes]:
    most = random.choice((1, 7, 64, 4_096, 1 << 20))
    at = 0
    while at < len(body):
        size = random.randint(1, most)
        yield body[at : at + size]
        at += size


def _utf16_halves(text: str) -> Iterator[str]:
    """Each character, those beyond the first plane as their two halves."""
    units = text.encode("utf-16-be")
    yield from (units[at : at + 2].decode("utf-16-be", "surrogatepass") for at in range(0, len(units), 2))
