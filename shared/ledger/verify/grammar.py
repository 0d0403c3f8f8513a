"""Grammar of export version 2 (`shared.ledger.export_format`): the bytes of one line become one typed record."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, TypeAlias, TypeGuard

import orjson

from shared.kernel.canonical import NotCanonical, parse_canonical
from shared.ledger.export_format import FORMAT, FORMAT_VERSION

RULE = "grammar"
_FLAT = ("lot", "hold")
"""Types of lines whose shape leaves no value outside the profile: they have texts and integers alone."""
ALGORITHM = "Ed25519"
LINE_BYTES_MAX = 8 * 2**20
"""Largest size of a line. A document has at most 1 MiB, and escaping makes a text at most six times as long."""
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=").fullmatch
"""Test for the base64 of 32 bytes, padded. The last character encodes four bits, so that two zero bits follow."""
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


class HeaderLine(NamedTuple):
    """Header: `fields` are all fields as parsed, for `header_message`. `checkpoint` is None if there is none."""

    ledger: str
    keys: tuple[ExportKey, ...]
    seal: str
    checkpoint: str | None
    fields: Mapping[str, Any]


class Note(NamedTuple):
    """Text of a note, and the salt of the hash in the entry's body."""

    salt: str
    text: str


class EntryLine(NamedTuple):
    """Entry. `note` is None for an entry without a note, or with an erased note."""

    body: str
    hash: str
    kind: str
    schema: int
    seq: int
    signature: str
    note: Note | None = None


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


Line: TypeAlias = HeaderLine | EntryLine | LotLine | HoldLine | AccountLine

