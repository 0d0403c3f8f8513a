"""Users with very much data leave: in few round trips, over several runs, through any crash, and delaying nobody."""

import tracemalloc
from contextlib import suppress

import pytest

from shared.ai.chat.conversation_documents import Conversation, shown_data
from shared.ai.chat.paths import conversation_path, message_path, state_path
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Create, Query
from shared.kernel.erasing import ERASE_PAGE
from shared.kernel.ids import Uid
from shared.sagas.accounts.leaving import LEASE_SECONDS, LEAVE_SECONDS
from shared.users.erasing import Erasable
from tests.support.faults import Crash
from tests.support.people import People
from tests.support.timed_documents import TimedDocuments

OWNED = ("conversations", "conversation_states", "turns")


def fill(people: People, uid: Uid, conversations: int) -> None:
    """Store conversations, each with a state, two message documents and a turn."""
    for number in range(conversations):
        name = f"{uid}{number:05d}"
        paths = (state_path(name), message_path(name, "a"), message_path(name, "b"), f"turns/{name}")
        shown = shown_data(
            Conversation(
                id=name, uid=uid, title=None, model=None, system_prompt=None, created_at=number, updated_at=number
            )
        )
        writes = [Create(path, {"uid": uid}) for path in paths]
        people.documents.commit([Create(conversation_path(name), shown), *writes])


def left(people: People, uid: Uid) -> int:
    queries = [Query(collection=name, limit=10**6) for name in OWNED]
    found = [each for query in queries for each in people.documents.query(query)]
    found += people.documents.query(Query(collection="messages", group=True, limit=10**6))
    return sum(each.data["uid"] == uid for each in found)


@pytest.mark.parametrize("conversations", [100, 2_000])
def test_a_leaving_takes_few_round_trips_and_little_memory(conversations):
    people = People()
    uid = people.user().uid
    fill(people, uid, conversations)
    timed = TimedDocuments(people.documents, people.clock, millis=1)
    leaving = people.again(timed).leaving
    tracemalloc.start()

    leaving.leave(uid)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left(people, uid) == 0
    assert timed.trips <= 60 + 5 * conversations * 0.02
    assert peak < 20_000_000


def test_a_request_to_leave_stops_in_time_and_later_runs_finish():
    people = People()
    uid = people.user().uid
    fill(people, uid, 3 * ERASE_PAGE)
    slow = people.again(TimedDocuments(people.documents, people.clock, millis=2_000))
    before = people.clock.monotonic()

    state = slow.leaving.leave(uid)

    assert state == "leaving"
    assert people.clock.monotonic() - before < LEAVE_SECONDS + 40
    assert left(people, uid) > 0
    for _ in range(5):
        slow.resume_leavings(deadline=Deadline.within(people.clock, LEAVE_SECONDS))
    assert left(people, uid) == 0


@pytest.mark.parametrize("at", range(1, 25, 3))
def test_a_leaving_killed_at_any_commit_is_finished_later_and_delays_nobody(at):
    people = People()
    large, small = people.user().uid, people.user("bob@example.com").uid
    fill(people, large, ERASE_PAGE)
    fill(people, small, 3)
    with suppress(Crash):
        people.again(TimedDocuments(people.documents, people.clock, dies_after=at)).leaving.leave(large)
    people.leaving.leave(small)

    assert left(people, small) == 0
    people.clock.advance(LEASE_SECONDS * 1_000)
    people.leaving.leave(large)
    people.resume_leavings(deadline=NEVER)
    assert left(people, large) == 0


class BrokenPart:
    """Part whose data cannot be erased now."""

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        raise KeyError(uid)


class CountingPart:
    """Part that counts its erasures."""

    def __init__(self) -> None:
        self.erased: list[Uid] = []

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        self.erased.append(uid)
        return True


def test_a_broken_part_holds_up_no_other_part():
    behind = CountingPart()
    parts: tuple[Erasable, ...] = (BrokenPart(), behind)
    people = People(parts=parts)
    uid = people.user().uid

    people.leaving.leave(uid)

    assert behind.erased == [uid]
    assert people.stored(f"leavings/{uid}")["done"] == ["bar", "close_account", "delete_login"]


class SlowBrokenPart:
    """Part whose data cannot be erased now, which it tells when the deadline is over."""

    def __init__(self) -> None:
        self.people: People | None = None

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        if self.people is not None:
            self.people.clock.advance(int(deadline.seconds_left() * SECOND))
        raise KeyError(uid)


def test_a_part_that_takes_all_time_to_fail_holds_up_no_other():
    slow, others = SlowBrokenPart(), [CountingPart(), CountingPart()]
    people = slow.people = People(parts=(slow, *others))
    uid = people.user().uid
    people.leaving.leave(uid)

    people.clock.advance(LEASE_SECONDS * SECOND)
    people.resume_leavings(deadline=Deadline.within(people.clock, LEAVE_SECONDS))

    assert [part.erased for part in others] == [[uid], [uid]]


@pytest.mark.parametrize("at", range(1, 25, 3))
def test_a_killed_departure_continues_within_three_minutes(at):
    people = People()
    uid = people.user().uid
    fill(people, uid, ERASE_PAGE)
    with suppress(Crash):
        people.again(TimedDocuments(people.documents, people.clock, dies_after=at)).leaving.leave(uid)

    people.clock.advance(3 * MINUTE)
    people.resume_leavings(deadline=NEVER)

    assert left(people, uid) == 0
