"""Many callers, several instances, one account: every caller hears the truth, and nothing happens twice."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Create, Delete, InvalidWrite, OutcomeUnknown
from shared.kernel.errors import IdempotencyMismatch
from shared.kernel.ids import HoldId, OperationId, Uid, operation_id
from shared.ledger.commands import Adjust, Command, Expire
from shared.ledger.errors import Contended, HoldExists, InsufficientCredits, IntegrityFailed, LotExists
from shared.ledger.lanes import WARM_ACCOUNTS_MAX
from shared.ledger.ledger import Ledger
from shared.ledger.store import entry_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import MINUTE, capture, charge, close, grant, hold, release, reverse
from tests.support.ledgers import KEYS, UID


class Distant(MemoryDocuments):
    """A store some way off, so that callers meet: every commit takes a moment. Counts calls."""

    def __init__(self, seconds: float = 0.002) -> None:
        super().__init__()
        self.reads = self.commits = 0
        self.seconds = seconds

    def get_all(self, paths):
        self.reads += 1
        return super().get_all(paths)

    def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
        self.commits += 1
        threading.Event().wait(self.seconds)
        return super().commit(writes, timeout_seconds=timeout_seconds)


@pytest.fixture
def documents() -> Distant:
    return Distant()


@pytest.fixture
def ledger(documents) -> Ledger:
    return instance(documents)


def instance(documents, clock=None) -> Ledger:
    return Ledger(documents, clock or SystemClock(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)


def at_once(calls: Sequence[Callable[[], Any]], threads: int = 64) -> list[Any]:
    """What each call returns or raises, all of them begun together."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # a refusal is an outcome
            return error

    with ThreadPoolExecutor(min(threads, len(calls))) as pool:
        return list(pool.map(outcome, calls))


