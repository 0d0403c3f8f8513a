"""Takings: counts and sums of payments by day, provider and currency. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.kernel.clock import rfc3339
from shared.payments.payment import Payment, status_of

PAID = frozenset({"settled", "partially_refunded", "refunded", "disputed", "won", "lost", "taken_back"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Takings:
    """Sums of one day, provider and currency: payments begun that day, and those paid, in minor units and µcr."""

    day: str
    provider: str
    currency: str
    begun: int = 0
    paid: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    credits: int = 0


def takings(payments: Iterable[Payment]) -> list[Takings]:
    """Return the takings of these payments, the latest day first."""
    sums: dict[tuple[str, str, str], Takings] = {}
    for payment in payments:
        key = (rfc3339(payment.created_at)[:10], payment.provider, payment.terms.price.currency)
        known = sums.get(key, Takings(day=key[0], provider=key[1], currency=key[2]))
        sums[key] = _with(known, payment)
    return sorted(sums.values(), key=lambda one: (one.day, one.provider, one.currency), reverse=True)


def _with(sums: Takings, payment: Payment) -> Takings:
    is_paid, terms = status_of(payment) in PAID, payment.terms
    return replace(
        sums,
        begun=sums.begun + 1,
        paid=sums.paid + is_paid,
        paid_minor=sums.paid_minor + (terms.price.minor if is_paid else 0),
        refunded_minor=sums.refunded_minor + payment.refunded_minor,
        credits=sums.credits + (terms.credits + terms.bonus if is_paid else 0),
    )
