"""Checkpoints are signed once, anchored before they are served, and never for a tree that forgets a signed one."""

from dataclasses import replace

import pytest

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Delete, Patch, Put
from shared.kernel.objects import StorageUnavailable
from shared.ledger.log.anchors import AnchoredTree, checkpoint_name, new_tiles, tile_name
from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import EMPTY_HEAD, HEAD_PATH, LogBroken, head_data
from shared.ledger.log.merkle import root_at, root_of
from shared.ledger.log.notes import SeedSigner, signed
from shared.ledger.log.signed_heads import CHECKPOINT_PATH, read_signed_head
from shared.ledger.log.signer import AnchorGate, LogKeyUnavailable
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.objects import MemoryAnchors
from tests.support.faults import Crash, FaultyDocuments
from tests.support.logs import ORIGIN, SEED, CountingSigner, SignedLog, append, leaves, tree_in


def test_a_head_is_signed_anchored_and_served():
    log = SignedLog()
    head = log.append(leaves(0, 300))

    served = log.sign()

    assert served is not None
    assert served.checkpoint == Checkpoint(origin=ORIGIN, size=300, root=root_of(leaves(0, 300)))
    assert (served.head, served.vkey) == (head, str(log.key.vkey))
    assert list(served.note.signatures_by([log.key.vkey])) == [log.key.vkey]
    assert str(log.anchors.newest().note) == str(served.note)


def test_a_head_that_did_not_grow_costs_one_read_and_no_signature():
    log = SignedLog()
    log.append(leaves(0, 3))
    idle = FaultyDocuments(log.documents)
    signer, clock = replace(log, documents=idle).signer(), ManualClock()
    deadline = Deadline(clock, clock.monotonic() + 60)
    cursor = signer.sign(signer.sign("", deadline), deadline)
    before = idle.calls

    assert signer.sign(cursor, deadline) == cursor

    assert (idle.calls - before, log.key.count) == (1, 1)


def test_a_restored_database_is_found_although_nothing_is_written():
    log = SignedLog()
    log.append(leaves(0, 9))
    log.sign()
    backup, cursor = copied(log.documents), log.cursor
    log.append(leaves(9, 20))
    signer, clock = log.signer(), ManualClock()
    deadline = Deadline(clock, clock.monotonic() + 10**6)
    signer.sign(signer.sign(cursor, deadline), deadline)
    for path in (HEAD_PATH, CHECKPOINT_PATH):
        log.documents.commit([Put(path, backup.get(path).data)])

    signer.sign(cursor, deadline)
    assert log.rules() == []
    clock.advance(601_000)
    signer.sign(cursor, deadline)

    assert log.rules() == ["behind"]


def test_an_empty_log_is_not_signed():
    log = SignedLog()

    assert log.sign() is None
    assert (log.key.count, log.rules()) == (0, [])


@pytest.mark.parametrize("has_bucket", [True, False])
def test_each_grown_head_is_signed_once_and_continues_the_last(has_bucket):
    log = SignedLog(objects=MemoryAnchors() if has_bucket else None)
    sizes = [1, 2, 255, 256, 257, 300, 70_000]

    for before, size in zip([0, *sizes], sizes, strict=False):
        log.append(leaves(before, size))
        assert log.sign().checkpoint.size == size

    assert (log.key.count, log.rules()) == (len(sizes), [])


@pytest.mark.parametrize("has_bucket", [True, False])
def test_a_smaller_head_is_an_alert_and_no_signature(has_bucket):
    log = SignedLog(objects=MemoryAnchors() if has_bucket else None)
    old = log.append(leaves(0, 3))
    log.append(leaves(3, 9))
    log.sign()
    log.documents.commit([Put(HEAD_PATH, head_data(old))])

    log.sign()
    log.sign()

    assert (log.rules(), log.key.count, log.served().checkpoint.size) == (["behind"], 1, 9)


@pytest.mark.parametrize("size", [9, 10, 300])
@pytest.mark.parametrize("has_bucket", [True, False])
def test_another_tree_of_the_same_or_a_larger_size_is_never_signed(size, has_bucket):
    log = SignedLog(objects=MemoryAnchors() if has_bucket else None)
    log.append(leaves(0, 9))
    log.sign()
    append(log.documents, leaves(0, size, "forged"), EMPTY_HEAD)

    log.sign()

    assert (log.rules(), log.key.count) == (["split"], 1)


def test_a_deleted_head_is_found_as_smaller():
    log = SignedLog()
    log.append(leaves(0, 9))
    log.sign()
    log.documents.commit([Delete(HEAD_PATH)])

    log.sign()

    assert log.rules() == ["behind"]