def kinds(outcomes: Sequence[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def spend(ledger: Ledger, uid: Uid, command):
    return lambda: ledger.execute(uid, command)


# Many callers ------------------------------------------------------------------------------------------------------


def test_of_64_concurrent_holds_as_many_succeed_as_the_balance_pays_for(ledger):
    ledger.execute(UID, grant("gift", 20))

    outcomes = at_once([spend(ledger, UID, hold(f"h{n}", 1)) for n in range(64)])

    assert kinds(outcomes) == {"Outcome": 20, "InsufficientCredits": 44}
    assert (ledger.balance(UID).available, ledger.balance(UID).held) == (0, 20)
    assert ledger.verify(UID) == []


def test_of_64_concurrent_holds_on_two_instances_as_many_succeed_as_the_balance_pays_for(documents, ledger):
    other = instance(documents)
    ledger.execute(UID, grant("gift", 20))

    outcomes = at_once([spend((ledger, other)[n % 2], UID, hold(f"h{n}", 1)) for n in range(64)])

    assert kinds(outcomes) == {"Outcome": 20, "InsufficientCredits": 44}
    assert ledger.verify(UID) == []


def test_three_concurrent_grants_to_each_of_200_fresh_users_all_arrive(documents):
    ledger = instance(documents)
    documents.seconds = 0.0
    users = [Uid(f"user{n}") for n in range(200)]

    outcomes = at_once([spend(ledger, uid, grant(f"g{k}", 1)) for uid in users for k in range(3)], threads=24)

    assert kinds(outcomes) == {"Outcome": 600}
    assert {ledger.balance(uid).available for uid in users} == {3}


def test_the_same_key_fifty_times_at_once_has_one_effect_and_one_result(ledger):
    ledger.execute(UID, grant("gift", 100))

    outcomes = at_once([spend(ledger, UID, charge(7, operation="same")) for _ in range(50)])

    assert [outcome.receipt for outcome in outcomes] == [outcomes[0].receipt] * 50
    assert Counter(outcome.is_replay for outcome in outcomes) == {True: 49, False: 1}
    assert ledger.balance(UID).available == 93


def test_the_same_key_after_a_restart_is_a_replay_with_the_balance_of_then(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    first = ledger.execute(UID, charge(7, operation="same"))
    ledger.execute(UID, charge(1))

    again = instance(documents).execute(UID, charge(7, operation="same"))

    assert (first.is_replay, again.is_replay) == (False, True)
    assert again.receipt == first.receipt
    assert again.balance.available == 93


def test_the_same_key_with_another_request_is_a_conflict_at_once_and_later(ledger):
    ledger.execute(UID, grant("gift", 100))
    other = charge(8, operation="same")
    object.__setattr__(other, "fingerprint", "other")
    calls = [spend(ledger, UID, charge(7, operation="same")) for _ in range(10)]

    outcomes = at_once(calls + [spend(ledger, UID, other)] * 10)

    later = at_once([spend(ledger, UID, other), spend(ledger, UID, charge(7, operation="same"))])
    assert kinds(outcomes) == {"Outcome": 10, "IdempotencyMismatch": 10}
    assert ledger.balance(UID).available in {92, 93}
    assert kinds(later) == {"Outcome": 1, "IdempotencyMismatch": 1}


def test_callers_who_meet_share_commits(documents, ledger):
    ledger.execute(UID, grant("gift", 1_000))
    documents.commits = documents.reads = 0

    outcomes = at_once([spend(ledger, UID, charge(1)) for _ in range(256)])

    assert kinds(outcomes) == {"Outcome": 256}
    assert documents.commits < 64
    assert ledger.balance(UID).available == 744


def test_two_instances_on_one_hot_account_lose_nothing_and_fail_nobody(documents, ledger):
    other = instance(documents)
    ledger.execute(UID, grant("gift", 1_000))

    outcomes = at_once([spend((ledger, other)[n % 2], UID, charge(1)) for n in range(200)], threads=16)

    assert kinds(outcomes) == {"Outcome": 200}
    assert ledger.balance(UID).available == 800
    assert ledger.verify(UID) == []


def test_more_accounts_than_an_instance_remembers_stay_right(documents):
    documents.seconds = 0.0
    ledger = instance(documents)
    users = [Uid(f"user{n}") for n in range(WARM_ACCOUNTS_MAX + 50)]

    outcomes = at_once([spend(ledger, uid, grant("g", 1)) for uid in users for _ in range(1)], threads=8)

    assert kinds(outcomes) == {"Outcome": len(users)}
    assert len(ledger._committer._lanes) <= WARM_ACCOUNTS_MAX + 8


# Warm heads --------------------------------------------------------------------------------------------------------


def test_in_steady_state_an_operation_is_one_round_trip(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    documents.commits = documents.reads = 0

    ledger.execute(UID, hold("h", 10))
    ledger.execute(UID, charge(1))
    ledger.execute(UID, capture("h", 5))

    # The hold's name is not its operation's, so it is looked up behind the account; nothing else is.
    assert (documents.reads, documents.commits) == (2, 3)


def test_a_hold_named_by_its_operation_needs_no_read(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    documents.commits = documents.reads = 0

    with ledger.holding(UID, 10, operation=operation_id("chat", "1"), expected_step=10) as held:
        held.capture(4)

    assert (documents.reads, documents.commits) == (0, 2)


def test_a_stale_warm_head_is_noticed_by_its_commit(documents):
    one, two = instance(documents), instance(documents)
    one.execute(UID, grant("gift", 100))
    two.execute(UID, charge(60))

    with pytest.raises(InsufficientCredits):
        one.execute(UID, charge(50))
    one.execute(UID, charge(40))

    assert one.balance(UID).available == 0
    assert one.verify(UID) == []


def test_a_refusal_on_a_stale_warm_head_is_decided_again_on_the_truth(documents):
    one, two = instance(documents), instance(documents)
    one.execute(UID, grant("gift", 10))
    two.execute(UID, grant("more", 90))

    one.execute(UID, charge(100))

    assert one.balance(UID).available == 0


def test_an_archived_lot_is_not_granted_again_on_a_warm_head(ledger):
    ledger.execute(UID, grant("gift", 10))
    ledger.execute(UID, charge(10))

    with pytest.raises(LotExists):
        ledger.execute(UID, grant("gift", 10))

    assert ledger.balance(UID).available == 0


def test_a_resolved_hold_is_not_placed_again_on_a_warm_head(ledger):
    ledger.execute(UID, grant("gift", 10))
    ledger.execute(UID, hold("h", 10))
    ledger.execute(UID, release("h"))

    with pytest.raises(HoldExists):
        ledger.execute(UID, hold("h", 10))


def test_an_archived_lot_is_reversed_on_a_warm_head(ledger):
    ledger.execute(UID, grant("gift", 10))
    ledger.execute(UID, charge(10))
    ledger.execute(UID, reverse("gift", 4))

    assert ledger.execute(UID, reverse("gift", 10)).receipt.owed == 6
    assert ledger.balance(UID).debt == 10


def test_two_concurrent_reversals_to_one_target_post_it_once(documents, ledger):
    other = instance(documents)
    ledger.execute(UID, grant("bought", 100))
    ledger.execute(UID, charge(100))

    at_once([spend((ledger, other)[n % 2], UID, reverse("bought", 30)) for n in range(16)])

    assert ledger.balance(UID).debt == 30
    assert ledger.verify(UID) == []


# Time --------------------------------------------------------------------------------------------------------------


def test_all_who_ask_for_what_is_due_hear_of_it_only_once_it_is_stored(documents):
    clock = ManualClock()
    ledger = instance(documents, clock)
    ledger.execute(UID, grant("gift", 10))
    ledger.execute(UID, hold("h", 10))
    clock.advance(15 * MINUTE)
    views = at_once([lambda: ledger.hold(UID, HoldId("h"))] * 32)

    assert {getattr(view, "status", repr(view)) for view in views} == {"expired"}


def test_an_instance_that_has_not_heard_of_a_hold_expires_it_all_the_same(documents):
    clock = ManualClock()
    one, two = instance(documents, clock), instance(documents, clock)
    two.execute(UID, grant("gift", 10))
    one.execute(UID, hold("h", 10, lifetime=2_000))
    clock.advance(2_000)

    assert two.hold(UID, HoldId("h")).status == "expired"


def test_every_hold_an_account_may_have_expires_in_one_commit(documents):
    documents.seconds = 0.0
    clock = ManualClock()
    ledger = instance(documents, clock)
    ledger.execute(UID, grant("gift", 1_000))
    for number in range(300):
        ledger.execute(UID, hold(f"h{number}", 1, operation=f"place{number}"))
    clock.advance(15 * MINUTE)

    ledger.execute(UID, charge(1_000))

    assert (ledger.balance(UID).available, ledger.balance(UID).held) == (0, 0)


def test_an_account_full_of_open_holds_can_be_closed(documents):
    documents.seconds = 0.0
    ledger = instance(documents, ManualClock())
    ledger.execute(UID, grant("gift", 1_000))
    for number in range(300):
        ledger.execute(UID, hold(f"h{number}", 1, operation=f"place{number}"))

    ledger.execute(UID, close())

    assert ledger.balance(UID).status == "closed"


def test_a_busy_account_is_given_up_at_the_deadline_and_not_before(documents):
    class Unwilling(Distant):
        def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
            if self.is_busy:
                MemoryDocuments.commit(self, [Delete("others/x")])
                self.touch()
            return super().commit(writes, timeout_seconds=timeout_seconds)

        is_busy = False

        def touch(self):
            """Somebody else commits first, every time."""
            self.is_busy = False
            rival.execute(UID, charge(0))
            self.is_busy = True

    clock, store = ManualClock(), Unwilling(0.0)
    rival, ledger = instance(store, clock), instance(store, clock)
    rival.execute(UID, grant("gift", 10))
    began = clock.monotonic()
    store.is_busy = True

    with pytest.raises(Contended):
        ledger.execute(UID, charge(1, operation="busy"))

    store.is_busy = False
    assert clock.monotonic() - began >= 25
    assert ledger.execute(UID, charge(1, operation="busy")).is_replay is False


# Poison ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("note", ["x" * 1_100_000, "\ud800"])
def test_one_command_that_cannot_be_stored_does_not_poison_its_neighbours(documents, ledger, note):
    ledger.execute(UID, grant("gift", 100))
    poison = Adjust(operation=OperationId("poison"), fingerprint="f", amount=1, note=note)
    commands: list[Command] = [charge(1) for _ in range(20)]
    commands.insert(10, poison)

    outcomes = at_once([spend(ledger, UID, command) for command in commands])

    assert kinds(outcomes) == {"Outcome": 20, "InvalidWrite": 1}
    assert isinstance(outcomes[10], InvalidWrite)
    assert ledger.balance(UID).available == 80
    assert ledger.execute(UID, charge(80)).balance.available == 0


def test_a_command_that_breaks_a_law_fails_alone(ledger):
    ledger.execute(UID, grant("gift", 100))
    broken = charge(1, operation="broken")
    object.__setattr__(broken, "purpose", "\ud800")
    commands = [charge(1) for _ in range(20)]
    commands.insert(10, broken)

    outcomes = at_once([spend(ledger, UID, command) for command in commands])

    assert kinds(outcomes) == {"Outcome": 20, "NotCanonical": 1}
    assert ledger.balance(UID).available == 80


def test_an_entry_above_the_head_stops_everybody_and_is_named(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    documents.commit([Create(entry_path(UID, 2), {"planted": True})])

    outcomes = at_once([spend(ledger, UID, charge(1)) for _ in range(8)])

    assert kinds(outcomes) == {"IntegrityFailed": 8}
    assert outcomes[0].params == {"uid": UID, "seq": 2, "rule": "entry_above_head"}


def test_an_entry_two_above_the_head_stops_a_command_of_two_entries(documents):
    clock = ManualClock()
    ledger = instance(documents, clock)
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, hold("h", 10))
    documents.commit([Create(entry_path(UID, 4), {"planted": True})])
    clock.advance(15 * MINUTE)

    with pytest.raises(IntegrityFailed) as failure:
        ledger.execute(UID, charge(1))

    assert failure.value.params == {"uid": UID, "seq": 4, "rule": "entry_above_head"}


def test_an_entry_that_another_instance_adds_is_no_tampering(documents):
    """Two failures on one head, and then somebody commits: the entry that is then there is theirs."""

    class Moody(Distant):
        failures = 0

        def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
            if self.failures:
                self.failures -= 1
                if not self.failures:
                    rival.execute(UID, charge(1))
                MemoryDocuments.commit(self, [Create(entry_path(UID, 1), {})])
            return super().commit(writes, timeout_seconds=timeout_seconds)

    store = Moody(0.0)
    rival, ledger = instance(store), instance(store)
    rival.execute(UID, grant("gift", 100))
    store.failures = 2

    ledger.execute(UID, charge(1))

    assert ledger.balance(UID).available == 98


# Leaders -----------------------------------------------------------------------------------------------------------


class Exploding(Distant):
    """The leader's thread dies in its next commit."""

    fuse = 0

    def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
        threading.Event().wait(0.05)
        if self.fuse:
            self.fuse -= 1
            raise RuntimeError("a bug of ours")
        return super().commit(writes, timeout_seconds=timeout_seconds)


def test_a_leader_that_dies_leaves_nobody_waiting_and_nobody_misled():
    store = Exploding(0.0)
    ledger = instance(store)
    ledger.execute(UID, grant("gift", 100))
    store.fuse = 1

    outcomes = at_once([spend(ledger, UID, charge(1, operation=f"c{n}")) for n in range(16)])

    told = kinds(outcomes)
    assert told["RuntimeError"] == 1
    assert told["Outcome"] + told["OutcomeUnknown"] == 15
    again = at_once([spend(ledger, UID, charge(1, operation=f"c{n}")) for n in range(16)])
    assert kinds(again) == {"Outcome": 16}
    assert ledger.balance(UID).available == 84


def test_what_was_told_before_a_leader_died_stays_told():
    store = Exploding(0.0)
    ledger = instance(store)
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, charge(1, operation="done"))
    ledger._committer.forget_account(UID)
    store.fuse = 1

    outcomes = at_once([spend(ledger, UID, charge(1, operation=key)) for key in ("done", "new", "done")])

    assert [type(outcome).__name__ for outcome in (outcomes[0], outcomes[2])] == ["Outcome", "Outcome"]
    assert isinstance(outcomes[1], RuntimeError | OutcomeUnknown)


def test_nothing_to_do_is_no_commit(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    documents.commits = 0

    ledger.execute(UID, Expire())

    assert documents.commits == 0


def test_a_replay_is_refused_for_another_request_even_if_it_would_be_refused_anyway(ledger):
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, charge(100, operation="all"))
    other = charge(5_000, operation="all")
    object.__setattr__(other, "fingerprint", "other")

    with pytest.raises(IdempotencyMismatch):
        ledger.execute(UID, other)


def test_several_commands_of_one_caller_are_one_read_and_one_commit(documents, ledger):
    both = [grant("bought", 100), grant("gift", 10)]

    done = ledger.execute_all(UID, both)
    again = instance(documents).execute_all(UID, both)

    assert (documents.reads, documents.commits) == (4, 1)
    assert [each.is_replay for each in done + again] == [False, False, True, True]
    assert ledger.balance(UID).available == 110


def test_one_that_is_refused_keeps_its_neighbours_from_nothing(ledger):
    ledger.execute(UID, grant("bought", 100))

    with pytest.raises(InsufficientCredits):
        ledger.execute_all(UID, [charge(1), charge(1_000), charge(2)])

    assert ledger.balance(UID).available == 97
    assert ledger.verify(UID) == []
