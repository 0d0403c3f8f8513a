"""Closed days against the listings of payment providers: each difference is found, named, and carried on."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.bootstrap.jobs import JobWorkers
from shared.kernel.clock import DAY, HOUR, MINUTE, Millis
from shared.kernel.documents import Delete, Patch
from shared.kernel.ids import LotId, OperationId, derived_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.ledger.log.world_moves import COLLECTION
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListingForbidden, MoneyPage
from shared.payments.payment import Payment
from shared.payments.provider_days import ProviderDay, ProviderDays
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments import money_sides, provider_books
from tests.support.backend import services_on
from tests.support.ledgers import UID
from tests.support.shop import CREDITS, ENVIRONMENT, PRICE, Shop

MIDNIGHT = 1_790_035_200_000 + DAY
MORNING = 8 * HOUR
EMPTY = ProviderDay(day="", since=0, until=0, first=0, size=0, expected=0)
"""Result of a day on which neither side has money, which is not kept."""


class Books:
    """A shop whose days are closed and compared."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.services = services_on(
            self.shop.documents,
            self.shop.clock,
            ENVIRONMENT,
            payment_providers=self.shop.providers,
            alerts=self.shop.alerts,
        )
        self.workers = JobWorkers(self.services)
        self.cursor = self.close_cursor = ""
        self.to(MIDNIGHT + MORNING)
        self.close()

    def to(self, at: int) -> None:
        self.shop.clock.advance(at - self.shop.clock.now())

    def next_morning(self) -> None:
        """Move to 08:00 of the next day."""
        now = self.shop.clock.now()
        self.to(now - now % DAY + DAY + MORNING)

    def buy(self, key: str, provider: Any = "stripe") -> Payment:
        payment = self.shop.begin(provider, key)
        self.shop.providers[provider].approve(payment.id)
        self.settle(payment)
        return payment

    def settle(self, payment: Payment) -> None:
        self.shop.instance().settlement.settle(payment.id)

    def close(self) -> None:
        """Append the day's entries to the log, and close the day."""
        self.workers.log.sweep(JobRun("", self.shop.clock, 60.0))
        run = JobRun(self.close_cursor, self.shop.clock, 60.0)
        self.workers.days.close(run)
        self.close_cursor = run.cursor

    def compare(self, seconds: float = 60.0) -> None:
        run = JobRun(self.cursor, self.shop.clock, seconds, self.shop.alerts)
        self.workers.provider_books.compare(run)
        self.cursor = run.cursor

    def end_day(self) -> None:
        """Close the day, and compare."""
        self.next_morning()
        self.close()
        self.compare()

    def result(self, provider: str = "stripe") -> ProviderDay:
        days, last = ProviderDays(self.shop.documents), self.services.credits.days.state().last
        found = days.find(provider, last)
        assert days.state(provider).last == last
        return found or EMPTY

    def items(self, provider: str = "stripe") -> list[tuple[Any, ...]]:
        return [(each["payment"], each["finding"], each["state"]) for each in self.result(provider).items]

    def alerts(self) -> list[Any]:
        return [each for each in self.shop.alerts.raised if each.event.startswith("provider_books")]


@pytest.fixture
def books() -> Books:
    return Books()


def at(clock: Millis, hours: float) -> Millis:
    return Millis(clock - clock % DAY + DAY + int(hours * HOUR))


def test_day_balances_with_purchases_refunds_and_disputes(books: Books) -> None:
    books.compare()
    whole, part, disputed = books.buy("a"), books.buy("b", "paypal"), books.buy("c")
    books.shop.instance().refund(whole.id, None, "r1")
    books.shop.instance().refund(part.id, 333, "r2")
    won = books.shop.stripe.dispute(disputed.id)
    books.settle(disputed)
    books.shop.stripe.end_dispute(won, "won")
    books.settle(disputed)

    books.end_day()

    told = books.result()
    assert (told.open, told.is_complete, books.result("paypal").open) == (0, True, 0)
    assert (told.listed["USD"].came_in, told.listed["USD"].went_out) == (3 * PRICE.minor, 2 * PRICE.minor)
    assert (told.granted, told.taken_back) == (2 * CREDITS, CREDITS)
    assert books.alerts() == []


