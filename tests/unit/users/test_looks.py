"""Looks of operators on record: one record for many looks, before the data is shown."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.documents import StoreUnavailable
from shared.kernel.ids import Uid
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.users.audit import LOOK_WINDOW, AuditTrail
from shared.users.looks import Looks
from tests.support.faults import FaultyDocuments

OTTO, ALICE = Uid("otto"), Uid("alice")
PROFILE, ENTRIES = "GET /v1/admin/users/{uid}", "GET /v1/admin/users/{uid}/entries"


@pytest.fixture
def clock():
    return ManualClock()


def recorded(documents, clock):
    records = AuditTrail(documents, clock).page(cursor=None, limit=100).items
    return [(each.actor, each.act, each.target, each.reason, each.state, each.after) for each in records]


def look_times(looks, times, route=PROFILE, reason=None):
    for _ in range(times):
        looks.record(OTTO, ALICE, route, reason)


def test_looks_within_minutes_are_one_record_with_a_count(clock):
    documents = MemoryDocuments()
    looks = Looks(documents, clock)

    look_times(looks, 1)
    look_times(looks, 1, ENTRIES)

    after = {"count": 2, "routes": [PROFILE, ENTRIES]}
    assert recorded(documents, clock) == [("otto", "look", "alice", None, "done", after)]


def test_a_hundred_looks_are_written_eight_times_at_most(clock):
    documents = FaultyDocuments(MemoryDocuments())

    look_times(Looks(documents, clock), 100)

    ((*_, after),) = recorded(documents, clock)
    assert documents.commits <= 8
    assert 50 <= after["count"] <= 100


def test_looks_with_another_reason_or_later_are_other_records(clock):
    documents = MemoryDocuments()
    looks = Looks(documents, clock)

    look_times(looks, 1, reason="a ticket")
    look_times(looks, 1, reason="a dispute")
    clock.advance(LOOK_WINDOW)
    look_times(looks, 1, reason="a ticket")

    reasons = [reason for _, _, _, reason, _, _ in recorded(documents, clock)]
    assert (reasons[0], sorted(reasons[1:])) == ("a ticket", ["a dispute", "a ticket"])


def test_instances_count_in_the_same_record(clock):
    documents = MemoryDocuments()
    one, other = Looks(documents, clock), Looks(documents, clock)

    for looks in (one, other, one):
        look_times(looks, 1)

    ((*_, after),) = recorded(documents, clock)
    assert after == {"count": 3, "routes": [PROFILE]}


def test_looks_at_once_lose_no_record(clock):
    documents = MemoryDocuments()
    looks = Looks(documents, clock)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: look_times(looks, 1), range(4)))

    ((*_, after),) = recorded(documents, clock)
    assert 2 <= after["count"] <= 4


def test_a_look_is_refused_when_it_cannot_be_recorded(clock):
    documents = FaultyDocuments(MemoryDocuments(), at=1, error=StoreUnavailable())
    looks = Looks(documents, clock)

    with pytest.raises(StoreUnavailable):
        look_times(looks, 1)
    look_times(looks, 1)

    ((*_, after),) = recorded(documents, clock)
    assert after == {"count": 1, "routes": [PROFILE]}
