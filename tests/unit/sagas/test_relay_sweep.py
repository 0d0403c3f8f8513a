"""The sweep of the relay: who waits longest is first, nobody holds up others, and nothing is deleted."""

import threading
from collections import Counter

import pytest

from shared.bootstrap.schemas import SCHEMAS
from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.kernel.documents import Delete, Patch, Query
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.log.waiting import clear_markers, waiting_documents
from shared.ledger.markers import RELAY, is_waiting, marker_path, waiting_since
from shared.ledger.relay import CREDIT_EVENTS, Relay
from shared.ledger.store import entry_path
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.accounts.relay_sweep import ACCOUNTS_AT_ONCE, SHARD_PAGE, RelaySweep
from shared.sagas.engine.jobs import JobRun
from tests.support.ledgers import World, charge, grant

MINUTE_SECONDS = 60.0


class CountedDocuments:
    """Documents that count the calls and the documents read, and refuse to delete."""

    def __init__(self, inner):
        self.inner = inner
        self.counts = Counter[str]()

    def _count(self, **counts: int) -> None:
        self.counts.update({**counts, "calls": 1})

    def get(self, path):
        self._count(reads=1)
        return self.inner.get(path)

    def get_all(self, paths):
        self._count(reads=len(paths))
        return self.inner.get_all(paths)

    def query(self, query):
        found = self.inner.query(query)
        self._count(reads=max(1, len(found)))
        return found

    def commit(self, writes, **options):
        assert not any(isinstance(write, Delete) for write in writes)
        self._count(commits=1)
        return self.inner.commit(writes, **options)


def sweep_of(world: World, documents=None, publisher=None) -> RelaySweep:
    relay = Relay(documents or world.documents, world.ledger, publisher or world.publisher, world.clock)
    return RelaySweep(relay, LedgerWatch(world.documents, world.ledger, relay, world.alerts, world.clock))


def swept(world: World, sweep: RelaySweep | None = None, seconds: float = MINUTE_SECONDS) -> JobRun:
    run = JobRun("", world.clock, seconds)
    (sweep or sweep_of(world)).sweep(run)
    return run


def told(world: World) -> list[object]:
    return [message.data["uid"] for message in world.publisher.on(CREDIT_EVENTS)]


def waiting(world: World) -> set[str]:
    markers = world.documents.query(Query(collection="outbox", group=True, limit=10_000))
    return {str(marker.data["uid"]) for marker in markers if is_waiting(marker.data, RELAY)}


def open_accounts(world: World, count: int, apart: int = SECOND) -> list[Uid]:
    """So many accounts with an entry each, in an order that their names do not tell."""
    uids = [Uid(f"u{number * 7919 % count:05}") for number in range(count)]
    for uid in uids:
        world.ledger.execute(uid, grant("g", 5))
        world.clock.advance(apart)
    return uids


@pytest.fixture
def one_by_one(monkeypatch):
    """Accounts begin in their order. Side by side, they end in any."""
    monkeypatch.setattr("shared.sagas.accounts.relay_sweep.ACCOUNTS_AT_ONCE", 1)


@pytest.mark.usefixtures("one_by_one")
def test_sweep_publishes_the_longest_waiting_account_first_over_all_shards():
    world = World()
    uids = open_accounts(world, 130)
    shards = {waiting_since(uid, 0) for uid in uids}

    run = swept(world)

    assert len(shards) > 40
    assert run.done == len(uids)
    assert told(world) == uids
    assert waiting(world) == set()


