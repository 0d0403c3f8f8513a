"""Losses are counted on Firestore as they are in memory: each once, whoever tells them at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.ids import Uid, operation_id
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses, LossSum, Row
from shared.ledger.relay import Relay
from shared.platform.firestore.documents import connect
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.publisher import MemoryPublisher
from tests.support.books import call, capture, grant, hold
from tests.support.ledgers import KEYS, UID

BOB = Uid("bob")


@pytest.fixture
def documents(firestore_emulator, project):
    return connect(project)


@pytest.fixture
def losses(documents):
    return Losses(documents, MemoryAlerts(), SystemClock())


def bear(losses, number, uid=UID):
    losses.bear(uid, operation=operation_id("call", str(number)), cause="provider_failed", amount=5, model="m1")


def test_losses_told_twice_and_at_once_count_once(losses):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: bear(losses, number % 4), range(8)))

    assert losses.window(UID).rows == {Row(UID, "m1", "provider_failed"): LossSum(4, 20)}
    assert losses.report().totals["m1", "provider_failed"] == LossSum(4, 20)


def test_what_the_journal_tells_is_counted_and_erased_with_its_user(documents, losses):
    ledger = Ledger(documents, SystemClock(), KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)
    ledger.execute(UID, grant("l", 100))
    ledger.execute(UID, hold("h", **call(10, expected=5, at_most=50), tags=(("model", "m1"),), principal="key:k"))
    ledger.execute(UID, capture("h", 130))
    relay = Relay(documents, ledger, MemoryPublisher(), SystemClock(), witnesses=[losses])

    relay.relay(UID)
    bear(losses, 1, BOB)

    assert losses.window(UID).rows == {Row("key:k", "m1", "absorbed"): LossSum(1, 30)}
    assert ledger.verify(UID) == []
    losses.erase(UID)
    assert losses.window(UID).rows == {}
    assert losses.window(BOB).rows == {Row(BOB, "m1", "provider_failed"): LossSum(1, 5)}
