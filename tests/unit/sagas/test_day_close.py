"""Closed days: one record with every account, which finds accounts that lost entries, changed or went away."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.kernel.clock import DAY, HOUR
from shared.kernel.documents import Delete, Document, OutcomeUnknown, Patch, Put
from shared.kernel.ids import Uid
from shared.kernel.settings import SigningKey
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.account_seals import AccountSeals
from shared.ledger.document_paths import entry_path
from shared.ledger.key_registry import KeyRegistry
from shared.ledger.key_ring import KeyRing
from shared.ledger.log.day_store import DayBroken, DayStore, closed_path, page_path
from shared.ledger.log.days import PAGE_ACCOUNTS, statement_of
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.merkle import EMPTY_ROOT
from shared.ledger.log.rounds import Visit
from shared.ledger.log.sequencer import Sequencer
from shared.ledger.log.typed_leaves import read_leaf
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.accounts.day_close import DayClose
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledgers import KEYS, World, charge, grant

LEDGER = "demo-test"
SEEDS = (SigningKey(kid="test-1", seed=bytes(range(32))),)
USERS = tuple(Uid(name) for name in ("ada", "bob", "cy", "dee"))
MIDNIGHT = 1_790_035_200_000 + DAY
"""00:00 UTC, some hours behind the beginning of a test's clock."""


@pytest.fixture
def world() -> World:
    world = World()
    for uid in USERS:
        world.ledger.execute(uid, grant(uid, 1_000))
    world.clock.advance(MIDNIGHT + HOUR - world.clock.now())
    return world


def days_of(world: World) -> DayStore:
    return DayStore(world.documents, KEYS, LEDGER)


def close(world: World, cursor: str = "", seconds: float = 60.0, **options: Any) -> JobRun:
    documents = options.pop("documents", world.documents)
    days = DayStore(documents, KEYS, LEDGER)
    watch = LedgerWatch(world.documents, world.ledger, world.relay, world.alerts, world.clock)
    run = JobRun(cursor, world.clock, seconds)
    seals = AccountSeals(KEYS, LEDGER)
    DayClose(documents, days, seals, watch, world.alerts, world.clock, **options).close(run)
    return run


def tomorrow(world: World, **options: Any) -> JobRun:
    world.clock.advance(DAY)
    return close(world, **options)


def leaf(world: World, uid: Uid) -> Any:
    path = days_of(world).path(uid)
    assert path is not None, uid
    assert path.is_proven
    return path.account


def found(world: World) -> list[tuple[Any, ...]]:
    tampered = [alert for alert in world.alerts.raised if alert.event == "ledger_tampered"]
    return sorted((each.fields["uid"], each.fields["seq"], each.fields["rule"]) for each in tampered)


def stored(world: World, path: str) -> Document:
    document = world.documents.get(path)
    assert document is not None
    return document


def test_every_account_is_proven_to_be_in_the_record(world):
    world.ledger.execute(USERS[0], charge("c", 300))

    run = close(world)

    record = days_of(world).closed(run.cursor).record
    assert (record.day, record.totals.accounts, record.previous) == ("2026-09-22", 4, "")
    assert (record.totals.posted, record.totals.held, record.totals.debt) == (3_700, 0, 0)
    assert [leaf(world, uid).seq for uid in USERS] == [2, 1, 1, 1]
    assert days_of(world).path(Uid("nobody")) is None
    queued = read_leaf(world.documents, record.day)
    assert queued is not None
    assert queued.body["statement"] == statement_of(record, keys=0).text
    assert "books" not in str(queued.body), "every export has this leaf"


def test_closed_days_are_chained_and_an_unmoved_account_keeps_its_leaf(world):
    first, before = close(world).cursor, leaf(world, USERS[1])
    world.ledger.execute(USERS[0], charge("c", 300))

    second = tomorrow(world).cursor

    days = days_of(world)
    assert days.closed(second).record.previous == days.closed(first).record.hash
    assert leaf(world, USERS[1]) == before
    assert leaf(world, USERS[0]).seq == 2
    assert world.alerts.raised == []


def test_a_closed_day_is_not_closed_again_and_costs_nothing(world):
    run = close(world)
    counted = FaultyDocuments(world.documents)

    close(world, run.cursor, documents=counted)

    assert counted.calls == 0
    assert close(world).cursor == run.cursor


