import threading

import pytest

from shared.kernel.clock import SECOND
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Create, Put, Query, StoreUnavailable
from shared.kernel.events import Field
from shared.kernel.ids import HoldId, LotId, Uid
from shared.kernel.money import Micro
from shared.ledger.commands import Adjust, ExtendHold, Grant, PlaceHold, Reverse
from shared.ledger.errors import AccountClosed
from shared.platform.memory.alerts import Alert
from shared.sagas.accounts.leaving import ALERT_EVERY_ATTEMPTS, BACKOFF_MAX, GONE_MAX, LEASE_SECONDS, SWEEP_DELAY
from shared.users.ports import IdentityUnavailable, UserNotFound
from tests.support.faults import Crash, FaultyDocuments
from tests.support.people import CREDIT, People, op

STEPS = ["bar", "close_account", "erase", "delete_login"]


def resident(people: People) -> Uid:
    """A user with money, a note, preferences and a turn."""
    ann = people.user()
    people.grant(ann.uid, 100)
    people.ledger.execute(ann.uid, Adjust(operation=op("adjust"), amount=CREDIT, note="for Ann"))
    people.documents.commit(
        [
            Create(f"users/{ann.uid}/settings/models", {"default": "m"}),
            Create("turns/t1", {"uid": ann.uid, "text": "hello"}),
            Create("turns/t2", {"uid": "bob", "text": "hello"}),
        ]
    )
    return ann.uid


def traces(people: People, uid: Uid) -> list[str]:
    """What is left of a user's data."""
    below = [Query(collection=f"accounts/{uid}/notes", limit=9), Query(collection=f"users/{uid}/settings", limit=9)]
    found = [document.path for query in below for document in people.documents.query(query)]
    return found + [d.path for d in people.documents.query(Query(collection="turns", limit=9)) if d.data["uid"] == uid]


def assert_gone(people: People, uid: Uid) -> None:
    assert set(people.stored(f"users/{uid}")) == {"uid", "status", "closed_at"}
    assert traces(people, uid) == []
    assert people.ledger.balance(uid).status == "closed"
    assert people.ledger.balance(uid).total == 0
    with pytest.raises(UserNotFound):
        people.identity.get_user(uid)


def test_who_leaves_is_gone_and_the_journal_stays():
    people = People()
    uid = resident(people)
    before = people.ledger.history(uid, before=None, limit=10, kinds=None).items

    people.leaving.leave(uid)

    assert_gone(people, uid)
    kept = people.ledger.history(uid, before=None, limit=10, kinds=None).items
    assert [entry.hash for entry in before] == [entry.hash for entry in kept][-len(before) :]
    assert people.ledger.verify(uid) == []
    assert people.stored("turns/t2") is not None


def test_nothing_happens_on_a_closed_account_any_more():
    people = People()
    uid = resident(people)
    people.leaving.leave(uid)

    with pytest.raises(AccountClosed):
        people.grant(uid, 1, lot="lot_late")


def test_what_remains_is_forfeited_and_what_was_used_is_charged():
    people = People()
    uid = resident(people)
    hold = HoldId("hold_1")
    place = PlaceHold(
        operation=op("place"),
        amount=Micro(50 * CREDIT),
        hold=hold,
        purpose="chat",
        lifetime=900_000,
        principal=uid,
    )
    people.ledger.execute(uid, place)
    used = ExtendHold(
        operation=op("use"),
        hold=hold,
        amount=Micro(0),
        at_least=Micro(0),
        accrued=Micro(7 * CREDIT),
        lifetime=900_000,
    )
    people.ledger.execute(uid, used)

    people.leaving.leave(uid)

    view = people.ledger.hold(uid, hold)
    moved = [(p["from"], p["to"], p["amount"]) for e in people.ledger.entries(uid, 1, 99)[-2:] for p in e.postings]
    assert (view.status, view.captured, view.released) == ("expired", 7 * CREDIT, 43 * CREDIT)
    assert ("held", "revenue:chat", 7 * CREDIT) in moved
    assert sum(amount for _, to, amount in moved if to == "breakage") == 94 * CREDIT


def test_debt_is_ours_to_bear():
    people = People()
    uid, lot = people.user().uid, LotId("lot_g")
    people.ledger.execute(uid, Grant(operation=op("g"), amount=Micro(10), lot=lot, source="world:stripe"))
    people.ledger.execute(uid, Adjust(operation=op("spend"), amount=-10))
    people.ledger.execute(uid, Reverse(operation=op("r"), lot=lot, target=Micro(10)))
    assert people.ledger.balance(uid).debt == 10

    people.leaving.leave(uid)

    postings = people.ledger.entries(uid, 1, 99)[-1].postings
    assert people.ledger.balance(uid).debt == 0
    assert [(p["from"], p["to"], p["amount"]) for p in postings] == [("absorbed", "debt", 10)]


