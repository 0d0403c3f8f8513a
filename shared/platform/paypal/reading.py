"""PayPal's objects as the truth of a payment: stage, amount received, refunds, disputes. Pure, over dictionaries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from shared.kernel.clock import SECOND, Millis, parse_rfc3339
from shared.payments.fiat import Fiat
from shared.payments.ports import Dispute, Refund, Stage, Truth
from shared.platform.paypal.events import payment_in, refs_of

Thing = Mapping[str, Any]

ORDER_STAGE: Mapping[str, Stage] = {
    "CREATED": "open",
    "SAVED": "open",
    "PAYER_ACTION_REQUIRED": "open",
    "APPROVED": "approved",
    "VOIDED": "cancelled",
    "COMPLETED": "failed",  # without a capture that came to anything
}
CAPTURE_STAGE: Mapping[str, Stage] = {
    "COMPLETED": "paid",
    "PARTIALLY_REFUNDED": "paid",
    "REFUNDED": "paid",
    "PENDING": "pending",
    "DECLINED": "failed",  # see WITHDRAWN_REASONS
    "DENIED": "failed",
    "FAILED": "failed",
}
WITHDRAWN_REASONS = frozenset({"BUYER_COMPLAINT", "CHARGEBACK", "REFUNDED"})
"""Reasons of captures that had been completed, and now read as pending or declined.

The money is held back, or was taken back.
"""
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
"""Status by the outcome of a resolved dispute. A dispute with an unknown outcome stays open, so that a person looks."""
WHOLE_ONLY = frozenset({"HUF", "TWD"})
"""Currencies with a minor unit of which PayPal takes only whole amounts."""


def truth_of(order: Thing | None, capture: Thing | None, disputes: Iterable[Thing], *, is_live: bool) -> Truth:
    """Return the truth of a payment. At least one of `order` and `capture` is given; the order may be gone.

    Refunds are listed with the order. Raises ValueError if the order is gone and its capture was partly refunded, since
    the amount is unknown.
    """
    of_order: Stage = "failed" if order is None else ORDER_STAGE.get(str(order["status"]), "open")
    stage = of_order if capture is None else _capture_stage(capture)
    if stage == "failed" and of_order == "approved":
        stage = "approved"  # one attempt failed, and the payer has agreed to another
    paid = capture if stage == "paid" else None
    capture_refs = refs_of("capture", capture or {})
    told = disputes_of(disputes, _foreign_refunds(order, capture))
    return Truth(
        stage=stage,
        refs={**capture_refs, **refs_of("checkout-order", order or {})},
        is_live=is_live,
        payment=payment_in(capture or {}) or payment_in(order or {}),
        money=None if paid is None else str(paid["id"]),
        paid=None if paid is None else amount_of(paid["amount"]),
        refunds=_refunds(order, capture, told),
        disputes=told,
        withdrawn=_withdrawn(capture, told),
        failure=_failure(capture) if stage == "failed" else None,
    )


def best_capture(order: Thing) -> Thing | None:
    """Return the order's most successful capture; None without captures. Several exist only if an attempt failed."""
    captures = payments_in(order, "captures")
    return min(captures, key=lambda each: STAGE_ORDER.index(_capture_stage(each)), default=None)


def payments_in(order: Thing | None, kind: str) -> list[Thing]:
    """Return all captures or refunds that an order lists, its whole history."""
    units = (order or {}).get("purchase_units") or []
    return [each for unit in units for each in (unit.get("payments") or {}).get(kind) or []]


def _refunds(order: Thing | None, capture: Thing | None, disputes: Iterable[Dispute]) -> tuple[Refund, ...]:
    """Return all refunds. If a dispute was won, its reversal has come back and is listed as a failed refund."""
    came_back = {dispute.refund for dispute in disputes if dispute.status == "won"}
    return tuple(
        replace(refund, status="failed") if refund.id in came_back else refund for refund in _listed(order, capture)
    )


def _listed(order: Thing | None, capture: Thing | None) -> tuple[Refund, ...]:
    status = None if order is not None or capture is None else str(capture["status"])
    if capture is not None and status == "REFUNDED":
        return (Refund(id=str(capture["id"]), amount=amount_of(capture["amount"]), status="succeeded"),)
    if status == "PARTIALLY_REFUNDED":
        raise ValueError("what went back is listed with an order that is not there")
    return tuple(refund_of(each) for each in payments_in(order, "refunds"))


def refund_of(thing: Thing) -> Refund:
    """Return the refund that PayPal's object describes."""
    # A status that is new to us counts as money that went back: the safer of two mistakes.
    status = REFUND_STATUS.get(str(thing["status"]), "pending")
    return Refund(id=str(thing["id"]), amount=amount_of(thing["amount"]), status=status)


