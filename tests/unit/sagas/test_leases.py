"""A lease: one worker at a time, and whoever was overtaken writes nothing any more."""

import itertools

import pytest

from shared.kernel.clock import SECOND
from shared.kernel.documents import Create, OutcomeUnknown, Patch, PreconditionFailed, Put, StoreUnavailable
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.leases import FREE, LeasedDocument, LeaseLost, Leases
from tests.support.ledger_faults import Weather, fair, once

PATH = "tasks/t1"
SECONDS = 60


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def documents():
    documents = MemoryDocuments()
    documents.commit([Create(PATH, {"n": 0, "lease": FREE})])
    return documents


def claimed(leases, seconds=SECONDS) -> LeasedDocument:
    worker = leases.claim(PATH, seconds)
    assert worker is not None
    return worker


def stored(documents):
    data = dict(documents.get(PATH).data)
    return data["n"], data["lease"]["fence"]


def test_a_claimed_document_is_nobody_else_s_until_it_is_freed(documents, clock):
    leases = Leases(documents, clock)
    first = claimed(leases)

    assert leases.claim(PATH, SECONDS) is None

    first.free({"n": 1})

    assert claimed(leases).data["n"] == 1


def test_there_is_nothing_to_claim_where_there_is_no_document(documents, clock):
    assert Leases(documents, clock).claim("tasks/none", SECONDS) is None


def test_a_paused_worker_writes_nothing_once_it_was_overtaken(documents, clock):
    leases = Leases(documents, clock)
    zombie = claimed(leases)
    clock.advance(SECONDS * SECOND)
    heir = claimed(leases)

    with pytest.raises(LeaseLost):
        zombie.save({"n": 99}, Create("effects/e1", {"by": "zombie"}))
    heir.save({"n": 1})

    assert stored(documents) == (1, 2)
    assert documents.get("effects/e1") is None


def test_a_save_keeps_the_lease_for_its_whole_time(documents, clock):
    leases = Leases(documents, clock)
    worker = claimed(leases)
    clock.advance(SECONDS * SECOND - 1)

    worker.save({"n": 1})
    clock.advance(SECONDS * SECOND - 1)

    assert not worker.is_over
    assert leases.claim(PATH, SECONDS) is None


def test_of_two_who_claim_what_they_read_at_once_one_has_it(documents, clock):
    leases = Leases(documents, clock)
    read = documents.get(PATH)

    assert [leases.claim_read(read, SECONDS) is not None for _ in range(2)] == [True, False]


def test_what_goes_with_a_save_is_written_with_it_or_not_at_all(documents, clock):
    worker = claimed(Leases(documents, clock))
    documents.commit([Create("effects/taken", {"by": "another"})])

    with pytest.raises(LeaseLost):
        worker.save({"n": 1}, Create("effects/taken", {"by": "us"}))

    assert stored(documents) == (0, 1)


def test_a_document_is_created_once_and_is_its_creator_s(documents, clock):
    leases = Leases(documents, clock)

    created = leases.create("tasks/t2", {"n": 5}, SECONDS)
    with pytest.raises(PreconditionFailed):
        leases.create("tasks/t2", {"n": 6}, SECONDS)
    created.save({"n": 7})

    assert documents.get("tasks/t2").data["n"] == 7
    assert leases.claim("tasks/t2", SECONDS) is None


@pytest.mark.parametrize("fault", ["unavailable", "lost", "applied", "late"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_unclear_commit_is_applied_exactly_once(clock, fault, at):
    weather = Weather(MemoryDocuments(), fair)
    leases = Leases(weather, clock)
    weather.script = once("commit", at, fault)

    worker = leases.create(PATH, {"n": 0}, SECONDS)
    worker.save({"n": 1}, Create("effects/e1", {"at": 1}))
    worker.save({"n": 2}, Put("effects/e1", {"at": 2}))
    weather.settle()

    assert stored(weather.inner) == (2, 1)
    assert [found and found.data for found in weather.inner.get_all(["effects/e1"])] == [{"at": 2}]


@pytest.mark.parametrize(("fault", "error"), [("lost", OutcomeUnknown), ("unavailable", StoreUnavailable)])
def test_a_store_that_stays_silent_is_reported_and_the_next_worker_finds_the_truth(documents, clock, fault, error):
    weather = Weather(documents, fair)
    worker = claimed(Leases(weather, clock))
    weather.script = lambda call: fault if call.kind == "commit" else None

    with pytest.raises(error):
        worker.save({"n": 1})
    clock.advance(SECONDS * SECOND)

    assert claimed(Leases(documents, clock)).data["n"] == 0


def test_a_save_that_was_applied_without_an_answer_is_recognised(documents, clock):
    weather = Weather(documents, fair)
    worker = claimed(Leases(weather, clock))
    weather.script = lambda call: "applied" if call.kind == "commit" else None

    worker.save({"n": 1})

    assert stored(documents) == (1, 1)


def test_numbers_of_claims_grow(documents, clock):
    leases = Leases(documents, clock)
    fences = []
    for _ in itertools.repeat(None, 3):
        worker = claimed(leases)
        fences.append(worker.fence)
        worker.free({})

    assert fences == [1, 2, 3]


# Content ---------------------------------------------------------------------------------------------------------


class CountingParser:
    """Reads the number in a document, and counts the readings."""

    def __init__(self):
        self.calls = 0

    def __call__(self, document):
        self.calls += 1
        return document.data["n"]


def test_leased_content_is_parsed_once_while_the_engine_works(documents, clock):
    worker, parse = claimed(Leases(documents, clock)), CountingParser()

    first = worker.content(parse)
    worker.note({"saga": {"name": "s"}})
    worker.save({"due_at": None})

    assert (first, worker.content(parse), parse.calls) == (0, 0, 1)


def test_leased_content_follows_a_note_that_brings_the_content(documents, clock):
    worker, parse = claimed(Leases(documents, clock)), CountingParser()
    worker.content(parse)

    worker.note({"n": 1}, content=1)
    worker.flush()

    assert (worker.content(parse), parse.calls, stored(documents)[0]) == (1, 1, 1)


@pytest.mark.parametrize("change", ["note", "save"])
def test_leased_content_is_parsed_again_after_a_change_without_content(documents, clock, change):
    worker, parse = claimed(Leases(documents, clock)), CountingParser()
    worker.content(parse)

    getattr(worker, change)({"n": 2})

    assert (worker.content(parse), parse.calls) == (2, 2)


def test_leased_content_is_parsed_again_after_others_changed_the_document(documents, clock):
    worker, parse = claimed(Leases(documents, clock)), CountingParser()
    worker.content(parse)
    documents.commit([Patch(PATH, {"n": 3})])

    assert worker.rejoin()

    assert (worker.content(parse), parse.calls) == (3, 2)
