"""Docstrings are plain English: they open with a verb or a noun, name things, and are short.

The counts are an alarm; the measure is that a reader understands. `TODAY` is a ratchet: its numbers only fall.
"""

from pathlib import Path

import pytest

from tests.support.prose import Docstring, Rates, docstrings, docstrings_in, rates, undocumented

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "shared/ledger", "shared/sagas", "shared/ai", "shared/payments", "shared/users", "shared/kernel",
    "shared/platform", "shared/bootstrap", "functions", "emulator",
)  # fmt: skip
LIMIT = Rates(wh=4, it=14)
TODAY = {
    "shared/ledger": Rates(wh=0.5, it=7),
    "shared/sagas": Rates(wh=0.5, it=4.5),
    "shared/ai": Rates(wh=0.5, it=2),
    "shared/payments": Rates(wh=0.5, it=6),
    "shared/users": Rates(wh=0.5, it=6.5),
    "shared/kernel": Rates(wh=0.5, it=4),
    "shared/platform": Rates(wh=0.5, it=7.5),
    "shared/bootstrap": Rates(wh=0.5, it=5),
    "functions": Rates(wh=1, it=9),
    "emulator": Rates(wh=1, it=9),
}
"""Rates of today, rounded up. Lower a number here when its package has become better; never raise one."""
SLACK = Rates(wh=1, it=2)
"""A package better than its number by more than this has become better: the number must follow."""
FIRST_SENTENCE_WORDS_MAX = 25
PRIVATE_LINES_MAX = 15


def places(found: list[Docstring]) -> list[str]:
    return [each.place for each in found]


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_name_things_and_get_no_worse(package: str):
    now, known = rates(docstrings(ROOT, package)), TODAY[package]

    assert known.wh <= LIMIT.wh
    assert known.it <= LIMIT.it
    assert now.wh <= known.wh, f"{package}: what/whatever/whoever in 1,000 words; say which thing"
    assert now.it <= known.it, f"{package}: it/its in 1,000 words; say which thing"
    assert now.wh >= known.wh - SLACK.wh, f"{package} is better than its number in TODAY: lower `wh`"
    assert now.it >= known.it - SLACK.it, f"{package} is better than its number in TODAY: lower `it`"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_docstring_opens_with_a_riddle(package: str):
    assert places([each for each in docstrings(ROOT, package) if each.is_opening_with_a_riddle]) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_first_sentence_is_long(package: str):
    found = docstrings(ROOT, package)

    assert places([each for each in found if each.first_sentence_words > FIRST_SENTENCE_WORDS_MAX]) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_docstring_has_an_avoided_phrase(package: str):
    assert [(each.place, each.avoided) for each in docstrings(ROOT, package) if each.avoided] == []


@pytest.mark.parametrize("package", ["shared", "functions"])
def test_every_long_private_function_has_a_docstring(package: str):
    files = sorted((ROOT / package).rglob("*.py"))
    found = [
        place
        for file in files
        for place in undocumented(file.read_text(), str(file.relative_to(ROOT)), PRIVATE_LINES_MAX)
    ]

    assert found == []


def test_the_guards_see_a_riddle():
    source = 'def f():\n    """What it took, by now, of whoever is."""\n\nLIMIT = 3\n"""Its limit. """\n'
    found = sorted(docstrings_in(source, "m.py"), key=lambda each: each.place)

    assert places(found) == ["m.py:2", "m.py:5"]
    assert rates(found) == Rates(wh=200, it=200)
    assert [each.is_opening_with_a_riddle for each in found] == [True, True]
    assert [each.first_sentence_words for each in found] == [8, 2]
    assert found[0].avoided == ["by now", "whoever"]


def test_the_guards_see_a_long_private_function():
    body = "\n".join(["    x = 1"] * PRIVATE_LINES_MAX)
    source = f"def _long():\n{body}\n\ndef __init__():\n{body}\n\ndef public():\n{body}\n\ndef _short():\n    x = 1\n"

    assert list(undocumented(source, "m.py", PRIVATE_LINES_MAX)) == ["m.py:1 _long"]