_ENTRIES, _LOTS, _HOLDS, _DONE = range(4)
"""Stages of an account's lines, in order."""
_ENTRY = ("body", "hash", "kind", "schema", "seq", "signature", "type")
_SHAPES: Mapping[str, Mapping[str, type]] = {
    "lot": {"id": str, "state": str, "type": str, "uid": str},
    "hold": {"seq": int, "state": str, "type": str, "uid": str},
    "account": {"nonce": str, "plain": dict, "seal": str, "state": str, "type": str, "uid": str, "version": int},
    "header": {"format": str, "keys": list, "ledger": str, "seal": str, "type": str, "version": int},
    "key": {"alg": str, "kid": str, "public_key": str, "since": str},
    "note": {"salt": str, "text": str},
}
_OPTIONAL: Mapping[str, str] = {"lot": "rest_order", "header": "checkpoint", "key": "until"}
"""Key of a type that may be left out; its value is a text."""


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file. A line beyond `LINE_BYTES_MAX` comes in parts, none of which is grammatical."""
    return iter(lambda: file.readline(LINE_BYTES_MAX + 1), b"")


class LineOrder:
    """Order of the lines of an export: the header, then account by account."""

    def __init__(self) -> None:
        self._has_header = False
        self._stage = _DONE
        self._last: str | int = ""
        self._uid: str | None = None
        self._accounts: set[str] = set()

    @property
    def is_open(self) -> bool:
        """True if the lines so far end within an account."""
        return self._stage != _DONE

    def is_next_entry(self, line: Line) -> TypeGuard[EntryLine]:
        """Return True for an entry behind an entry of the same account. Such a line needs not be taken."""
        return self._stage == _ENTRIES and type(line) is EntryLine and line.seq != 1

    def take(self, line: Line) -> None:
        """Add the next line. Raises NotGrammatical if the line may not follow the lines before.

        An entry 1 begins an account, even if the account before has no line.
        """
        is_first, is_header = not self._has_header, type(line) is HeaderLine
        self._has_header = True
        if is_first != is_header:
            raise NotGrammatical("no header stands before the line" if is_first else "a second header")
        if type(line) is EntryLine:
            self._take_entry(line)
        elif type(line) is LotLine:
            self._take_part(_LOTS, line.uid, line.id)
        elif type(line) is HoldLine:
            self._take_part(_HOLDS, line.uid, line.seq)
        elif type(line) is AccountLine:
            self._take_account(line)

    def end(self) -> None:
        """Raise NotGrammatical if the lines end too early."""
        if not self._has_header:
            raise NotGrammatical("the export is empty")
        if self.is_open:
            raise NotGrammatical("the account's line is missing")

    def _take_entry(self, line: EntryLine) -> None:
        before, self._stage = self._stage, _ENTRIES
        if before == _DONE:
            self._uid = None
        elif line.seq == 1:
            self._uid = None
            raise NotGrammatical("the account before entry 1 has no line")
        elif before != _ENTRIES:
            raise NotGrammatical("an entry stands behind an archived lot or hold")

    def _take_part(self, stage: int, uid: str, place: str | int) -> None:
        before, self._stage = self._stage, max(stage, self._stage)
        if before > stage and before != _DONE:
            raise NotGrammatical("a lot stands behind a hold")
        last, self._last = self._last, place
        if before == _DONE:
            self._stage = stage
            raise NotGrammatical("an archived lot or hold stands before the entries")
        if before == stage and not last < place:  # type: ignore[operator]  # both of one stage
            raise NotGrammatical("archived lots or holds are out of order")
        self._check_uid(uid)

    def _take_account(self, line: AccountLine) -> None:
        self._stage = _DONE
        if line.uid in self._accounts:
            raise NotGrammatical("the account stands twice")
        self._accounts.add(line.uid)
        try:
            self._check_uid(line.uid)
        finally:
            self._uid = None

    def _check_uid(self, uid: str) -> None:
        if self._uid not in (None, uid):
            raise NotGrammatical("the line is of another account than the lines before")
        self._uid = uid


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
    if kind == "entry":
        return _noted_entry(record)
    if kind == "lot":
        _check_shape("lot", record)
        return LotLine(record["id"], record["state"], record["uid"], record.get("rest_order"))
    if kind == "hold":
        _check_shape("hold", record)
        return HoldLine(record["seq"], record["state"], record["uid"])
    if kind == "account":
        return _account(record)
    if kind == "header":
        return _header(record)
    raise NotGrammatical("the line is of no known type")


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


def _account(record: dict[str, Any]) -> AccountLine:
    _check_shape("account", record)
    if any(type(value) not in (str, int) for value in record["plain"].values()):
        raise NotGrammatical("a plain field is no text and no integer")
    del record["type"]
    return AccountLine(**record)


def _header(record: dict[str, Any]) -> HeaderLine:
    if record.get("format") == FORMAT and record.get("version") == 1:
        raise OldExport(1)
    _check_shape("header", record)
    if (record["format"], record["version"]) != (FORMAT, FORMAT_VERSION):
        raise NotGrammatical(f"the export is not of version {FORMAT_VERSION}")
    keys = tuple(_key(each) for each in record["keys"])
    if len({key.kid for key in keys}) < len(keys):
        raise NotGrammatical("the header names a key twice")
    return HeaderLine(record["ledger"], keys, record["seal"], record.get("checkpoint"), record)


def _key(record: object) -> ExportKey:
    if type(record) is not dict:
        raise NotGrammatical("a key is no object")
    _check_shape("key", record)
    if record["alg"] != ALGORITHM:
        raise NotGrammatical(f"the algorithm of a key is not {ALGORITHM}")
    if _PUBLIC_KEY(record["public_key"]) is None:
        raise NotGrammatical("a public key is not the base64 of 32 bytes")
    return ExportKey(**record)


def _check_shape(name: str, record: Mapping[str, Any]) -> None:
    """Raise NotGrammatical unless the record has exactly the keys of its type, with values of their types."""
    shape, optional = _SHAPES[name], _OPTIONAL.get(name)
    told = {key: type(value) for key, value in record.items()}
    if optional in told and told.pop(optional) is not str:
        raise NotGrammatical(f"{optional} is no text")
    if told != shape:
        wrong = sorted(key for key in shape.keys() | told.keys() if shape.get(key) is not told.get(key))
        raise NotGrammatical(f"a {name} has a wrong {wrong[0]}")
