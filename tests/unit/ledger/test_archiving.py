"""Journals that move to the bucket: the log names the archive first, and all that reads the journal goes on."""

from collections.abc import Callable
from typing import Any, Literal

import pytest

from shared.kernel.deadline import NEVER
from shared.kernel.documents import Delete, Document, Patch, PreconditionFailed, Query
from shared.ledger.archives import archive_path
from shared.ledger.archiving import JournalArchiver
from shared.ledger.document_paths import entry_path
from shared.ledger.errors import EntryArchived, IntegrityFailed, NothingToArchive, NotLoggedYet
from shared.ledger.export import entry_pages
from shared.ledger.history import EntryFilter
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry
from tests.support import books as ask
from tests.support.archives import ALL_KINDS, ArchivingLedger
from tests.support.faults import Crash, FaultyDocuments
from tests.support.redactions import EVE
from tests.support.rotations import NEW, OLD


@pytest.fixture(scope="module")
def made() -> ArchivingLedger:
    return ArchivingLedger()


@pytest.fixture
def world(made: ArchivingLedger) -> ArchivingLedger:
    return made.copy()


def test_everything_reads_the_same_after_a_journal_was_archived(world: ArchivingLedger) -> None:
    before = world.shown()
    last = world.archive()

    assert world.seqs() == [last + 1]
    assert world.shown() == before
    assert world.faults() == []


@pytest.mark.parametrize("kind", sorted(ALL_KINDS))
def test_history_by_kind_finds_archived_entries_in_pages(world: ArchivingLedger, kind: str) -> None:
    wanted = EntryFilter(kinds=frozenset({kind}))
    before = world.ledger.history(EVE, wanted=wanted, before=None, limit=100).items
    world.archive()
    found, below = [], None
    while True:
        page = world.ledger.history(EVE, wanted=wanted, before=below, limit=2)
        found.extend(page.items)
        below = page.before
        if below is None:
            break

    assert tuple(found) == tuple(before)


def test_archived_account_lives_on_and_is_archived_again(world: ArchivingLedger) -> None:
    charge = ask.charge(10)
    world.run(world.services, EVE, charge)
    world.relay()
    world.sign()
    first = world.archive()
    world.run(world.services, EVE, ask.reverse("paid", 2_000), ask.charge(10), ask.grant("more", 300))
    replay = world.ledger.execute(EVE, charge)
    world.relay()
    world.sign()
    before = world.shown()
    second = world.archive()

    assert replay.is_replay
    assert second > first
    assert world.seqs() == [second + 1]
    assert world.shown()["export"] == before["export"]
    assert world.faults() == []


def test_journal_that_is_back_is_as_it_was(world: ArchivingLedger) -> None:
    before, stored = world.shown(), world.seqs()
    world.archive()
    assert world.archiver.bring_back(EVE, NEVER)

    assert world.seqs() == stored
    assert world.shown() == before
    assert world.bucket.names("journals/") == []
    with pytest.raises(NothingToArchive):
        world.archiver.bring_back(EVE, NEVER)


def test_no_document_goes_before_the_log_names_the_archive(world: ArchivingLedger) -> None:
    stored = world.seqs()
    steps = [world.move().progress, world.move().progress]

    assert (steps, world.seqs()) == (["waiting", "waiting"], stored)


def test_entry_that_is_not_logged_is_not_archived(world: ArchivingLedger) -> None:
    world.run(world.services, EVE, ask.grant("new", 5), ask.grant("newer", 5))

    with pytest.raises(NotLoggedYet):
        world.move()


def test_rightful_deletion_raises_no_alarm_and_others_do(world: ArchivingLedger) -> None:
    last = world.archive()
    watch = world.services.credits.watch
    for seq in range(1, last + 1):
        watch.entry_deleted(EVE, seq)
    quiet = list(world.fleet.alarms)
    world.documents.commit([Delete(entry_path(EVE, last + 1))])
    watch.entry_deleted(EVE, last + 1)

    assert quiet == []
    assert len(world.fleet.alarms) == 1


@pytest.mark.parametrize("act", ["archive", "back"])
def test_stranger_who_ends_an_archive_destroys_nothing(world: ArchivingLedger, act: str) -> None:
    before = world.shown()
    world.archive()
    world.documents.commit([Patch(archive_path(EVE), {"is_ending": True})])
    world.fleet.clock.advance(1_000)
    run(world, world.archiver, act)

    assert world.shown() == before
    assert world.faults() == []


def test_late_event_of_a_journal_that_is_back_raises_no_alarm(world: ArchivingLedger) -> None:
    world.archive()
    world.archiver.bring_back(EVE, NEVER)
    world.services.credits.watch.entry_deleted(EVE, 3)

    assert world.fleet.alarms == []


def test_late_event_during_a_second_archive_raises_no_alarm(world: ArchivingLedger) -> None:
    world.archive()
    world.run(world.services, EVE, ask.grant("more", 300))
    world.relay()
    world.sign()
    assert world.move().progress == "waiting"
    world.services.credits.watch.entry_deleted(EVE, 3)

    assert world.fleet.alarms == []


def test_archive_that_the_log_does_not_name_hides_no_deletion(world: ArchivingLedger) -> None:
    world.move()
    world.documents.commit([Delete(entry_path(EVE, 3))])
    world.services.credits.watch.entry_deleted(EVE, 3)

    assert len(world.fleet.alarms) == 1


