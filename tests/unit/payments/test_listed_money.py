"""Lines of providers' listings: amounts in odd forms, conversions, and lines that move no payment's money."""

from typing import Any

import pytest

from shared.payments.fiat import Fiat
from shared.payments.listed_money import readable_money
from shared.platform.paypal import transactions
from shared.platform.stripe import balance

CHARGE = {"object": "charge", "amount": 1250, "currency": "usd", "payment_intent": "pi_1", "metadata": {}}
MOVED: dict[str, Any] = {
    "id": "txn_1", "type": "charge", "amount": 1250, "currency": "usd", "created": 1_790_000_000, "source": CHARGE
}  # fmt: skip
INFO: dict[str, Any] = {
    "transaction_id": "1AB",
    "transaction_event_code": "T0006",
    "transaction_initiation_date": "2026-09-22T23:59:59+0000",
    "transaction_amount": {"currency_code": "USD", "value": "12.50"},
    "transaction_status": "S",
    "custom_field": "pay_1",
}


def stripe_line(**changes: Any) -> Any:
    return balance.money_of({**MOVED, **changes})


def paypal_line(value: str = "12.50", currency: str = "USD", **changes: Any) -> Any:
    amount = {"currency_code": currency, "value": value}
    return transactions.money_of({"transaction_info": {**INFO, "transaction_amount": amount, **changes}})


def test_converted_balance_is_read_in_the_payment_s_currency() -> None:
    assert stripe_line(amount=1100, currency="eur").amount == Fiat(1250, "USD")


def test_balance_that_differs_from_the_charge_is_what_moved() -> None:
    assert stripe_line(amount=1249).amount == Fiat(1249, "USD")


@pytest.mark.parametrize("kind", ["payout", "stripe_fee", "application_fee", "transfer", "topup"])
def test_payouts_and_fees_move_no_payment_s_money(kind: str) -> None:
    assert stripe_line(type=kind) is None


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [("12.50", "USD", 1250), ("1250", "JPY", 1250), ("1.250", "KWD", 1250), ("12.5", "USD", 1250), ("-3", "USD", 300)],
)
def test_amounts_of_paypal_are_read_in_every_precision(value: str, currency: str, minor: int) -> None:
    code = "T1107" if value.startswith("-") else "T0006"

    line = paypal_line(value, currency, transaction_event_code=code)

    assert (line.amount, line.is_out) == (Fiat(minor, currency), value.startswith("-"))


@pytest.mark.parametrize("value", ["1,000.00", "1e3", "", "12.505", "1-1", "NaN", "9" * 40, None, {}])
def test_line_with_an_odd_amount_is_counted_and_hides_no_other(value: Any) -> None:
    odd = {"transaction_info": {**INFO, "transaction_amount": {"currency_code": "USD", "value": value}}}

    lines, unreadable = readable_money("paypal", [odd, {"transaction_info": INFO}], transactions.money_of)

    assert ([line.payment for line in lines], unreadable) == (["pay_1"], 1)


@pytest.mark.parametrize("thing", [{}, {"transaction_info": None}, {"transaction_info": {"transaction_id": 1}}])
def test_line_without_its_fields_is_counted(thing: Any) -> None:
    assert readable_money("paypal", [thing], transactions.money_of) == ([], 1)


def test_search_goes_from_page_to_page_and_period_to_period() -> None:
    hour = 3_600_000
    place = transactions.SearchPlace.parsed(f"0:{3_600}:1", 0)

    assert place.following(2, 2 * hour) == "0:3600:2"
    assert transactions.SearchPlace.parsed("0:3600:2", 0).following(2, 2 * hour) == f"{hour}:3600:1"
    assert transactions.SearchPlace.parsed(f"{hour}:3600:1", 0).following(1, 2 * hour) is None
    assert transactions.SearchPlace.parsed("0:90:1", 0).halved() is None
