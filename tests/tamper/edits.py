"""Helpers for edits that keep each line's form, and the table of their classes."""

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.tamper.exports import Edit, Export, Record, TamperClass, file_of, uid_at

Make = Callable[[Export, Random], Edit | None]
LAW_CLASSES: list[TamperClass] = []
"""Classes of edits that keep each line's form, in the order in which their modules are imported."""


def tampers(name: str, *rules: str, **more: Any) -> Callable[[Make], Make]:
    """Add a class of edits to the table. `rules` are the rules by which the verifier finds the edits."""

    def add(make: Make) -> Make:
        LAW_CLASSES.append(TamperClass(name=name, rules=frozenset(rules), make=make, **more))
        return make

    return add


def some_line(export: Export, random: Random, kind: str, least: int = 1) -> int | None:
    """Return the index of a random line of a type; None if the export has fewer than `least`."""
    places = export.places(kind)
    return random.choice(places) if len(places) >= least else None


def edit_at(records: Sequence[Record], index: int, seq: int | None = None) -> Edit:
    """Return the edit of the account's entry `seq`; None for the entry of the line at `index`."""
    told = records[index].get("seq", 0) if seq is None else seq
    return Edit(data=file_of(records), uid=uid_at(records, index), seq=told)


def changed_field(kind: str, field: str, change: Callable[[Any, Random], Any]) -> Make:
    """Return the edit that changes one field of a random line of a type."""

    def make(export: Export, random: Random) -> Edit | None:
        index = some_line(export, random, kind)
        records = export.records()
        if index is None or field not in records[index]:
            return None
        edit = edit_at(records, index)
        value = change(records[index][field], random)
        if value == records[index][field]:
            return None
        records[index][field] = value
        return Edit(data=file_of(records), uid=edit.uid, seq=edit.seq)

    return make


def other_character(text: str, random: Random, alphabet: str = "0123456789abcdef") -> str:
    places = [at for at, character in enumerate(text) if character in alphabet]
    at = random.choice(places)
    new = random.choice([each for each in alphabet if each != text[at]])
    return text[:at] + new + text[at + 1 :]


def other_digit(text: str, random: Random) -> str:
    return other_character(text, random, "123456789") if re.search("[1-9]", text) else text
