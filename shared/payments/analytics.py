"""Takings: counts and sums of payments by day, provider and currency. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from shared.kernel.clock import from_datetime, rfc3339
from shared.kernel.documents import Data

PAID = frozenset({"settled", "partially_refunded", "refunded", "disputed", "won", "lost"})


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


def takings(payments: Iterable[Data]) -> list[Takings]:
    """Return the takings of these payments (`payments/{id}`), the latest day first."""
    sums: dict[tuple[str, str, str], Takings] = {}
    for payment in payments:
        day = rfc3339(from_datetime(payment["created_at"]))[:10]  # type: ignore[arg-type]  # a time
        key = (day, str(payment["provider"]), str(payment["currency"]))
        known = sums.get(key, Takings(day=key[0], provider=key[1], currency=key[2]))
        sums[key] = _with(known, payment)
    return sorted(sums.values(), key=lambda one: (one.day, one.provider, one.currency), reverse=True)


def _with(sums: Takings, payment: Data) -> Takings:
    is_paid = payment["status"] in PAID
    amount = cast("dict[str, int]", payment)
    return Takings(
        day=sums.day,
        provider=sums.provider,
        currency=sums.currency,
        begun=sums.begun + 1,
        paid=sums.paid + is_paid,
        paid_minor=sums.paid_minor + (amount["price_minor"] if is_paid else 0),
        refunded_minor=sums.refunded_minor + amount["refunded_minor"],
        credits=sums.credits + (amount["credits"] + amount["bonus"] if is_paid else 0),
    )
