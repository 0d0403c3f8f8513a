"""What PayPal's objects say of a payment: its stage, what was received, what went back. Pure, over dictionaries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from shared.payments.fiat import Fiat
from shared.payments.ports import Dispute, Refund, Stage, Truth
from shared.platform.paypal.events import payment_in, refs_of

Thing = Mapping[str, Any]

ORDER_STAGE: Mapping[str, Stage] = {
    "CREATED": "open",
    "SAVED": "open",
    "PAYER_ACTION_REQUIRED": "open",
    "APPROVED": "approved",
    "VOIDED": "failed",
    "COMPLETED": "failed",  # without a capture that came to anything
}
CAPTURE_STAGE: Mapping[str, Stage] = {
    "COMPLETED": "paid",
    "PARTIALLY_REFUNDED": "paid",
    "REFUNDED": "paid",
    "PENDING": "pending",
    "DECLINED": "failed",
    "DENIED": "failed",
    "FAILED": "failed",
}
STAGE_ORDER: Sequence[Stage] = ("paid", "pending", "failed")
REFUND_STATUS: Mapping[str, Literal["pending", "succeeded", "failed"]] = {
    "COMPLETED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "failed",
}
DISPUTE_END: Mapping[str, Literal["won", "lost", "withdrawn"]] = {
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",
    "DENIED": "won",
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",
    "CANCELED_BY_BUYER": "withdrawn",
    "NONE": "withdrawn",
}
"""How a resolved dispute ended. With an outcome that is new to us it stays open, for a person to look at."""
WHOLE_ONLY = frozenset({"HUF", "TWD"})
"""Currencies with a minor unit that PayPal takes whole amounts of only."""


def truth_of(order: Thing | None, capture: Thing | None, disputes: Iterable[Thing], *, is_live: bool) -> Truth:
    """All that these objects say. Either is there: the order, or a capture whose order is gone.

    Refunds are listed with the order. Raises ValueError for a capture that some of went back, nobody says how much.
    """
    of_order: Stage = "failed" if order is None else ORDER_STAGE.get(str(order["status"]), "open")
    stage = of_order if capture is None else _capture_stage(capture)
    if stage == "failed" and of_order == "approved":
        stage = "approved"  # one attempt failed, and the payer has agreed to another
    paid = capture if stage == "paid" else None
    capture_refs = refs_of("capture", capture or {})
    return Truth(
        stage=stage,
        refs={**capture_refs, **refs_of("checkout-order", order or {})},
        is_live=is_live,
        payment=payment_in(capture or {}) or payment_in(order or {}),
        money=None if paid is None else str(paid["id"]),
        paid=None if paid is None else amount_of(paid["amount"]),
        refunds=_refunds(order, capture),
        disputes=tuple(_dispute_of(each) for each in disputes),
        failure=_failure(capture) if stage == "failed" else None,
    )


def best_capture(order: Thing) -> Thing | None:
    """The order's capture that came to most; there is one at most unless an attempt failed."""
    captures = payments_in(order, "captures")
    return min(captures, key=lambda each: STAGE_ORDER.index(_capture_stage(each)), default=None)


def payments_in(order: Thing | None, kind: str) -> list[Thing]:
    """All captures or refunds that an order lists: its whole history."""
    units = (order or {}).get("purchase_units") or []
    return [each for unit in units for each in (unit.get("payments") or {}).get(kind) or []]


def _refunds(order: Thing | None, capture: Thing | None) -> tuple[Refund, ...]:
    status = None if order is not None or capture is None else str(capture["status"])
    if capture is not None and status == "REFUNDED":
        return (Refund(id=str(capture["id"]), amount=amount_of(capture["amount"]), status="succeeded"),)
    if status == "PARTIALLY_REFUNDED":
        raise ValueError("what went back is listed with an order that is not there")
    return tuple(refund_of(each) for each in payments_in(order, "refunds"))


def refund_of(thing: Thing) -> Refund:
    """One refund."""
    # A status that is new to us counts as money that went back: the safer of two mistakes.
    status = REFUND_STATUS.get(str(thing["status"]), "pending")
    return Refund(id=str(thing["id"]), amount=amount_of(thing["amount"]), status=status)


def amount_of(amount: Thing) -> Fiat:
    """An amount as PayPal writes it."""
    return Fiat.parse(str(amount["value"]), str(amount["currency_code"]))


def written(amount: Fiat) -> dict[str, str]:
    """An amount for PayPal to read."""
    decimal = amount.decimal
    if amount.currency in WHOLE_ONLY:
        decimal = decimal.removesuffix(".00")
    return {"currency_code": amount.currency, "value": decimal}


def _capture_stage(capture: Thing) -> Stage:
    return CAPTURE_STAGE.get(str(capture["status"]), "pending")


def _dispute_of(thing: Thing) -> Dispute:
    outcome = thing.get("dispute_outcome") or {}
    status: Literal["open", "won", "lost", "withdrawn"] = "open"
    if thing["status"] == "RESOLVED":
        status = DISPUTE_END.get(str(outcome.get("outcome_code")), "open")
    amount = outcome.get("amount_refunded") if status == "lost" else None
    return Dispute(id=str(thing["dispute_id"]), amount=amount_of(amount or thing["dispute_amount"]), status=status)


def _failure(capture: Thing | None) -> str | None:
    """PayPal's own word for what went wrong."""
    if capture is None:
        return None
    details = capture.get("status_details") or {}
    return str(details.get("reason") or capture["status"]).lower()