@pytest.mark.usefixtures("one_by_one")
def test_sweep_that_ends_early_leaves_the_youngest_waiting():
    world = World()
    uids = open_accounts(world, 80)

    class Passing:
        """The run is over once a quarter of the accounts is published."""

        def publish(self, messages):
            world.publisher.publish(messages)
            if len(told(world)) == len(uids) // 4:
                world.clock.advance(HOUR)

    swept(world, sweep_of(world, publisher=Passing()))

    assert waiting(world) == set(uids[len(uids) // 4 :])
    swept(world)
    assert waiting(world) == set()


def test_sweep_works_on_many_accounts_side_by_side():
    world = World()
    open_accounts(world, 2 * ACCOUNTS_AT_ONCE, apart=0)
    together = threading.Barrier(ACCOUNTS_AT_ONCE)

    class Meeting:
        """Nobody's messages are stored before everybody's are there."""

        def publish(self, messages):
            together.wait(30)
            world.publisher.publish(messages)

    swept(world, sweep_of(world, publisher=Meeting()))

    assert waiting(world) == set()


def test_hour_without_triggers_of_20_000_accounts_heals_in_five_minutes():
    """By counts: the round trips of an account, one after the other, at 25 ms each, and the accounts side by side."""
    world, count = World(), 90
    for uid in open_accounts(world, count, apart=10):
        world.ledger.execute_all(uid, [charge(str(number), 0) for number in range(8)])
    documents = CountedDocuments(world.documents)
    relay = Relay(documents, World(documents=documents, clock=world.clock).ledger, world.publisher, world.clock)  # type: ignore[arg-type]
    sweep = RelaySweep(relay, LedgerWatch(world.documents, world.ledger, relay, world.alerts, world.clock))

    run = swept(world, sweep)

    trips = documents.counts["calls"] / count + 1
    seconds = 20_000 * trips * 0.025 / ACCOUNTS_AT_ONCE
    assert run.done == count
    assert len(told(world)) == 9 * count
    assert trips <= 9
    assert seconds <= 300


def test_broken_and_failing_accounts_hold_up_no_others():
    world = World()
    uids = open_accounts(world, 40)
    world.documents.commit([Patch(entry_path(uids[0], 1), {"kind": "charge"})])

    class Refusing:
        def publish(self, messages):
            if messages[0].data["uid"] == uids[1]:
                raise RuntimeError
            world.publisher.publish(messages)

    swept(world, sweep_of(world, publisher=Refusing()))

    assert waiting(world) == {uids[0], uids[1]}
    assert [alert.fields["uid"] for alert in world.alerts.raised] == [uids[0]]
    assert world.ledger.balance(uids[0]).status == "frozen"


def test_sweep_reads_one_document_when_nobody_waits():
    world = World()
    open_accounts(world, 5)
    swept(world)
    clear_markers(world.documents, waiting_documents(world.documents, None, 10))
    documents = CountedDocuments(world.documents)

    swept(world, sweep_of(world, documents))

    assert documents.counts == {"reads": 1, "calls": 1}


def test_marker_without_a_number_for_the_log_is_found_in_a_tenth_minute():
    world = World()
    open_accounts(world, 1)
    clear_markers(world.documents, waiting_documents(world.documents, None, 10))
    left: list[int] = []

    for _ in range(10):
        world.clock.advance(MINUTE)
        swept(world)
        left.append(len(waiting(world)))

    assert (left[0], left[-1]) == (1, 0)


def test_cleared_markers_are_not_read_again():
    world = World()
    open_accounts(world, 150)
    swept(world)
    world.ledger.execute(Uid("late"), grant("g", 5))
    documents = CountedDocuments(world.documents)

    swept(world, sweep_of(world, documents))

    assert told(world)[-1] == "late"
    assert documents.counts["reads"] <= 64 + 10


def test_sweep_ends_although_new_entries_keep_coming():
    world = World()
    uids = open_accounts(world, 20)
    ledger = world.ledger

    class Lively:
        """Each account that is published has another one do something."""

        def publish(self, messages):
            world.publisher.publish(messages)
            world.clock.advance(1)
            ledger.execute(Uid(f"next-{len(told(world))}"), grant("g", 5))

    run = swept(world, sweep_of(world, publisher=Lively()))

    assert run.done == len(uids)
    assert {uid.partition("-")[0] for uid in waiting(world)} == {"next"}


@pytest.mark.parametrize("count", [SHARD_PAGE - 1, SHARD_PAGE, SHARD_PAGE + 1, 3 * SHARD_PAGE])
def test_all_markers_of_one_shard_and_one_time_are_found(count, monkeypatch):
    monkeypatch.setattr("shared.ledger.markers._shard", lambda uid: 17)
    world = World()
    open_accounts(world, count, apart=0)

    run = swept(world)

    assert run.done == count
    assert waiting(world) == set()


def test_markers_of_a_newer_form_hold_up_no_others_of_their_shard(monkeypatch):
    monkeypatch.setattr("shared.ledger.markers._shard", lambda uid: 17)
    world = World()
    uids = open_accounts(world, 2 * SHARD_PAGE + 1)
    for uid in uids[:-1]:
        world.documents.commit([Patch(marker_path(uid), {SCHEMA_VERSION: 99})])

    run = swept(world, sweep_of(world, VersionedDocuments(world.documents, SCHEMAS)))

    assert run.done == 1
    assert waiting(world) == set(uids[:-1])
