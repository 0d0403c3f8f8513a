"""Archives of journals: the first entries of an account, moved from the database to objects in the bucket.

A sealed statement names the account, the last entry with its hash, the objects and the snapshot of the state behind
that entry. The statement is a leaf of the log (`ics-archive-v1`) before a document is deleted. An object has the
documents of neighbouring entries, one line each, and its name has the hash of its bytes. So a reader gets the same
documents from the bucket as from the database before, and verifies them as before.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.kernel.canonical import Json, NotCanonical, canonical, parse_canonical
from shared.kernel.clock import Millis
from shared.kernel.documents import Data, Document, Value, Version
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION, Schemas, opened
from shared.ledger.account_documents import account_path
from shared.ledger.document_paths import SEQ_MAX, entry_id, entry_path
from shared.ledger.errors import UNREADABLE
from shared.ledger.keys import ARCHIVE_CONTEXT, Verifier, from_base64, to_base64

RULE = "archive"
"""Law that an archive breaks which the ledger did not write, or whose objects are gone or changed."""
OBJECT_ENTRIES_MAX = 1_000
"""Most entries of an object, so that a page of the history reads little more than it shows."""
OBJECT_BYTES_MAX = 4_000_000
"""Bytes from which on an object takes no further entry. One entry has less than a megabyte."""
OBJECTS_MAX = 1_000
"""Most objects of an account. Their list stands in one document."""
CONTENT_TYPE = "application/x-ndjson"
PREFIX = "journals"
ENDED: Data = {"statement": "", "seal": "", "objects": "", "snapshot": "", "former": ""}
"""Fields of the document of an archive whose entries are all back."""
BYTES = "bytes"
"""Name in a line under which bytes stand as base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveObject:
    """Object with the entries `first` to `last`. `sha256` is the hash of the object's bytes, in hex."""

    first: int
    last: int
    sha256: str

    def name(self, ledger: str, uid: Uid) -> str:
        """Return the object's name in the bucket. It tells no uid."""
        return f"{prefix_of(ledger, uid)}{entry_id(self.first)}-{self.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalArchive:
    """Stored archive of the entries 1 to `last`. `objects` has the objects in order, without a gap.

    `statement` is the sealed text and `seal` its seal: both are not verified yet. `former` is the archive that this one
    went on from, None for the first. `is_ending`: all entries are back, and the objects go. `version` is the
    document's, None for an archive that is not stored.
    """

    objects: tuple[ArchiveObject, ...]
    statement: str
    seal: str
    former: "JournalArchive | None" = None
    is_ending: bool = False
    version: Version | None = None

    @property
    def last(self) -> int:
        """Number of the last archived entry."""
        return self.objects[-1].last

    def of(self, first: int, last: int) -> list[ArchiveObject]:
        """Return the objects with any of the entries `first` to `last`, in order."""
        return [each for each in self.objects if each.first <= last and each.last >= first]


def prefix_of(ledger: str, uid: Uid) -> str:
    """Return the beginning of the names of an account's objects."""
    return f"{PREFIX}/{hashlib.sha256(canonical([ledger, uid])).hexdigest()}/"


def archive_path(uid: Uid) -> str:
    """Return the path of an account's archive."""
    return f"{account_path(uid)}/archives/journal"


# ── the statement ────────────────────────────────────────────────────────────────────────────────────────────────────


def statement_of(  # the place in the chain, and the contents
    *, ledger: str, uid: Uid, last: int, head: str, objects: Sequence[ArchiveObject], snapshot: str, now: Millis
) -> str:
    """Return the text that the ledger seals. `head` is the hash of entry `last`, `snapshot` the digest of the state."""
    told: dict[str, Json] = {
        "v": 1,
        "ledger": ledger,
        "uid": uid,
        "seq": last,
        "hash": head,
        "at": now,
        "objects": hashlib.sha256(objects_text(objects).encode()).hexdigest(),
        "snapshot": snapshot,
    }
    return canonical(told).decode()


def objects_text(objects: Sequence[ArchiveObject]) -> str:
    """Return the canonical text of a list of objects, as the statement's digest covers it."""
    return canonical([[each.first, each.last, each.sha256] for each in objects]).decode()


def leaf_body(statement: str, seal: str) -> Mapping[str, Json]:
    """Return the body of the leaf that names an archive in the log."""
    return {"seal": seal, "statement": statement}


def leaf_name(statement: str) -> str:
    """Return the name of an archive's leaf in the store: one for each statement."""
    return f"archive-{hashlib.sha256(statement.encode()).hexdigest()}"


