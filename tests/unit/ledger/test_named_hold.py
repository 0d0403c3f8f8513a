"""Holds known by name: placed, captured, released and read by any worker that knows the operation."""

import pytest

from shared.kernel.ids import HoldId, OperationId, operation_id
from shared.kernel.money import Micro
from shared.ledger.errors import HoldNotFound, HoldResolved
from shared.ledger.hold_names import bound_operation, capture_operation, hold_id, release_operation
from shared.ledger.holding import HoldCharge
from shared.ledger.ledger import Ledger
from shared.ledger.named_hold import NamedHold
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import MINUTE, accrue, hold
from tests.support.ledgers import UID, grant, ledger_on

WORK = OperationId("work")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(clock) -> Ledger:
    ledger = ledger_on(MemoryDocuments(), clock)
    ledger.execute(UID, grant("gift", 100))
    return ledger


def place(named: NamedHold, amount: int = 40) -> None:
    named.place(Micro(amount), purpose="chat", lifetime=MINUTE, principal="me")


def test_names_of_a_hold_follow_from_the_operation_that_placed_the_hold():
    assert hold_id(WORK) == hold_id("work")
    assert [name(WORK) for name in (release_operation, bound_operation)] == [
        operation_id(WORK, end) for end in ("release", "bound")
    ]
    assert capture_operation(hold_id(WORK)) == operation_id(hold_id(WORK), "capture")


def test_a_hold_is_placed_once_however_many_workers_place_it(ledger):
    place(NamedHold(ledger, UID, WORK))
    place(NamedHold(ledger, UID, WORK))

    assert (ledger.balance(UID).held, ledger.hold(UID, hold_id(WORK)).amount) == (40, 40)


def test_a_capture_by_another_worker_has_the_same_charge(ledger):
    place(NamedHold(ledger, UID, WORK))

    charges = [NamedHold(ledger, UID, WORK).capture(Micro(30)) for _ in range(2)]

    assert charges == [HoldCharge(amount=30, absorbed=0, available=70, held=0)] * 2
    assert NamedHold(ledger, UID, WORK).captured_so_far() == 30


def test_an_unused_hold_is_given_back_without_a_charge(ledger):
    place(NamedHold(ledger, UID, WORK))

    charge = NamedHold(ledger, UID, WORK).release(is_unused=True)

    assert charge == HoldCharge(amount=0, absorbed=0, available=100, held=0)


def test_a_hold_that_expired_tells_what_its_end_charged(ledger, clock):
    named = NamedHold(ledger, UID, WORK)
    place(named)
    ledger.execute(UID, accrue(named.id, 15))
    clock.advance(60 * MINUTE)

    with pytest.raises(HoldResolved):
        named.capture(Micro(30))

    assert named.past_charge() == HoldCharge(amount=15, absorbed=0, available=85, held=0)


def test_a_hold_under_an_id_of_its_own_is_ended_by_name(ledger):
    ledger.execute(UID, hold("h", 40))

    charge = NamedHold(ledger, UID, WORK, HoldId("h")).capture(Micro(5))

    assert (charge.amount, charge.available) == (5, 95)
    assert ledger.is_done(UID, capture_operation(HoldId("h")))


def test_a_hold_that_nobody_placed_is_not_found(ledger):
    named = NamedHold(ledger, UID, WORK)

    with pytest.raises(HoldNotFound):
        named.captured_so_far()
    with pytest.raises(HoldNotFound):
        named.release(is_unused=True)


def test_a_recorded_bound_is_known_by_name(ledger):
    with ledger.holding(UID, Micro(40), operation=WORK, expected_step=Micro(10)) as holding:
        before = NamedHold(ledger, UID, WORK).is_bound_recorded
        holding.write_down(Micro(20))

        assert (before, NamedHold(ledger, UID, WORK).is_bound_recorded) == (False, True)
