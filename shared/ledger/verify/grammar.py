"""Grammar of export version 2 (`shared.ledger.export_format`): the bytes of one line become one typed record.

`line_order` has the order of the lines.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import orjson

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.ledger.export_format import FORMAT, FORMAT_VERSION, HASHES_AT_ONCE, LOG_SCOPE, RUNS_AT_ONCE
from shared.ledger.redactions import Redaction
from shared.ledger.verify.line_shapes import OPTIONAL, SHAPES
from shared.ledger.verify.log_lines import GapLine, LeafLine, LeafPlace, LoggedLine, LogLine, RedactionPlaces, RunsLine

RULE = "grammar"
_FLAT = ("lot", "hold", "runs", "logged", "leaf", "gap")
"""Types of lines whose shape leaves no value outside the profile: they have texts, integers and lists of them."""
ENTRY_STARTS = (b'{"body":', b'{"hash":')
"""First keys of entries with a body and without one."""
ALGORITHM = "Ed25519"
LINE_BYTES_MAX = 8 * 2**20
"""Largest size of a line. A document has at most 1 MiB, and escaping makes a text at most six times as long."""
HASHES_MAX = 63
"""Most hashes of an inclusion proof: a tree has less than 2^63 leaves."""
_HASH = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=").fullmatch
"""Test for the base64 of 32 bytes, padded: a hash or a public key. The last character encodes four bits, so that two
zero bits follow."""
_LINE = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE | orjson.OPT_STRICT_INTEGER
"""Options of a line: sorted keys, a line feed, and no integer beyond `INTEGER_MAX`."""


class NotGrammatical(ValueError):
    """Error for a line that no exporter writes."""


class OldExport(NotGrammatical):
    """Error for the header of an export of an earlier version."""

    def __init__(self, version: int) -> None:
        super().__init__(f"export version {version}: ask for a new export")


class ExportKey(NamedTuple):
    """Public key in the header: `since` and `until` are RFC 3339 times; `until` is None for a key in force."""

    alg: str
    kid: str
    public_key: str
    since: str
    until: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedKeyEntry:
    """Entry of the registry of keys, with the place of the entry's leaf in the log, and the proof in base64."""

    body: str
    hashes: tuple[str, ...]
    index: int
    signature: str


@dataclass(frozen=True, slots=True)
class LoggedDay:
    """Statement of a closed day with its seal, the place of the leaf in the log, and the proof in base64."""

    hashes: tuple[str, ...]
    index: int
    seal: str
    statement: str


class LoggedLeaves(NamedTuple):
    """Leaves of the checkpoint in the header. `day` is None if no closed day was in the log."""

    keys: tuple[LoggedKeyEntry, ...]
    day: LoggedDay | None = None


class HeaderLine(NamedTuple):
    """Header: `fields` are all fields as parsed, for `header_message`.

    `checkpoint` and `log` are None in an export that was made before the log had a checkpoint.
    """

    ledger: str
    keys: tuple[ExportKey, ...]
    seal: str
    checkpoint: str | None
    fields: Mapping[str, Any]
    log: LoggedLeaves | None = None
    scope: str | None = None
    """`LOG_SCOPE` for an export of the log; None for an export of accounts."""


@dataclass(frozen=True, slots=True)
class DayLine:
    """Place of the account `uid` in the closed day of the header: the leaf's fields, and the proof in base64."""

    debt: int
    hashes: tuple[str, ...]
    head: str
    held: int
    index: int
    posted: int
    seq: int
    state: str
    uid: str


class Note(NamedTuple):
    """Text of a note, and the salt of the hash in the entry's body."""

    salt: str
    text: str


class EntryLine(NamedTuple):
    """Entry. `note` is None for an entry without a note, or with an erased note.

    Without a body, `body` is the statement, and `redaction` and `places` are set.
    """

    body: str
    hash: str
    kind: str
    schema: int
    seq: int
    signature: str
    note: Note | None = None
    redaction: Redaction | None = None
    places: RedactionPlaces | None = None


class LotLine(NamedTuple):
    """Lot that left the state of the account `uid`. `rest_order` is None for an empty lot."""

    id: str
    state: str
    uid: str
    rest_order: str | None = None


class HoldLine(NamedTuple):
    """Hold that entry `seq` of the account `uid` ended."""

    seq: int
    state: str
    uid: str


class AccountLine(NamedTuple):
    """Sealed state of an account, and the fields that the seal does not cover."""

    nonce: str
    plain: Mapping[str, Any]
    seal: str
    state: str
    uid: str
    version: int


Line: TypeAlias = HeaderLine | DayLine | EntryLine | LotLine | HoldLine | AccountLine | LogLine