def test_a_head_of_a_wrong_form_is_an_alert():
    log = SignedLog()
    log.documents.commit([Put(HEAD_PATH, {"tree": {"size": 2**62, "root": b"", "edge": b""}})])

    log.sign()

    assert log.rules() == ["head"]


def test_a_restored_database_is_found_by_its_anchors():
    log = SignedLog()
    log.append(leaves(0, 9))
    log.sign()
    backup = copied(log.documents)
    log.append(leaves(9, 400))
    log.sign()

    restored = replace(log, documents=backup, cursor="")
    restored.sign()
    append(backup, leaves(9, 500, "after the restore"))
    restored.sign()

    assert (restored.rules(), log.key.count) == (["behind", "split"], 2)


def test_a_crash_between_anchor_and_served_document_signs_nothing_twice():
    log = SignedLog()
    log.append(leaves(0, 9))
    broken = replace(log, documents=FaultyDocuments(log.documents, at=1))
    with pytest.raises(Crash):
        broken.sign()
    assert (log.served(), log.anchors.newest().checkpoint.size) == (None, 9)

    log.sign()

    assert (log.served().checkpoint.size, log.key.count) == (9, 1)


def test_an_edited_checkpoint_is_an_alert_and_the_anchored_one_is_served():
    log = SignedLog()
    log.append(leaves(0, 9))
    note = str(log.sign().note)
    log.documents.commit([Patch(CHECKPOINT_PATH, {"note": note.replace("\n9\n", "\n8\n")})])
    log.append(leaves(9, 10))

    log.sign()

    assert (log.rules(), log.served().checkpoint.size) == (["checkpoint"], 10)


@pytest.mark.parametrize("note", ["", "no note", 7, None])
def test_without_a_bucket_an_edited_checkpoint_stops_the_signer(note):
    log = SignedLog(objects=None)
    log.append(leaves(0, 9))
    log.sign()
    log.documents.commit([Patch(CHECKPOINT_PATH, {"note": note})])
    log.append(leaves(9, 10))

    log.cursor = log.signer().sign(log.cursor, Deadline(ManualClock(), 1e9))

    assert (log.rules(), log.key.count) == (["checkpoint"], 1)


def test_a_checkpoint_signed_by_another_key_is_an_alert():
    log = SignedLog(objects=None)
    head = log.append(leaves(0, 9))
    served = log.sign()
    forged = signed(str(Checkpoint(origin=ORIGIN, size=9, root=head.root)), SeedSigner(ORIGIN, bytes(32)))
    log.documents.commit([replace(served, note=forged).write()])
    log.append(leaves(9, 10))

    log.sign()

    assert log.rules() == ["checkpoint"]


def test_checkpoints_of_a_former_key_are_still_continued():
    log = SignedLog()
    log.append(leaves(0, 9))
    log.sign()
    new = replace(log, key=CountingSigner(SeedSigner(ORIGIN, bytes(32))), former_keys=[log.key.vkey])

    new.append(leaves(9, 10))

    assert new.sign().vkey == str(new.key.vkey)
    assert new.rules() == []


def test_a_bucket_with_another_checkpoint_of_the_size_is_a_split_view():
    log = SignedLog()
    log.append(leaves(0, 9))
    other = signed(str(Checkpoint(origin=ORIGIN, size=9, root=bytes(32))), log.key)
    log.objects.put(checkpoint_name(9), str(other).encode(), "text/plain")

    assert log.sign() is None
    assert log.rules() == ["split"]


def test_objects_that_the_log_did_not_sign_are_passed_over():
    log = SignedLog()
    log.append(leaves(0, 9))
    log.sign()
    foreign = signed(str(Checkpoint(origin=ORIGIN, size=99, root=bytes(32))), SeedSigner(ORIGIN, bytes(32)))
    copied_name = {checkpoint_name(99): str(foreign), checkpoint_name(98): str(log.served().note), "checkpoint/0": "x"}
    for name, content in copied_name.items():
        log.objects.put(name, content.encode(), "text/plain")

    log.append(leaves(9, 12))

    assert log.sign().checkpoint.size == 12
    assert log.anchors.newest().checkpoint.size == 12


def test_a_tile_that_lies_in_the_bucket_with_other_hashes_is_an_alert():
    log = SignedLog()
    log.append(leaves(0, 256))
    log.objects.put("tile/0/000", bytes(8192), "application/octet-stream")

    assert log.sign() is None
    assert (log.rules(), log.key.count) == (["anchor"], 0)