def amount_of(amount: Thing) -> Fiat:
    """Parse an amount from PayPal's notation."""
    return Fiat.parse(str(amount["value"]), str(amount["currency_code"]))


def written(amount: Fiat) -> dict[str, str]:
    """Return an amount in PayPal's notation."""
    decimal = amount.decimal
    if amount.currency in WHOLE_ONLY:
        decimal = decimal.removesuffix(".00")
    return {"currency_code": amount.currency, "value": decimal}


def _capture_stage(capture: Thing) -> Stage:
    stage = CAPTURE_STAGE.get(str(capture["status"]), "pending")
    return "paid" if stage in {"pending", "failed"} and _reason(capture) in WITHDRAWN_REASONS else stage


def _reason(capture: Thing) -> str:
    return str((capture.get("status_details") or {}).get("reason") or "")


def _withdrawn(capture: Thing | None, disputes: Iterable[Dispute]) -> Literal["", "open", "lost"]:
    """Return "open" if a paid capture's money is held back, "lost" if the money was taken back, else "".

    If the capture has a dispute, the dispute says more, and the answer is "".
    """
    if capture is None or _capture_stage(capture) != "paid" or any(disputes):
        return ""
    stage = CAPTURE_STAGE.get(str(capture["status"]), "pending")
    return "open" if stage == "pending" else "lost" if stage == "failed" else ""


def _foreign_refunds(order: Thing | None, capture: Thing | None) -> list[Thing]:
    """Return the refunds that we did not make. Ours have their own invoice ids; PayPal's have the capture's or none."""
    of_capture = None if capture is None else capture.get("invoice_id")
    return [each for each in payments_in(order, "refunds") if each.get("invoice_id") in {None, of_capture}]


def disputes_of(disputes: Iterable[Thing], refunds: Iterable[Thing]) -> tuple[Dispute, ...]:
    """Return all disputes, each with the refund that belongs to the dispute.

    PayPal lists money that was taken in a dispute as a refund too. A refund matches if it was made after the dispute
    began, and has the dispute's amount or another currency. Each refund belongs to one dispute.
    """
    left, found = list(refunds), []
    for thing in sorted(disputes, key=lambda each: str(each.get("create_time") or "")):
        dispute = _dispute_of(thing)
        refund = None if dispute.status == "withdrawn" else next((r for r in left if _belongs(r, dispute, thing)), None)
        if refund is not None:
            left.remove(refund)
        found.append(replace(dispute, refund=None if refund is None else str(refund["id"])))
    return tuple(found)


def _belongs(refund: Thing, dispute: Dispute, thing: Thing) -> bool:
    began, made = _time(thing.get("create_time")), _time(refund.get("create_time"))
    if began is not None and made is not None and made < began - SECOND:
        return False
    amount = amount_of(refund["amount"])
    return amount == dispute.amount or (amount.currency != dispute.amount.currency and made is not None)


def _time(text: Any) -> Millis | None:
    try:
        return parse_rfc3339(str(text))
    except ValueError:
        return None


def _dispute_of(thing: Thing) -> Dispute:
    """Read one dispute. Its money movements say if money is gone, or else the outcome's refunded amount.

    https://developer.paypal.com/docs/api/customer-disputes/v1/#disputes_get
    """
    outcome = thing.get("dispute_outcome") or {}
    status: Literal["open", "won", "lost", "withdrawn"] = "open"
    if thing["status"] == "RESOLVED":
        status = DISPUTE_END.get(str(outcome.get("outcome_code")), "open")
        if (net := _net_debits(thing)) is not None and status != "open":
            status = "lost" if net > 0 else "withdrawn" if status == "lost" else status
    amount = outcome.get("amount_refunded") if status == "lost" else None
    return Dispute(id=str(thing["dispute_id"]), amount=amount_of(amount or thing["dispute_amount"]), status=status)


def _net_debits(dispute: Thing) -> int | None:
    """Return the seller's debits minus credits, as a count; None if no movement is listed. Fees do not count."""
    signs = {"DEBIT": 1, "CREDIT": -1}
    moved = [
        signs.get(str(each.get("type")), 0)
        for each in dispute.get("money_movements") or []
        if each.get("affected_party") == "SELLER" and each.get("reason") in {None, "DISPUTE_SETTLEMENT"}
    ]
    return sum(moved) if moved else None


def _failure(capture: Thing | None) -> str | None:
    """Return PayPal's reason for a failure in lower case; None without a capture."""
    if capture is None:
        return None
    details = capture.get("status_details") or {}
    return str(details.get("reason") or capture["status"]).lower()
