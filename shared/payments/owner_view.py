"""Payment as its owner's app sees it in `payments/{id}`: names, units and times of `GET /v1/payments/status/{id}`.

`payment_sagas/{id}` is the working document, which only the server reads. Each commit that changes a payment writes
both documents. `docs/live/payments.schema.json` is the published schema. A document of the old form has minor units,
µcr and datetimes, and the field `schema`.
"""

from collections.abc import Mapping
from typing import Any, cast

from shared.kernel.clock import Millis, from_datetime, rfc3339
from shared.kernel.documents import Data, Value
from shared.kernel.money import format_credits
from shared.payments.chains.view import crypto_view
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment, status_of
from shared.payments.providers import PROVIDERS

OLD_SCHEMA = 1
"""Value of the field `schema` in documents of the old form. Documents of the present form have no such field."""
TIMES = ("created_at", "expires_at", "settled_at", "updated_at")
AMOUNTS: Mapping[str, str] = {"price": "price_minor", "refunded": "refunded_minor"}
SAME = ("uid", "status", "provider", "package_id", "title", "failure", "receipt_url", "checkout_url")
"""Fields that both forms have under one name."""


def owner_view(payment: Payment, now: Millis) -> dict[str, Value]:
    """Return the fields of `payments/{id}`, as changed at `now`."""
    seen, terms = payment.seen, payment.terms
    return {
        "id": payment.id,
        "uid": payment.uid,
        "status": status_of(payment),
        "under_review": bool(payment.problem),
        "provider": payment.provider,
        "package_id": terms.package,
        "title": terms.title,
        "price": _money(terms.price),
        "refunded": _money(Fiat(payment.refunded_minor, terms.price.currency)),
        "credits": format_credits(terms.credits),
        "bonus": format_credits(terms.bonus),
        "failure": seen.failure,
        "checkout_url": payment.checkout_url if payment.is_payable else None,
        "receipt_url": seen.receipt_url,
        "transaction_id": None if seen.paid is None else _transaction_of(payment),
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "settled_at": None if payment.settled_at is None else rfc3339(payment.settled_at),
        "updated_at": rfc3339(now),
        "crypto": crypto_view(payment),
    }


def is_old(view: Data) -> bool:
    """Return True for a document of the old form."""
    return "schema" in view


def renewed(payment_id: str, view: Data) -> Data:
    """Return the document in the present form. A document that was stored before crypto payments has no `crypto`."""
    if not is_old(view):
        return view if "crypto" in view else {"crypto": None, **view}
    old = cast("Mapping[str, Any]", view)
    return {
        **{name: old[name] for name in SAME},
        "id": payment_id,
        "crypto": None,
        "under_review": old["is_under_review"],
        "transaction_id": old.get("transaction_id"),
        **{name: _money(Fiat(old[minor], old["currency"])) for name, minor in AMOUNTS.items()},
        **{name: format_credits(old[name]) for name in ("credits", "bonus")},
        **{name: None if old[name] is None else rfc3339(from_datetime(old[name])) for name in TIMES},
    }


def _transaction_of(payment: Payment) -> str | None:
    """Return the name of the money in the provider's list; on a chain, the hash of the first transaction."""
    if not payment.is_on_chain:
        return payment.refs.get(PROVIDERS[payment.provider].money)
    return payment.chain.transactions[0].hash if payment.chain is not None and payment.chain.transactions else None


def _money(amount: Fiat) -> dict[str, Value]:
    return {"amount": amount.decimal, "currency": amount.currency}
