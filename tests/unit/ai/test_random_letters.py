"""Letters that no language puts side by side are not counted like prose: callers could hold little for much."""

import pytest

from shared.ai.tokens import expected_tokens

LETTERS = 600
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
SCRAMBLED = {
    "phonetic": ("".join(map(chr, range(0x250, 0x2B0))), 0, 1176),
    "accents": ("àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ", 0, 600),
    "accents in words": ("àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ", 6, 603),
    "vietnamese": ("".join(map(chr, range(0x1EA0, 0x1EFA))), 0, 866),
    "cyrillic": (CYRILLIC, 0, 394),
    "greek": ("αβγδεζηθικλμνξοπρστυφχψω", 0, 450),
    "hebrew": ("אבגדהוזחטיכלמנסעפצקרשת", 0, 546),
    "arabic": ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", 0, 406),
    "devanagari": ("".join(map(chr, range(0x904, 0x93A))), 0, 756),
    "latin": ("abcdefghijklmnopqrstuvwxyz", 0, 276),
}
"""An alphabet, after how many letters a space stands (0: never), and what `o200k_base` counts."""
ERROR = 0.25


def scrambled(alphabet: str, every: int) -> str:
    """Letters that no word has, the same each time."""
    letters = [alphabet[(number * number * 7 + number * 3) % len(alphabet)] for number in range(LETTERS)]
    return "".join(f" {each}" if every and at % every == 0 else each for at, each in enumerate(letters))


@pytest.mark.parametrize("kind", SCRAMBLED)
def test_scrambled_letters_are_expected_near_their_real_count(kind):
    alphabet, every, tokens = SCRAMBLED[kind]

    assert expected_tokens(scrambled(alphabet, every)) == pytest.approx(tokens, rel=ERROR)


def test_a_text_without_spaces_costs_more_than_its_familiar_syllables():
    assert expected_tokens("theandingtionerest" * 100) >= 450


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Krankenversicherungsbeiträge", 9),
        ("Příští řeč o české kultuře", 12),
        ("Azərbaycan dilində yazılmış mətn", 15),
        ("créée, naïve, œuvre", 9),
    ],
)
def test_words_that_languages_write_cost_nothing_more(text, tokens):
    assert expected_tokens(text) <= tokens