def test_a_leaving_is_done_after_its_second_sweep():
    people = People()
    uid = resident(people)
    people.leaving.leave(uid)
    people.documents.commit([Create("turns/late", {"uid": uid, "text": "a request that was under way"})])
    assert people.resume_leavings() == 0

    people.clock.advance(SWEEP_DELAY)

    assert people.resume_leavings() == 1
    assert people.resume_leavings() == 0
    assert_gone(people, uid)
    assert people.stored(f"leavings/{uid}")["done"] == [*STEPS, "sweep"]


def test_leaving_twice_is_leaving_once():
    people = People()
    uid = resident(people)
    people.leaving.leave(uid)
    entries = people.ledger.balance(uid).seq

    assert people.leaving.leave(uid) == "leaving"
    people.clock.advance(SWEEP_DELAY)
    people.resume_leavings()

    assert people.leaving.leave(uid) == "done"
    assert people.ledger.balance(uid).seq == entries


def test_who_was_never_seen_can_leave():
    people = People()
    guest = people.stranger()

    people.leaving.leave(guest.uid)

    assert_gone(people, guest.uid)
    with pytest.raises(AccountClosed):
        people.first_sight.see(guest)


def test_a_login_that_is_gone_already_does_not_matter():
    people = People()
    uid = resident(people)
    people.identity.delete_user(uid)

    people.leaving.leave(uid)

    assert_gone(people, uid)


def tamper(people: People, uid: Uid) -> None:
    people.documents.commit([Put(f"accounts/{uid}", {**people.stored(f"accounts/{uid}"), "available": "1000000"})])


def commits_of_a_leaving() -> int:
    people = People()
    uid = resident(people)
    counting = FaultyDocuments(people.documents)
    people.again(counting).leaving.leave(uid)
    people.clock.advance(SWEEP_DELAY)
    people.again(counting).resume_leavings(1)
    return counting.commits


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, commits_of_a_leaving() + 1))
def test_a_crash_at_any_commit_is_finished_by_resuming(at: int, when):
    people = People()
    uid = resident(people)
    faulty = people.again(FaultyDocuments(people.documents, at=at, when=when))

    def leave_and_sweep() -> None:
        faulty.leaving.leave(uid)
        people.clock.advance(SWEEP_DELAY)
        faulty.resume_leavings()

    with pytest.raises(Crash):
        leave_and_sweep()

    people.again().leaving.leave(uid)
    for _ in range(3):
        people.clock.advance(max(LEASE_SECONDS * SECOND, SWEEP_DELAY))
        people.again().resume_leavings()

    assert_gone(people, uid)
    assert sorted(people.stored(f"leavings/{uid}")["done"]) == sorted([*STEPS, "sweep"])
    assert people.ledger.verify(uid) == []


@pytest.mark.parametrize("at", range(2, commits_of_a_leaving() + 1))
def test_a_failing_store_is_tried_again_and_never_raised(at: int):
    people = People()
    uid = resident(people)
    faulty = people.again(FaultyDocuments(people.documents, at=at, error=StoreUnavailable()))

    faulty.leaving.leave(uid)
    for _ in range(4):
        people.clock.advance(max(LEASE_SECONDS * SECOND, SWEEP_DELAY))
        faulty.resume_leavings()

    assert_gone(people, uid)
    assert sorted(people.stored(f"leavings/{uid}")["done"]) == sorted([*STEPS, "sweep"])


def test_an_intention_that_could_not_be_stored_is_told():
    people = People()
    uid = resident(people)
    faulty = people.again(FaultyDocuments(people.documents, at=1, error=StoreUnavailable()))

    with pytest.raises(StoreUnavailable):
        faulty.leaving.leave(uid)

    assert people.profile(uid).status == "active"