def archive_problem(archive: JournalArchive, verifier: Verifier, *, ledger: str, uid: Uid) -> str | None:
    """Return a sentence if seal, statement and objects of an archive do not agree, None if they do. Raises UnknownKey.

    A seal counts if its key was in force at the time that the statement tells.
    """
    try:
        told: Any = parse_canonical(archive.statement)
        kid, colon, signature = archive.seal.partition(":")
        message = archive.statement.encode()
        is_sealed = bool(colon) and verifier.is_signed(ARCHIVE_CONTEXT, message, kid=kid, signature=signature)
        if not is_sealed or verifier.time_rule(kid, told["at"]) is not None:
            return "no key of the ledger sealed the archive"
        if (told["ledger"], told["uid"], told["seq"]) != (ledger, uid, archive.last):
            return "the archive is of another account"
        digest = hashlib.sha256(objects_text(archive.objects).encode()).hexdigest()
    except UNREADABLE:
        return "the archive cannot be read"
    return None if told["objects"] == digest else "the archive names other objects"


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def archive_data(archive: JournalArchive, snapshot: str) -> Data:
    """Return the fields of an archive's document. `snapshot` is the text of the state behind the last entry."""
    before = archive.former
    former = "" if before is None else canonical([before.statement, before.seal, len(before.objects)]).decode()
    return {
        "statement": archive.statement,
        "seal": archive.seal,
        "objects": objects_text(archive.objects),
        "snapshot": snapshot,
        "former": former,
    }


def archive_in(document: Document) -> JournalArchive | None:
    """Return the archive in a document, None if the document has none that can be read."""
    statement, seal, objects, former = (
        str(document.data.get(name)) for name in ("statement", "seal", "objects", "former")
    )
    try:
        told: Any = parse_canonical(objects)
        listed = tuple(ArchiveObject(first=first, last=last, sha256=sha256) for first, last, sha256 in told)
        before = _former(former, listed)
        ends = [0, *(each.last for each in listed)]
        is_whole = all(each.first == end + 1 <= each.last for each, end in zip(listed, ends, strict=False))
    except UNREADABLE:
        return None
    if not is_whole or not 1 <= ends[-1] <= SEQ_MAX:
        return None
    return JournalArchive(
        objects=listed,
        statement=statement,
        seal=seal,
        former=before,
        is_ending=document.data.get("is_ending") is True,
        version=document.version,
    )


def _former(text: str, objects: tuple[ArchiveObject, ...]) -> JournalArchive | None:
    if not text:
        return None
    told: Any = parse_canonical(text)
    statement, seal, count = told
    return JournalArchive(objects=objects[: max(1, count)], statement=statement, seal=seal)


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def object_of(first: int, lines: Sequence[bytes]) -> tuple[ArchiveObject, bytes]:
    """Return the object with these lines, from entry `first` on, and the object's bytes."""
    content = b"".join(lines)
    sha256 = hashlib.sha256(content).hexdigest()
    return ArchiveObject(first=first, last=first + len(lines) - 1, sha256=sha256), content


def entry_line(document: Document) -> bytes:
    """Return the line of an entry's document, with the schema version among the fields or beside them.

    Raises ValueError for a value that no entry has.
    """
    told = {name: _plain(value) for name, value in document.data.items() if name != SCHEMA_VERSION}
    number = document.data.get(SCHEMA_VERSION, document.schema_version)
    line = {"seq": int(document.id), "schema": number, "data": told}
    return json.dumps(line, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def entries_in(content: bytes, wanted: ArchiveObject, uid: Uid, schemas: Schemas) -> list[Document] | None:
    """Return the documents of an object's entries in order; None if the bytes are not those of the wanted object."""
    if hashlib.sha256(content).hexdigest() != wanted.sha256:
        return None
    try:
        lines = [json.loads(line) for line in content.splitlines()]
        documents = [_document(uid, line, schemas) for line in lines]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, NotCanonical, RecursionError):
        return None
    seqs = [int(document.id) for document in documents]
    return documents if seqs == list(range(wanted.first, wanted.last + 1)) else None


def _document(uid: Uid, line: Mapping[str, Any], schemas: Schemas) -> Document:
    data = {name: _stored(value) for name, value in line["data"].items()}
    number = {} if line["schema"] is None else {SCHEMA_VERSION: line["schema"]}
    document = Document(path=entry_path(uid, line["seq"]), data={**data, **number}, version=ARCHIVED)
    return opened(document, schemas)


class _ArchivedVersion:
    """Version of a document that comes from the bucket. No stored document has it, so that no write succeeds on it."""

    def __repr__(self) -> str:
        return "<archived>"


ARCHIVED: Version = _ArchivedVersion()


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return {BYTES: to_base64(value)}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise ValueError(f"an entry has no {type(value).__name__}")


def _stored(value: Any) -> Value:
    if isinstance(value, Mapping):
        return from_base64(value[BYTES])
    told: Value = value
    return told
