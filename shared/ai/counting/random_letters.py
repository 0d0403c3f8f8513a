"""Extra cost of words that no language writes, beyond the cost of their pairs of letters.

No vocabulary knows the parts of such words. The costs by script were fitted to prose. Letters at random cost several
times as much, which callers may know. Three signs tell random letters from prose. The first is a word longer than words
of languages with spaces between words. The second is several accented letters in a row. The third is Latin letters that
hardly any language uses. Values are in hundredths of a token, measured with `o200k_base`.
"""

import re
from collections.abc import Mapping
from typing import Final

LONG_WORD: Final = 24
"""Letters of the longest words that prose has; hardly any word of prose has more."""
LATIN_LONG, FIRST_LETTERS = 27, 4
"""Least cost that a long Latin word adds for each letter behind the first few, however familiar the pairs are."""
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
"""Cost that each letter of a long word adds, in scripts that put spaces between words."""
ACCENTED: Final = re.compile("[\u00aa-\u036f\u1e00-\u1eff]{3,}")
ACCENTS_IN_A_ROW: Final = 2
ACCENT_MORE: Final = 85
"""Cost that each accented letter behind the second in a row adds."""
RARE: Final = re.compile("[\u0180-\u018e\u0190-\u019f\u01a2-\u01ae\u01b1-\u0217\u021c-\u0258\u025a-\u02af]")
"""Latin letters of phonetics and of few alphabets. Azerbaijani, Romanian and Vietnamese letters are not among them."""
RARE_MORE: Final = 150


def latin_cost(word: str, pairs: int) -> int:
    """Return the cost (hundredths of a token) that a Latin word adds to one token.

    `pairs` is the cost of the letter pairs.
    """
    if len(word) > LONG_WORD:
        pairs = max(pairs, LATIN_LONG * (len(word) - FIRST_LETTERS))
    if word.isascii():
        return pairs
    accents = sum(len(run) - ACCENTS_IN_A_ROW for run in ACCENTED.findall(word))
    return pairs + ACCENT_MORE * accents + RARE_MORE * len(RARE.findall(word))


def long_word_cost(script: str, letters: int) -> int:
    """Return the cost (hundredths of a token) that a word of this many letters adds in this script; 0 for a short
    word.
    """
    return LONG_MORE.get(script, 0) * letters if letters > LONG_WORD else 0
