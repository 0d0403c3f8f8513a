"""Documents of entries: the fields that are stored for an entry, and the entry read back from these fields."""

from dataclasses import dataclass

from shared.kernel.documents import Data, Document
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.account_documents import SCHEMA
from shared.ledger.archives import ARCHIVED
from shared.ledger.document_paths import ENTRY_ID
from shared.ledger.entries import CALL_KINDS, Entry, body_hash
from shared.ledger.entry_index import INDEX_FIELDS, index_fields
from shared.ledger.entry_notes import binds_note
from shared.ledger.errors import UNREADABLE
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, from_base64, to_base64
from shared.ledger.redactions import Redaction, told_hash

FIELDS = frozenset({"kind", "body", "signature", "has_note", "hash", "schema", SCHEMA_VERSION}) | INDEX_FIELDS
REDACTED_FIELDS = frozenset({"kind", "signature", "statement", "seal"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class StoredEntry:
    """Entry as stored in its document, not verified yet.

    `redaction` is None for an entry with its body. Without the body, `body` is the statement.
    """

    seq: int
    body: str
    hash: str
    signature: str
    kind: str
    schema: int = SCHEMA
    has_note: bool | None = None
    """True if the entry's operation has a note. None: the entry does not tell, since it is old or of a call."""
    is_indexed: bool = True
    """False if the document lacks the index fields that the body asks for: the entry is old, or was changed."""
    redaction: Redaction | None = None
    is_archived: bool = False
    """True if the entry comes from the bucket."""


def entry_data(entry: Entry, keys: KeyRing, *, has_note: bool) -> Data:
    """Return the fields of an entry's document. The hash follows from the body, so that it is not stored."""
    signature = keys.sign(ENTRY_CONTEXT, entry.hash.encode(), entry.kid)
    told = {"has_note": has_note} if has_note or entry.kind not in CALL_KINDS else {}
    return {
        "kind": entry.kind,
        "body": entry.body,
        "signature": from_base64(signature),
        **index_fields(entry.body),
        **told,
    }


def stored_entry(document: Document) -> StoredEntry:
    """Return the entry in this document.

    Documents of earlier releases also have the hash and the schema, and the signature as base64. A document with other
    fields has the schema -1.
    """
    if "statement" in document.data:
        return _redacted_entry(document)
    data, body = document.data, str(document.data.get("body"))
    signature, is_indexed = data.get("signature"), _is_indexed(data, body)
    schema = data.get("schema", SCHEMA) if _is_whole(data, is_indexed=is_indexed) else None
    return StoredEntry(
        seq=_seq_of(document),
        body=body,
        hash=str(data["hash"]) if "hash" in data else body_hash(body),
        signature=to_base64(signature) if isinstance(signature, bytes) else str(signature),
        kind=str(data.get("kind")),
        schema=schema if isinstance(schema, int) else -1,
        has_note=None if data.get("has_note") is None else bool(data["has_note"]),
        is_indexed=is_indexed,
        is_archived=document.version is ARCHIVED,
    )


def redacted_data(entry: StoredEntry, statement: str, seal: str) -> Data:
    """Return the fields of an entry's document without the body. The statement has the entry's hash."""
    return {
        "kind": entry.kind,
        "signature": from_base64(entry.signature),
        "statement": statement,
        "seal": seal,
    }


def _redacted_entry(document: Document) -> StoredEntry:
    data, statement = document.data, str(document.data.get("statement"))
    signature = data.get("signature")
    return StoredEntry(
        seq=_seq_of(document),
        body=statement,
        hash=told_hash(statement),
        signature=to_base64(signature) if isinstance(signature, bytes) else str(signature),
        kind=str(data.get("kind")),
        schema=SCHEMA if data.keys() - {SCHEMA_VERSION} == REDACTED_FIELDS else -1,
        has_note=False,
        redaction=Redaction(str(data.get("seal"))),
        is_archived=document.version is ARCHIVED,
    )


def _seq_of(document: Document) -> int:
    return int(document.id) if ENTRY_ID.fullmatch(document.id) else -1


def _is_whole(data: Data, *, is_indexed: bool) -> bool:
    """Return True if the document has no field that the ledger does not write. No hash covers these fields.

    Entries of earlier releases have no index fields.
    """
    has_note = data.get("has_note", False)
    has_note_mark = isinstance(has_note, bool) and (has_note or not binds_note(str(data.get("body"))))
    return data.keys() <= FIELDS and has_note_mark and (is_indexed or data.keys().isdisjoint(INDEX_FIELDS))


def _is_indexed(data: Data, body: str) -> bool:
    """Return True if the document has the index fields that the body determines, and no others."""
    try:
        return index_fields(body) == {name: data[name] for name in INDEX_FIELDS if name in data}
    except UNREADABLE:
        return False