def test_one_stuck_part_keeps_no_other_data_and_is_told_to_a_person():
    people = People()
    uid = resident(people)
    login = people.identity.delete_user

    def unavailable(uid: Uid) -> None:
        raise IdentityUnavailable

    people.identity.delete_user = unavailable  # type: ignore[method-assign]
    stuck = people.again()
    stuck.leaving.leave(uid)
    assert traces(people, uid) == []
    assert people.profile(uid).is_closed

    for _ in range(ALERT_EVERY_ATTEMPTS):
        people.clock.advance(BACKOFF_MAX)
        stuck.resume_leavings()

    told: dict[str, Field] = {"uid": uid, "attempts": ALERT_EVERY_ATTEMPTS, "code": "identity_unavailable"}
    assert people.alerts.raised == [Alert("leaving_stuck", told)]
    people.identity.delete_user = login  # type: ignore[method-assign]
    people.clock.advance(BACKOFF_MAX)
    people.again().resume_leavings()
    assert_gone(people, uid)


def test_an_account_that_fails_its_check_is_left_for_a_person_and_the_data_goes():
    people = People()
    uid = resident(people)
    tamper(people, uid)

    people.again().leaving.leave(uid)

    left = people.stored(f"leavings/{uid}")
    assert (left["done"], left["attempts"]) == (["bar", "erase", "delete_login"], 1)
    assert traces(people, uid) == []


def test_a_stuck_leaving_is_swept_all_the_same_and_stays_due():
    people = People()
    uid = resident(people)
    tamper(people, uid)
    people.again().leaving.leave(uid)
    people.documents.commit([Create("turns/late", {"uid": uid, "text": "a request that was under way"})])

    people.clock.advance(SWEEP_DELAY)
    people.again().resume_leavings()

    left = people.stored(f"leavings/{uid}")
    assert traces(people, uid) == []
    assert left["done"] == ["bar", "erase", "delete_login", "sweep"]
    assert "due_at" in left


def test_both_triggers_at_once_make_one_leaving():
    for _ in range(10):
        people = People()
        uid = resident(people)
        failures: list[BaseException] = []

        def leave(people: People = people, uid: Uid = uid, failures: list[BaseException] = failures) -> None:
            try:
                people.again().leaving.leave(uid)
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=leave) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert_gone(people, uid)
        assert [e.kind for e in people.ledger.entries(uid, 1, 99)].count("status") == 1


def test_resuming_takes_what_is_due_longest_first_and_no_more_than_asked():
    people = People()
    uids = [people.user(f"user{n}@example.com").uid for n in range(3)]
    for uid in uids:
        people.leaving.leave(uid)
        people.clock.advance(1000)
    people.clock.advance(SWEEP_DELAY)

    taken = people.resume_leavings(2)

    states = ["done_at" in people.stored(f"leavings/{uid}") for uid in uids]
    assert (taken, states) == (2, [True, True, False])


def test_nobody_leaves_when_most_logins_are_gone_at_once():
    people = People()
    gone = [people.user(f"{number}@example.com").uid for number in range(GONE_MAX + 1)]
    stays = people.user("bob@example.com").uid
    for uid in gone:
        people.identity.delete_user(uid)

    people.reconcile()

    assert {people.profile(uid).status for uid in (*gone, stays)} == {"active"}
    assert [alert.event for alert in people.alerts.raised] == ["logins_gone_at_once"]


def test_many_users_leave_when_they_are_few_of_all():
    people = People()
    gone = [people.user(f"{number}@example.com").uid for number in range(GONE_MAX + 1)]
    for number in range(2 * GONE_MAX):
        people.user(f"stays{number}@example.com")
    for uid in gone:
        people.identity.delete_user(uid)

    people.reconcile()

    assert {people.profile(uid).status for uid in gone} == {"closed"}
    assert people.alerts.raised == []


def test_a_login_that_vanished_unheard_is_found():
    people = People()
    gone, stays = resident(people), people.user("bob@example.com").uid
    people.identity.delete_user(gone)

    rest = people.reconcile()

    assert rest is None
    assert_gone(people, gone)
    assert people.profile(stays).status == "active"


class SlowPart:
    """A part whose first erasure takes longer than the lease, while another instance goes on."""

    def __init__(self) -> None:
        self.people: People | None = None
        self.erasures = 0

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        self.erasures += 1
        if self.erasures == 1 and self.people is not None:
            self.people.clock.advance(LEASE_SECONDS * SECOND)
            self.people.again().resume_leavings()
        return True


def test_a_worker_overtaken_in_a_leaving_records_nothing():
    part = SlowPart()
    people = part.people = People(parts=(part,))
    ann = people.user()

    state = people.leaving.leave(ann.uid)

    left = people.stored(f"leavings/{ann.uid}")
    assert state == "leaving"
    assert left["done"] == STEPS
    assert left["lease"]["fence"] == 2