def test_a_day_is_closed_only_when_it_has_ended(world):
    last = close(world).cursor
    world.clock.advance(22 * HOUR)

    assert close(world, last).cursor == last


def test_many_accounts_take_several_pages_and_runs():
    world = World()
    uids = [Uid(f"user{number:04d}") for number in range(2 * PAGE_ACCOUNTS + 40)]
    for uid in uids:
        world.ledger.execute(uid, grant(uid, 7))
    world.clock.advance(2 * DAY)
    slow, cursor, runs = TimedStore(world), "", 0
    while not cursor:
        cursor, runs = close(world, documents=slow, seconds=1.0).cursor, runs + 1

    closed = days_of(world).closed(cursor)
    assert runs > 1
    assert len(closed.roots) == 3
    assert closed.record.totals.accounts == len(uids)
    for uid in uids[:: PAGE_ACCOUNTS // 2]:
        assert leaf(world, uid).posted == 7


class TimedStore(FaultyDocuments):
    """A store where each query takes a second."""

    def __init__(self, world: World) -> None:
        super().__init__(world.documents)
        self._clock = world.clock

    def query(self, query: Any) -> Any:
        self._clock.advance(1_000)
        return super().query(query)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Crash(), OutcomeUnknown()])
def test_a_close_that_fails_at_any_commit_comes_to_the_same_record(world, when, error):
    expected = days_of(world).closed(close(world).cursor).record
    for at in (1, 2):
        again = World(documents=without_days(world), clock=world.clock)
        faulty = FaultyDocuments(again.documents, at=at, when=when, error=error)
        with suppress(Crash, OutcomeUnknown):
            close(again, documents=faulty)
        assert faulty.commits == at

        cursor = close(again).cursor

        assert days_of(again).closed(cursor).record == expected


def without_days(world: World) -> MemoryDocuments:
    copy = MemoryDocuments()
    with world.documents._lock:
        known = list(world.documents._documents.values())
    copy.commit([Put(each.path, each.data) for each in known if not each.path.startswith("ledger_log/")])
    return copy


def test_an_account_that_counts_fewer_entries_is_found_every_day(world):
    uid = USERS[2]
    old = [stored(world, state_path(uid)), stored(world, account_path(uid))]
    world.ledger.execute(uid, charge("c", 300))
    close(world)
    kept = leaf(world, uid)
    world.documents.commit([*(Put(each.path, each.data) for each in old), Delete(entry_path(uid, 2))])

    tomorrow(world)

    assert found(world) == [("cy", 2, "rolled_back")]
    assert leaf(world, uid) == kept
    tomorrow(world)
    assert found(world) == [("cy", 2, "rewritten"), ("cy", 2, "rolled_back")]
    assert leaf(world, uid) == kept


def test_an_account_that_was_cut_and_goes_on_is_found(world):
    uid = USERS[2]
    old = [stored(world, state_path(uid)), stored(world, account_path(uid))]
    world.ledger.execute(uid, charge("c", 300))
    close(world)
    world.documents.commit([*(Put(each.path, each.data) for each in old), Delete(entry_path(uid, 2))])
    for number in range(3):
        world.ledger.execute(uid, charge(f"d{number}", 100))

    tomorrow(world)

    assert found(world) == [("cy", 2, "rewritten")]


def test_a_state_that_changed_without_an_entry_is_found(world):
    uid = USERS[3]
    close(world)
    sealed = stored(world, state_path(uid))
    seals = AccountSeals(KEYS, LEDGER)
    account = seals.account(uid, sealed.data)
    richer = {name: type(lot)(**{**fields(lot), "granted": 5_000}) for name, lot in account.lots.items()}
    forged = seals.data(type(account)(**{**fields(account), "lots": richer}), 2, "n")
    world.documents.commit([Patch(state_path(uid), forged)])

    tomorrow(world)

    assert found(world) == [("dee", 1, "state_changed")]


def fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__slots__}


def test_states_made_by_other_rules_are_not_compared(world):
    close(world, fold=1)
    sealed = stored(world, state_path(USERS[3]))
    account = AccountSeals(KEYS, LEDGER).account(USERS[3], sealed.data)
    other = AccountSeals(KEYS, LEDGER).data(type(account)(**{**fields(account), "tat": 5}), 2, "n")
    world.documents.commit([Patch(sealed.path, other)])

    tomorrow(world, fold=2)

    assert found(world) == []


