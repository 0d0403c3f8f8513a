"""A restored database gets its log back from the bucket, with a signed leaf that names the loss."""

from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.documents import Delete, Patch, PreconditionFailed, Put
from shared.kernel.errors import InvalidValue
from shared.kernel.settings import SigningKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.log import tile_reader, typed_leaves
from shared.ledger.log.books import LedgerBooks, books_text, stored_books
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, LogBroken, tile_path
from shared.ledger.log.leaves import read_typed_leaf
from shared.ledger.log.merkle import consistency_proof, inclusion_proof, is_consistent, root_of, root_of_inclusion
from shared.ledger.log.restores import (
    RESTORE_CONTEXT,
    LogRestore,
    NoAnchors,
    NothingLost,
    restore_body_to_sign,
)
from shared.ledger.log.signer import AnchorGate
from shared.ledger.log.tile_reader import TileReader
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.objects import MemoryAnchors
from tests.support.faults import Crash, FaultyDocuments
from tests.support.logs import SignedLog, append, leaves

read_head: Any = tile_reader.read_head
read_leaf: Any = typed_leaves.read_leaf
RING: Any = KeyRing((SigningKey(kid="k1", seed=bytes(range(32))),))


def restored(backup: int, lost: int) -> Any:
    """A log whose database was restored from a backup with `backup` leaves, after `lost` more were signed."""
    log = SignedLog()
    log.append(leaves(0, backup)) if backup else None
    log.sign()
    saved = backed_up(log.documents)
    log.append(leaves(backup, backup + lost))
    log.sign()
    return replace(log, documents=saved, cursor="")


def backed_up(documents: Any) -> MemoryDocuments:
    backup = MemoryDocuments()
    for path, each in documents._documents.items():
        backup.commit([Put(path, each.data)])
    return backup


def restore_of(log: SignedLog, documents: Any = None) -> LogRestore:
    return LogRestore(documents or log.documents, log.anchors, RING, ManualClock())


SIZES = [(0, 1), (1, 1), (9, 300), (300, 1_000), (65_535, 2)]


@pytest.mark.parametrize(("backup", "lost"), SIZES)
def test_a_restored_log_continues_every_tree_that_was_signed(backup, lost):
    log, size = restored(backup, lost), backup + lost
    everything = leaves(0, size)
    log.sign()
    assert log.rules() == ["behind"]

    loss = restore_of(log).restore(by="ops@example.com", reason="a disk burned")
    log.append(leaves(0, 5, "after"))
    log.sign()

    assert (loss.stored.size, loss.leaves) == (backup, lost)
    assert log.served().checkpoint.root == root_of([*everything, *leaves(0, 5, "after")])
    assert log.rules() == ["behind"]


def test_the_leaf_names_the_loss_and_is_signed():
    log = restored(9, 300)
    head = read_head(log.documents)

    restore_of(log).restore(by="ops@example.com", reason="a disk burned")

    leaf = read_leaf(log.documents, "restore-309")
    kind, body = read_typed_leaf(leaf.data)
    assert kind == "restore"
    assert {
        name: body[name] for name in ("by", "reason", "size", "lost", "restored_size", "restored_root", "root")
    } == {
        "by": "ops@example.com",
        "reason": "a disk burned",
        "size": 309,
        "lost": 300,
        "restored_size": 9,
        "restored_root": head.root.hex(),
        "root": root_of(leaves(0, 309)).hex(),
    }
    message = restore_body_to_sign(body)
    assert RING.is_signed(RESTORE_CONTEXT, message, kid=body["kid"], signature=body["signature"])
    assert not RING.is_signed(RESTORE_CONTEXT, message + b" ", kid=body["kid"], signature=body["signature"])


def test_receipts_from_before_and_of_lost_leaves_still_verify():
    log = SignedLog()
    log.append(leaves(0, 300))
    receipt = log.sign()
    saved = backed_up(log.documents)
    log.append(leaves(300, 700))
    late = log.sign()
    reader = TileReader(log.documents, late.head)
    proof = inclusion_proof(650, 700, reader.hash_at)
    log = replace(log, documents=saved, cursor="")

    restore_of(log).restore(by="ops", reason="a disk burned")
    log.append(leaves(0, 900, "after"))
    now = log.sign()

    reader = TileReader(log.documents, now.head)
    for old in (receipt.checkpoint, late.checkpoint):
        steps = consistency_proof(old.size, now.checkpoint.size, reader.hash_at)
        assert is_consistent(old.size, old.root, now.checkpoint.size, now.checkpoint.root, steps)
    assert root_of_inclusion(leaves(650, 651)[0], 650, 700, proof) == late.checkpoint.root


