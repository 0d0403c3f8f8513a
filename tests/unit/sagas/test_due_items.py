"""Jobs over due documents: each item once a run, the oldest first, and none waits for others that fail or are slow."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.kernel.clock import MINUTE, SECOND, Millis, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Document, Documents, Patch, Query
from shared.kernel.due import DueList, DuePlace, due_place
from shared.kernel.schemas import SCHEMA_VERSION
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.engine.due_items import PAGE, SELDOM, attempt_due
from shared.sagas.engine.jobs import JobRun

NEW = DueList(collection="things", shards=4)
OLD = DueList(collection="old_things", is_in_millis=True)


class DueWorld:
    """Some documents that are due, and the work on them, which takes a second each."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.documents: Documents = MemoryDocuments()
        self.worked: list[str] = []
        self.old_looks = 0
        self.broken: set[str] = set()

    def add(self, path: str, at: Millis, shard: int = 0) -> None:
        due_at = at if path.startswith("old") else to_datetime(at)
        self.documents.commit([Create(path, {"due_at": due_at, "due_shard": shard})])

    def new(self, limit: int, after: DuePlace | None) -> list[Document]:
        return NEW.page(self.documents, self.clock.now(), limit, after)

    def old(self, limit: int, after: DuePlace | None) -> list[Document]:
        self.old_looks += 1
        return OLD.page(self.documents, self.clock.now(), limit, after)

    def work(self, document: Document, deadline: Deadline) -> None:
        assert document.data["due_at"] is not None
        self.worked.append(document.id)
        self.clock.advance(SECOND)
        if document.id in self.broken:
            raise KeyError(document.id)
        self.documents.commit([Patch(document.path, {"due_at": None})])

    def run(self, seconds: float, cursor: str = "") -> JobRun:
        run = JobRun(cursor, self.clock, seconds)
        attempt_due(run, "things", [self.new, self.old], self.work)
        return run

    def run_minutes(self, minutes: int, seconds: float = 60, cursor: str = "") -> list[str]:
        """Run each minute from where the last run ended, with the old list as a seldom one, and return the cursors."""
        cursors = [cursor]
        for _ in range(minutes):
            run = JobRun(cursors[-1], self.clock, seconds)
            attempt_due(run, "things", [self.new], self.work, seldom=[self.old])
            cursors.append(run.cursor)
            self.clock.advance(MINUTE)
        return cursors[1:]


def test_all_shards_and_both_lists_are_found_in_one_run():
    world = DueWorld()
    for number in range(8):
        world.add(f"things/{number}", number, shard=number % 4)
    world.add("old_things/a", 3)
    world.add("things/later", 2**42)

    run = world.run(60)

    assert (sorted(world.worked), run.done, run.cursor) == ([*"01234567", "a"], 9, "")


def test_more_items_than_a_page_are_each_attempted_once_though_all_fail():
    world = DueWorld()
    names = [f"{number:03d}" for number in range(3 * PAGE)]
    for name in names:
        world.add(f"things/{name}", 7)
    world.broken.update(names)

    run = world.run(10_000)

    assert (sorted(world.worked), run.done, run.cursor) == (names, 0, "")


def test_items_behind_broken_ones_wait_one_run_at_most():
    world = DueWorld()
    for number in range(100):
        world.add(f"things/{number:03d}", number)
    world.broken.update(f"{number:03d}" for number in range(90))

    run = JobRun("", world.clock, 0)
    for _ in range(4):
        run = world.run(60, run.cursor)

    left = world.documents.query(Query(collection="things", limit=200))
    assert {document.id for document in left if document.data["due_at"] is not None} == world.broken


def test_documents_of_a_newer_form_hold_up_no_item_behind_them():
    world = DueWorld()
    stored, world.documents = world.documents, VersionedDocuments(world.documents, {})
    for number in range(2 * PAGE):
        world.add(f"things/{number:03d}", number)
        stored.commit([Patch(f"things/{number:03d}", {SCHEMA_VERSION: 99})])
    world.add("things/known", 3 * PAGE)

    run = world.run(60)

    assert (world.worked, run.done, run.cursor) == (["known"], 1, "")


@pytest.mark.parametrize(
    "cursor", ["3", "1", "rest:5", "rest:", "rest:x", "stripe:5", "9:1:things/1", "0:x:things/1", "accounts/ann"]
)
def test_a_cursor_of_an_older_release_means_the_start(cursor):
    world = DueWorld()
    world.add("things/1", 1)

    world.run(60, cursor)

    assert world.worked == ["1"]


def test_a_seldom_list_is_looked_at_once_while_it_is_empty():
    world = DueWorld()

    world.run_minutes(SELDOM // MINUTE)
    once = world.old_looks
    world.run_minutes(SELDOM // MINUTE + 1)

    assert (once, world.old_looks) == (1, 3)


def test_new_items_are_worked_while_a_seldom_list_rests():
    world = DueWorld()
    [cursor] = world.run_minutes(1)
    world.add("things/1", 1)
    world.add("old_things/a", 1)

    cursors = world.run_minutes(SELDOM // MINUTE, cursor=cursor)

    assert (world.worked, cursors[:-1], cursors[-1]) == (["1", "a"], [cursor] * (SELDOM // MINUTE - 1), "")


def test_a_seldom_list_with_items_is_looked_at_in_each_run():
    world = DueWorld()
    for name in "abc":
        world.add(f"old_things/{name}", 1)
    world.broken.update("abc")

    cursors = world.run_minutes(4)

    assert (world.worked, set(cursors)) == ([*"abc"] * 4, {""})


def test_a_seldom_list_is_continued_at_the_place_of_an_ended_run():
    world = DueWorld()
    for number in range(5):
        world.add(f"old_things/{number}", 1)

    world.run_minutes(2, seconds=3)

    assert world.worked == [*"01234"]


@pytest.mark.parametrize(
    ("stored", "place"),
    [
        (to_datetime(5_000), 5_000),
        (to_datetime(5_000) + timedelta(microseconds=1), 5_001),
        (datetime(1, 1, 1, tzinfo=UTC), -62_135_596_800_000),
        (7_000, 7_000),
        ("7000.25", 7_001),
        ("-1e+300", -(2**53)),
        ("somewhere", -(2**53)),
        ("inf", 2**53),
    ],
)
def test_place_lies_behind_the_document_when_a_stranger_stored_the_time(stored, place):
    document = Document(path="things/a", data={"due_at": stored}, version=1)

    assert due_place(document) == DuePlace(place, "things/a")
