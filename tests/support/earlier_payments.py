"""Payments as the release before stored them: minor units, µcr and times, and a working document without a status."""

from shared.kernel.clock import parse_rfc3339, to_datetime
from shared.kernel.documents import Data, Documents, Put
from shared.kernel.money import parse_credits
from shared.payments.owner_view import AMOUNTS, OLD_SCHEMA, SAME, TIMES, renewed
from shared.payments.payment import Payment
from shared.payments.store import saga_path, view_path

NEW = {"id", "status", "is_under_review"}


def as_before(payment: Payment, shown: Data) -> dict:
    """The owner's document as it was."""
    amounts = {old: _minor(payment, shown[name]) for name, old in AMOUNTS.items()}
    credits_ = {name: 0 if shown[name] == "0" else parse_credits(str(shown[name])) for name in ("credits", "bonus")}
    times = {name: None if shown[name] is None else to_datetime(parse_rfc3339(str(shown[name]))) for name in TIMES}
    return {
        **{name: shown[name] for name in (*SAME, "id", "transaction_id")},
        "schema": OLD_SCHEMA,
        "currency": payment.terms.price.currency,
        "is_under_review": shown["under_review"],
        **amounts,
        **credits_,
        **times,
    }


def _minor(payment: Payment, money: object) -> int:
    assert isinstance(money, dict)
    return payment.terms.price.parse(money["amount"], money["currency"]).minor


def store_as_before(documents: Documents, payment: Payment) -> None:
    """Store a payment again as the release before had it."""
    saga, shown = documents.get_all([saga_path(payment.id), view_path(payment.id)])
    assert saga is not None
    assert shown is not None
    working = {name: value for name, value in saga.data.items() if name not in NEW}
    documents.commit([Put(shown.path, as_before(payment, renewed(payment.id, shown.data)))])
    documents.commit([Put(saga.path, working)])
