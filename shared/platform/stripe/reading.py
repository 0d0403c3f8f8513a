"""Stripe's objects as the truth of a payment: stage, amount received, refunds, disputes. Pure, over dictionaries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.payments.fiat import Fiat
from shared.payments.ports import Dispute, Refund, Stage, Truth
from shared.platform.stripe.events import payment_in, refs_of

Thing = Mapping[str, Any]

REFUND_STATUS: Mapping[str, Literal["pending", "succeeded", "failed"]] = {
    "succeeded": "succeeded",
    "pending": "pending",
    "requires_action": "pending",
    "failed": "failed",
    "canceled": "failed",
}
DISPUTE_CLOSED: Mapping[str, Literal["won", "lost", "withdrawn"]] = {
    "won": "won",
    "lost": "withdrawn",
    "warning_closed": "withdrawn",
    "prevented": "withdrawn",
}
"""Status by the end of a dispute in which no money is gone. Any other status, inquiries included, means open."""
AWAITED = frozenset({"requires_action", "requires_confirmation"})
INTENT_STAGE: Mapping[str, Stage] = {"succeeded": "paid", "processing": "pending", "requires_capture": "approved"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Objects of one payment. `session` is None without a page, `intent` (with its latest charge) until created."""

    session: Thing | None
    intent: Thing | None

    @property
    def charge(self) -> Thing | None:
        """Return the last attempt to take the money; None if there was none."""
        charge = (self.intent or {}).get("latest_charge")
        return charge if isinstance(charge, Mapping) else None


def truth_of(found: Found, refunds: Iterable[Thing], disputes: Iterable[Thing], warnings: Iterable[Thing]) -> Truth:
    """Return the truth that these objects describe."""
    intent, charge = found.intent or {}, found.charge or {}
    stage = _stage(found)
    is_paid = stage == "paid"
    return Truth(
        stage=stage,
        refs={**refs_of(found.session or {}), **refs_of(intent), **refs_of(charge)},
        is_live=bool((found.intent or found.session or {}).get("livemode")),
        payment=payment_in(intent) or payment_in(found.session or {}),
        money=str(intent["id"]) if is_paid else None,
        paid=_amount(intent["amount_received"], intent) if is_paid else None,
        refunds=tuple(refund_of(each) for each in refunds),
        disputes=tuple(_dispute_of(each) for each in disputes),
        warnings=tuple(str(each["id"]) for each in warnings),
        receipt_url=charge.get("receipt_url"),
        failure=None if is_paid else _failure(intent),
    )


def refund_of(thing: Thing) -> Refund:
    """Return the refund that Stripe's object describes."""
    # A status that is new to us counts as money that went back: the safer of two mistakes.
    status = REFUND_STATUS.get(str(thing["status"]), "pending")
    return Refund(id=str(thing["id"]), amount=_amount(thing["amount"], thing), status=status)


def _dispute_of(thing: Thing) -> Dispute:
    """Read one dispute. Its balance transactions say if money is gone, its status only if the dispute is closed.

    https://docs.stripe.com/api/disputes/object#dispute_object-balance_transactions
    """
    status: Literal["open", "won", "lost", "withdrawn"] = DISPUTE_CLOSED.get(str(thing["status"]), "open")
    if status != "open" and _is_withdrawn(thing):
        # A dispute that was won stays open until its money has come back.
        status = "open" if status == "won" else "lost"
    return Dispute(id=str(thing["id"]), amount=_amount(thing["amount"], thing), status=status)


def _is_withdrawn(dispute: Thing) -> bool:
    """Return True if the dispute's money was withdrawn more often than reinstated.

    Each movement is the whole amount, less or with fees.
    """
    moved = [int(each["amount"]) for each in dispute.get("balance_transactions") or []]
    return sum(amount < 0 for amount in moved) > sum(amount > 0 for amount in moved)


def _stage(found: Found) -> Stage:
    intent, session = found.intent or {}, found.session
    status = str(intent.get("status"))
    if status in INTENT_STAGE:
        return INTENT_STAGE[status]
    if session is not None and session["status"] == "expired":
        return "expired"
    if status == "canceled":
        return "expired" if intent.get("cancellation_reason") == "expired" else "cancelled"
    if session is not None and session["status"] == "complete":
        # To be paid later, by a voucher or a transfer: the user has done their part, or the money did not come.
        return "pending" if status in AWAITED else "failed"
    return "open"  # also after a declined card: the user may take another


def _failure(intent: Thing) -> str | None:
    """Return Stripe's code for the last failure; None if nothing failed."""
    error = intent.get("last_payment_error") or {}
    return error.get("decline_code") or error.get("code") or intent.get("cancellation_reason")


def _amount(minor: int, thing: Thing) -> Fiat:
    return Fiat(minor, str(thing["currency"]).upper())
