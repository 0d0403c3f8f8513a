"""Payments that reached another state, by provider, for operators."""

from collections.abc import Mapping

from shared.kernel.measured import PAYMENTS
from shared.payments.payment import Payment, status_of

OUTCOMES: Mapping[str, str] = {
    "settled": "settled",
    "won": "settled",
    "refunded": "returned",
    "partially_refunded": "returned",
    "disputed": "disputed",
    "lost": "disputed",
    "taken_back": "disputed",
    "failed": "ended",
    "cancelled": "ended",
    "expired": "ended",
}
"""Outcomes by status. A payment with another status is on its way, and counts when it arrives."""


def count_payment(payment: Payment, before: Payment) -> None:
    """Count a payment whose outcome is another than before. Never raises."""
    outcome = OUTCOMES.get(status_of(payment))
    if outcome is not None and outcome != OUTCOMES.get(status_of(before)):
        PAYMENTS.add(payment.provider, outcome)
