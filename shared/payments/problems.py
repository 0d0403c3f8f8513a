"""Problems that make a payment wait for an operator: each code as a sentence that says how to act."""

from collections.abc import Mapping

from shared.payments.fiat import Fiat
from shared.payments.payment import Payment

PROBLEMS: Mapping[str, str] = {
    "wrong_mode": "The provider says test mode where this project is live, or live where it tests. "
    "Check the provider's keys, then replay.",
    "wrong_payment": "The provider says that this money belongs to another payment. Look it up at the provider.",
    "no_amount": "The provider says that {price} was paid, and does not say how much was received. "
    "Look it up at the provider, then replay.",
    "wrong_currency": "The price is {price}, but {received} was received. Refund the money at the provider.",
    "wrong_amount": "The price is {price}, but {received} was received. Refund the money at the provider, "
    "or correct the user's balance by hand.",
    "money_of_another": "This money was already credited for another payment. Look both up at the provider.",
    "account_closed": "The user left before the credits were granted. The money is on its way back to the payer.",
    "not_returned": "The user left before the credits were granted, and the money did not go back to the payer. "
    "Refund this payment again, or pay it back outside the provider.",
    "refund_due": "The user left before the credits were granted. Coins of {received} are at the payment's address. "
    "Agree on an address with the payer, and send the coins from your wallet.",
    "address_swept": "Coins worth {received} came after coins were sent from the payment's address, so they may be "
    "your own, for fees. Accept them if they are the payer's.",
    "ignored": "An operator decided that these coins are not the payer's, so nothing was credited. "
    "Assign them if that was wrong.",
    "screened_sender": "Coins worth {received} came from a sender that the screening lists. Do not send them back "
    "before you have asked for advice.",
    "other_currency": "A refund or dispute moved {moved}, but the price is {price}. All credits of this payment are "
    "set aside. Refund or correct the balance by hand, then replay.",
}
"""Sentences for every problem that `shared.payments.lifecycle` may park a payment with, with places for amounts."""


def problem_sentence(payment: Payment) -> str:
    """Return the problem of a parked payment and the action to take, as a sentence; empty without a problem."""
    if not payment.problem:
        return ""
    template = PROBLEMS.get(payment.problem, "This payment waits for an operator. Look it up at the provider.")
    received = "an unknown amount" if payment.seen.paid is None else money_text(payment.seen.paid)
    return template.format(price=money_text(payment.terms.price), received=received, moved=_foreign(payment))


def money_text(amount: Fiat) -> str:
    """Return the amount for people: `12.50 USD`."""
    return f"{amount.decimal} {amount.currency}"


def _foreign(payment: Payment) -> str:
    """Return all amounts that moved in another currency than the price's."""
    currency = payment.terms.price.currency
    moved = [
        Fiat(each.minor, each.currency)
        for each in (payment.seen.movements or {}).values()
        if each.currency != currency and each.state != "back"
    ]
    return " and ".join(map(money_text, moved)) or "another currency"