@pytest.mark.parametrize("uid", USERS)
def test_an_account_that_is_gone_is_found_and_stays_in_the_record(world, uid):
    close(world)
    kept = leaf(world, uid)
    world.documents.commit([Delete(state_path(uid)), Delete(account_path(uid))])

    run = tomorrow(world)

    assert (uid, 1, "account_missing") in found(world)
    assert leaf(world, uid) == kept
    assert days_of(world).closed(run.cursor).record.totals.accounts == 4


@pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": 1}, b"b", 2**62])
@pytest.mark.parametrize("field", ["state", "seal", "version", "nonce"])
def test_a_sealed_document_with_any_value_holds_up_no_other_account(world, field, value):
    close(world)
    kept = leaf(world, USERS[1])
    world.documents.commit([Patch(state_path(USERS[1]), {field: value})])

    tomorrow(world)

    assert leaf(world, USERS[1]) == kept
    assert [leaf(world, uid).seq for uid in USERS] == [1, 1, 1, 1]
    assert {each[0] for each in found(world)} <= {"bob"}


@pytest.mark.parametrize("value", [None, b"", b"[]", "x", 3])
def test_nothing_is_closed_upon_an_earlier_day_that_was_changed(world, value):
    last = close(world).cursor
    world.documents.commit([Patch(page_path(last, 0), {"accounts": value})])

    run = tomorrow(world)

    assert run.cursor == ""
    assert [alert.event for alert in world.alerts.raised] == ["closed_day_broken"]
    assert days_of(world).state().last == last


@pytest.mark.parametrize("name", ["record", "seal", "roots"])
def test_record_that_the_ledger_did_not_write_is_refused(world, name):
    last = close(world).cursor
    value: Any = stored(world, closed_path(last)).data[name]
    changed = value[:-1] + (b"x" if isinstance(value, bytes) else "x")
    world.documents.commit([Patch(closed_path(last), {name: changed})])

    with pytest.raises(DayBroken):
        days_of(world).closed(last)


def test_ledger_without_accounts_closes_an_empty_day():
    world = World()

    record = days_of(world).closed(close(world).cursor).record

    assert (record.totals.accounts, record.root) == (0, EMPTY_ROOT.hex())


def test_record_has_the_books_of_the_log(world):
    world.ledger.execute(USERS[0], charge("c", 300))
    sequence(world)

    record = days_of(world).closed(close(world).cursor).record

    assert record.size == 5
    assert record.books.balances.posted == record.totals.posted == 3_700
    assert record.books.flows["revenue:chat"] == 300
    assert world.alerts.raised == []


def test_books_that_do_not_balance_are_told(world):
    sequence(world)
    head = stored(world, HEAD_PATH)
    world.documents.commit(
        [Patch(HEAD_PATH, {"books": str(head.data["books"]).replace('"posted": 4000', '"posted": 4001')})]
    )

    close(world)

    assert [alert.event for alert in world.alerts.raised] == ["books_differ"]


def sequence(world: World) -> None:
    """Let the log have all entries."""
    visits = [Visit(uid=uid, seq=world.ledger.balance(uid).seq) for uid in USERS]
    Sequencer(world.documents, world.ledger.check_links, world.clock).append(visits)


@pytest.mark.parametrize(("until", "is_ours"), [(MIDNIGHT, True), (MIDNIGHT - 1, False)])
def test_record_of_a_key_that_was_retired_before_the_day_ended_is_refused(world, until, is_ours):
    day = close(world).cursor
    [key] = KEYS.held
    known = FixedRegistry(KeyRegistry(keys=(replace(key, status="retired", until=until),)))
    days = DayStore(world.documents, KeyRing(SEEDS, known=known), LEDGER)

    if is_ours:
        assert days.closed(day).record.day == day
    else:
        with pytest.raises(DayBroken):
            days.closed(day)


@dataclass(frozen=True)
class FixedRegistry:
    """A registry that never changes."""

    registry: KeyRegistry

    def current(self) -> KeyRegistry:
        return self.registry

    def look_for(self, kid: str) -> KeyRegistry:
        return self.registry

    def for_signing(self) -> KeyRegistry:
        return self.registry
