"""How easily tokenizers join two letters of a Latin word: a table fitted to `o200k_base`, see decision 0022.

A word costs one token, and what its pairs of letters add: pairs of frequent words add nothing, pairs that words seldom
have add most of a token. So prose, German compounds, identifiers, base64 and random letters are told apart by the same
table. A pair's value is in hundredths of a token.
"""

from itertools import pairwise
from typing import Final

START, END = "^", "$"
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz01234567"
"""The columns: the letters of ASCII, and below those a digit for each class of other letters."""

CLASSES: Final = {
    "0": "äöüß",
    "1": "éèêàçâîôùûëïœæ",
    "2": "áíóúýñãõ",
    "3": "ğşıİåø",
    "4": "ąęłńśźżćčďěňřšťůžőűđ",
    "5": "ăơư" + "".join(map(chr, range(0x1EA0, 0x1EFA))),
    "6": "".join(map(chr, range(0x300, 0x370))),
}
OTHER_LETTER = "7"

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ZERO, STEP = 20, 4
"""A digit's value is its place in DIGITS, less ZERO, times STEP."""

# A row for each first letter; its columns are LETTERS and then the end of the word.
ROWS: Final = {
    "^": "423289893CB85886F8563A3NFDKKDUG9zMA",
    "a": "aKNLjWPTNYSMQPdJcLUKPXXXUVKKJOXTzjJ",
    "b": "RfdfQjagVKbGgdVdiUVTNfbbRaRPXeQRzXM",
    "c": "ThWYNifGQZMOdeMhcFbDSgfiTSQPSQWazRJ",
    "d": "QZeXMjZmMbbaYWOZbZUhTadgZXWVdMdUze8",
    "e": "RLOJUPTZOaYVSPWSNJSTSXF9SaMTNTVTzcC",
    "f": "QdeiXMTcHffVbdNccOYTSVhdggMSOWNMzLN",
    "g": "ZdZhLiVNSbfYYVSjhRabVcdXfiRRWZSXzPF",
    "h": "NdgZOhejReZdURRhcNaHVdabdcSJRaNJzLF",
    "i": "PRDNPPPcgPWSSMDNiXVKmPlXgNRKRSWBzeS",
    "j": "TagbQfegVXMieXYfbcUjSdbffkYRTXLLzQU",
    "k": "TefeNcWTRggZgRZfhZaVUdUgigUceUTKzYI",
    "l": "RVYPMNeVMdYOXcNWifUQRWegQeXadTVXzcB",
    "m": "PGdfIdhbQcZXUZRGgdUaQeWfmgUXbVUXzYE",
    "n": "SiGPTSJURQXbeVPhgpLHTOnpYbZWXTWUzlC",
    "o": "VOROYHNgTVYPONNOkLbQAUFZYdLOMWQJzTJ",
    "p": "UggJMbgKWaeNOfOTTKURabgbSggVabVXzRJ",
    "q": "ecfhmikhYijZddhgYVagFgehinTTTTTTzTO",
    "r": "QeLPJXUmQkYXSPLddORRWejpHdXXcSWZzZG",
    "s": "WkNnJXkMRmcbfeSRYhFIReemOcYVbSXTzP5",
    "t": "UgVfPadAPgeWVaPHiNSXPdNcNQRUVXYXzaA",
    "u": "LPScDPTkQfXPOSfLjTaQcfZYdaPLJJQCzUR",
    "v": "PgdeKdUfQYaWfaSefZijeeWfbeXVYWVMzUS",
    "w": "GgidMbiLNfeZdSPhhRUkpcOXYhKTNTPTzTM",
    "x": "kaUelcbfdbceYeqWeefXnahWPbTNHTTLzTO",
    "y": "LfcdPgheVceYPXORjZYfacUfjWRGYNQFzT2",
    "z": "VfccUbhcXcdecYcfjhfbVeYfUWRWUHMWzMP",
    "0": "PHLbYFTUZNWdZSMaTbcTRWTPKOaLTNPTzZE",
    "1": "HUMWQVXNOOYcPdFTKeYTOSTTKSMLGORTzKI",
    "2": "LQUXKJUUcXcdcc2XJWVadWJESaTLTTXTzgN",
    "3": "UYNeMTgLZVUSTROUTbYYRYTTWNNLTOTTzLP",
    "4": "bTQRULOPeNXUZTbRMXbUPZNTUOTLQTqEzTY",
    "5": "LLQPKTTTHLTMWTLRTjTVIMTTKPTTTOTLzRa",
    "6": "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLzLK",
    "7": "hLKXdTRTtbXcbMPPTcogVTTTKMSLdTRQzNi",
}


class _Pairs(dict[tuple[str, str], int]):
    """The table by pair."""

    def __missing__(self, pair: tuple[str, str]) -> int:
        return 0


PAIRS: Final = _Pairs(
    {
        (first, second): (DIGITS.index(digit) - ZERO) * STEP
        for first, row in ROWS.items()
        for second, digit in zip(LETTERS + END, row, strict=True)
    }
)
_OF_ASCII: Final = {ord(letter): letter for letter in LETTERS[:26]}
_OF_CLASS: Final = {ord(letter): name for name, letters in CLASSES.items() for letter in letters}


class _Folds(dict[int, str]):
    """Each letter as the table knows it."""

    def __missing__(self, code: int) -> str:
        return OTHER_LETTER


_FOLDS: Final = _Folds({**_OF_ASCII, **_OF_CLASS})


def pairs_cost(word: str) -> int:
    """What the pairs of letters of a word add to its first token, in hundredths; below zero for the most frequent."""
    letters = word.lower()
    if not (letters.isascii() and letters.isalpha()):
        letters = letters.translate(_FOLDS)
    letters = f"{START}{letters}{END}"
    return sum(map(PAIRS.__getitem__, pairwise(letters)))
