"""An account takes any number of purchases: the state keeps the lots that are spent next, and the sum of the rest."""

from dataclasses import replace

import orjson
import pytest

from shared.kernel.documents import Delete
from shared.kernel.ids import LotId, operation_id
from shared.kernel.money import Micro
from shared.ledger.account import PRIORITY_PAID, Lot
from shared.ledger.account_documents import state_path
from shared.ledger.batch import REST_LOTS
from shared.ledger.commands import Grant, Reverse
from shared.ledger.errors import InsufficientCredits, IntegrityFailed, LotExists
from shared.ledger.rest import KEPT_LOTS_MAX, LOTS_MAX, RESTED_AT_ONCE_MAX
from shared.ledger.store import lot_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import (
    MINUTE,
    NOW,
    Books,
    adjust,
    charge,
    close,
    expire,
    grant,
    hold,
    release,
    reverse,
    suspend,
)
from tests.support.ledgers import UID, ledger_on
from tests.support.ledgers import charge as charged
from tests.support.rests import lots_at_rest

MANY = 1_000


@pytest.fixture
def books() -> Books:
    return Books()


def bought(books, count, amount=10):
    for number in range(count):
        books.do(grant(f"lot{number:04d}", amount, priority=PRIORITY_PAID, is_paid=True, source="world:stripe"))


def purchase(number: int, amount: int = 10) -> Grant:
    return Grant(
        operation=operation_id("buy", str(number)),
        amount=Micro(amount),
        lot=LotId(f"lot_{number}"),
        source="world:stripe",
        priority=PRIORITY_PAID,
        is_paid=True,
    )


def spent_from(books) -> list[tuple[str, int]]:
    return [(lot, amount) for source, to, amount, lot in books.postings() if to.startswith("revenue:")]


# What the state keeps -------------------------------------------------------------------------------------------------


def test_lots_beyond_the_state_join_the_rest_last_spent_first(books):
    bought(books, LOTS_MAX + 3)

    assert [lot.id for lot in lots_at_rest(books.account, books.archive)] == [
        f"lot{LOTS_MAX + n:04d}" for n in range(3)
    ]
    assert (books.account.rest_count, books.account.rest_available) == (3, 30)
    assert books.account.available == 10 * (LOTS_MAX + 3)


def test_a_gift_stays_in_the_state_though_the_rest_has_purchases(books):
    bought(books, LOTS_MAX + 1)

    books.do(grant("gift", 5))

    assert "gift" in books.account.lots
    assert (books.account.rest_count, len(books.account.lots)) == (2, LOTS_MAX)


def test_lots_are_spent_in_their_order_through_the_rest(books):
    bought(books, LOTS_MAX + 4)
    books.do(charge(10 * LOTS_MAX - 5))

    books.do(charge(22))

    first = LOTS_MAX - 1
    assert spent_from(books) == [(f"lot{first:04d}", 5), (f"lot{first + 1:04d}", 10), (f"lot{first + 2:04d}", 7)]
    assert (books.account.rest_count, books.account.rest_available) == (2, 20)


def test_a_purchase_joins_the_rest_while_older_ones_wait_there(books):
    bought(books, LOTS_MAX + 2)
    books.do(charge(10 * LOTS_MAX))

    books.do(grant("new", 10, priority=PRIORITY_PAID))
    books.do(charge(25))

    assert spent_from(books) == [(f"lot{LOTS_MAX:04d}", 10), (f"lot{LOTS_MAX + 1:04d}", 10), ("new", 5)]


def test_a_state_of_the_time_before_the_rest_moves_on_in_small_entries(books):
    lots = [
        Lot(id=LotId(f"old{n:04d}"), source="s", priority=20, granted_seq=1, expires_at=None, is_paid=True, granted=1)
        for n in range(200)
    ]
    books.account = replace(books.account, seq=1, lots={lot.id: lot for lot in lots})

    books.rush(charge(1))
    assert len(books.account.lots) == 199 - RESTED_AT_ONCE_MAX
    for _ in range(3):
        books.rush(charge(1))

    assert (len(books.account.lots), books.account.available) == (LOTS_MAX - 1, 196)


