"""What words cost beyond their pairs of letters if no language writes them, so that no vocabulary knows their parts.

The costs by script were fitted to prose. Letters at random cost several times as much, which callers may know.
Three things tell them apart: a word longer than those of languages that put spaces between words, several accented
letters in a row, and Latin letters that hardly any language uses. Values are in hundredths of a token, measured with
`o200k_base`.
"""

import re
from collections.abc import Mapping
from typing import Final

LONG_WORD: Final = 24
"""Prose has hardly any word of more letters."""
LATIN_LONG, FIRST_LETTERS = 27, 4
"""A long Latin word adds at least this for each letter behind the first few, however familiar its pairs are."""
LONG_MORE: Final[Mapping[str, int]] = {
    "cyrillic": 50,
    "greek": 52,
    "hebrew": 40,
    "arabic": 45,
    "devanagari": 70,
    "bengali": 60,
    "gurmukhi": 60,
    "gujarati": 60,
    "tamil": 60,
    "telugu": 60,
    "kannada": 60,
    "malayalam": 60,
    "georgian": 50,
    "armenian": 50,
    "hangul": 75,
}
"""What each letter of a long word adds, in scripts that put spaces between words."""
ACCENTED: Final = re.compile("[\u00aa-\u036f\u1e00-\u1eff]{3,}")
ACCENTS_IN_A_ROW: Final = 2
ACCENT_MORE: Final = 85
"""What each accented letter behind the second in a row adds."""
RARE: Final = re.compile("[\u0180-\u018e\u0190-\u019f\u01a2-\u01ae\u01b1-\u0217\u021c-\u0258\u025a-\u02af]")
"""Latin letters of phonetics and of few alphabets; Azerbaijani, Romanian and Vietnamese ones are not among them."""
RARE_MORE: Final = 150


def latin_cost(word: str, pairs: int) -> int:
    """Return what a Latin word adds to its first token; `pairs` is what its pairs of letters add."""
    if len(word) > LONG_WORD:
        pairs = max(pairs, LATIN_LONG * (len(word) - FIRST_LETTERS))
    if word.isascii():
        return pairs
    accents = sum(len(run) - ACCENTS_IN_A_ROW for run in ACCENTED.findall(word))
    return pairs + ACCENT_MORE * accents + RARE_MORE * len(RARE.findall(word))


def long_word_cost(script: str, letters: int) -> int:
    """Return what a word of so many letters adds in this script."""
    return LONG_MORE.get(script, 0) * letters if letters > LONG_WORD else 0
