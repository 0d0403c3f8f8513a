"""Logs with real entries: what the sequencer and the signer store for the accounts of a test, written at once."""

from collections.abc import Sequence

from shared.kernel.documents import Documents, Put
from shared.kernel.ids import Uid
from shared.ledger.document_paths import entry_path
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, TreeHead, appended, head_data, tile_path
from shared.ledger.log.leaves import entry_leaf
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.notes import signed
from shared.ledger.log.position import (
    LogPosition,
    Run,
    page_data,
    page_path,
    position_data,
    position_path,
    stored_position,
)
from shared.ledger.log.signed_heads import SignedHead, read_signed_head
from shared.ledger.log.tile_reader import read_head
from shared.ledger.stored_entries import StoredEntry, stored_entry
from tests.support.log_trees import ORIGIN, SIGNER, large_tree


def append_leaves(documents: Documents, hashes: Sequence[bytes]) -> int:
    """Append leaves behind the head, and return the index of the first."""
    head = read_head(documents) or EMPTY_HEAD
    grown = appended(head, hashes)
    tiles = [Put(tile_path(*place), {"hashes": row}) for place, row in grown.tiles.items()]
    documents.commit([Put(HEAD_PATH, head_data(grown.head)), *tiles])
    return head.size


def log_entries(documents: Documents, uid: Uid, count: int) -> LogPosition:
    """Append the next `count` entries of the account, and store its position."""
    before = stored_position(uid, documents.get(position_path(uid)))
    entries = [entry_of(documents, uid, seq) for seq in range(before.seq + 1, before.seq + count + 1)]
    first = append_leaves(documents, [leaf_hash(entry_leaf(each.hash, each.signature)) for each in entries])
    position = before.moved(count, entries[-1].hash, first, before.balances)
    documents.commit([Put(position_path(uid), position_data(position))])
    return position


def entry_of(documents: Documents, uid: Uid, seq: int) -> StoredEntry:
    document = documents.get(entry_path(uid, seq))
    assert document is not None
    return stored_entry(document)


def sign_head(documents: Documents, head: TreeHead | None = None) -> SignedHead:
    """Store a signed checkpoint of the head."""
    head = head or read_head(documents) or EMPTY_HEAD
    before = read_signed_head(documents)
    note = signed(str(Checkpoint(origin=ORIGIN, size=head.size, root=head.root)), SIGNER)
    served = SignedHead(head=head, note=note, vkey=str(SIGNER.vkey), version=before.version if before else None)
    documents.commit([served.write()])
    return served


def log_in_large_tree(documents: Documents, uid: Uid, size: int, index: int) -> SignedHead:
    """Store a signed log of `size` leaves with the account's first entry at `index`, and that run on a page."""
    entry = entry_of(documents, uid, 1)
    head, tiles = large_tree(size, leaf_hash(entry_leaf(entry.hash, entry.signature)), index)
    position = LogPosition(uid=uid, seq=2, hash="ab" * 32, runs=(Run(2, size - 1),), pages=(1,))
    documents.commit(
        [
            Put(HEAD_PATH, head_data(head)),
            Put(position_path(uid), position_data(position)),
            Put(page_path(uid, 0), page_data([Run(1, index)])),
            *(Put(tile_path(*place), {"hashes": row}) for place, row in tiles.items()),
        ]
    )
    return sign_head(documents, head)
