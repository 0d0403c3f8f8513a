"""Goal: each edit of an export is found and located. Method: edits of each class at random places of honest exports.

`make tamper` makes 1,000 edits of each class, and 100,000 of single characters.
"""

import os
from random import Random

import pytest

from tests.tamper import (
    exports_accounts,
    exports_archives,
    exports_entries,
    exports_headers,
    exports_lines,
    exports_log,
)
from tests.tamper.edits import LAW_CLASSES
from tests.tamper.exports import Edit, Export, TamperClass, exports
from tests.tamper.exports_text import text_classes

IS_LONG = os.environ.get("TAMPER") == "long"
PLACES = 1_000 if IS_LONG else 20
"""Random places of each class."""
CHARACTERS = 100_000 if IS_LONG else 1_500
"""Random edits of single characters."""
SLOWER = 10
TABLES = (exports_lines, exports_entries, exports_accounts, exports_archives, exports_headers, exports_log)
"""Modules that add their classes to `LAW_CLASSES`."""
CLASSES = [*text_classes(), *LAW_CLASSES]
WEIGHTS = (3, 3, 1)
"""How often each export is edited: the last one is long."""


def some_export(random: Random, kind: TamperClass | None = None) -> Export:
    if kind is not None and kind.exports is not None:
        return random.choice(kind.exports())
    return random.choices(exports(), WEIGHTS)[0]


def edits(kind: TamperClass, random: Random) -> list[tuple[Export, Edit]]:
    """Return edits at random places. Not every export has a place for every edit."""
    made = []
    for _ in range(PLACES // SLOWER if kind.is_slow else PLACES):
        tries = ((export, kind.make(export, random)) for export in (some_export(random, kind) for _ in range(99)))
        made.append(next((export, edit) for export, edit in tries if edit is not None))
    return made


def test_the_honest_exports_are_sound():
    for export in (*exports(), *exports_log.logged_exports()):
        assert export.findings(export.data) == []
    assert len(CLASSES) >= 70 + len(TABLES)
    assert len({kind.name for kind in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.name)
def test_each_edit_of_an_export_is_found_at_its_place(kind):
    for export, edit in edits(kind, Random(kind.name)):
        findings = export.findings(edit.data, kind.uid)

        assert any(each.rule in kind.rules and edit.is_at(each) for each in findings), (edit, findings[:5])


def test_every_single_character_of_an_export_is_covered():
    random = Random("characters")
    for number in range(CHARACTERS):
        export = some_export(random) if number % 4 else random.choice(exports_log.logged_exports())
        edited = _other_character(export.data, random)

        assert export.findings(edited) != [], (number, edited)


def _other_character(data: bytes, random: Random) -> bytes:
    """Return other bytes: one character replaced, inserted, or taken away."""
    at, new = random.randrange(len(data)), bytes([random.choice(b'09aAzZ+/=\\"{}[]:, \n\r\t\x00\xc3-.eE_')])
    if random.random() < 0.2:
        new = bytes([data[at] ^ 1 << random.randrange(8)])
    ends = random.choice([(at, at + 1), (at, at), (at, at + 1)]) if random.random() < 0.9 else None
    edited = data[:at] + data[at + 1 :] if ends is None else data[: ends[0]] + new + data[ends[1] :]
    return edited if edited != data else _other_character(data, random)
