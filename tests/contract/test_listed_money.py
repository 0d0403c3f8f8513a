"""The listings of money at Stripe and PayPal, read by the adapters from stand-ins."""

from collections.abc import Iterator
from typing import Any

import pytest

from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from shared.kernel.clock import HOUR, SystemClock
from shared.kernel.ids import Uid
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListedMoney, ListingForbidden, ListsMoney
from shared.payments.ports import Checkout, ProviderUnavailable
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.paypal.provider import PayPalProvider
from shared.platform.stripe import provider as stripe_provider
from shared.platform.stripe.provider import StripeProvider

PRICE = Fiat(1250, "USD")


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn() as running:
        yield running


@pytest.fixture
def paypal() -> Iterator[PayPalStandIn]:
    with PayPalStandIn() as running:
        running.permit_search(is_permitted=True, late_seconds=0)
        yield running


@pytest.fixture
def at_stripe(stripe: StripeStandIn) -> StripeProvider:
    return StripeProvider(secret_key=stripe.secret_key, api_base=stripe.url, clock=SystemClock(), alerts=MemoryAlerts())


@pytest.fixture
def at_paypal(paypal: PayPalStandIn) -> PayPalProvider:
    return PayPalProvider(
        api_base=paypal.url,
        client_id=paypal.client_id,
        client_secret=paypal.client_secret,
        clock=SystemClock(),
        alerts=MemoryAlerts(),
    )


def checkout(payment: str) -> Checkout:
    return Checkout(
        payment=payment,
        uid=Uid("ann"),
        amount=PRICE,
        title="1,250 credits",
        flow="redirect",
        success_url="https://app.example.com/paid",
        cancel_url="https://app.example.com/cancelled",
        expires_at=SystemClock().now() + HOUR,
    )


def listed(provider: ListsMoney) -> list[ListedMoney]:
    now, cursor, found = SystemClock().now(), None, list[ListedMoney]()
    while True:
        page = provider.listed_money(now - HOUR, now + HOUR, cursor)
        assert page.unreadable == 0
        found += page.lines
        if page.cursor is None:
            return sorted(found, key=lambda line: (line.is_out, line.payment, line.amount.minor))
        cursor = page.cursor


def told(lines: list[ListedMoney]) -> list[tuple[Any, ...]]:
    return [(line.amount, line.is_out, line.payment or "by money") for line in lines]


def test_stripe_lists_charges_refunds_and_disputes(stripe: StripeStandIn, at_stripe: StripeProvider) -> None:
    refs = {}
    for payment in ("pay_1", "pay_2"):
        opened = at_stripe.open(checkout(payment)).refs
        stripe.pay(session=opened["session"])
        refs[payment] = dict(at_stripe.truth(opened).refs)
    at_stripe.refund(refs["pay_1"], Fiat(250, "USD"), "r1")
    stripe.dispute(of=refs["pay_2"]["charge"])

    lines = listed(at_stripe)

    assert told(lines) == [
        (PRICE, False, "pay_1"),
        (PRICE, False, "pay_2"),
        (PRICE, True, "by money"),
        (Fiat(250, "USD"), True, "pay_1"),
    ]
    assert lines[2].money == refs["pay_2"]["intent"]


def test_stripe_lists_all_pages(
    stripe: StripeStandIn, at_stripe: StripeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_provider, "PAGE", 2)
    for number in range(5):
        stripe.pay(session=at_stripe.open(checkout(f"pay_{number}")).refs["session"])

    assert [line.payment for line in listed(at_stripe)] == [f"pay_{number}" for number in range(5)]


def captured(paypal: PayPalStandIn, provider: PayPalProvider, payment: str, ending: str = "completed") -> Any:
    opened = provider.open(checkout(payment)).refs
    paypal.approve(order=opened["order"], ending=ending)
    provider.capture(opened, f"{payment}-capture")
    return dict(provider.truth(opened).refs)


def test_paypal_lists_captures_refunds_and_holds(paypal: PayPalStandIn, at_paypal: PayPalProvider) -> None:
    first = captured(paypal, at_paypal, "pay_1")
    second = captured(paypal, at_paypal, "pay_2")
    captured(paypal, at_paypal, "pay_3", "pending")
    at_paypal.refund(first, Fiat(250, "USD"), "r1")
    paypal.dispute(of=second["capture"])

    lines = listed(at_paypal)

    assert told(lines) == [
        (PRICE, False, "pay_1"),
        (PRICE, False, "pay_2"),
        (PRICE, False, "pay_3"),
        (PRICE, True, "by money"),
        (Fiat(250, "USD"), True, "pay_1"),
    ]
    assert [line.is_pending for line in lines] == [False, False, True, False, False]
    assert lines[3].money == second["capture"]


def test_paypal_says_how_far_the_search_is_complete(paypal: PayPalStandIn, at_paypal: PayPalProvider) -> None:
    captured(paypal, at_paypal, "pay_1")
    paypal.permit_search(is_permitted=True, late_seconds=3 * 3600)
    now = SystemClock().now()

    page = at_paypal.listed_money(now - HOUR, now, None)

    assert page.lines == []
    assert page.complete_to is not None
    assert now - 4 * HOUR < page.complete_to < now - 2 * HOUR


def test_paypal_without_the_permission_is_refused_by_name(paypal: PayPalStandIn, at_paypal: PayPalProvider) -> None:
    paypal.permit_search(is_permitted=False)

    with pytest.raises(ListingForbidden, match="Transaction Search"):
        at_paypal.listed_money(0, HOUR, None)


def test_paypal_searches_a_large_period_in_parts(paypal: PayPalStandIn, at_paypal: PayPalProvider) -> None:
    for number in range(3):
        captured(paypal, at_paypal, f"pay_{number}")
    paypal.permit_search(is_permitted=True, late_seconds=0, results_max=2)
    now = SystemClock().now()

    page = at_paypal.listed_money(now - HOUR, now + HOUR, None)

    assert (page.lines, page.cursor) == ((), f"{now - HOUR}:43200:1")


@pytest.mark.parametrize("status", [429, 503])
def test_listing_that_is_refused_for_a_while_is_unavailable(
    paypal: PayPalStandIn, at_paypal: PayPalProvider, status: int
) -> None:
    paypal.fail(times=1, status=status, path="/v1/reporting")

    with pytest.raises(ProviderUnavailable):
        at_paypal.listed_money(0, HOUR, None)
