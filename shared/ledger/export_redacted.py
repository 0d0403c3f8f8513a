"""Lines of an export for entries whose bodies were deleted, with the places of two leaves in the checkpoint's tree."""

from collections.abc import Iterator, Mapping, Sequence

from shared.kernel.canonical import INTEGER_MAX, Json
from shared.kernel.documents import Documents, StoreUnavailable
from shared.kernel.ids import Uid
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.export_archive import EndedHold
from shared.ledger.keys import to_base64
from shared.ledger.log.head import LogBroken, TreeHead
from shared.ledger.log.merkle import inclusion_proof
from shared.ledger.log.position import leaf_index, position_path, stored_position
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.redaction_store import Redactions
from shared.ledger.redactions import snapshot_in
from shared.ledger.stored_entries import StoredEntry

NOWHERE: tuple[int, tuple[bytes, ...]] = (-1, ())
"""Place of a leaf that the log does not have, which the verifier reports."""


class RedactedLines:
    """Writer of the lines, for a checkpoint of `size` leaves, 0 without one. `head` is that tree's, or a later one."""

    def __init__(self, documents: Documents, redactions: Redactions, size: int, head: TreeHead) -> None:
        self._documents = documents
        self._redactions = redactions
        self._size = size
        self._tiles = TileReader(documents, head)

    def line(self, uid: Uid, entry: StoredEntry) -> Mapping[str, Json]:
        """Return the line of a redacted entry. Raises StoreUnavailable if the body was deleted during the export."""
        [opened] = self._redactions.opened(uid, [entry])
        assert opened.redaction is not None, "the body is gone"
        leaf = self._redactions.leaf(uid, entry.seq)
        index, hashes = self._place(self._index(uid, entry.seq))
        snapshot_index, snapshot_hashes = self._place(None if leaf is None else leaf.index)
        return {
            "type": "redacted",
            "schema": entry.schema if abs(entry.schema) <= INTEGER_MAX else -1,
            "seq": entry.seq,
            "kind": entry.kind,
            "hash": entry.hash,
            "signature": entry.signature,
            "index": index,
            "hashes": _texts(hashes),
            "statement": entry.body,
            "seal": opened.redaction.seal,
            "snapshot": opened.redaction.snapshot,
            "snapshot_index": snapshot_index,
            "snapshot_hashes": _texts(snapshot_hashes),
        }

    def ended_holds(self, uid: Uid, entries: Sequence[StoredEntry]) -> Iterator[EndedHold]:
        """Yield the holds that redacted entries ended. A snapshot that cannot be read names none."""
        for entry in self._redactions.opened(uid, [each for each in entries if each.redaction is not None]):
            assert entry.redaction is not None, "the body is gone"
            try:
                snapshot = snapshot_in(entry.redaction.snapshot)
            except UNREADABLE:
                continue
            if snapshot.ended is not None:
                yield EndedHold(entry.seq, snapshot.ended.id, snapshot.is_own_capture)

    def _index(self, uid: Uid, seq: int) -> int | None:
        try:
            position = stored_position(uid, self._documents.get(position_path(uid)))
            return leaf_index(self._documents, position, seq)
        except IntegrityFailed:
            return None

    def _place(self, index: int | None) -> tuple[int, tuple[bytes, ...]]:
        """Return index and proof of a leaf in the header's checkpoint, for the verifier. Raises StoreUnavailable."""
        if index is None or not 0 <= index < self._size:
            self._require_no_newer(index or 0)
            return NOWHERE
        try:
            return index, tuple(inclusion_proof(index, self._size, self._tiles.hash_at))
        except LogBroken:
            return NOWHERE

    def _require_no_newer(self, index: int) -> None:
        """Raise StoreUnavailable if the checkpoint of now has the leaf, since the header's one is older."""
        newest = read_signed_head(self._documents) if index >= self._size > 0 else None
        if newest is not None and index < newest.head.size:
            raise StoreUnavailable("A body of this account was deleted during the export; try again.")


def _texts(hashes: tuple[bytes, ...]) -> list[Json]:
    return [to_base64(each) for each in hashes]