def test_one_payment_of_a_thousand_missing_at_the_provider_is_named(books: Books) -> None:
    books.compare()
    bought = [books.buy(f"k{number}") for number in range(20)]
    books.shop.stripe.moved.pop(7)

    books.end_day()

    assert books.items() == [(bought[7].id, "missing_there", "differs")]
    (alert,) = books.alerts()
    assert (alert.event, alert.fields["payments"], alert.fields["owner"]) == (
        "provider_books_differ",
        bought[7].id,
        "admin",
    )


def test_payment_missing_at_us_is_named(books: Books) -> None:
    books.compare()
    books.buy("a")
    lost = books.shop.begin("stripe", "b")
    books.shop.stripe.approve(lost.id)

    books.end_day()

    assert books.items() == [(lost.id, "missing_here", "differs")]


def test_amount_that_differs_by_a_thousandth_is_named(books: Books) -> None:
    books.compare()
    bought = books.buy("a")
    (line,) = books.shop.stripe.moved
    books.shop.stripe.moved[:] = [replace(line, amount=Fiat(PRICE.minor - 1, PRICE.currency))]

    books.end_day()

    assert books.items() == [(bought.id, "amount_differs", "differs")]


def test_refund_unknown_to_us_is_named(books: Books) -> None:
    books.compare()
    bought = books.buy("a")
    books.shop.stripe.refund_by_hand(bought.id, Fiat(1, "USD"))

    books.end_day()

    assert books.items() == [(bought.id, "outgoing_missing_here", "differs")]


def test_line_in_another_currency_is_named(books: Books) -> None:
    books.compare()
    bought = books.buy("a")
    (line,) = books.shop.stripe.moved
    books.shop.stripe.moved[:] = [replace(line, amount=Fiat(PRICE.minor, "EUR"))]

    books.end_day()

    assert books.items() == [(bought.id, "currency_differs", "differs")]


def test_credits_that_no_payment_explains_are_named(books: Books) -> None:
    books.compare()
    books.services.credits.ledger.execute(
        UID, Grant(operation=OperationId("op_x"), amount=Micro(1), lot=LotId("x"), source="world:stripe")
    )

    books.end_day()

    assert books.items() == [(derived_id("entry", UID, "1"), "unknown_payment", "differs")]


def test_payment_around_midnight_is_in_transit_and_settles(books: Books) -> None:
    books.compare()
    books.to(at(books.shop.clock.now(), -1 / 60))
    late = books.shop.begin("stripe", "a")
    books.shop.stripe.approve(late.id)
    books.to(at(books.shop.clock.now(), -1 / 120) + MINUTE * 20)
    books.close()
    books.settle(late)

    books.to(at(books.shop.clock.now() - DAY, 8))
    books.compare()
    first = books.items()
    books.end_day()

    assert first == [(late.id, "missing_here", "in_transit")]
    assert (books.items(), books.alerts()) == ([], [])


def test_item_that_stays_in_transit_is_alerted_the_next_day(books: Books) -> None:
    books.compare()
    books.to(at(books.shop.clock.now(), -1))
    lost = books.shop.begin("stripe", "a")
    books.shop.stripe.approve(lost.id)
    books.end_day()
    assert books.alerts() == []

    books.end_day()

    assert books.items() == [(lost.id, "missing_here", "differs")]
    assert [each.fields["payments"] for each in books.alerts()] == [lost.id]


def test_item_is_alerted_once_and_shown_each_day(books: Books) -> None:
    books.compare()
    lost = books.shop.begin("stripe", "a")
    books.shop.stripe.approve(lost.id)

    books.end_day()
    books.end_day()

    assert books.items() == [(lost.id, "missing_here", "differs")]
    assert len(books.alerts()) == 1


def test_open_dispute_is_explained_and_a_lost_one_settles(books: Books) -> None:
    books.compare()
    bought = books.buy("a")
    dispute = books.shop.stripe.dispute(bought.id)
    books.settle(bought)
    books.end_day()
    assert books.items() == [(bought.id, "outgoing_missing_here", "disputed")]

    books.shop.stripe.end_dispute(dispute, "lost")
    books.settle(bought)
    books.end_day()

    assert (books.items(), books.alerts()) == ([], [])


def test_line_that_is_listed_twice_counts_once(books: Books) -> None:
    books.compare()
    books.buy("a")
    books.shop.stripe.moved.append(books.shop.stripe.moved[0])

    books.end_day()

    assert books.items() == []


