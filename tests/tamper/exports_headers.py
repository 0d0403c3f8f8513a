"""Classes of edits of an export's header, and of whole exports."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.tamper.edits import other_character, some_line, tampers
from tests.tamper.exports import (
    ANN,
    BOB,
    CAL,
    OTHER_LEDGER,
    RINGS,
    THIEF,
    Edit,
    Export,
    Record,
    line_of,
    sealed_header,
    uid_at,
)


def _header(name: str, *rules: str, change: Callable[[Record, Random], Record]) -> None:
    """Add an edit of the header, found at the header's line."""

    def make(export: Export, random: Random) -> Edit | None:
        header = change(export.records()[0], random)
        data = line_of(header) + b"".join(export.lines[1:])
        return None if data == export.data else Edit(data=data, line=1)

    tampers(name, *rules)(make)


def _key_changed(header: Record, random: Random, **change: Any) -> Record:
    keys = [dict(key) for key in header["keys"]]
    random.choice(keys).update(change)
    return {**header, "keys": keys}


def _other_public_key(header: Record, random: Random) -> Record:
    keys = [dict(key) for key in header["keys"]]
    key = random.choice(keys)
    key["public_key"] = other_character(key["public_key"][:-2], random, "ABCDEFGabcdefg0123") + key["public_key"][-2:]
    return {**header, "keys": keys}


_header("a ledger has another name", "seal", change=lambda header, random: {**header, "ledger": header["ledger"] + "x"})
_header("a public key is another", "seal", change=_other_public_key)
_header(
    "a key's beginning is another",
    "seal",
    change=lambda header, random: _key_changed(
        header, random, since=f"2026-01-0{random.randrange(1, 9)}T00:00:00.000Z"
    ),
)
_header(
    "a key's end is another",
    "seal",
    change=lambda header, random: _key_changed(
        header, random, until=f"2099-01-0{random.randrange(1, 9)}T00:00:00.000Z"
    ),
)
_header(
    "a key has another name",
    "seal",
    "grammar",
    change=lambda header, random: _key_changed(header, random, kid=f"k{random.random()}"),
)
_header(
    "a key has another algorithm",
    "grammar",
    change=lambda header, random: _key_changed(header, random, alg=f"RSA{random.randrange(9)}"),
)
_header("a key is missing", "seal", change=lambda header, random: {**header, "keys": random.sample(header["keys"], 1)})
_header(
    "a key stands twice",
    "grammar",
    change=lambda header, random: {**header, "keys": [*header["keys"], random.choice(header["keys"])]},
)
_header("keys are in another order", "seal", change=lambda header, random: {**header, "keys": header["keys"][::-1]})
_header(
    "a checkpoint is another",
    "seal",
    change=lambda header, random: {
        **header,
        "checkpoint": other_character(header["checkpoint"], random, "0123456789"),
    },
)
_header(
    "a checkpoint is missing",
    "seal",
    change=lambda header, random: {name: value for name, value in header.items() if name != "checkpoint"},
)
_header(
    "the header's seal is another",
    "seal",
    change=lambda header, random: {
        **header,
        "seal": header["seal"][:5]
        + other_character(header["seal"][5:-3], random, "ABCDEFGabcdefg0123")
        + header["seal"][-3:],
    },
)
_header(
    "the header is sealed by a stranger",
    "seal",
    change=lambda header, random: sealed_header({**header, "checkpoint": str(random.random())}, THIEF),
)
_header(
    "the header is sealed by a retired key",
    "retired_key",
    change=lambda header, random: sealed_header({**header, "checkpoint": str(random.random())}, RINGS["old"]),
)
_header("the export is of version 1", "grammar", change=lambda header, random: {**header, "version": 1})
_header(
    "the export is of a later version",
    "grammar",
    change=lambda header, random: {**header, "version": random.randrange(3, 99)},
)
_header(
    "the export is of another format",
    "grammar",
    change=lambda header, random: {**header, "format": f"x{random.random()}"},
)


@tampers("the header is of another ledger", "identity")
def _foreign_header(export: Export, random: Random) -> Edit | None:
    index, records = some_line(export, random, "entry"), export.records()
    assert index is not None
    data = export.others[OTHER_LEDGER].lines[0] + b"".join(export.lines[1:])
    return Edit(data=data, uid=uid_at(records, index), seq=records[index]["seq"])


@tampers("the export is of another user", "identity", found_by="verifier with --uid", uid=BOB)
def _anothers_export(export: Export, random: Random) -> Edit | None:
    other = export.others[random.choice([ANN, CAL])]
    return Edit(data=other.data, uid=BOB, seq=0)


@tampers("two accounts are mixed", "grammar", "identity", "sequence")
def _mixed(export: Export, random: Random) -> Edit | None:
    ann, bob = list(export.others[ANN].lines[1:]), list(export.others[BOB].lines[1:])
    at = random.randrange(1, len(bob))
    return Edit(data=export.lines[0] + b"".join([*bob[:at], *ann, *bob[at:]]), is_anywhere=True)
