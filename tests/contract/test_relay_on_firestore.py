"""The relay on Firestore: several at once, and one after the other died, publish each account whole and in order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import Clock, SystemClock
from shared.kernel.documents import Documents
from shared.kernel.events import TopicMessage
from shared.kernel.ids import Uid
from shared.ledger.analytics import UsageAnalytics
from shared.ledger.ledger import Ledger
from shared.ledger.markers import RELAY, marker_path
from shared.ledger.relay import CREDIT_EVENTS, LEASE, Relay
from shared.ledger.usage import UsageFold, folded
from shared.platform.firestore.documents import connect
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.publisher import MemoryPublisher
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.accounts.relay_sweep import RelaySweep
from shared.sagas.engine.jobs import JobRun
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledgers import KEYS, charge, grant

UIDS = [Uid("ada"), Uid("a|b"), Uid("bob")]


TOLD_MAX = 12
"""Most messages about six entries. Relays that start in the same moment after a pause may tell the first two again."""


class Later(SystemClock):
    """The clock of an instance that comes after the lease of one that died."""

    def now(self) -> int:
        return super().now() + LEASE


@pytest.fixture
def documents(firestore_emulator, project):
    return connect(project)


@pytest.fixture
def publisher():
    return MemoryPublisher()


def ledger_on(documents: Documents) -> Ledger:
    return Ledger(documents, SystemClock(), KEYS, ledger_id="demo-relay", hold_lifetime_seconds=900)


def relay_on(documents: Documents, publisher: MemoryPublisher, clock: Clock | None = None) -> Relay:
    return Relay(documents, ledger_on(documents), publisher, clock or SystemClock())


def told(publisher: MemoryPublisher, uid: Uid) -> Sequence[object]:
    messages: list[TopicMessage] = publisher.on(CREDIT_EVENTS)
    return [message.data["seq"] for message in messages if message.data["uid"] == uid]


def is_settled(documents: Documents, uid: Uid) -> bool:
    """The marker is there and cleared, and the usage is the fold of the journal."""
    ledger, marker = ledger_on(documents), documents.get(marker_path(uid))
    report = UsageAnalytics(documents, ledger, SystemClock()).report(uid, "0000-01-01", "9999-12-31")
    days = folded(UsageFold(), ledger.bodies(uid, 1, 1_000)).days
    return marker is not None and marker.data[RELAY] is None and report.days == days


def test_relays_at_once_publish_each_entry_in_order_while_entries_come(documents, publisher):
    ledger = ledger_on(documents)
    for uid in UIDS:
        ledger.execute(uid, grant("g", 1_000))

    def spend(number: int) -> None:
        uid = UIDS[number % len(UIDS)]
        ledger.execute(uid, charge(f"c{number}", 1))
        relay_on(documents, publisher).relay(uid, documents.get(marker_path(uid)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(spend, range(15)))
    for uid in UIDS:
        relay_on(documents, publisher).relay(uid)

        assert list(dict.fromkeys(told(publisher, uid))) == list(range(1, 7))
        assert len(told(publisher, uid)) <= TOLD_MAX
        assert is_settled(documents, uid)


@pytest.mark.parametrize(("charges", "at"), [(1, 1), (1, 2), (3, 1), (3, 2), (3, 3)])
@pytest.mark.parametrize("when", ["before", "after"])
def test_sweep_finds_an_account_whose_relay_died_at_any_commit(documents, publisher, charges, at, when):
    uid = UIDS[1]
    ledger_on(documents).execute_all(uid, [grant("g", 100), *(charge(f"c{n}", 1) for n in range(charges))])
    with pytest.raises(Crash):
        relay_on(FaultyDocuments(documents, at=at, when=when), publisher).relay(uid)

    clock = Later()
    relay = relay_on(documents, publisher, clock)
    watch = LedgerWatch(documents, ledger_on(documents), relay, MemoryAlerts(), clock)
    RelaySweep(relay, watch).sweep(JobRun("", clock, 30.0))

    assert list(dict.fromkeys(told(publisher, uid))) == list(range(1, charges + 2))
    assert is_settled(documents, uid)
