"""Cut of a text into the pieces of today's tokenizers, with the approximate number of tokens of each piece.

The cut follows `o200k_base`. A word takes the sign before the word, and three digits are one token. Signs join the line
breaks behind them, and white space joins white space. The costs were fitted to the counts of `o200k_base` (decision
0022). Costs are in hundredths of a token, so that small errors do not add up. No piece costs more than the piece's
bytes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from shared.ai.counting import alphabets
from shared.ai.counting.letter_pairs import Alphabet
from shared.ai.counting.random_letters import latin_cost, long_word_cost

TOKEN = 100
"""Cost of one token, in hundredths of a token."""
RUN_MAX = 64
"""Largest number of letters or signs in one piece, so that counting a text without any break takes linear time."""
SPACES_MAX = 512
DIGITS_PER_TOKEN, DIGIT_GROUPS_MAX = 3, 20
WORDS_REMEMBERED = 8_192


@dataclass(frozen=True, slots=True)
class Script:
    """Cost of a script's letters, in hundredths of a token: a piece costs `word`, and `letter` for each letter."""

    letters: str
    word: int
    letter: int


ALPHABETS: Final[Mapping[str, tuple[str, Alphabet]]] = {
    "cyrillic": ("\u0400-\u052f", alphabets.CYRILLIC),
    "devanagari": ("\u0900-\u097f", alphabets.DEVANAGARI),
    "hangul": ("\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff", alphabets.HANGUL),
}
"""Scripts whose pieces are counted by their pairs of letters, like Latin words."""
SCRIPTS: Final[Mapping[str, Script]] = {
    "han": Script("\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff", 25, 77),
    "hiragana": Script("\u3041-\u309f", 50, 53),
    "katakana": Script("\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f", 120, 40),
    "arabic": Script("\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc", 67, 22),
    "hebrew": Script("\u0590-\u05ff\ufb1d-\ufb4f", 9, 43),
    "greek": Script("\u0370-\u03ff", 82, 26),
    "thai": Script("\u0e00-\u0e7f", 85, 38),
    "greek_polytonic": Script("\u1f00-\u1fff", 0, 180),
    "bengali": Script("\u0980-\u09ff", 76, 23),
    "gurmukhi": Script("\u0a00-\u0a7f", 69, 45),
    "gujarati": Script("\u0a80-\u0aff", 66, 29),
    "tamil": Script("\u0b80-\u0bff", 50, 31),
    "telugu": Script("\u0c00-\u0c7f", 25, 39),
    "kannada": Script("\u0c80-\u0cff", 50, 33),
    "malayalam": Script("\u0d00-\u0d7f", 50, 29),
    "sinhala": Script("\u0d80-\u0dff", 16, 60),
    "lao": Script("\u0e80-\u0eff", 0, 183),
    "tibetan": Script("\u0f00-\u0fff", 0, 149),
    "myanmar": Script("\u1000-\u109f", 30, 50),
    "georgian": Script("\u10a0-\u10ff\u1c90-\u1cbf", 60, 26),
    "armenian": Script("\u0530-\u058f", 50, 26),
    "ethiopic": Script("\u1200-\u139f\u2d80-\u2ddf", 100, 198),
    "khmer": Script("\u1780-\u17ff", 60, 56),
    "thaana": Script("\u0780-\u07bf", 0, 200),
}

# Latin letters. Those of extended blocks in which both cases alternate count as small, but for a few frequent ones.
CAPITALS: Final = "A-ZÀ-ÖØ-ÞĂĆČĐĘĚĞİŁŃŇŐŘŚŞŠŤŮŰŹŻŽƠƯȘȚ"
SMALL: Final = (
    "a-zªºß-öø-ÿĀāăĄąćĈ-ċčĎďđĒ-ėęěĜĝğĠ-įıĲ-ŀłńŅņňŉŊŋŌ-ŏőŒœŔŕŖŗřśŜŝşšŢţťŦ-ŭůűŲ-Ÿźżžſƀ-ƟơƢ-ƮưƱ-ȗșțȜ-ʯ\u0300-\u036fḀ-ỿ"
)
LETTERS_OF: Final = {
    **{kind: letters for kind, (letters, _) in ALPHABETS.items()},
    **{kind: script.letters for kind, script in SCRIPTS.items()},
}
LETTER: Final = CAPITALS + SMALL + "".join(LETTERS_OF.values())
FREQUENT_EMOJI: Final = "★☆☎☺♀♂♡♥♦♪♫✅✓✔✨❤➡🏻🏼🏽👇👉👌👍👏💕🔥😀😁😂😉😊😍😘😭🙂🙏🤣"
ASCII_SIGN: Final = "!-/:-@[-`{-~"

# Every match ends where the kind of character changes or at a limit, and nothing looks behind a piece: so a match which
# another one follows is never changed by more text. `RunningCount` builds on that.
PIECE: Final = re.compile(
    "|".join(
        f"(?P<{kind}>{pattern})"
        for kind, pattern in {
            "word": (
                rf"[^\r\n0-9{LETTER}]?(?:[{CAPITALS}]{{0,{RUN_MAX}}}[{SMALL}]{{1,{RUN_MAX}}}|[{CAPITALS}]{{1,{RUN_MAX}}})"
            ),
            "number": rf"[0-9]{{1,{DIGITS_PER_TOKEN * DIGIT_GROUPS_MAX}}}",
            "signs": rf" ?[{ASCII_SIGN}]{{1,{RUN_MAX}}}[\r\n/]{{0,{RUN_MAX}}}",
            **{kind: rf" ?[{letters}]{{1,{RUN_MAX}}}" for kind, letters in LETTERS_OF.items()},
            "mark": " ?[\u00a1-\u00bf\u00d7\u00f7\u2010-\u2027\u2030-\u205e\u3001-\u3004\u3008-\u303f\uff01-\uff65]",
            "frequent_emoji": f" ?[{FREQUENT_EMOJI}]",
            "emoji": " ?[\u2600-\u27bf\U0001f1e6-\U0001faff]",
            "symbol": r" ?(?P<same>[\u20a0-\u25ff\u2900-\u2bff])(?P=same){0,15}",
            "joiner": "[\u200b-\u200f\ufe0f]",
            "space": rf"\s{{1,{SPACES_MAX}}}",
            "other": r"(?s:.)",
        }.items()
    )
)

