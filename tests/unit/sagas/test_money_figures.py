"""Money in the figures: counted on the day it settled and on the day it went back, once, equal to the listings."""

import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Literal, TypeAlias

import pytest

from shared.kernel.clock import HOUR, MINUTE
from shared.kernel.documents import OutcomeUnknown
from shared.ledger.log.figure_reader import FigureReader
from shared.ledger.log.figure_sums import MoneyDaySums
from shared.ledger.log.figures import DayFigures, MoneyPlace, summed_days
from shared.payments.payment import Payment
from shared.payments.ports import ProviderRefused
from shared.payments.provider_days import ProviderDays
from shared.payments.store import Payments
from tests.support.faults import Crash, FaultyDocuments
from tests.support.shop import PRICE
from tests.unit.sagas.test_provider_books import Books

When: TypeAlias = Literal["before", "after"]
FIRST, LAST = date(2026, 9, 1), date(2026, 10, 30)
USD = {name: MoneyPlace(name, "USD") for name in ("stripe", "paypal")}


def days_of(books: Books) -> Mapping[str, DayFigures]:
    return FigureReader(books.shop.documents).days(FIRST, LAST).days


def money(books: Books) -> list[Mapping[MoneyPlace, MoneyDaySums]]:
    """The money of each day that has any, the oldest first."""
    return [figures.money for _, figures in sorted(days_of(books).items()) if figures.money]


def net(sums: MoneyDaySums) -> int:
    return sums.came_in - sums.went_out + sums.came_back


@pytest.fixture
def books() -> Books:
    return Books()


def test_money_counts_on_the_day_it_settled_and_went_back(books: Books) -> None:
    whole, part = books.buy("a"), books.buy("b", "paypal")
    books.end_day()
    books.shop.instance().refund(whole.id, None, "r1")
    books.shop.instance().refund(part.id, 333, "r2")
    books.end_day()

    assert money(books) == [
        {each: MoneyDaySums(payments=1, came_in=PRICE.minor) for each in USD.values()},
        {USD["stripe"]: MoneyDaySums(went_out=PRICE.minor), USD["paypal"]: MoneyDaySums(went_out=333)},
    ]


def test_lost_dispute_goes_out_and_won_one_never_left(books: Books) -> None:
    lost, won = books.buy("a"), books.buy("b")
    disputes = [(each, books.shop.stripe.dispute(each.id)) for each in (lost, won)]
    for payment, _ in disputes:
        books.settle(payment)
    books.end_day()
    books.shop.stripe.end_dispute(disputes[0][1], "lost")
    books.shop.stripe.end_dispute(disputes[1][1], "won")
    for payment, _ in disputes:
        books.settle(payment)
        books.settle(payment)
    books.end_day()

    assert money(books) == [
        {USD["stripe"]: MoneyDaySums(payments=2, came_in=2 * PRICE.minor)},
        {USD["stripe"]: MoneyDaySums(went_out=PRICE.minor)},
    ]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [Crash(), OutcomeUnknown("lost")], ids=["crash", "unclear"])
def test_money_counts_once_when_any_commit_of_a_refund_fails(
    fault: Exception, when: Literal["before", "after"]
) -> None:
    for at in range(1, 8):
        books = Books()
        payment = books.buy("a")
        dying = books.shop.instance(FaultyDocuments(books.shop.documents, at=at, when=when, error=fault))
        for instance in (dying, books.shop.instance(), books.shop.instance()):
            try:
                instance.refund(payment.id, 400, "r1")
            except (Crash, OutcomeUnknown):
                books.shop.clock.advance(2 * MINUTE)
        books.end_day()

        assert summed_days(days_of(books).values()).money == {
            USD["stripe"]: MoneyDaySums(payments=1, came_in=PRICE.minor, went_out=400)
        }


def test_refund_that_was_refused_comes_back() -> None:
    seen = set[int]()
    for at in range(1, 8):
        books = Books()
        payment = books.buy("a")
        for instance in (books.shop.instance(FaultyDocuments(books.shop.documents, at=at)), books.shop.instance()):
            with suppress(Crash, ProviderRefused):
                instance.refund(payment.id, 400, "r1")
            books.shop.clock.advance(HOUR)
        books.end_day()
        (sums,) = summed_days(days_of(books).values()).money.values()
        left = Payments(books.shop.documents).get(payment.id).seen.refunded
        assert (net(sums), sums.came_in) == (PRICE.minor - left, PRICE.minor)
        seen.add(sums.came_back)
    assert seen == {0, 400}


def test_money_of_days_equals_the_listings_of_all_providers(books: Books) -> None:
    dice, bought = random.Random(7), list[Payment]()
    books.compare()
    listed: Counter[str] = Counter()
    for day in range(8):
        bought += [books.buy(f"{day}{n}", dice.choice(("stripe", "paypal"))) for n in range(dice.randrange(4))]
        for payment in dice.sample(bought, min(2, len(bought))):
            books.shop.instance().refund(payment.id, None, f"{day}r")
            books.settle(payment)
            bought.remove(payment)
        late = books.shop.begin("stripe", f"late{day}")
        books.shop.providers["stripe"].approve(late.id)
        books.next_morning()
        books.settle(late)
        books.settle(late)
        books.close()
        books.compare()
        for provider in USD:
            found = ProviderDays(books.shop.documents).find(provider, books.services.credits.days.state().last)
            sums = None if found is None else found.listed.get("USD")
            listed[provider] += 0 if sums is None else sums.came_in - sums.went_out
    books.end_day()

    ours = summed_days(days_of(books).values()).money
    assert {provider: net(ours[place]) for provider, place in USD.items()} == listed
