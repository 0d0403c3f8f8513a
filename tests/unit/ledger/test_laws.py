"""What must be true of every state: each state that breaks one law is refused by it, whoever sealed it."""

from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.ids import HoldId, LotId
from shared.ledger import account as limits
from shared.ledger.account import Account, Budget, Hold, Lot, check
from tests.support.books import LEDGER, UID

LOT = Lot(
    id=LotId("lot"), source="promo:x", priority=10, granted_seq=1, expires_at=None, is_paid=False, granted=100, held=30
)
HOLD = Hold(
    id=HoldId("h"),
    purpose="chat",
    principal="me",
    is_reservation=False,
    placed_at=1,
    expires_at=500,
    takes=((LotId("lot"), 30),),
    placed=30,
)
BUDGET = Budget(id="cap", limit=100, used=10, held=30)
GOOD = Account(
    ledger=LEDGER, uid=UID, seq=2, head="h", lots={LOT.id: LOT}, holds={HOLD.id: HOLD}, budgets={"cap": BUDGET}
)


def with_lot(**changes: Any) -> Account:
    return replace(GOOD, lots={LOT.id: replace(LOT, **changes)})


def with_holds(count: int) -> Account:
    holds = {HoldId(f"h{number}"): replace(HOLD, id=HoldId(f"h{number}"), takes=()) for number in range(count)}
    return replace(GOOD, holds=holds, lots={LOT.id: replace(LOT, held=0)})


MOST = limits.HOLDS_MAX + getattr(limits, "SUSPENSIONS_MAX", 0)
BROKEN = {
    "debt is an amount": replace(GOOD, debt=-1),
    "open holds are limited": with_holds(MOST + 1),
    "a resolved hold left": replace(GOOD, holds={HOLD.id: replace(HOLD, status="captured")}),
    "a hold takes something": replace(GOOD, holds={HOLD.id: replace(HOLD, takes=(*HOLD.takes, (LOT.id, 0)))}),
    "a hold takes no less than nothing": replace(
        GOOD, holds={HOLD.id: replace(HOLD, takes=((LOT.id, 31), (LOT.id, -1)))}
    ),
    "a lot knows what is held of it": with_lot(held=29),
    "a lot that nobody holds of": replace(GOOD, holds={}),
    "a hold takes from lots that exist": replace(
        GOOD, holds={HOLD.id: replace(HOLD, takes=(*HOLD.takes, (LotId("gone"), 5)))}
    ),
    "a budget is used": replace(GOOD, budgets={"cap": replace(BUDGET, used=-1)}),
    "a budget holds": replace(GOOD, budgets={"cap": replace(BUDGET, held=-1)}),
    "nothing spends what it does not have": with_lot(spent=71),
    "an empty lot left": replace(GOOD, lots={**GOOD.lots, LotId("e"): replace(LOT, id=LotId("e"), held=0, spent=100)}),
    "spent is an amount": with_lot(spent=-1),
    "expired is an amount": with_lot(expired=-1),
    "reversed is an amount": with_lot(reversed=-1),
    "owed is an amount": with_lot(owed=-1),
    "granted is an amount": replace(
        GOOD, lots={**GOOD.lots, LotId("n"): replace(LOT, id=LotId("n"), held=0, granted=-1, spent=-5)}
    ),
}


def test_a_state_that_keeps_all_laws_passes():
    check(GOOD)
    check(with_holds(MOST))
    check(with_lot(spent=70))
    check(replace(GOOD, debt=5, budgets={"cap": replace(BUDGET, used=0, held=0)}))


@pytest.mark.parametrize("account", BROKEN.values(), ids=BROKEN)
def test_a_state_that_breaks_one_law_is_refused(account):
    with pytest.raises(AssertionError):
        check(account)


def test_what_a_lot_and_a_budget_have_left_is_what_was_not_taken():
    lot = replace(LOT, spent=5, expired=7, reversed=11)

    assert (lot.available, lot.is_empty) == (47, False)
    assert replace(LOT, held=0, spent=100).is_empty
    assert not replace(LOT, spent=70).is_empty
    assert not replace(LOT, held=0, spent=99).is_empty
    assert (BUDGET.room, replace(BUDGET, used=90).room) == (60, 0)
    assert (GOOD.available, GOOD.held) == (70, 30)


def test_time_changes_an_account_when_its_first_hold_or_lot_ends():
    def due(**expiries: int | None) -> int | None:
        lots = {LotId(name): replace(LOT, id=LotId(name), expires_at=at) for name, at in expiries.items()}
        return replace(GOOD, lots=lots).due_at

    assert due() == 500
    assert due(a=None) == 500
    assert due(a=400, b=300) == 300
    assert due(a=600) == 500
    assert replace(GOOD, lots={LOT.id: replace(LOT, expires_at=300, spent=70)}).due_at == 500
    assert replace(GOOD, lots={LOT.id: replace(LOT, expires_at=300, spent=69)}).due_at == 300
    assert replace(GOOD, lots={}, holds={}).due_at is None


def test_a_hold_released_what_it_did_not_capture_once_it_is_over():
    assert HOLD.released == 0
    assert replace(HOLD, status="captured", captured=12).released == 18
    assert replace(HOLD, status="captured", captured=50).released == 0
