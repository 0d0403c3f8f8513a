"""Every lifecycle of a payment, told in every order: with repetitions, with any event missing, always the same end."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, permutations

import pytest

from shared.kernel.clock import MINUTE
from shared.payments.fiat import Fiat
from shared.payments.ports import Notice, ProviderName
from tests.support.shop import BONUS, CREDITS, Shop

ALL = CREDITS + BONUS
HALF = Fiat(500, "USD")
EVENTS_MAX = 6
ORDERS_STEP = 1 if os.environ.get("ORDERS") == "all" else 17
"""Orders of EVENTS_MAX events, from one that is played to the next. All orders of fewer events are played."""


@dataclass(frozen=True)
class Lifecycle:
    """What happens at the provider, step by step, and where the payment and the account are in the end."""

    happens: Sequence[Callable[["Teller"], None]]
    status: str
    money: tuple[int, int, int]


class Teller:
    """One payment's story at a provider. Between two happenings nothing, or some of it, may reach us."""

    def __init__(self, provider: ProviderName) -> None:
        self.shop = Shop()
        self.provider = self.shop.providers[provider]
        self.payment = self.shop.begin(provider).id
        self.refund = self.dispute = ""

    def told(self) -> list[Notice]:
        return list(self.provider.events)

    def settle(self) -> None:
        self.shop.instance().settlement.settle(self.payment)


def approved(teller: Teller) -> None:
    teller.provider.approve(teller.payment)


def approved_then_slow(teller: Teller) -> None:
    teller.provider.approve(teller.payment, "pending")


def captured(teller: Teller) -> None:
    """PayPal's money has to be taken by us before anything can happen to it; Stripe's was taken at once."""
    teller.settle()


def cleared(teller: Teller) -> None:
    teller.provider.pay(teller.payment)


def failed(teller: Teller) -> None:
    teller.provider.fail(teller.payment)


def half_refunded(teller: Teller) -> None:
    teller.refund = teller.provider.refund_by_hand(teller.payment, HALF)


def refunded(teller: Teller) -> None:
    teller.refund = teller.provider.refund_by_hand(teller.payment)


def refund_begun(teller: Teller) -> None:
    teller.refund = teller.provider.refund_by_hand(teller.payment, status="pending")


def refund_failed(teller: Teller) -> None:
    teller.provider.end_refund(teller.refund, "failed")


def refund_arrived(teller: Teller) -> None:
    teller.provider.end_refund(teller.refund, "succeeded")


def disputed(teller: Teller) -> None:
    teller.dispute = teller.provider.dispute(teller.payment)


def ended(how: str) -> Callable[[Teller], None]:
    def end(teller: Teller) -> None:
        teller.provider.end_dispute(teller.dispute, how)  # type: ignore[arg-type]  # named in the table below

    end.__name__ = how
    return end


won, lost, withdrawn = ended("won"), ended("lost"), ended("withdrawn")

LIFECYCLES = {
    "paid": Lifecycle([approved, captured], "settled", (ALL, 0, 0)),
    "slow and paid": Lifecycle([approved_then_slow, captured, cleared], "settled", (ALL, 0, 0)),
    "slow and failed": Lifecycle([approved_then_slow, captured, failed], "failed", (0, 0, 0)),
    "refunded in part": Lifecycle([approved, captured, half_refunded], "partially_refunded", (ALL // 2, 0, 0)),
    "refunded twice": Lifecycle([approved, captured, half_refunded, half_refunded], "refunded", (0, 0, 0)),
    "refunded": Lifecycle([approved, captured, refunded, refund_arrived], "refunded", (0, 0, 0)),
    "refund failed": Lifecycle([approved, captured, refund_begun, refund_failed], "settled", (ALL, 0, 0)),
    "refund failed and made again": Lifecycle(
        [approved, captured, refunded, refund_failed, half_refunded], "partially_refunded", (ALL // 2, 0, 0)
    ),
    "disputed": Lifecycle([approved, captured, disputed], "disputed", (0, ALL, 0)),
    "won": Lifecycle([approved, captured, disputed, won], "won", (ALL, 0, 0)),
    "withdrawn": Lifecycle([approved, captured, disputed, withdrawn], "won", (ALL, 0, 0)),
    "lost": Lifecycle([approved, captured, disputed, lost], "lost", (0, 0, 0)),
    "won, then refunded": Lifecycle([approved, captured, disputed, won, refunded], "refunded", (0, 0, 0)),
    "refunded in part, then lost": Lifecycle([approved, captured, half_refunded, disputed, lost], "lost", (0, 0, 0)),
    "won, then lost after all": Lifecycle([approved, captured, disputed, won, disputed, lost], "lost", (0, 0, 0)),
}
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])
NAMED = pytest.mark.parametrize("name", LIFECYCLES)


def played(name: str, provider: ProviderName) -> Teller:
    """The whole story at the provider. We were told nothing yet, beyond what was needed for it to happen at all."""
    teller = Teller(provider)
    for happening in LIFECYCLES[name].happens:
        if happening is captured and provider == "stripe":
            continue
        happening(teller)
    assert len(teller.told()) <= EVENTS_MAX
    return teller


def end_of(teller: Teller) -> tuple[str, tuple[int, int, int]]:
    payment = teller.shop.instance().payments.get(teller.payment)
    return teller.shop.status(payment), teller.shop.money()


@BOTH
@NAMED
def test_told_in_any_order_with_repetitions_it_ends_the_same(name, provider):
    """Each order has another event repeated, at once and at the end."""
    lifecycle = LIFECYCLES[name]
    count = len(played(name, provider).told())
    step = ORDERS_STEP if count == EVENTS_MAX else 1
    for number, order in enumerate(islice(permutations(range(count)), 0, None, step)):
        teller = played(name, provider)
        events = teller.told()
        again = events[number % count]
        for event in [again, *(events[at] for at in order), again]:
            teller.shop.instance().receive(event)

        assert end_of(teller) == (lifecycle.status, lifecycle.money), f"told in the order {order}"


@BOTH
@NAMED
def test_with_any_one_event_missing_it_ends_the_same(name, provider):
    lifecycle = LIFECYCLES[name]
    count = len(played(name, provider).told())
    for missing in range(count):
        teller = played(name, provider)
        for at, event in enumerate(teller.told()):
            if at != missing:
                teller.shop.instance().receive(event)
        teller.shop.clock.advance(10 * MINUTE)
        teller.shop.every_minute()

        assert end_of(teller) == (lifecycle.status, lifecycle.money), f"without event {missing}"


@BOTH
@NAMED
def test_told_as_it_happens_it_ends_the_same(name, provider):
    """Each event arrives before the next thing happens: the account goes through every stage."""
    lifecycle = LIFECYCLES[name]
    teller = Teller(provider)
    heard = 0
    for happening in lifecycle.happens:
        happening(teller)
        for event in teller.told()[heard:]:
            teller.shop.instance().receive(event)
        heard = len(teller.told())

    assert end_of(teller) == (lifecycle.status, lifecycle.money)


@BOTH
@NAMED
def test_told_nothing_at_all_it_ends_the_same(name, provider):
    """Neither webhook nor listing: polls see a payment to its settlement, a sweep of events to its end."""
    lifecycle = LIFECYCLES[name]
    teller = played(name, provider)
    for _ in range(3):
        teller.shop.clock.advance(10 * MINUTE)
        teller.shop.every_minute()

    assert end_of(teller) == (lifecycle.status, lifecycle.money)