def test_provider_that_is_down_leaves_the_day_open(books: Books) -> None:
    books.compare()
    books.shop.stripe.fail_next("listed_money")
    books.end_day()
    state = ProviderDays(books.shop.documents).state("stripe")
    assert (state.reason, books.alerts()) == ("provider_unavailable", [])

    books.to(books.shop.clock.now() + HOUR)
    books.compare()

    assert books.items() == []


def test_listing_that_never_answers_is_alerted_after_days(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.compare()

    def forbidden(*_: Any) -> MoneyPage:
        raise ListingForbidden("Stripe", "Balance: read")

    monkeypatch.setattr(books.shop.stripe, "listed_money", forbidden)
    for _ in range(5):
        books.end_day()

    state = ProviderDays(books.shop.documents).state("stripe")
    assert state.reason == "provider_listing_forbidden"
    assert "grant the permission" in state.detail
    assert {each.event for each in books.alerts()} == {"provider_books_late"}


@pytest.mark.parametrize("cursor", ["same", "ever"])
def test_listing_that_does_not_end_is_refused(books: Books, monkeypatch: pytest.MonkeyPatch, cursor: str) -> None:
    books.compare()
    monkeypatch.setattr(money_sides, "PAGES_MAX", 5)
    asked: list[str | None] = []

    def endless(_since: Millis, _until: Millis, after: str | None) -> MoneyPage:
        asked.append(after)
        return MoneyPage(lines=(), cursor=cursor if cursor == "same" else f"{len(asked)}")

    monkeypatch.setattr(books.shop.stripe, "listed_money", endless)
    books.end_day()

    assert ProviderDays(books.shop.documents).state("stripe").reason == "listing_unsound"
    assert len(asked) <= 7


def test_listing_that_is_not_complete_waits(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.compare()
    until = at(books.shop.clock.now(), 0)
    page = MoneyPage(lines=(), cursor=None, complete_to=Millis(until - 1))
    monkeypatch.setattr(books.shop.stripe, "listed_money", lambda *_: page)

    books.end_day()

    assert ProviderDays(books.shop.documents).state("stripe").reason == "listing_not_complete"


def test_comparison_of_a_large_day_takes_several_turns(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.compare()
    bought = [books.buy(f"k{number}") for number in range(18)]
    books.shop.stripe.moved.pop(11)
    monkeypatch.setattr(provider_books, "ROWS_AT_ONCE", 4)
    list_page = books.shop.stripe.listed_money

    def slow(*asked: Any) -> MoneyPage:
        books.shop.clock.advance(1_000)
        return list_page(*asked)

    monkeypatch.setattr(books.shop.stripe, "listed_money", slow)
    books.next_morning()
    books.close()

    turns = 0
    while ProviderDays(books.shop.documents).state("stripe").last < books.services.credits.days.state().last:
        books.compare(seconds=2)
        turns += 1

    assert books.items() == [(bought[11].id, "missing_there", "differs")]
    assert turns > 1
    assert books.shop.all("provider_books/stripe/provider_rows") == []


def test_comparison_that_is_made_twice_counts_once(books: Books) -> None:
    books.compare()
    lost = books.shop.begin("stripe", "a")
    books.shop.stripe.approve(lost.id)
    books.next_morning()
    books.close()
    before = books.shop.documents.get("provider_books/stripe")
    assert before is not None
    books.compare()
    first = books.result().items

    books.shop.documents.commit([Patch("provider_books/stripe", before.data)])
    books.cursor = ""
    books.compare()

    assert books.result().items == first


def test_moves_that_were_deleted_are_alerted(books: Books) -> None:
    books.compare()
    books.buy("a")
    books.next_morning()
    books.close()
    books.shop.documents.commit([Delete(moves.path) for moves in books.shop.all(COLLECTION)])

    books.compare()

    assert not books.result().is_complete
    assert [each.fields["is_log_complete"] for each in books.alerts()] == [False]


def test_run_without_work_reads_nothing(books: Books) -> None:
    books.compare()
    books.end_day()
    cursor = books.cursor

    class Unread:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    books.workers.provider_books._documents = Unread()
    books.workers.provider_books._books = Unread()  # type: ignore[assignment]
    books.workers.provider_books._days = Unread()  # type: ignore[assignment]
    books.compare()

    assert books.cursor == cursor
    assert json.loads(cursor)["stripe"][0] == "2026-09-23"
