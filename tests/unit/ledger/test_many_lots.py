"""Accounts with thousands of lots: no expiry, charge, hold or departure is too large for one commit."""

from dataclasses import replace

import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.ids import HoldId, LotId, operation_id
from shared.kernel.money import Micro
from shared.ledger.account import HELD_LOTS_MAX, PARTS_MAX, PRIORITY_PAID, PRIORITY_PROMOTIONAL
from shared.ledger.commands import Capture, Charge, Close, Grant, PlaceHold, Release
from shared.ledger.errors import LimitReached
from shared.ledger.expiry import EXPIRY_WRITES_MAX
from shared.ledger.rest import LOTS_MAX
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.faults import FaultyDocuments
from tests.support.ledgers import UID, ledger_on

MANY = 1_300


def purchase(number: int) -> Grant:
    return Grant(
        operation=operation_id("buy", str(number)),
        amount=Micro(10),
        lot=LotId(f"lot_{number}"),
        source="world:stripe",
        priority=PRIORITY_PAID,
        is_paid=True,
    )


def gift(number: int, ends: int) -> Grant:
    bonus = replace(purchase(number), operation=operation_id("gift", str(number)), lot=LotId(f"gift_{number}"))
    return replace(bonus, priority=PRIORITY_PROMOTIONAL, is_paid=False, expires_at=ends)


def charge(name: str, amount: int) -> Charge:
    return Charge(operation=operation_id(name), amount=Micro(amount), purpose="chat")


def place(name: str, amount: int) -> PlaceHold:
    return PlaceHold(
        operation=operation_id(name),
        amount=Micro(amount),
        hold=HoldId(name),
        purpose="chat",
        lifetime=MINUTE,
        principal=UID,
    )


@pytest.fixture
def world():
    documents, clock = MemoryDocuments(), ManualClock()
    return documents, clock, ledger_on(documents, clock)


def filled(world, *, purchases: int = 0, gifts: int = 0):
    _, clock, ledger = world
    commands = [purchase(number) for number in range(purchases)]
    commands += [gift(number, clock.now() + 10 * MINUTE) for number in range(gifts)]
    ledger.execute_all(UID, commands)
    return ledger


# Expiry ---------------------------------------------------------------------------------------------------------------


def test_gifts_too_many_for_one_commit_expire_before_the_next_charge(world):
    documents, clock, _ = world
    filled(world, purchases=3, gifts=MANY)
    clock.advance(10 * MINUTE)

    ledger_on(documents, clock).execute(UID, charge("first", 25))

    ledger = ledger_on(documents, clock)
    assert ledger.balance(UID).available == 5
    assert ledger.verify(UID) == []


def test_a_balance_ends_gifts_too_many_for_one_commit(world):
    documents, clock, _ = world
    filled(world, purchases=1, gifts=EXPIRY_WRITES_MAX // 2 + 50)
    clock.advance(10 * MINUTE)

    assert ledger_on(documents, clock).balance(UID).available == 10


def test_the_room_for_a_charge_counts_no_gift_that_is_due_in_the_rest(world):
    documents, clock, _ = world
    filled(world, purchases=1, gifts=40)
    clock.advance(10 * MINUTE)

    assert ledger_on(documents, clock).charge_room(UID, (), principal="").amount == 10


def test_an_account_with_more_gifts_due_than_a_commit_ends_can_be_closed(world):
    documents, clock, _ = world
    filled(world, purchases=40, gifts=EXPIRY_WRITES_MAX)
    clock.advance(10 * MINUTE)

    ledger_on(documents, clock).execute(UID, Close(operation=operation_id("close")))

    assert ledger_on(documents, clock).balance(UID).status == "closed"


# Commands over many lots ----------------------------------------------------------------------------------------------


def test_a_charge_over_too_many_purchases_is_refused_and_smaller_ones_pass(world):
    ledger = filled(world, purchases=PARTS_MAX + 300)

    with pytest.raises(LimitReached):
        ledger.execute(UID, charge("all", 10 * (PARTS_MAX + 300)))
    ledger.execute(UID, charge("one", 10 * PARTS_MAX))
    ledger.execute(UID, charge("two", 10 * 300))

    assert ledger.balance(UID).available == 0


def test_a_hold_over_many_purchases_can_be_captured_in_full(world):
    ledger = filled(world, purchases=HELD_LOTS_MAX + 10)
    with pytest.raises(LimitReached):
        ledger.execute(UID, place("much", 10 * (HELD_LOTS_MAX + 1)))
    ledger.execute(UID, place("held", 10 * HELD_LOTS_MAX))

    capture = Capture(operation=operation_id("capture"), hold=HoldId("held"), amount=Micro(10 * HELD_LOTS_MAX))
    ledger.execute(UID, capture)

    assert (ledger.balance(UID).available, ledger.balance(UID).held) == (100, 0)


def test_a_hold_over_many_purchases_goes_back_in_small_commits(world):
    documents, clock, _ = world
    ledger = filled(world, purchases=HELD_LOTS_MAX)
    ledger.execute(UID, place("held", 10 * HELD_LOTS_MAX))

    ledger.execute(UID, Release(operation=operation_id("release"), hold=HoldId("held")))
    for number in range(12):
        ledger.execute(UID, charge(f"c{number}", 1))

    again = ledger_on(documents, clock)
    assert again.balance(UID).available == 10 * HELD_LOTS_MAX - 12
    assert again.verify(UID) == []


def test_commands_that_spend_the_rest_share_one_commit():
    documents, clock = FaultyDocuments(MemoryDocuments()), ManualClock()
    ledger = ledger_on(documents, clock)
    ledger.execute_all(UID, [purchase(number) for number in range(100)])
    ledger.execute(UID, charge("state", 10 * LOTS_MAX))
    before = documents.commits

    ledger.execute_all(UID, [charge(f"c{number}", 8) for number in range(40)])

    assert documents.commits - before <= 6
    assert ledger.balance(UID).available == 10 * (100 - LOTS_MAX) - 320
    assert ledger.verify(UID) == []
