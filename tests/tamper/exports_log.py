"""Classes of edits of the log's leaves in an export: the checkpoint, the registry of keys, and the closed day.

Edits of the first kind are anybody's. Edits of the second kind are sealed again by the ledger's own key.
"""

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import orjson

from shared.ledger.keys import PublicKey
from tests.support.logged_exports import ANN, BOB, LoggedLedger
from tests.tamper.edits import tampers
from tests.tamper.exports import Edit, Export, Record, RememberingVerifier, file_of, sealed_header

Change = Callable[[Record, Random], Any]
"""Change of a record in place. A returned record replaces the record."""
HEADER, PLACE = 0, 1
"""Indexes of the header and of the account's place in the closed day."""
WRONG: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", [], {}, [1], {"a": 1}, 2**53 - 1, "0" * 5_000, ["A" * 44] * 64)
"""Values of which some are wrong for every field."""


@cache
def logged_ledger() -> LoggedLedger:
    return LoggedLedger()


@cache
def logged_exports() -> tuple[Export, ...]:
    """Exports of two accounts of a ledger with a closed day, a signed log and a retired key."""
    ledger = logged_ledger()

    def export(lines: list[str]) -> Export:
        keys = [PublicKey.from_json(each) for each in orjson.loads(lines[0])["keys"]]
        told = tuple(line.encode() for line in lines)
        return Export(lines=told, verifier=RememberingVerifier(keys), now=ledger.fleet.clock.now())

    return export(ledger.export(ANN)), export(ledger.export(BOB))


def _edited(index: int, change: Change, export: Export, random: Random, *, is_sealed: bool = False) -> Edit | None:
    records = export.records()
    records[index] = change(records[index], random) or records[index]
    if is_sealed:
        records[HEADER] = sealed_header(records[HEADER], logged_ledger().services.credits.keys)
    try:
        data = file_of(records)
    except TypeError:
        return None
    return None if data == export.data else Edit(data=data, is_anywhere=True)


def _edit(name: str, *rules: str, index: int, change: Change, is_sealed: bool = False) -> None:
    """Add a class of edits of the line at `index`."""
    tampers(name, *rules, exports=logged_exports)(
        lambda export, random: _edited(index, change, export, random, is_sealed=is_sealed)
    )


def _deleted(path: str) -> Change:
    def change(record: Record, random: Random) -> None:
        around, key = _found(record, path, random)
        del around[key]

    return change


def _replaced(path: str, other: Callable[[Any, Random], Any]) -> Change:
    def change(record: Record, random: Random) -> None:
        around, key = _found(record, path, random)
        around[key] = other(around[key], random)

    return change


def _found(record: Any, path: str, random: Random) -> tuple[Any, str]:
    """Return the object around a field, and the key of the field. A step `*` goes to a random element."""
    *steps, last = path.split(".")
    for step in steps:
        record = random.choice(record) if step == "*" else record[step]
    return record, last


def _changed(value: Any, random: Random) -> Any:
    """Return another value of the same type."""
    if isinstance(value, int):
        return value + random.choice([-2, -1, 1, 2, 1_000, 10**12])
    if isinstance(value, list):
        return random.choice([value[:-1], value[::-1], [*value, value[0]]]) if value else ["A" * 43 + "="]
    at = random.randrange(len(value))
    return value[:at] + random.choice([each for each in "AQ019az" if each != value[at]]) + value[at + 1 :]


HEADER_FIELDS = (
    "checkpoint",
    "log.day.hashes",
    "log.day.index",
    "log.day.seal",
    "log.day.statement",
    "log.keys.*.body",
    "log.keys.*.hashes",
    "log.keys.*.index",
    "log.keys.*.signature",
)
PLACE_FIELDS = ("debt", "hashes", "head", "held", "index", "posted", "seq", "state", "uid")
for _name in (*HEADER_FIELDS, "log", "log.day", "log.keys"):
    _edit(f"header {_name} is missing", "seal", "grammar", index=HEADER, change=_deleted(_name))
    _edit(
        f"header {_name} is of a wrong type",
        "seal",
        "grammar",
        index=HEADER,
        change=_replaced(_name, lambda value, random: random.choice(WRONG)),
    )
for _name in HEADER_FIELDS[1:]:
    _edit(
        f"header {_name} is another, and sealed by the ledger's key",
        "checkpoint",
        "inclusion",
        "grammar",
        index=HEADER,
        change=_replaced(_name, _changed),
        is_sealed=True,
    )