class DownObjects(MemoryAnchors):
    """A bucket that answers nothing."""

    def put(self, *_):
        raise StorageUnavailable

    def read(self, *_):
        raise StorageUnavailable

    def names(self, *_):
        raise StorageUnavailable


def test_nothing_is_signed_while_the_bucket_is_down_and_all_of_it_later():
    log = SignedLog()
    log.append(leaves(0, 9))
    with pytest.raises(StorageUnavailable):
        replace(log, objects=DownObjects()).sign()
    assert (log.served(), log.key.count) == (None, 0)

    assert log.sign().checkpoint.size == 9


class ForgetfulSigner(CountingSigner):
    """A key that signs another message, as a key version that was exchanged does."""

    def sign(self, message):
        return self.inner.sign(b"another")


def test_a_signature_by_another_key_than_the_named_one_is_never_served():
    log = SignedLog(key=ForgetfulSigner())
    log.append(leaves(0, 9))

    with pytest.raises(LogKeyUnavailable):
        log.sign()

    assert (log.served(), log.anchors.newest()) == (None, None)


def test_a_bucket_named_later_gets_all_tiles_in_several_runs():
    log = SignedLog(objects=None)
    log.append(leaves(0, 140_000))
    log.sign()
    log.objects = MemoryAnchors()
    signer, clock = log.signer(), ManualClock()
    time_is_up = Deadline(clock, clock.monotonic())

    assert signer.sign(log.cursor, time_is_up) == "unfinished"
    assert log.anchors.newest() is None
    signer.sign(log.cursor, Deadline(clock, clock.monotonic() + 1))

    assert log.anchors.newest().checkpoint.size == 140_000
    assert root_at(140_000, tree_in(log.anchors).hash_at) == log.served().head.root


@pytest.mark.parametrize("steps", [[1], [255, 256, 257], [3, 511, 513, 900], [256, 65_536, 65_537]])
def test_the_bucket_alone_gives_the_head_of_every_anchored_checkpoint(steps):
    log = SignedLog()
    heads = []
    for before, size in zip([0, *steps], steps, strict=False):
        heads.append(log.append(leaves(before, size)))
        log.sign()

    assert [AnchoredTree(log.anchors, head.size).head(head.root) for head in heads] == heads


def test_a_missing_tile_of_the_bucket_is_named():
    log = SignedLog()

    with pytest.raises(LogBroken, match=r"tile/0/001\.p/44"):
        AnchoredTree(log.anchors, 300).tile(0, 1)


def test_names_of_tiles_follow_the_specification_and_checkpoints_begin_with_the_largest():
    assert tile_name(0, 1_234_067, 256) == "tile/0/x001/x234/067"
    assert tile_name(3, 0, 7) == "tile/3/000.p/7"
    assert sorted(map(checkpoint_name, [9, 10, 2**40, 0])) == list(map(checkpoint_name, [2**40, 10, 9, 0]))
    assert list(new_tiles(256, 256 * 256 + 1)) == [
        *((0, n, 256) for n in range(1, 256)),
        (0, 256, 1),
        (1, 0, 256),
        (2, 0, 1),
    ]


@pytest.mark.parametrize("has_bucket", [True, False])
def test_the_gate_refuses_a_head_older_than_the_signed_one(has_bucket):
    log = SignedLog(objects=MemoryAnchors() if has_bucket else None)
    old = log.append(leaves(0, 3))
    newest = log.append(leaves(3, 9))
    log.sign()
    gate = AnchorGate(log.documents, log.anchors if has_bucket else None)

    gate.require_newest(newest)
    gate.require_newest(log.append(leaves(9, 20)))

    for head in (old, EMPTY_HEAD, append(MemoryDocuments(), leaves(0, 9, "forged"))):
        with pytest.raises(LogBroken):
            gate.require_newest(head)


def test_an_edited_checkpoint_does_not_close_the_gate_of_an_anchored_log():
    log = SignedLog()
    head = log.append(leaves(0, 9))
    log.sign()
    log.documents.commit([Patch(CHECKPOINT_PATH, {"note": "edited"})])

    AnchorGate(log.documents, log.anchors).require_newest(head)

    with pytest.raises(LogBroken):
        AnchorGate(log.documents, None).require_newest(head)


def test_another_seed_signs_another_log():
    assert SeedSigner(ORIGIN, SEED).vkey != SeedSigner(ORIGIN, bytes(32)).vkey


def copied(documents):
    """A backup of the log's documents."""
    backup = MemoryDocuments()
    for path in (HEAD_PATH, CHECKPOINT_PATH):
        backup.commit([Put(path, documents.get(path).data)])
    assert read_signed_head(backup) is not None
    return backup