@pytest.mark.parametrize("field", ["statement", "seal", "objects"])
def test_edited_archive_is_found_and_moves_nothing(world: ArchivingLedger, field: str) -> None:
    world.move()
    world.sign()
    found = world.documents.get(archive_path(EVE))
    assert found is not None
    text = str(found.data[field])
    edited = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]
    world.documents.commit([Patch(archive_path(EVE), {field: edited})])
    stored = world.seqs()

    with pytest.raises((IntegrityFailed, NothingToArchive, PreconditionFailed)):
        world.move()
    assert world.seqs() == stored


def test_changed_object_is_found_and_located(world: ArchivingLedger) -> None:
    world.archive()
    [name] = world.bucket.names("journals/")
    content = world.bucket.read(name)
    world.bucket.delete(name)
    world.bucket.put(name, content.replace(b"grant", b"brant", 1), "text/plain")

    assert world.faults()[0] == (1, "sequence")


def test_object_that_is_gone_stops_the_deletion(world: ArchivingLedger) -> None:
    world.move()
    world.sign()
    for name in world.bucket.names("journals/"):
        world.bucket.delete(name)
    stored = world.seqs()

    with pytest.raises(IntegrityFailed):
        world.move()
    assert world.seqs() == stored
    assert world.archiver.bring_back(EVE, NEVER)
    assert world.faults() == []


def test_body_of_an_archived_entry_is_deleted_only_once_it_is_back(world: ArchivingLedger) -> None:
    world.archive()
    with pytest.raises(EntryArchived):
        world.step(EVE, 3)
    world.archiver.bring_back(EVE, NEVER)
    world.redact(EVE, 3)
    world.archive()

    assert world.faults() == []
    assert world.ledger.entry(EVE, 3).seq == 3


def test_two_operators_at_once_move_each_entry_once(world: ArchivingLedger) -> None:
    one, other = world.archiver, world.archiver
    assert one.archive(EVE, NEVER).progress == "waiting"
    assert other.archive(EVE, NEVER).progress == "waiting"
    world.sign()
    other._archives.find(EVE)
    assert one.archive(EVE, NEVER).progress == "archived"
    assert other.archive(EVE, NEVER).progress == "archived"

    assert world.faults() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ["archive", "back"])
def test_crash_at_every_commit_loses_nothing(made: ArchivingLedger, act: str, when: Literal["before", "after"]) -> None:
    commits = 1
    while True:
        world = made.copy()
        before = world.shown()
        if act == "back":
            world.archive()
        faulty = FaultyDocuments(world.documents, at=commits, when=when)
        is_over = run(world, world.archiver_on(faulty), act)
        assert world.shown() == before or act == "archive"
        run(world, world.archiver, act)
        after = world.shown()
        assert after["export"] == before["export"]
        assert world.faults() == []
        if is_over:
            return
        commits += 1


def test_audit_finds_documents_that_went_before_the_log_named_the_archive(world: ArchivingLedger) -> None:
    world.move()
    world.documents.commit([Delete(entry_path(EVE, seq)) for seq in (1, 2, 3)])

    assert world.faults() == [(3, "archive")]


@pytest.mark.parametrize("field", ["statement", "seal"])
def test_audit_finds_an_archive_that_was_edited(world: ArchivingLedger, field: str) -> None:
    last = world.archive()
    found = world.documents.get(archive_path(EVE))
    assert found is not None
    world.documents.commit([Patch(archive_path(EVE), {field: str(found.data[field]) + "x"})])

    assert world.faults() == [(last, "archive")]


def test_body_stays_once_an_archive_has_the_entry(world: ArchivingLedger) -> None:
    assert world.step(EVE, 3) == "waiting"
    world.move()
    world.sign()

    with pytest.raises(EntryArchived):
        world.step(EVE, 3)


class Interleaved:
    """Documents that do something once, after the first query of entries."""

    def __init__(self, inner: Any, then: Callable[[], object]) -> None:
        self._inner = inner
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def query(self, query: Query) -> list[Document]:
        found: list[Document] = self._inner.query(query)
        then, self._then = self._then, lambda: None
        then()
        return found


@pytest.mark.parametrize("act", ["back", "archive"])
def test_reader_that_overlaps_a_move_sees_every_entry(world: ArchivingLedger, act: str) -> None:
    before = [entry.body for entry in entries_of(world, world.documents)]
    if act == "back":
        world.archive()
        moved = Interleaved(world.documents, lambda: world.archiver.bring_back(EVE, NEVER))
    else:
        world.move()
        world.sign()
        moved = Interleaved(world.documents, world.move)

    assert [entry.body for entry in entries_of(world, moved)] == before


def entries_of(world: ArchivingLedger, documents: Any) -> list[StoredEntry]:
    services = world.fleet.deploy(NEW, OLD, documents=documents)
    store = AccountStore(services.ports.documents(), services.credits.keys, "demo-test")
    return [entry for page in entry_pages(store, EVE, 1, world.stored_seq, 5) for entry in page]


def run(world: ArchivingLedger, archiver: JournalArchiver, act: str) -> bool:
    """Archive or bring back by this archiver, and return True unless a commit failed."""
    try:
        if act == "back":
            return archiver.bring_back(EVE, NEVER)
        for _ in range(3):
            archiver.archive(EVE, NEVER)
            world.sign()
    except (Crash, NothingToArchive):
        return False
    return True