for _name in PLACE_FIELDS:
    _edit(f"place {_name} is another", "day", "grammar", "identity", index=PLACE, change=_replaced(_name, _changed))
    _edit(f"place {_name} is missing", "grammar", index=PLACE, change=_deleted(_name))
    _edit(
        f"place {_name} is of a wrong type",
        "day",
        "grammar",
        "identity",
        index=PLACE,
        change=_replaced(_name, lambda value, random: random.choice(WRONG)),
    )


def _without_place(export: Export, random: Random) -> Edit:
    del random
    return Edit(data=b"".join([export.lines[0], *export.lines[2:]]), uid=orjson.loads(export.lines[PLACE])["uid"])


def _with_anothers_place(export: Export, random: Random) -> Edit:
    del random
    other = next(each for each in logged_exports() if each is not export)
    return Edit(data=b"".join([export.lines[0], other.lines[PLACE], *export.lines[2:]]), is_anywhere=True)


tampers("the place in a closed day is missing", "day", exports=logged_exports)(_without_place)
tampers("the place in a closed day is another's", "identity", exports=logged_exports)(_with_anothers_place)
tampers("the place in a closed day stands twice", "grammar", exports=logged_exports)(
    lambda export, random: Edit(data=b"".join([*export.lines[:2], *export.lines[1:]]), is_anywhere=True)
)
tampers("the place in a closed day stands last", "grammar", exports=logged_exports)(
    lambda export, random: Edit(data=b"".join([export.lines[0], *export.lines[2:], export.lines[1]]), is_anywhere=True)
)
tampers("the place in a closed day stands among entries", "grammar", exports=logged_exports)(
    lambda export, random: Edit(
        data=b"".join([*export.lines[:1], *export.lines[2:3], export.lines[1], *export.lines[3:]]), is_anywhere=True
    )
)


@tampers(
    "the root of the checkpoint is another, and sealed by the ledger's key",
    "checkpoint",
    "inclusion",
    exports=logged_exports,
)
def _other_tree(export: Export, random: Random) -> Edit | None:
    def change(header: Record, random: Random) -> None:
        origin, *lines = header["checkpoint"].split("\n")
        lines[1] = _changed(lines[1], random)
        header["checkpoint"] = "\n".join([origin, *lines])

    return _edited(HEADER, change, export, random, is_sealed=True)


@tampers("proofs of two keys are swapped, and sealed by the ledger's key", "inclusion", exports=logged_exports)
def _proofs_swapped(export: Export, random: Random) -> Edit | None:
    def change(header: Record, random: Random) -> None:
        one, two = random.sample(header["log"]["keys"], 2)
        one["hashes"], two["hashes"] = two["hashes"], one["hashes"]

    return _edited(HEADER, change, export, random, is_sealed=True)


@tampers("entries of the registry are left out in the middle", "registry", exports=logged_exports)
def _gap(export: Export, random: Random) -> Edit | None:
    def change(header: Record, random: Random) -> None:
        del header["log"]["keys"][random.randrange(len(header["log"]["keys"]) - 1)]

    return _edited(HEADER, change, export, random, is_sealed=True)


@tampers("a key's end is another than in the log", "registry", exports=logged_exports)
def _end_moved(export: Export, random: Random) -> Edit | None:
    def change(header: Record, random: Random) -> None:
        key = next(each for each in header["keys"] if "until" in each)
        key["until"] = f"2026-1{random.randrange(3)}-0{random.randrange(1, 9)}T00:00:00.000Z"
        if random.random() < 0.3:
            del key["until"]

    return _edited(HEADER, change, export, random, is_sealed=True)


@tampers("a key's beginning is another than in the log", "registry", exports=logged_exports)
def _beginning_moved(export: Export, random: Random) -> Edit | None:
    def change(header: Record, random: Random) -> None:
        random.choice(header["keys"])["since"] = f"2025-01-0{random.randrange(1, 9)}T00:00:00.000Z"

    return _edited(HEADER, change, export, random, is_sealed=True)


@tampers("a key of the log is missing in the header", "registry", exports=logged_exports)
def _key_missing(export: Export, random: Random) -> Edit | None:
    def change(header: Record, random: Random) -> None:
        header["keys"] = [each for each in header["keys"] if "until" not in each]

    return _edited(HEADER, change, export, random, is_sealed=True)