_ENTRY = ("body", "hash", "kind", "schema", "seq", "signature", "type")


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file. A line beyond `LINE_BYTES_MAX` comes in parts, none of which is grammatical."""
    return iter(lambda: file.readline(LINE_BYTES_MAX + 1), b"")


def parse_line(line: bytes) -> Line:
    """Return the record in a line. Raises NotGrammatical for a line that no exporter writes."""
    try:
        record: Any = orjson.loads(line)
        if type(record) is not dict or orjson.dumps(record, option=_LINE) != line or len(line) > LINE_BYTES_MAX:
            raise _not_canonical(line, record)
    except orjson.JSONDecodeError as error:
        raise NotGrammatical(f"the line is no JSON: {error}") from error
    except (TypeError, RecursionError) as error:
        raise NotGrammatical(str(error)) from error
    if tuple(record) == _ENTRY:
        return _entry(*record.values())
    if record.get("type") not in _FLAT:
        _check_values(line)
    return _other(record)


def parse_unchecked_entry(line: bytes) -> EntryLine | None:
    """Return the entry in a line of the usual shape, without the checks of `parse_line`; None for any other line."""
    try:
        record: Any = orjson.loads(line)
        if record["type"] != "entry" or "note" in record:
            return None
        values = (record["body"], record["hash"], record["kind"], record["schema"], record["seq"], record["signature"])
    except (ValueError, KeyError, TypeError):
        return None
    return _entry(*values, "entry")


def _not_canonical(line: bytes, record: object) -> NotGrammatical:
    if type(record) is not dict:
        return NotGrammatical("the line is no JSON object")
    if record.get("format") == FORMAT and record.get("version") == 1:
        return OldExport(1)
    if len(line) > LINE_BYTES_MAX:
        return NotGrammatical(f"the line is longer than {LINE_BYTES_MAX} bytes")
    if not line.endswith(b"\n"):
        return NotGrammatical("the line has no line feed")
    return NotGrammatical("the line is not the canonical form of its value")


def _check_values(line: bytes) -> None:
    """Raise NotGrammatical if the line has a value outside the profile: a float, a null, a large integer."""
    try:
        parse_canonical(line[:-1])
    except NotCanonical as error:
        raise NotGrammatical(str(error)) from error


def _other(record: dict[str, Any]) -> Line:
    """Return the record of an object that is no plain entry. Raises NotGrammatical."""
    kind = record.get("type")
    if type(kind) is not str or kind not in _PARSERS:
        raise NotGrammatical("the line is of no known type")
    return _PARSERS[kind](record)


def _lot(record: dict[str, Any]) -> LotLine:
    _check_shape("lot", record)
    return LotLine(record["id"], record["state"], record["uid"], record.get("rest_order"))


def _hold(record: dict[str, Any]) -> HoldLine:
    _check_shape("hold", record)
    return HoldLine(record["seq"], record["state"], record["uid"])


def _day(record: dict[str, Any]) -> DayLine:
    _check_shape("day", record)
    del record["type"]
    return DayLine(**{**record, "hashes": _hashes(record["hashes"])})


def _log_line(record: dict[str, Any]) -> LogLine:
    """Return the record of a line that only an export of the log has. Raises NotGrammatical."""
    kind = record["type"]
    _check_shape(kind, record)
    del record["type"]
    if kind == "logged":
        return LoggedLine(**record)
    if kind == "leaf":
        return LeafLine(**record)
    if kind == "gap":
        return GapLine(hashes=_hashes(record["hashes"], HASHES_AT_ONCE), index=record["index"])
    pairs = record["runs"]
    if not 1 <= len(pairs) <= RUNS_AT_ONCE or any(not _is_pair(each) for each in pairs):
        raise NotGrammatical(f"runs are not 1 to {RUNS_AT_ONCE} pairs of integers")
    return RunsLine(**record)


def _is_pair(told: Any) -> bool:
    return type(told) is list and [type(each) for each in told] == [int, int]


def _entry(body: Any, hash_: Any, kind: Any, schema: Any, seq: Any, signature: Any, of: Any) -> EntryLine:
    """Return the entry with the values of `_ENTRY`. Raises NotGrammatical for values of wrong types."""
    are_texts = type(body) is str and type(hash_) is str and type(kind) is str and type(signature) is str
    if not are_texts or type(schema) is not int or type(seq) is not int or of != "entry":
        raise NotGrammatical("an entry has a field of a wrong type")
    return EntryLine(body, hash_, kind, schema, seq, signature)


def _noted_entry(record: dict[str, Any]) -> EntryLine:
    note = record.pop("note", None)
    if tuple(record) != _ENTRY or type(note) is not dict:
        raise NotGrammatical("an entry has other fields than an entry has")
    _check_shape("note", note)
    return _entry(*record.values())._replace(note=Note(**note))


def _redacted_entry(record: dict[str, Any]) -> EntryLine:
    _check_shape("redacted", record)
    return EntryLine(
        body=record["statement"],
        hash=record["hash"],
        kind=record["kind"],
        schema=record["schema"],
        seq=record["seq"],
        signature=record["signature"],
        redaction=Redaction(record["seal"], record["snapshot"]),
        places=RedactionPlaces(
            LeafPlace(record["index"], _hashes(record["hashes"])),
            LeafPlace(record["snapshot_index"], _hashes(record["snapshot_hashes"])),
        ),
    )


def _account(record: dict[str, Any]) -> AccountLine:
    _check_shape("account", record)
    if any(type(value) not in (str, int) for value in record["plain"].values()):
        raise NotGrammatical("a plain field is no text and no integer")
    del record["type"]
    return AccountLine(**record)


def _header(record: dict[str, Any]) -> HeaderLine:
    """Return the header. Raises OldExport for version 1, NotGrammatical."""
    if record.get("format") == FORMAT and record.get("version") == 1:
        raise OldExport(1)
    _check_shape("header", record)
    if (record["format"], record["version"]) != (FORMAT, FORMAT_VERSION):
        raise NotGrammatical(f"the export is not of version {FORMAT_VERSION}")
    keys = tuple(_key(each) for each in record["keys"])
    if len({key.kid for key in keys}) < len(keys):
        raise NotGrammatical("the header names a key twice")
    log = _logged_leaves(record["log"]) if "log" in record else None
    if log is not None and "checkpoint" not in record:
        raise NotGrammatical("the header has leaves of a log and no checkpoint")
    scope = record.get("scope")
    if scope is not None and (scope != LOG_SCOPE or log is None):
        raise NotGrammatical("the scope of the export is unknown, or its header has no leaves of a log")
    return HeaderLine(record["ledger"], keys, record["seal"], record.get("checkpoint"), record, log, scope)


def _logged_leaves(record: dict[str, Any]) -> LoggedLeaves:
    _check_shape("log", record)
    for name, leaves in (("logged key", record["keys"]), ("logged day", [record["day"]] if "day" in record else [])):
        for leaf in leaves:
            if type(leaf) is not dict:
                raise NotGrammatical(f"a {name} is no object")
            _check_shape(name, leaf)
    keys = tuple(LoggedKeyEntry(**{**leaf, "hashes": _hashes(leaf["hashes"])}) for leaf in record["keys"])
    if "day" not in record:
        return LoggedLeaves(keys)
    return LoggedLeaves(keys, LoggedDay(**{**record["day"], "hashes": _hashes(record["day"]["hashes"])}))


def _hashes(told: list[Any], most: int = HASHES_MAX) -> tuple[str, ...]:
    if len(told) > most or any(type(each) is not str or _HASH(each) is None for each in told):
        raise NotGrammatical(f"there are not up to {most} hashes, each the base64 of 32 bytes")
    return tuple(told)


def _key(record: object) -> ExportKey:
    if type(record) is not dict:
        raise NotGrammatical("a key is no object")
    _check_shape("key", record)
    if record["alg"] != ALGORITHM:
        raise NotGrammatical(f"the algorithm of a key is not {ALGORITHM}")
    if _HASH(record["public_key"]) is None:
        raise NotGrammatical("a public key is not the base64 of 32 bytes")
    return ExportKey(**record)


def _check_shape(name: str, record: Mapping[str, Any]) -> None:
    """Raise NotGrammatical unless the record has exactly the keys of its type, with values of their types."""
    shape, optional = SHAPES[name], OPTIONAL.get(name)
    told = {key: type(value) for key, value in record.items()}
    for key, kind in (optional or {}).items():
        if told.pop(key, kind) is not kind:
            raise NotGrammatical(f"a {name} has a wrong {key}")
    if told != shape:
        wrong = sorted(key for key in shape.keys() | told.keys() if shape.get(key) is not told.get(key))
        raise NotGrammatical(f"a {name} has a wrong {wrong[0]}")


_PARSERS: Mapping[str, Callable[[dict[str, Any]], Line]] = {
    "entry": _noted_entry,
    "redacted": _redacted_entry,
    "day": _day,
    "lot": _lot,
    "hold": _hold,
    "account": _account,
    "header": _header,
    **dict.fromkeys(("runs", "logged", "leaf", "gap"), _log_line),
}
"""Parsers of the lines by type."""
