"""On Firestore: a restored database is refused by the signer and the gate, and gets its log back from the bucket."""

from dataclasses import replace
from typing import Any

import pytest

from shared.bootstrap.schemas import versioned
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Delete, Put, Query
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, LogBroken
from shared.ledger.log.merkle import root_of
from shared.ledger.log.restores import LogRestore
from shared.ledger.log.signed_heads import CHECKPOINT_PATH
from shared.ledger.log.signer import AnchorGate
from shared.ledger.log.tile_reader import read_head
from shared.ledger.log.typed_leaves import read_leaf
from shared.platform.firestore.documents import connect
from tests.support.ledgers import KEYS
from tests.support.logs import SignedLog, leaves


@pytest.fixture
def documents(firestore_emulator, project):
    return versioned(connect(project))


def test_a_backup_on_firestore_is_refused_then_restored(documents):
    log: Any = SignedLog(documents=documents)
    log.append(leaves(0, 300))
    log.sign()
    backup = {path: documents.get(path).data for path in (HEAD_PATH, CHECKPOINT_PATH)}
    log.append(leaves(300, 700))
    log.sign()
    tiles = documents.query(Query(collection=f"{HEAD_PATH}/tiles", limit=9))
    documents.commit([*(Put(*each) for each in backup.items()), *(Delete(tile.path) for tile in tiles[1:])])

    restored = replace(log, cursor="")
    restored.sign()
    with pytest.raises(LogBroken, match="700 were signed before"):
        AnchorGate(documents, log.anchors).require_newest(read_head(documents) or EMPTY_HEAD)
    loss = LogRestore(documents, log.anchors, KEYS, SystemClock()).restore(by="ops", reason="a disk burned")
    restored.append(leaves(0, 5, "after"))
    restored.sign()

    assert (log.rules(), loss.leaves) == (["behind"], 400)
    assert restored.served().checkpoint.root == root_of([*leaves(0, 700), *leaves(0, 5, "after")])
    assert read_leaf(documents, "restore-700") is not None