def test_what_is_charged_beyond_all_lots_is_refused_with_the_whole_sum(books):
    bought(books, LOTS_MAX + 5)

    with pytest.raises(InsufficientCredits) as refused:
        books.do(charge(10 * (LOTS_MAX + 5) + 1))

    assert refused.value.params["available"] == 10 * (LOTS_MAX + 5)


def test_a_hold_over_all_lots_brings_them_back_and_its_end_sends_them_off(books):
    bought(books, LOTS_MAX + 8)

    books.do(hold("h", 10 * (LOTS_MAX + 8)))
    assert (books.account.rest_count, len(books.account.lots)) == (0, LOTS_MAX + 8)
    books.do(release("h"))

    assert (books.account.rest_count, len(books.account.lots)) == (8, LOTS_MAX)


# Each lot stays what it is --------------------------------------------------------------------------------------------


def test_a_refund_takes_only_what_its_payment_brought_from_the_rest(books):
    bought(books, LOTS_MAX + 3)

    said = books.said(reverse(f"lot{LOTS_MAX + 1:04d}", 10))

    assert (said["reversed"], said["owed"]) == (10, 0)
    assert (books.account.rest_count, books.account.rest_available) == (2, 20)


def test_a_dispute_sets_a_lot_of_the_rest_aside(books):
    bought(books, LOTS_MAX + 3)

    books.do(suspend("dispute", f"lot{LOTS_MAX + 1:04d}"))

    assert books.lot(f"lot{LOTS_MAX + 1:04d}").held == 10
    assert books.account.rest_count == 2


def test_a_lot_of_the_rest_is_not_granted_again(books):
    bought(books, LOTS_MAX + 1)

    with pytest.raises(LotExists):
        books.do(grant(f"lot{LOTS_MAX:04d}", 10))


def test_gifts_of_the_rest_end_when_their_time_is_up(books):
    for number in range(LOTS_MAX + 4):
        books.do(grant(f"gift{number:04d}", 10, expires_at=NOW + MINUTE * (number + 1)))
    assert books.account.rest_due_at == NOW + MINUTE * (LOTS_MAX + 1)

    books.now = NOW + MINUTE * (LOTS_MAX + 2)
    books.do(expire())

    assert (books.account.rest_count, books.account.available) == (2, 20)
    assert books.account.due_at == NOW + MINUTE * (LOTS_MAX + 3)


def test_a_closing_account_forfeits_the_rest_in_one_posting(books):
    bought(books, LOTS_MAX + 40)

    books.do(close())

    assert (books.account.available, books.account.rest_count) == (0, 0)
    assert len(books.postings()) == LOTS_MAX + 1


# Gifts of equal terms -------------------------------------------------------------------------------------------------


def test_adjustments_share_one_lot(books):
    books.do(adjust(5, operation="one"))
    books.do(adjust(7, operation="two"))

    assert [(lot.id, lot.granted) for lot in books.account.lots.values()] == [("lot_one", 12)]


def test_an_adjustment_pays_debt_from_a_shared_lot(books):
    books.do(adjust(5, operation="one"))
    books.do(grant("bought", 10, priority=PRIORITY_PAID))
    books.do(charge(15))
    books.do(reverse("bought", 10))

    books.do(adjust(7))

    assert (books.account.debt, books.account.available) == (3, 0)


# Through the store ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full():
    documents, clock = MemoryDocuments(), ManualClock()
    ledger = ledger_on(documents, clock)
    for number in range(MANY):
        ledger.execute(UID, purchase(number))
    return documents, clock


def test_an_account_with_a_thousand_purchases_takes_another_one(full):
    documents, clock = full
    ledger = ledger_on(documents, clock)

    ledger.execute(UID, purchase(MANY))

    balance = ledger.balance(UID)
    assert balance.available == 10 * (MANY + 1)
    assert (balance.other_lots.count, len(balance.lots)) == (MANY + 1 - LOTS_MAX, LOTS_MAX)
    assert len(orjson.dumps(documents.get(state_path(UID)).data["state"])) < 8_000


