"""Migrations: interrupted anywhere and resumed they end the same, and both releases work on the data meanwhile."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.documents import (
    Create,
    InvalidWrite,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Query,
    StoreUnavailable,
)
from shared.kernel.errors import DomainError
from shared.kernel.schemas import SCHEMA_VERSION, brought_up
from shared.ledger.errors import Contended, UnknownKey
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.engine.migrations import PASSES_MAX, Migration, MigrationReport, Migrations
from tests.support.faults import Crash, FaultyDocuments, Interrupted
from tests.support.people_forms import BEFORE, CONTRACT, MIGRATE, newer, older, people_migration

PEOPLE = 7
PAGE = 3
COMMITS = 2 * PEOPLE + 2 * (3 + 3) + 2
"""More than a run needs: a commit for each document, one for each page of two passes, and the end."""
NAMES = [f"Ada {number}" for number in range(PEOPLE)]


def filled() -> MemoryDocuments:
    """A database of the older release: some documents with a number, some from before there were numbers."""
    documents = MemoryDocuments()
    release = older(documents, BEFORE)
    for number, name in enumerate(NAMES):
        release.enter(f"p{number}", name)
        documents.commit([Create(f"people/p{number}/pets/cat", {"n": number})])
    for number in range(0, PEOPLE, 2):
        stored = documents.get(f"people/p{number}")
        assert stored is not None
        documents.commit([Put(stored.path, {n: v for n, v in stored.data.items() if n != SCHEMA_VERSION})])
    return documents


def run(documents: Any, limit: int | None = None, lines: list[str] | None = None) -> MigrationReport:
    opened = VersionedDocuments(documents, MIGRATE)
    told = [] if lines is None else lines
    return Migrations(opened, ManualClock(), told.append, page=PAGE).run(people_migration(documents), limit)


def data(documents: MemoryDocuments) -> dict[str, Any]:
    """All data of the domain, as stored."""
    return {path: dict(each.data) for path, each in documents._documents.items() if path.startswith("people/")}


FAILURES = [Crash, OutcomeUnknown, StoreUnavailable, PreconditionFailed, lambda: InvalidWrite("It is too large.")]
EXPECTED = {
    **{f"people/p{n}": {"name": name, "visits": 0, SCHEMA_VERSION: 2} for n, name in enumerate(NAMES)},
    **{f"people/p{n}/pets/cat": {"n": n, SCHEMA_VERSION: 1} for n in range(PEOPLE)},
}


def test_run_moves_every_document_and_proves_it():
    documents, lines = filled(), list[str]()

    report = run(documents, lines=lines)

    assert data(documents) == EXPECTED
    assert (report.moved, report.passes, report.left, report.is_complete) == (2 * PEOPLE, 2, 0, True)
    assert len(lines) == 2 * (3 + 3)
    assert lines[-1].endswith(f"{4 * PEOPLE} seen, {2 * PEOPLE} moved")


def test_second_run_writes_no_document_again():
    documents = filled()
    run(documents)
    before = {path: each.version for path, each in documents._documents.items() if path.startswith("people/")}

    report = run(documents)

    assert (report.moved, report.passes, report.is_complete) == (0, 1, True)
    assert {path: documents._documents[path].version for path in before} == before


def test_preview_counts_and_names_what_a_run_would_move():
    documents = filled()
    before = dict(documents._documents)
    runner = Migrations(VersionedDocuments(documents, MIGRATE), ManualClock(), print, page=PAGE)

    whole = runner.preview(people_migration(documents))
    some = runner.preview(people_migration(documents), limit=4)

    assert whole.due == {"people": PEOPLE, "people/*/pets": PEOPLE}
    assert (whole.seen, whole.unknown) == (2 * PEOPLE, ())
    assert [each.path for each in whole.examples[:2]] == ["people/p0", "people/p1"]
    assert sum(some.due.values()) == 2 * PAGE
    assert documents._documents == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, COMMITS + 1))
def test_run_interrupted_at_any_write_ends_the_same_when_resumed(at, when):
    documents = filled()

    with suppress(Crash):
        run(FaultyDocuments(documents, at=at, when=when))
    assert run(documents).is_complete

    assert data(documents) == EXPECTED


def test_every_write_of_a_run_was_interrupted():
    counting = FaultyDocuments(filled())

    run(counting)

    assert counting.commits <= COMMITS


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [OutcomeUnknown, StoreUnavailable])
def test_run_outlasts_a_store_that_fails_once(when, error):
    for at in range(1, 2 * PEOPLE, 3):
        documents = filled()

        try:
            report = run(FaultyDocuments(documents, at=at, when=when, error=error()))
        except error:
            report = run(documents)

        assert report.is_complete
        assert data(documents) == EXPECTED


def test_store_that_stays_down_ends_the_run_and_the_next_continues():
    documents = filled()

    class Down(FaultyDocuments):
        def commit(self, writes, **more):
            self.commits += 1
            if self.commits > 5:
                raise StoreUnavailable
            return self.inner.commit(writes, **more)

    with pytest.raises(StoreUnavailable):
        run(Down(documents))

    assert run(documents).is_complete
    assert data(documents) == EXPECTED


def run_together(documents: Any) -> MigrationReport:
    opened = VersionedDocuments(documents, MIGRATE)

    def move_together(due):
        opened.commit([brought_up(each, MIGRATE) for each in due])
        return {each.path for each in due}

    migration = replace(people_migration(documents), move_together=move_together)
    return Migrations(opened, ManualClock(), lambda line: None, page=PAGE).run(migration)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error()).__name__)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 20))
def test_page_that_moves_together_ends_the_same_after_any_failure(at, when, error):
    documents = filled()

    with suppress(Crash, DomainError):
        run_together(FaultyDocuments(documents, at=at, when=when, error=error()))
    report = run_together(documents)

    assert report.is_complete
    assert data(documents) == EXPECTED


def test_page_moves_in_one_commit_unless_a_document_changes_meanwhile():
    documents = filled()
    counting = Interrupted(documents, 1, "before", lambda: older(documents).visit("p1"))

    report = run_together(counting)

    assert report.moved == 2 * PEOPLE
    assert counting.commits == (1 + PAGE + 1) + 5 + 2 * (3 + 3) + 1
    assert data(documents)["people/p1"]["visits"] == 1


def test_resumed_run_is_no_proof_before_a_whole_pass():
    documents = filled()
    with suppress(Crash):
        run(FaultyDocuments(documents, at=2 * PEOPLE + 6, when="after"))
    older(documents).enter("aaa", "Behind The Place")

    report = run(documents)

    assert report.is_complete
    assert data(documents)["people/aaa"][SCHEMA_VERSION] == 2


def test_page_that_is_too_large_to_read_in_time_is_read_in_parts():
    documents, asked = filled(), list[int]()

    class Slow(FaultyDocuments):
        def query(self, query):
            asked.append(query.limit)
            if query.limit > 1:
                raise StoreUnavailable
            return self.inner.query(query)

    report = run(Slow(documents))

    assert report.is_complete
    assert set(asked) == {PAGE, 1}
    assert data(documents) == EXPECTED


def test_limit_stops_a_run_and_the_next_continues():
    documents = filled()

    reports = [run(documents, limit=4) for _ in range(5)]

    assert [each.moved for each in reports] == [4, 8, 12, 14, 0]
    assert [each.is_limited for each in reports] == [True, True, True, False, False]
    assert data(documents) == EXPECTED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, COMMITS + 1, 3))
def test_two_runs_at_once_end_as_one(at, when):
    documents = filled()

    def other() -> None:
        run(documents)

    report = run(Interrupted(documents, at, when, other))

    assert report.is_complete
    assert data(documents) == EXPECTED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, COMMITS + 1))
def test_both_releases_work_at_every_step_without_a_failure(at, when):
    documents = filled()
    releases = [older(documents), newer(documents)]

    def all_work():
        for number, release in enumerate(releases):
            release.enter(f"new{number}", f"Eve {number}")
            for person in ("p0", f"p{PEOPLE - 1}", "new0"):
                release.visit(person)
            assert release.names()[-PEOPLE:] == NAMES

    run(interrupted := Interrupted(documents, at, when, all_work))
    if interrupted.commits < at:
        all_work()
    report = run(documents)

    assert report.is_complete
    assert newer(documents, CONTRACT).names() == ["Eve 0", "Eve 1", *NAMES]
    visits = {path: each["visits"] for path, each in data(documents).items() if each.get("visits")}
    assert visits == {"people/p0": 2, f"people/p{PEOPLE - 1}": 2, "people/new0": 2}


def test_what_an_older_release_writes_behind_the_run_is_found_by_the_next_pass():
    documents = filled()
    release = older(documents)

    report = run(Interrupted(documents, 2 * PEOPLE + 6, "after", lambda: release.enter("aaa", "Late One")))

    assert report.is_complete
    assert data(documents)["people/aaa"] == {"name": "Late One", "visits": 0, SCHEMA_VERSION: 2}


@pytest.mark.parametrize(
    "error", [KeyError("terms"), UnknownKey("k0"), Contended(0)], ids=lambda each: type(each).__name__
)
def test_document_that_fails_to_move_is_named_and_holds_up_no_other(error):
    documents = filled()
    stored = data(documents)["people/p3"]
    migration = people_migration(documents)
    failing = replace(migration, move=lambda each: _fails_for_p3(migration, each, error))

    report = Migrations(VersionedDocuments(documents, MIGRATE), ManualClock(), lambda line: None).run(failing)

    assert report.failed == {"people/p3": getattr(error, "code", "KeyError")}
    assert (report.left, report.is_complete) == (1, False)
    assert data(documents) == EXPECTED | {"people/p3": stored}


@pytest.mark.parametrize("broken", [{"first": "Ada"}, {"anything": 1, SCHEMA_VERSION: 9}], ids=["broken", "newer"])
def test_document_that_nobody_can_read_is_named_and_stays(broken):
    documents = filled()
    documents.commit([Put("people/p3", broken)])

    report = run(documents)

    assert report.failed == {"people/p3": "schema_unknown"}
    assert not report.is_complete
    assert data(documents) == EXPECTED | {"people/p3": broken}


def _fails_for_p3(migration: Migration, document: Any, error: Exception) -> bool:
    if document.path == "people/p3":
        raise error
    return migration.move(document)


def test_document_in_the_hands_of_a_worker_is_left_for_a_later_pass():
    documents, asked = filled(), list[str]()
    migration = people_migration(documents)

    def move(document):
        asked.append(document.path)
        return asked.count(document.path) > 2 and migration.move(document)

    patient = replace(migration, move=move)

    report = Migrations(VersionedDocuments(documents, MIGRATE), ManualClock(), lambda line: None).run(patient)

    assert (report.passes, report.is_complete) == (4, True)
    assert data(documents) == EXPECTED


def test_run_gives_up_after_its_last_pass_and_says_what_is_left():
    documents = filled()
    migration = people_migration(documents)
    busy = replace(migration, move=lambda each: False)

    report = Migrations(VersionedDocuments(documents, MIGRATE), ManualClock(), lambda line: None).run(busy)

    assert (report.passes, report.left, report.is_complete) == (PASSES_MAX, 2 * PEOPLE, False)
    assert documents.query(Query(collection="migrations", limit=9))[0].data["is_over"] is True
