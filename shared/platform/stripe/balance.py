"""Stripe's balance transactions as lines of money: charges, refunds, disputes, and money that came back. Pure.

https://docs.stripe.com/api/balance_transactions/object
"""

from collections.abc import Mapping
from typing import Any

from shared.kernel.clock import SECOND, Millis
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListedMoney
from shared.platform.stripe.events import payment_in

MONEY_TYPES = frozenset(
    {
        "charge",
        "payment",
        "payment_reversal",
        "refund",
        "payment_refund",
        "refund_failure",
        "payment_failure_refund",
        "adjustment",
    }
)
"""Types that move a payment's money. Payouts, fees and transfers are none of them."""
SOURCES = frozenset({"charge", "refund", "dispute"})


def money_of(moved: Mapping[str, Any]) -> ListedMoney | None:
    """Return the line of a balance transaction with its source; None if the transaction moves no payment's money.

    The amount is in the currency of the payment: if the balance has another currency, the source tells the amount.
    Raises AttributeError, KeyError, TypeError, ValueError or InvalidValue for any other object.
    """
    source = moved.get("source")
    if moved["type"] not in MONEY_TYPES or not isinstance(source, Mapping) or source.get("object") not in SOURCES:
        return None
    amount = _whole(moved["amount"])
    is_converted = moved["currency"] != source["currency"]
    minor = _whole(source["amount"]) if is_converted else abs(amount)
    return ListedMoney(
        id=str(moved["id"]),
        amount=Fiat(minor, str(source["currency"]).upper()),
        at=Millis(_whole(moved["created"]) * SECOND),
        is_out=amount < 0,
        money=str(source.get("payment_intent") or ""),
        payment=payment_in(source) or "",
    )


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an amount or a time is a whole number")
    return value
