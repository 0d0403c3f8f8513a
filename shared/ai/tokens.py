"""Counting tokens without any model's vocabulary: a bound that holds, and an expectation that is close.

*The bound.* Every tokenizer we sell is a byte-level BPE: it starts from the bytes of the UTF-8 text and only ever
merges them, so a text has at most as many tokens as it has bytes. What a chat template adds is bounded by named
constants. Ceilings use this.

*The expectation.* Each piece of a text costs what such a piece costs on average in `o200k_base`: see `pieces`. On texts
of the kinds that we know it is within a quarter of the real count. Admission, trimming and accrual use this.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from shared.ai.pieces import PIECE, TOKEN, cost_of

MESSAGE_OVERHEAD_TOKENS = 8
"""More than the role and delimiters that the templates of today's models put around one message (3 to 6)."""

PROMPT_OVERHEAD_TOKENS = 64
"""More than what templates add once: the start of the answer (3), or a preamble with dates (about 40)."""

COUNTED_CHARACTERS_MAX = 100_000
"""So many characters of a prompt are looked at: each takes a microsecond, and a prompt may have millions."""
SAMPLE_CHARACTERS, SAMPLE_CHARACTERS_MIN = 200, 100
"""Samples are short, so that there are many: a text of several kinds is then counted within a quarter of the whole."""

EXPECTED_MESSAGE_OVERHEAD = 4
EXPECTED_PROMPT_OVERHEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that a call took in and gave out; hidden reasoning counts as output.

    `cached_input_tokens` and `cache_write_tokens` are the parts of the input that the provider read from a cache, and
    wrote to one; `reasoning_tokens` are the part of the output that nobody sees. Zero if the provider reports none.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """The same as names and numbers, for the journal."""
        return (("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens))

    def within(self, output_at_most: int) -> "Usage":
        """As much of it as is the user's to pay: output beyond what was asked for is not."""
        if self.output_tokens <= output_at_most:
            return self
        reasoning = min(self.reasoning_tokens, output_at_most)
        return replace(self, output_tokens=output_at_most, reasoning_tokens=reasoning)


def at_most_tokens(text: str) -> int:
    """No byte-level tokenizer makes more of `text` than this: its bytes."""
    return len(text.encode())


def expected_tokens(text: str, counted_characters: int = COUNTED_CHARACTERS_MAX) -> int:
    """Return about how many tokens `text` is: never more than `at_most_tokens`.

    A text of more than `counted_characters` is counted by samples of that length in all.
    """
    if len(text) <= counted_characters:
        return _cost(text)
    sampled = _samples(text, counted_characters)
    counted = sum(map(_cost, sampled))
    return min(at_most_tokens(text), -(-counted * len(text) // sum(map(len, sampled))))


def _samples(text: str, characters: int) -> list[str]:
    """Return samples of the text, one out of each part of equal length.

    Where in its part a sample lies follows from the whole text's digest, so that nobody can write a text that is cheap
    where it is sampled and dense elsewhere.
    """
    samples = -(-characters // SAMPLE_CHARACTERS)
    length, part = characters // samples, len(text) // samples
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    offsets = (sha256(digest + number.to_bytes(4, "big")).digest() for number in range(samples))
    starts = (
        number * part + int.from_bytes(offset[:8], "big") % (part - length + 1) for number, offset in enumerate(offsets)
    )
    return [text[start : start + length] for start in starts]


def _cost(text: str) -> int:
    return _tokens(sum(map(cost_of, PIECE.finditer(text))))


def prompt_at_most(contents: Iterable[str]) -> int:
    """No prompt of these messages is longer than this, template included."""
    return PROMPT_OVERHEAD_TOKENS + sum(MESSAGE_OVERHEAD_TOKENS + at_most_tokens(content) for content in contents)


def prompt_expected(contents: Iterable[str]) -> int:
    """About how many tokens a prompt of these messages is, template included."""
    texts = list(contents)
    share = min(1.0, COUNTED_CHARACTERS_MAX / max(1, sum(map(len, texts))))
    counts = (expected_tokens(text, max(SAMPLE_CHARACTERS_MIN, int(len(text) * share))) for text in texts)
    return EXPECTED_PROMPT_OVERHEAD + sum(EXPECTED_MESSAGE_OVERHEAD + count for count in counts)


def message_expected(content: str) -> int:
    """About how many tokens one message adds to a prompt."""
    return EXPECTED_MESSAGE_OVERHEAD + expected_tokens(content)


class RunningCount:
    """The count of a text that arrives in pieces: `expected_tokens` of the whole, however the text was cut."""

    __slots__ = ("_closed", "_open")

    def __init__(self) -> None:
        self._closed = 0
        self._open = ""

    def add(self, text: str) -> int:
        """Return the tokens of all text so far, `text` included."""
        last: re.Match[str] | None = None
        for match in PIECE.finditer(self._open + text):
            if last:
                self._closed += cost_of(last)
            last = match
        self._open = last.group() if last else ""
        return _tokens(self._closed + (cost_of(last) if last else 0))


def _tokens(cost: int) -> int:
    return -(-cost // TOKEN)
