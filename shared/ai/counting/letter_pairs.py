"""Token cost of a word by the pairs of its letters.

A word costs one token and the sum of the values of its pairs. Pairs of frequent words add nothing; pairs that words
seldom have add most of a token. So one table for each alphabet distinguishes prose, compounds, identifiers, base64 and
random letters. Values are in hundredths of a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

START, END, OTHER = "^", "$", "?"
DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ZERO, STEP = 24, 5
"""Numbers in a digit's value: the digit's place in DIGITS, less ZERO, times STEP."""


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """Costs of the letter pairs of one alphabet, in hundredths of a token; see `alphabets`.

    `rows` has a row of digits for each first letter. `unled` is added to a word without a space before, `capital` to a
    word that begins with a capital. `folds` maps a letter to the letters that are counted alike.
    """

    letters: str
    rows: str
    unled: int = 0
    capital: int = 0
    folds: Mapping[str, str] = field(default_factory=dict)

    def word_cost(self, word: str) -> int:
        """Return the cost of a word's letter pairs, in hundredths of a token, to be added to one token for the word.

        The cost is below zero for the most frequent words.
        """
        letters = word.lower().translate(self._folded)
        pairs = self._pairs
        return sum([pairs[pair] for pair in pairwise(f"{START}{letters}{END}")])

    # Built at first use: most processes count few alphabets.
    @cached_property
    def _pairs(self) -> Mapping[tuple[str, str], int]:
        firsts, seconds = (START, *self.letters, OTHER), (*self.letters, OTHER, END)
        return {
            (first, second): (DIGITS.index(digit) - ZERO) * STEP
            for first, row in zip(firsts, self.rows.split(), strict=True)
            for second, digit in zip(seconds, row, strict=True)
        }

    @cached_property
    def _folded(self) -> "_Folds":
        kept = {ord(letter): letter for letter in self.letters}
        return _Folds({**kept, **{ord(each): name for name, alike in self.folds.items() for each in alike}})


class _Folds(dict[int, str]):
    """Map from each letter to the letter in the alphabet's table; OTHER for an unknown letter."""

    def __missing__(self, code: int) -> str:
        return OTHER