def test_a_thousand_purchases_are_all_spent_and_provable(full):
    documents, clock = full
    ledger = ledger_on(documents, clock)
    total = ledger.balance(UID).available

    ledger.execute(UID, charged("most", total - 15))
    refund = Reverse(operation=operation_id("back"), lot=LotId("lot_3"), target=Micro(10))
    assert ledger.execute(UID, refund).receipt.owed == 10
    ledger.execute(UID, charged("all", 5))

    assert ledger.balance(UID).available == 0
    assert ledger.verify(UID) == []


def test_a_lost_lot_of_the_rest_is_no_refusal_but_a_broken_account():
    documents = MemoryDocuments()
    ledger = ledger_on(documents, ManualClock())
    for number in range(LOTS_MAX + 2):
        ledger.execute(UID, purchase(number))
    documents.commit([Delete(lot_path(UID, LotId(f"lot_{LOTS_MAX}")))])

    with pytest.raises(IntegrityFailed, match="integrity"):
        ledger.execute(UID, charged("all", 10 * (LOTS_MAX + 2)))


def test_a_balance_counts_no_gift_of_the_rest_beyond_its_time():
    documents, clock = MemoryDocuments(), ManualClock()
    ledger = ledger_on(documents, clock)
    for number in range(LOTS_MAX + 3):
        gift = replace(purchase(number), expires_at=clock.now() + MINUTE * (number + 1), priority=10)
        ledger.execute(UID, gift)

    clock.advance(MINUTE * (LOTS_MAX + 2))

    assert ledger.balance(UID).available == 10


class Queries:
    """Documents that count the queries of lots, and the lots that these find."""

    def __init__(self, inner: MemoryDocuments) -> None:
        self.inner = inner
        self.asked, self.found = 0, 0

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def query(self, query):
        documents = self.inner.query(query)
        if query.collection.endswith("/lots"):
            self.asked, self.found = self.asked + 1, self.found + len(documents)
        return documents


def spent_one_by_one(documents, clock, count: int) -> Queries:
    """Spend so many lots, each by a charge of its own, on one instance."""
    counted = Queries(documents)
    ledger = ledger_on(counted, clock)
    for number in range(count):
        ledger.execute(UID, charged(f"spend {number}", 10))
    assert ledger_on(documents, clock).verify(UID) == []
    return counted


@pytest.mark.parametrize("lots", [40, 200])
def test_lots_return_by_pages_when_charges_spend_them(lots):
    documents, clock = MemoryDocuments(), ManualClock()
    ledger_on(documents, clock).execute_all(UID, [purchase(number) for number in range(LOTS_MAX + lots)])

    counted = spent_one_by_one(documents, clock, LOTS_MAX + lots)

    assert counted.asked <= lots / (REST_LOTS - 1) + 2
    assert counted.found <= 2 * lots + REST_LOTS


def test_lots_bought_by_another_instance_are_spent_by_the_first():
    documents, clock = MemoryDocuments(), ManualClock()
    first, second = ledger_on(documents, clock), ledger_on(documents, clock)
    for number in range(LOTS_MAX + 20):
        first.execute(UID, purchase(number))
    first.execute(UID, charged("through the state", 10 * (LOTS_MAX + 2)))
    second.execute(UID, charged("meanwhile", 10 * 5))
    for number in range(3):
        second.execute(UID, purchase(1_000 + number))

    for number in range(16):
        first.execute(UID, charged(f"next {number}", 10))

    assert first.balance(UID).available == 0
    assert second.verify(UID) == []


def test_remembered_lots_are_few_when_purchases_follow_each_other():
    documents, clock = MemoryDocuments(), ManualClock()
    ledger = ledger_on(documents, clock)
    for number in range(LOTS_MAX + 2 * KEPT_LOTS_MAX):
        ledger.execute(UID, purchase(number))

    [lane] = ledger._committer._lanes._lanes.values()
    assert lane.rest is not None
    assert len(lane.rest[1].lots) <= KEPT_LOTS_MAX
    ledger.execute(UID, charged("all", 10 * (LOTS_MAX + 2 * KEPT_LOTS_MAX)))
    assert ledger.balance(UID).available == 0
