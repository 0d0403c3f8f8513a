"""What the ledger promises over memory it keeps on Firestore: first writes, replays, conservation, hot accounts."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Delete, Patch, Put
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, OperationId, Uid, operation_id
from shared.ledger.account import PRIORITY_PAID
from shared.ledger.account_audit import AccountAudits, AuditSizes
from shared.ledger.account_documents import account_path, old_plain_fields, state_path, uid_of
from shared.ledger.errors import HoldNotFound, IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.rest import LOTS_MAX
from shared.ledger.store import AccountStore, entry_path
from shared.platform.firestore.documents import FirestoreDocuments, connect
from tests.support.books import capture, charge, grant, hold, release
from tests.support.ledgers import KEYS, UID


@pytest.fixture
def documents(firestore_emulator, project: str) -> FirestoreDocuments:
    return connect(project)


@pytest.fixture
def ledger(documents) -> Ledger:
    return instance(documents)


def instance(documents) -> Ledger:
    return Ledger(documents, SystemClock(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)


def at_once(calls: Sequence[Callable[[], Any]], threads: int = 16) -> list[Any]:
    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except DomainError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(outcome, calls))


def kinds(outcomes: Sequence[Any]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def spend(ledger: Ledger, uid: Uid, command):
    return lambda: ledger.execute(uid, command)


def test_three_concurrent_grants_to_each_of_200_fresh_users_all_arrive(documents):
    instances = [instance(documents), instance(documents)]
    users = [Uid(f"user{n}") for n in range(200)]

    outcomes = at_once([spend(instances[k % 2], uid, grant(f"g{k}", 1)) for uid in users for k in range(3)], threads=32)

    assert kinds(outcomes) == {"Outcome": 600}
    assert {instances[0].balance(uid).available for uid in users} == {3}


def test_the_same_key_fifty_times_at_once_and_after_a_restart_has_one_effect(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    same = charge(7, operation="same")
    other = charge(8, operation="same")
    object.__setattr__(other, "fingerprint", "other")

    outcomes = at_once([spend(ledger, UID, same)] * 50, threads=50)
    later = instance(documents).execute(UID, same)

    assert Counter(outcome.is_replay for outcome in outcomes) == {True: 49, False: 1}
    assert [outcome.receipt for outcome in [*outcomes, later]] == [outcomes[0].receipt] * 51
    assert kinds(at_once([spend(instance(documents), UID, other)])) == {"IdempotencyMismatch": 1}
    assert ledger.balance(UID).available == 93


def test_credits_are_conserved_under_16_threads_on_several_accounts(documents):
    instances = [instance(documents), instance(documents)]
    users = [Uid(f"user{n}") for n in range(4)]
    dice = random.Random(11)

    def turn(number: int) -> Callable[[], int]:
        ledger, uid, name = instances[number % 2], dice.choice(users), f"h{number}"
        amount, ends = dice.randrange(1, 30), dice.random() < 0.8

        def act() -> int:
            ledger.execute(uid, hold(name, amount, operation=f"place{number}"))
            end = capture(name, amount // 2) if ends else release(name)
            return ledger.execute(uid, end).receipt.captured

        return act

    for uid in users:
        instances[0].execute(uid, grant("gift", 500))
    outcomes = at_once([turn(number) for number in range(160)], threads=16)

    spent = sum(outcome for outcome in outcomes if isinstance(outcome, int))
    assert kinds(outcomes).keys() <= {"int", "InsufficientCredits"}
    assert sum(instances[0].balance(uid).available for uid in users) == 4 * 500 - spent
    assert {instances[0].balance(uid).held for uid in users} == {0}
    assert [instances[1].verify(uid) for uid in users] == [[]] * 4


def test_two_instances_on_one_hot_account_fail_nobody(documents):
    instances = [instance(documents), instance(documents)]
    instances[0].execute(UID, grant("gift", 1_000))

    outcomes = at_once([spend(instances[n % 2], UID, charge(1)) for n in range(200)], threads=16)

    assert kinds(outcomes) == {"Outcome": 200}
    assert instances[0].balance(UID).available == 800
    assert instances[0].verify(UID) == []


def test_of_64_concurrent_holds_on_two_instances_as_many_succeed_as_the_balance_pays_for(documents):
    instances = [instance(documents), instance(documents)]
    instances[0].execute(UID, grant("gift", 20))

    outcomes = at_once([spend(instances[n % 2], UID, hold(f"h{n}", 1)) for n in range(64)], threads=64)

    assert kinds(outcomes) == {"Outcome": 20, "InsufficientCredits": 44}
    assert (instances[0].balance(UID).available, instances[0].balance(UID).held) == (0, 20)


def test_lots_beyond_those_spent_next_are_read_in_their_order(documents, ledger):
    count = LOTS_MAX + 40
    for number in range(count):
        ledger.execute(UID, grant(f"lot{number}", 10, priority=PRIORITY_PAID))
    ledger.execute(UID, charge(10 * LOTS_MAX))

    spent = instance(documents).execute(UID, charge(35))
    last = instance(documents).execute(UID, charge(10 * 40 - 35))

    entry = ledger.entry(UID, spent.balance.seq)
    assert [posting["lot"] for posting in entry.postings] == [f"lot{LOTS_MAX + n}" for n in range(4)]
    assert (last.balance.available, ledger.verify(UID)) == (0, [])


def test_what_is_due_is_found_and_expires_on_an_instance_that_has_not_seen_it(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, hold("h", 40, lifetime=20_000))
    other = Ledger(documents, _Later(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)

    due = [uid_of(found.path) for found in other.due(10)]
    view = other.hold(UID, HoldId("h"))
    other.expire_due(UID)

    assert due == [UID]
    assert (view.status, view.released) == ("expired", 40)
    assert other.due(10) == []
    with pytest.raises(HoldNotFound):
        other.hold(UID, HoldId("never"))


def test_every_hold_an_account_may_have_expires_in_one_commit(documents, ledger):
    ledger.execute(UID, grant("gift", 1_000))
    place = [spend(ledger, UID, hold(f"h{n}", 1, operation=f"p{n}", lifetime=20_000)) for n in range(300)]
    assert kinds(at_once(place, threads=64)) == {"Outcome": 300}
    late = Ledger(documents, _Later(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)

    late.execute(UID, charge(1_000))

    assert (ledger.balance(UID).available, ledger.balance(UID).held) == (0, 0)


class _Later(SystemClock):
    """An hour ahead."""

    def now(self) -> int:
        return super().now() + 3_600_000


def test_an_entry_above_the_head_and_a_lost_account_are_found(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    documents.commit([Create(entry_path(UID, 2), {"planted": True})])
    with pytest.raises(IntegrityFailed) as planted:
        ledger.execute(UID, charge(1))
    documents.commit([Delete(account_path(UID))])
    with pytest.raises(IntegrityFailed) as half:
        instance(documents).execute(UID, charge(0))
    documents.commit([Delete(state_path(UID))])
    with pytest.raises(IntegrityFailed) as lost:
        instance(documents).execute(UID, charge(0))

    assert planted.value.params == {"uid": UID, "seq": 2, "rule": "entry_above_head"}
    assert half.value.params == {"uid": UID, "seq": 0, "rule": "plain_balance"}
    assert lost.value.params == {"uid": UID, "seq": 1, "rule": "entry_above_head"}
    assert {finding.rule for finding in ledger.verify(UID)} >= {"grammar"}


def test_a_turn_is_held_grown_and_captured(documents, ledger):
    ledger.execute(UID, grant("gift", 1_000))

    with ledger.holding(UID, 100, operation=operation_id("chat", "1"), expected_step=50) as held:
        grown = [held.accrue(used) for used in range(0, 500, 20)]
        captured = held.capture(480)

    assert all(grown)
    assert (captured.amount, captured.available) == (480, 520)
    assert ledger.execute(UID, charge(520, operation=OperationId("rest"))).balance.available == 0


def test_of_many_at_once_only_those_are_refused_whose_own_document_beside_is_in_the_way(documents, ledger):
    documents.commit([Create(f"receipts/taken{n}", {"of": "somebody else"}) for n in range(4)])
    ledger.execute(UID, grant("g", 1_000))

    def calls(kind, count, beside):
        return [
            lambda n=n: ledger.execute(UID, charge(1, operation=f"{kind}{n}"), beside and beside(n))
            for n in range(count)
        ]

    def receipt(kind):
        return lambda n: lambda done: [Create(f"receipts/{kind}{n}", {"available": done.after.available})]

    outcomes = at_once(
        [*calls("plain", 16, None), *calls("kept", 16, receipt("kept")), *calls("taken", 4, receipt("taken"))],
        threads=36,
    )

    assert kinds(outcomes[:32]) == {"Outcome": 32}
    assert kinds(outcomes[32:]) == {"PreconditionFailed": 4}
    assert ledger.balance(UID).available == 1_000 - 32
    assert all(documents.get(f"receipts/kept{n}") for n in range(16))
    assert ledger.verify(UID) == []


def test_an_account_of_the_old_form_is_moved_by_its_next_commit(documents, ledger):
    ledger.execute(UID, grant("gift", 100))
    account = AccountStore(documents, KEYS, "demo-test").read(UID).head.account
    sealed = documents.get(state_path(UID))
    assert sealed is not None
    documents.commit([Put(account_path(UID), {**sealed.data, **old_plain_fields(account)}), Delete(state_path(UID))])

    late = [instance(documents) for _ in range(4)]
    at_once([spend(each, UID, charge(10, operation=f"c{number}")) for number, each in enumerate(late)], threads=4)

    shown = documents.get(account_path(UID))
    assert shown is not None
    assert (shown.data["available"], shown.data["seq"]) == ("0.00006", 5)
    assert ledger.verify(UID) == []


def test_an_audit_continues_from_its_position_and_finds_an_edited_old_entry(documents, ledger):
    ledger.execute(UID, grant("gift", 1_000))
    ledger.execute_all(UID, [charge(1, operation=f"c{number}") for number in range(60)])
    audits = AccountAudits(documents, KEYS, "demo-test", sizes=AuditSizes(page=25, sample_min=25))

    turns = [audits.audit(UID, Deadline.within(SystemClock(), 0)) for _ in range(3)]
    ledger.execute_all(UID, [charge(1, operation=f"d{number}") for number in range(5)])
    whole = audits.audit(UID, Deadline.within(SystemClock(), 60))
    documents.commit([Patch(entry_path(UID, 40), {"hash": "0" * 64})])
    later = [audits.audit(UID, Deadline.within(SystemClock(), 60)) for _ in range(3)]

    assert [(turn.findings, turn.is_complete) for turn in (*turns, whole)] == [((), False)] * 2 + [((), True)] * 2
    assert (40, "hash") in {(each.seq, each.rule) for turn in later for each in turn.findings}
