"""Reader of redactions: the snapshots that stand for deleted bodies, and the proof that the log names each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.kernel.documents import Document, Documents
from shared.kernel.ids import Uid
from shared.kernel.schemas import SchemaUnknown, stored_fields
from shared.ledger.account_documents import account_path
from shared.ledger.document_paths import SEQ_MAX, entry_id, entry_path
from shared.ledger.entries import body_hash
from shared.ledger.errors import UNREADABLE, UnknownKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import REDACTION_CONTEXT
from shared.ledger.log.head import LogBroken
from shared.ledger.log.leaves import typed_leaf
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.proofs import prove_inclusion
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.typed_leaves import TypedLeaf, read_leaf
from shared.ledger.redactions import (
    Redaction,
    leaf_body,
    leaf_name,
    named_snapshot,
    redaction_rule,
    statement_in,
    told_hash,
)
from shared.ledger.stored_entries import StoredEntry, stored_entry

UNNAMED = "the log does not name the snapshot that stands for the deleted body"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRedaction:
    """Document of a redaction: the sealed statement and the text of the snapshot, not verified yet."""

    statement: str
    seal: str
    snapshot: str


class Redactions:
    """Reader of the redactions of one ledger."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str) -> None:
        self._documents = documents
        self._keys = keys
        self._ledger = ledger

    def find(self, uid: Uid, seq: int) -> StoredRedaction | None:
        """Return the redaction of an entry, None if none was begun. Raises StoreUnavailable, SchemaUnknown."""
        document = self._documents.get(redaction_path(uid, seq))
        if document is None:
            return None
        return StoredRedaction(**{name: str(document.data.get(name)) for name in ("statement", "seal", "snapshot")})

    def opened(self, uid: Uid, entries: Sequence[StoredEntry]) -> list[StoredEntry]:
        """Return the entries, each redacted one with its snapshot. Reads nothing if all entries have their bodies."""
        return [entry if entry.redaction is None else self._opened(uid, entry, entry.redaction) for entry in entries]

    def problem(self, uid: Uid, entry: StoredEntry) -> str | None:
        """Return a sentence if the log does not name the redaction of this opened entry as it is; None if it does.

        Raises StoreUnavailable, UnknownKey.
        """
        assert entry.redaction is not None, "the body is gone"
        try:
            self.require_sound(uid, entry, entry.redaction)
            data = typed_leaf("snapshot", leaf_body(entry.body, entry.redaction.seal))
            leaf, signed = self.leaf(uid, entry.seq), read_signed_head(self._documents)
            if leaf is None or leaf.data != data or leaf.index is None or signed is None:
                return UNNAMED
            if leaf.index >= signed.head.size:
                return UNNAMED
            prove_inclusion(leaf_hash(data), leaf.index, signed.head, TileReader(self._documents, signed.head))
        except UnknownKey:
            raise
        except (LogBroken, SchemaUnknown, *UNREADABLE) as error:
            return f"{UNNAMED}: {error}"
        return None

    def is_rightful(self, uid: Uid, seq: int) -> bool:
        """Return True if the ledger deleted the body of this entry, so that the change of the entry is no alarm.

        Raises StoreUnavailable, UnknownKey.
        """
        document = self._documents.get(entry_path(uid, seq)) if 1 <= seq <= SEQ_MAX else None
        if document is None:
            return False
        try:
            [entry] = self.opened(uid, [stored_entry(document)])
        except SchemaUnknown:
            return False
        return entry.redaction is not None and entry.schema >= 0 and self.problem(uid, entry) is None

    def is_entry(self, uid: Uid, seq: int, document: Document | None, entry_hash: str) -> bool:
        """Return True if the document has the entry with this hash, with the body or rightly without.

        A seal by an unknown key is not called wrong. Raises StoreUnavailable.
        """
        data = {} if document is None else stored_fields(document)
        if "statement" not in data:
            body = data.get("body")
            return isinstance(body, str) and body_hash(body) == entry_hash
        try:
            return told_hash(str(data["statement"])) == entry_hash and self.is_rightful(uid, seq)
        except UnknownKey:
            return True

    def require_sound(self, uid: Uid, entry: StoredEntry, redaction: Redaction) -> None:
        """Raise an error of UNREADABLE unless seal, statement and snapshot of an opened entry agree; UnknownKey."""
        rule = redaction_rule(entry, redaction, self._keys, ledger=self._ledger, uid=uid, seq=entry.seq)
        if rule is not None:
            raise ValueError(f"the redaction breaks the law {rule}")
        named_snapshot(statement_in(entry.body), redaction.snapshot)

    def is_of_ledger(self, leaf: TypedLeaf) -> bool:
        """Return True unless the leaf says to be a snapshot, and no key that is in force sealed the leaf.

        So a key that is retired cannot bring snapshots into the log. Raises UnknownKey.
        """
        if leaf.kind != "snapshot":
            return True
        kid, _, signature = str(leaf.body.get("seal")).partition(":")
        message = str(leaf.body.get("statement")).encode()
        return self._keys.seal_rule(REDACTION_CONTEXT, message, kid=kid, signature=signature) is None

    def leaf(self, uid: Uid, seq: int) -> TypedLeaf | None:
        """Return the leaf that names the redaction, None if none was queued or it cannot be read. Not verified."""
        try:
            return read_leaf(self._documents, leaf_name(self._ledger, uid, seq))
        except (LogBroken, SchemaUnknown):
            return None

    def _opened(self, uid: Uid, entry: StoredEntry, redaction: Redaction) -> StoredEntry:
        try:
            stored = self.find(uid, entry.seq)
        except SchemaUnknown:
            stored = None
        return entry if stored is None else replace(entry, redaction=Redaction(redaction.seal, stored.snapshot))


def redaction_path(uid: Uid, seq: int) -> str:
    """Return `accounts/{uid}/redactions/{seq}`, the path of the snapshot and the statement of a redaction."""
    return f"{account_path(uid)}/redactions/{entry_id(seq)}"