def test_the_gate_opens_again_once_the_log_is_restored():
    log = restored(9, 300)
    gate = AnchorGate(log.documents, log.anchors)
    with pytest.raises(LogBroken, match="309 were signed before"):
        gate.require_newest(read_head(log.documents))

    restore_of(log).restore(by="ops", reason="a disk burned")

    gate.require_newest(read_head(log.documents))


def test_a_restore_that_is_repeated_restores_once():
    log = restored(9, 300)
    restore_of(log).restore(by="ops", reason="a disk burned")

    with pytest.raises(NothingLost):
        restore_of(log).restore(by="ops", reason="a disk burned")

    assert restore_of(log).loss() is None


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_restore_that_crashes_is_done_by_the_next(at, when):
    log = restored(300, 17_000)
    with pytest.raises(Crash):
        restore_of(log, FaultyDocuments(log.documents, at=at, when=when)).restore(by="ops", reason="a disk burned")

    if restore_of(log).loss() is not None:
        restore_of(log).restore(by="ops", reason="a disk burned")

    assert read_head(log.documents).size == 17_300
    assert read_leaf(log.documents, "restore-17300") is not None


def test_a_database_without_any_log_is_restored_too():
    log = restored(9, 300)
    log = replace(log, documents=MemoryDocuments())

    restore_of(log).restore(by="ops", reason="the database is gone")

    assert log.sign().checkpoint.size == 309
    assert log.rules() == []


def test_a_log_without_a_bucket_or_anchors_is_not_restored():
    log = SignedLog(objects=MemoryAnchors())

    for anchors in (None, log.anchors):
        with pytest.raises(NoAnchors, match="LEDGER_ANCHOR_BUCKET"):
            LogRestore(log.documents, anchors, RING, ManualClock()).loss()


def test_a_database_of_another_log_is_not_restored():
    log = restored(9, 300)
    log.documents.commit([Delete(HEAD_PATH)])
    append(log.documents, leaves(0, 20, "forged"), EMPTY_HEAD)

    with pytest.raises(LogBroken, match="no earlier part"):
        restore_of(log).restore(by="ops", reason="a disk burned")


def test_a_fork_behind_the_anchors_is_not_restored():
    log = restored(9, 300)
    log.append(leaves(9, 500, "forged"))

    with pytest.raises(LogBroken, match="does not begin with"):
        restore_of(log).loss()


@pytest.mark.parametrize("name", ["tile/0/001", "tile/0/001.p/53", "tile/1/000.p/1"])
def test_an_anchored_tile_that_does_not_fit_is_never_restored(name):
    log = restored(9, 300)
    log.objects._objects.pop(name, None)
    content = bytes(8192) if name == "tile/0/001" else bytes(32 * int(name.rpartition("/")[2]))
    log.objects._objects.pop("tile/0/001.p/53" if name == "tile/0/001" else name, None)
    log.objects.put(name, content, "application/octet-stream")

    with pytest.raises(LogBroken):
        restore_of(log).restore(by="ops", reason="a disk burned")

    assert read_head(log.documents).size == 9


@pytest.mark.parametrize("words", [("", "r"), ("b", " "), ("b" * 101, "r"), ("b", "r" * 501)])
def test_a_restore_without_a_name_or_a_reason_is_refused(words):
    log = restored(9, 300)

    with pytest.raises(InvalidValue):
        restore_of(log).restore(by=words[0], reason=words[1])

    assert log.documents.get(tile_path(0, 0)) is None


def test_the_head_is_restored_on_the_version_that_was_read():
    log = restored(9, 300)

    class Moving(FaultyDocuments):
        inner: Any

        def commit(self, writes, **options):
            if any(write.path == HEAD_PATH for write in writes):
                append(self.inner, leaves(9, 10))
            return self.inner.commit(writes, **options)

    with pytest.raises(PreconditionFailed):
        restore_of(log, Moving(log.documents)).restore(by="ops", reason="a disk burned")

    assert read_leaf(log.documents, "restore-309") is None


def test_a_restored_log_keeps_the_books_of_its_entries():
    log = restored(9, 30)
    log.documents.commit([Patch(HEAD_PATH, {"books": books_text(LedgerBooks(flows={"available": 7}))})])

    restore_of(log).restore(by="ops@example.com", reason="a disk burned")

    assert stored_books(log.documents.get(HEAD_PATH).data["books"]).flows == {"available": 7}