SAME_FEW, SAME_MANY_MORE = 5, 80
"""Limits for equal signs in a row: up to five are one token, and more are nearly two tokens."""
RUNS_FEW, THIRD_RUN, RUN_MORE = 3, 12, 62
"""Costs of different signs side by side: two are one token. Each sign beyond the third is more than half a token."""
LEADS: Final[Mapping[str, int]] = dict(
    zip("	 ._<(&/=-[',)’\"", (37, -3, -22, -85, -29, -33, -9, 11, 23, 40, 41, 51, 78, 86, 99, 103), strict=True)
)
"""Cost that the sign before a word adds to the word. Any other sign adds `LEAD_OTHER`, and no sign adds `NO_LEAD`."""
NO_LEAD, LEAD_OTHER = -8, 115
CONTRACTIONS: Final[Mapping[str, int]] = {"'s": 80, "'t": 36, "'m": 60, "'d": 75, "'re": 43, "'ve": 51, "'ll": 57}
CAPITALISED, CAPITAL_MORE, ALL_CAPITALS, ALL_CAPITALS_MORE = 6, 35, -49, 23
BLANKS: Final = re.compile(
    r"(?: {1,24}|\t{1,6}| \t{1,3}|\t{1,3} )?(?:\r?\n){1,3}(?!\n)(?:(?: {4}){0,2} {0,2}\n(?!\n))?|(?:\r?\n){1,16}"
    r"| \t{1,3}|\t{1,5} (?! )| {1,128}|\t{1,16}|\u3000{1,8}|\s"
)
"""Pattern of white space that a tokenizer makes into one token."""
FLAT: Final[Mapping[str, int]] = {"mark": 90, "frequent_emoji": 115, "emoji": 205, "joiner": 50, "symbol": 140}
OTHER_BYTE = 90


def cost_of(match: re.Match[str]) -> int:
    """Return the approximate cost of a match of PIECE, in hundredths of a token."""
    kind, piece = str(match.lastgroup), match.group()
    if kind == "word":
        return _word_cost(piece)
    if (flat := FLAT.get(kind)) is not None:
        return flat
    return min(_COSTS[kind](piece), TOKEN * len(piece.encode("utf-8", "replace")))


@lru_cache(maxsize=WORDS_REMEMBERED)
def _word_cost(piece: str) -> int:
    if (contracted := CONTRACTIONS.get(piece)) is not None:
        return contracted
    lead = "" if piece[0].isalpha() else piece[0]
    word = piece[len(lead) :]
    led_by = LEADS.get(lead, LEAD_OTHER) if lead else NO_LEAD
    more = latin_cost(word, alphabets.LATIN.word_cost(word)) + led_by + _capitals_cost(word)
    return min(TOKEN + max(0, more), TOKEN * len(piece.encode("utf-8", "replace")))


def _capitals_cost(word: str) -> int:
    if word.islower():
        return 0
    capitals = sum(map(str.isupper, word))
    if capitals == len(word):
        return (ALL_CAPITALS if capitals > 1 else 0) + ALL_CAPITALS_MORE * (capitals - 1)
    return CAPITALISED + CAPITAL_MORE * (capitals - 1) if capitals else 0


def _number_cost(piece: str) -> int:
    return TOKEN * -(-len(piece) // DIGITS_PER_TOKEN)


@lru_cache(maxsize=WORDS_REMEMBERED)
def _signs_cost(piece: str) -> int:
    signs = piece.strip()
    runs = sum(1 for _ in groupby(signs))
    if runs < RUNS_FEW:
        return TOKEN + (SAME_MANY_MORE if len(signs) > SAME_FEW * runs else 0)
    return TOKEN + THIRD_RUN + RUN_MORE * (runs - RUNS_FEW)


def _space_cost(piece: str) -> int:
    return TOKEN * len(BLANKS.findall(piece))


def _other_cost(piece: str) -> int:
    return OTHER_BYTE * len(piece.encode("utf-8", "replace"))


def _script_costs(kind: str, script: Script) -> Callable[[str], int]:
    def cost(piece: str) -> int:
        letters = len(piece.strip(" "))
        return script.word + script.letter * letters + long_word_cost(kind, letters)

    return cost


def _alphabet_costs(kind: str, alphabet: Alphabet) -> Callable[[str], int]:
    @lru_cache(maxsize=WORDS_REMEMBERED)
    def cost(piece: str) -> int:
        word = piece.removeprefix(" ")
        unled = alphabet.unled if len(word) == len(piece) else 0
        capital = alphabet.capital if word[0].isupper() else 0
        return TOKEN + max(0, alphabet.word_cost(word) + unled + capital + long_word_cost(kind, len(word)))

    return cost


_COSTS: Final[Mapping[str, Callable[[str], int]]] = {
    "number": _number_cost,
    "signs": _signs_cost,
    "space": _space_cost,
    "other": _other_cost,
    **{kind: _script_costs(kind, script) for kind, script in SCRIPTS.items()},
    **{kind: _alphabet_costs(kind, alphabet) for kind, (_, alphabet) in ALPHABETS.items()},
}
