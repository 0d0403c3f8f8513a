"""Token counts without any model's vocabulary: a bound that holds, and an expectation that is close.

*The bound.* Every tokenizer we sell is a byte-level BPE, which starts from the bytes of the UTF-8 text and only merges
bytes. So a text has at most as many tokens as bytes. Named constants bound the tokens that a chat template adds.
Ceilings use the bound.

*The expectation.* Each piece of a text costs the average of such pieces in `o200k_base`: see `pieces`. On texts of
known kinds the expectation is within a quarter of the real count. Admission, trimming and accrual use the expectation.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from shared.ai.counting.pieces import PIECE, TOKEN, cost_of

MESSAGE_OVERHEAD_TOKENS = 8
"""Bound of the tokens that templates put around one message; today's templates use 3 to 6."""

PROMPT_OVERHEAD_TOKENS = 64
"""Bound of the tokens that templates add once: the start of the answer (3), or a preamble with dates (about 40)."""

COUNTED_CHARACTERS_MAX = 100_000
"""Most characters of a prompt that are counted. Each character takes a microsecond, and a prompt may have millions."""
SAMPLE_CHARACTERS, SAMPLE_CHARACTERS_MIN = 200, 100
"""Lengths of samples in characters.

Short samples are many, so that a mixed text is counted within a quarter of the whole.
"""

EXPECTED_MESSAGE_OVERHEAD = 4
EXPECTED_PROMPT_OVERHEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that a call took in and gave out; hidden reasoning counts as output.

    `cached_input_tokens` and `cache_write_tokens` are the parts of the input that the provider read from a cache, and
    wrote to a cache. `reasoning_tokens` is the hidden part of the output. Each is zero if the provider reports none.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return input and output tokens as names and numbers, for the journal."""
        return (("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens))

    def within(self, output_at_most: int) -> "Usage":
        """Return the part of the usage that the user pays: output beyond `output_at_most` is left out."""
        if self.output_tokens <= output_at_most:
            return self
        reasoning = min(self.reasoning_tokens, output_at_most)
        return replace(self, output_tokens=output_at_most, reasoning_tokens=reasoning)


def at_most_tokens(text: str) -> int:
    """Return the number of UTF-8 bytes of `text`, which is the most tokens that any byte-level tokenizer makes."""
    return len(text.encode())


def expected_tokens(text: str, counted_characters: int = COUNTED_CHARACTERS_MAX) -> int:
    """Return the expected tokens of `text`, never more than `at_most_tokens`.

    A text of more than `counted_characters` is counted by samples of that total length.
    """
    if len(text) <= counted_characters:
        return _cost(text)
    sampled = _samples(text, counted_characters)
    counted = sum(map(_cost, sampled))
    return min(at_most_tokens(text), -(-counted * len(text) // sum(map(len, sampled))))


def _samples(text: str, characters: int) -> list[str]:
    """Return samples of the text, one sample from each part of equal length.

    The whole text's digest decides the place of each sample in a part. So nobody can write a text that is cheap in the
    samples and dense elsewhere.
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
    """Return the most tokens that a prompt of these messages can have, template included."""
    return PROMPT_OVERHEAD_TOKENS + sum(MESSAGE_OVERHEAD_TOKENS + at_most_tokens(content) for content in contents)


def prompt_expected(contents: Iterable[str]) -> int:
    """Return the expected tokens of a prompt of these messages, template included."""
    texts = list(contents)
    share = min(1.0, COUNTED_CHARACTERS_MAX / max(1, sum(map(len, texts))))
    counts = (expected_tokens(text, max(SAMPLE_CHARACTERS_MIN, int(len(text) * share))) for text in texts)
    return counted_prompt(counts)


def message_expected(content: str, counted: int | None = None) -> int:
    """Return the expected tokens that one message adds to a prompt.

    `counted` is the expected number of tokens of the content, None if the content was not counted before.
    """
    return EXPECTED_MESSAGE_OVERHEAD + (expected_tokens(content) if counted is None else counted)


def counted_prompt(counts: Iterable[int]) -> int:
    """Return the expected tokens of a prompt, template included, whose messages have these expected tokens."""
    return EXPECTED_PROMPT_OVERHEAD + sum(EXPECTED_MESSAGE_OVERHEAD + count for count in counts)


class RunningCount:
    """Token count of a text that arrives in pieces: equals `expected_tokens` of the whole, however the text was cut."""

    __slots__ = ("_closed", "_open", "characters")

    def __init__(self) -> None:
        self._closed = 0
        self._open = ""
        self.characters = 0

    def add(self, text: str) -> int:
        """Return the tokens of all text so far, `text` included."""
        self.characters += len(text)
        last: re.Match[str] | None = None
        for match in PIECE.finditer(self._open + text):
            if last:
                self._closed += cost_of(last)
            last = match
        self._open = last.group() if last else ""
        return _tokens(self._closed + (cost_of(last) if last else 0))


def _tokens(cost: int) -> int:
    return -(-cost // TOKEN)
