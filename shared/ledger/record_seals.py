"""Marks of records: operations, archived lots and archived holds, which the ledger alone can write."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from shared.kernel.canonical import NotCanonical, canonical, parse_canonical
from shared.kernel.documents import Data, Document, Patch
from shared.kernel.ids import HoldId, LotId, Uid
from shared.ledger.account import Archive, Hold, Lot
from shared.ledger.account_documents import uid_of
from shared.ledger.codec import decode_hold, decode_lot
from shared.ledger.document_paths import hold_path, lot_path
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.key_ring import KeyRing
from shared.ledger.operation_records import OperationRecord, decode_operation


class RecordSeals:
    """Seals of the records of one ledger: marks new records, and reads records that carry the ledger's mark."""

    def __init__(self, keys: KeyRing, ledger: str) -> None:
        self._keys = keys
        self._ledger = ledger

    def sealed(self, path: str, state: str) -> Data:
        """Return the fields of the document at `path` with this state: the state and its mark."""
        return {"state": state, "seal": self._keys.mark(self._record(path, state))}

    def is_ours(self, document: Document) -> bool:
        """Return True if the ledger wrote the document."""
        state, seal = document.data.get("state"), document.data.get("seal")
        if not isinstance(state, str) or not isinstance(seal, str):
            return False
        try:
            record = self._record(document.path, state)
        except NotCanonical:
            return False
        return self._keys.is_marked(record, seal)

    def marked_again(self, document: Document) -> Patch:
        """Return the write that marks a record with the key that makes marks now, on the version that was read.

        Raises IntegrityFailed if the ledger did not write the document, UnknownKey.
        """
        if not self.is_ours(document):
            rule = "operation_seal" if "/operations/" in document.path else "archive_seal"
            raise IntegrityFailed(uid=uid_of(document.path), seq=0, rule=rule)
        seal = self._keys.mark(self._record(document.path, str(document.data["state"])))
        return Patch(document.path, {"seal": seal}, document.version)

    def operation(self, uid: Uid, document: Document) -> OperationRecord:
        """Return the record of an operation. Raises IntegrityFailed if the ledger did not write the document."""
        try:
            if self.is_ours(document):
                return decode_operation(str(document.data.get("state")))
        except UNREADABLE:
            pass
        raise IntegrityFailed(uid=uid, seq=0, rule="operation_seal")

    def archive(self, uid: Uid, documents: Iterable[Document]) -> Archive:
        """Return the archived lots and holds in these documents.

        Raises IntegrityFailed if the ledger did not write a document.
        """
        lots: dict[LotId, Lot] = {}
        holds: dict[HoldId, Hold] = {}
        for document in documents:
            state = str(document.data.get("state"))
            if not self.is_ours(document):
                raise IntegrityFailed(uid=uid, seq=0, rule="archive_seal")
            fields = cast("Mapping[str, Any]", parse_canonical(state))
            if document.path == lot_path(uid, LotId(document.id)):
                lots[LotId(document.id)] = decode_lot(fields)
            elif document.path == hold_path(uid, HoldId(document.id)):
                holds[HoldId(document.id)] = decode_hold(fields)
            elif "hold" in fields:
                hold = decode_hold(fields["hold"])
                holds[hold.id] = hold
        return Archive(lots=lots, holds=holds)

    def _record(self, path: str, state: str) -> bytes:
        """Return the message that the mark of an operation, archived lot or archived hold covers: path and state."""
        return canonical({"ledger": self._ledger, "path": path, "state": state})
