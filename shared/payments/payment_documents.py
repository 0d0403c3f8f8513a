"""Payment as stored in `payment_sagas/{id}`, which only the server reads."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from shared.kernel.clock import from_datetime, to_datetime
from shared.kernel.documents import Data, Value
from shared.kernel.ids import Uid
from shared.payments.chains.stored import claim_data, claim_of, quote_data, quote_of, report_data, report_of
from shared.payments.fiat import Fiat
from shared.payments.movements import Movement
from shared.payments.payment import AppliedChanges, Payment, ProviderReport, Terms, status_of


def to_data(payment: Payment) -> dict[str, Value]:
    """Return the payment's own fields of `payment_sagas/{id}`. Lease, saga and due time stand beside them.

    `id`, `status` and `is_under_review` are there for queries. A payment that was last stored before them has none.
    """
    return {
        "uid": payment.uid,
        "provider": payment.provider,
        "flow": payment.flow,
        "terms": terms_data(payment.terms),
        "fingerprint": payment.fingerprint,
        "created_at": to_datetime(payment.created_at),
        "expires_at": to_datetime(payment.expires_at),
        "refs": dict(payment.refs),
        "checkout_url": payment.checkout_url,
        "client_secret": payment.client_secret,
        "success_url": payment.success_url,
        "cancel_url": payment.cancel_url,
        "seen": _seen_data(payment.seen),
        "applied": asdict(payment.applied),
        "problem": payment.problem,
        "settled_at": None if payment.settled_at is None else to_datetime(payment.settled_at),
        "is_opened": payment.is_opened,
        "polls": 0,  # which earlier releases count, and cannot read a payment without
        "slot": payment.slot,
        "back_key": payment.back_key,
        "is_cancelled": payment.is_cancelled,
        "is_given_up": payment.is_given_up,
        "quote": quote_data(payment.quote),
        "claim": claim_data(payment.claim),
        "chain": report_data(payment.chain),
        "page_key": payment.page_key,
        "due_shard": payment.due_shard,
        "provider_ids": list(payment.provider_ids),
        "id": payment.id,
        "status": status_of(payment),
        "is_under_review": bool(payment.problem),
    }


def from_data(payment_id: str, data: Data) -> Payment:
    """Return the payment that a stored document describes."""
    stored = cast("Mapping[str, Any]", data)
    terms = terms_of(stored["terms"])
    settled_at = stored["settled_at"]
    return Payment(
        id=payment_id,
        uid=Uid(stored["uid"]),
        provider=stored["provider"],
        flow=stored["flow"],
        terms=terms,
        fingerprint=stored["fingerprint"],
        created_at=from_datetime(stored["created_at"]),
        expires_at=from_datetime(stored["expires_at"]),
        refs=stored["refs"],
        checkout_url=stored["checkout_url"],
        client_secret=stored["client_secret"],
        success_url=stored["success_url"],
        cancel_url=stored["cancel_url"],
        seen=_seen_of(stored["seen"]),
        applied=_applied_of(stored["applied"], terms.price.minor),
        problem=stored["problem"],
        settled_at=None if settled_at is None else from_datetime(settled_at),
        is_opened=stored["is_opened"],
        slot=stored["slot"],
        back_key=stored.get("back_key", ""),
        is_cancelled=stored.get("is_cancelled", False),
        is_given_up=stored.get("is_given_up", False),
        quote=quote_of(stored.get("quote")),
        claim=claim_of(stored.get("claim")),
        chain=report_of(stored.get("chain")),
        page_key=stored.get("page_key", ""),
    )


def terms_of(stored: Mapping[str, Any]) -> Terms:
    """Return stored terms."""
    return Terms(**{**stored, "price": Fiat(**stored["price"])})


def _seen_data(seen: ProviderReport) -> dict[str, Value]:
    return {**asdict(seen), "paid": _fiat_data(seen.paid)}


def _seen_of(stored: Mapping[str, Any]) -> ProviderReport:
    known = stored.get("movements")
    movements = None if known is None else {name: Movement(**each) for name, each in known.items()}
    return ProviderReport(**{**stored, "paid": _fiat(stored["paid"]), "movements": movements})


def _applied_of(stored: Mapping[str, Any], price_minor: int) -> AppliedChanges:
    """Return the stored `AppliedChanges`. A suspension that was stored without an amount sets all money aside."""
    aside = price_minor if stored["suspension"] else 0
    return AppliedChanges(**{"aside": aside, **stored})


def terms_data(terms: Terms) -> dict[str, Value]:
    """Return the agreed terms as stored."""
    return {**asdict(terms), "price": _fiat_data(terms.price)}


def _fiat_data(amount: Fiat | None) -> dict[str, Value] | None:
    return None if amount is None else {"minor": amount.minor, "currency": amount.currency}


def _fiat(data: Mapping[str, Any] | None) -> Fiat | None:
    return None if data is None else Fiat(**data)
