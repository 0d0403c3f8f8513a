"""Money of a stand-in PayPal: orders, captures, refunds and disputes, with the events of each step."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from emulator.stand_ins.paypal import objects
from emulator.stand_ins.paypal.errors import invalid, missing, unprocessable
from emulator.stand_ins.stand_in import Misuse
from emulator.stand_ins.wire import Json, copied

VALUE = re.compile(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?")
ID_CHARACTERS_MAX = 127
ORDER_SECONDS = 3 * 3600
# What a capture of an approved order becomes.
ENDINGS = {"completed": "COMPLETED", "pending": "PENDING", "denied": "DECLINED", "declined": ""}
REFUND_STARTS = ("COMPLETED", "PENDING", "FAILED")
LIVE_REFUNDS = {"COMPLETED", "PENDING"}
REFUNDABLE = {"COMPLETED", "PARTIALLY_REFUNDED"}
OUTCOMES = {"won": "RESOLVED_SELLER_FAVOUR", "lost": "RESOLVED_BUYER_FAVOUR", "withdrawn": "CANCELED_BY_BUYER"}
MERCHANT = {"email_address": "merchant@example.com", "merchant_id": "STANDNMERCH22"}


@dataclass(slots=True, kw_only=True)
class Approval:
    """PayPal's own facts of an order: the payer's way back, the time limit, and the result of a capture."""

    return_url: str
    cancel_url: str
    brand: str
    expires_at: float
    ending: str = "completed"
    captures: list[str] = field(default_factory=list)


class Money:
    """Money of one merchant. The caller holds the stand-in's lock."""

    def __init__(self, *, now: Callable[[], float], url: str, announce: Callable[[Json], None]) -> None:
        self._now = now
        self._url = url
        self._announce = announce
        self.orders: dict[str, Json] = {}
        self.approvals: dict[str, Approval] = {}
        self.captures: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.disputes: dict[str, Json] = {}
        self.events: dict[str, Json] = {}
        self._refunded_by: dict[str, list[Json]] = {}
        self._invoices: set[str] = set()
        self.refunds_start = "COMPLETED"

    def clear(self) -> None:
        for known in (self.orders, self.approvals, self.captures, self.refunds, self.disputes, self.events):
            known.clear()
        self._refunded_by.clear()
        self._invoices.clear()
        self.refunds_start = "COMPLETED"

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_order(self, given: Json) -> Json:
        """Create and return an order. Raises PayPalError for an order that PayPal would refuse."""
        if given.get("intent") != "CAPTURE":
            field_issue = "MISSING_REQUIRED_PARAMETER" if "intent" not in given else "INVALID_PARAMETER_VALUE"
            raise invalid(field_issue, "/intent")
        units = given.get("purchase_units")
        if not isinstance(units, list) or len(units) != 1:
            raise invalid("MISSING_REQUIRED_PARAMETER", "/purchase_units")
        _require_unit(units[0])
        paypal = (given.get("payment_source") or {}).get("paypal") or {}
        context = {**(given.get("application_context") or {}), **(paypal.get("experience_context") or {})}
        order = objects.order(given, self._now(), self._url, MERCHANT)
        self.orders[order["id"]] = order
        self.approvals[order["id"]] = Approval(
            return_url=context.get("return_url", ""),
            cancel_url=context.get("cancel_url", ""),
            brand=context.get("brand_name", "Integrated Credits"),
            expires_at=self._now() + ORDER_SECONDS,
        )
        return order

    def get_order(self, order_id: str) -> Json:
        """Return an order. Raises PayPalError for an unknown order, and for one that nobody captured in time."""
        order = self.orders.get(order_id)
        if order is None:
            raise missing()
        if order["status"] != "COMPLETED" and self.approvals[order_id].expires_at <= self._now():
            self.expire_order(order)
            raise missing()
        return order

    def expire_order(self, order: Json) -> None:
        """Remove an order that nobody captured in time. If the payer had approved the order, announce the end."""
        if order["status"] == "COMPLETED":
            raise Misuse(f"order {order['id']} is completed; it does not expire")
        if order["status"] == "APPROVED":
            self.tell("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {**order, "order_id": order["id"]})
        del self.orders[order["id"]]

    def approve(self, order: Json, ending: str, email: str) -> Json:
        """Let the payer approve the order, and return the order. May be repeated before the capture.

        `ending` is the result of a later capture.
        """
        if ending not in ENDINGS:
            raise Misuse(f"a capture ends {', '.join(ENDINGS)}")
        if order["status"] == "COMPLETED":
            raise Misuse(f"order {order['id']} is completed; there is nothing to approve")
        self.approvals[order["id"]].ending = ending
        payer = objects.payer(email)
        order.update(status="APPROVED", payer=payer, payment_source={"paypal": objects.wallet(payer)})
        order["update_time"] = objects.stamp(self._now())
        order["links"] = [each for each in order["links"] if each["rel"] in {"self", "update", "capture"}]
        if not any(each["rel"] == "capture" for each in order["links"]):
            capture = f"{self._url}/v2/checkout/orders/{order['id']}/capture"
            order["links"].append(objects.link(capture, "capture", "POST"))
        self.tell("CHECKOUT.ORDER.APPROVED", order)
        return order

    def capture(self, order: Json) -> Json:
        """Take the money of an approved order, once, and return the order. Raises PayPalError."""
        if order["status"] == "COMPLETED":
            raise unprocessable("ORDER_ALREADY_CAPTURED")
        if order["status"] != "APPROVED":
            raise unprocessable("ORDER_NOT_APPROVED")
        approval = self.approvals[order["id"]]
        if approval.ending == "declined":
            again = objects.link(f"{self._url}/checkoutnow?token={order['id']}", "redirect")
            raise unprocessable("INSTRUMENT_DECLINED", links=[again])
        unit = order["purchase_units"][0]
        if unit.get("invoice_id") in self._invoices:
            raise unprocessable("DUPLICATE_INVOICE_ID")
        capture = objects.capture(order, unit, ENDINGS[approval.ending], self._now(), self._url)
        self.captures[capture["id"]] = capture
        approval.captures.append(capture["id"])
        if "invoice_id" in unit and capture["status"] != "DECLINED":
            self._invoices.add(unit["invoice_id"])
        unit["payments"] = {"captures": [capture]}
        order.update(status="COMPLETED", update_time=objects.stamp(self._now()))
        order["links"] = [each for each in order["links"] if each["rel"] == "self"]
        ending = {"COMPLETED": "COMPLETED", "PENDING": "PENDING", "DECLINED": "DENIED"}[capture["status"]]
        self._tell_capture(f"PAYMENT.CAPTURE.{ending}", capture, order)
        if ending == "COMPLETED":
            self.tell("CHECKOUT.ORDER.COMPLETED", order)
        return order

    def settle_capture(self, capture: Json, *, is_paid: bool) -> Json:
        """Complete a pending capture, or deny the capture if `is_paid` is False, and return the capture."""
        if capture["status"] != "PENDING":
            raise Misuse(f"capture {capture['id']} is {capture['status']}, not PENDING")
        capture.pop("status_details")
        capture.update(status="COMPLETED" if is_paid else "DECLINED", update_time=objects.stamp(self._now()))
        if is_paid:
            capture["seller_receivable_breakdown"] = objects.receivable(capture["amount"])
        else:
            self._invoices.discard(capture.get("invoice_id", ""))
        self._tell_capture(f"PAYMENT.CAPTURE.{'COMPLETED' if is_paid else 'DENIED'}", capture, self.order_of(capture))
        return capture

    def order_of(self, capture: Json) -> Json:
        return next(self.orders[name] for name, one in self.approvals.items() if capture["id"] in one.captures)

    def _tell_capture(self, kind: str, capture: Json, order: Json) -> None:
        """Announce a capture, with the custom id and the order, which the API's answers leave out."""
        related = {"supplementary_data": {"related_ids": {"order_id": order["id"]}}, "payee": dict(MERCHANT)}
        self.tell(kind, {**capture, **related})

    # ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_refund(self, capture: Json, given: Json) -> Json:
        """Give back an amount, or all that is left, and return the refund. Raises PayPalError."""
        amount = self._refundable(capture, given)
        status = self.refunds_start
        refund = objects.refund(capture, amount, status, self._now(), self._url, given)
        self.refunds[refund["id"]] = refund
        self._refunded_by.setdefault(capture["id"], []).append(refund)
        self.order_of(capture)["purchase_units"][0]["payments"].setdefault("refunds", []).append(refund)
        total = self._count(capture)
        refund["seller_payable_breakdown"]["total_refunded_amount"] = objects.money(total, amount["currency_code"])
        kind = {"COMPLETED": "CAPTURE.REFUNDED", "PENDING": "REFUND.PENDING", "FAILED": "REFUND.FAILED"}[status]
        self._tell_refund(kind, refund)
        return refund

    def _refundable(self, capture: Json, given: Json) -> Json:
        if capture["status"] == "PENDING":
            raise unprocessable("PENDING_CAPTURE")
        if capture["status"] == "REFUNDED":
            raise unprocessable("CAPTURE_FULLY_REFUNDED")
        if capture["status"] not in REFUNDABLE:
            raise unprocessable("REFUND_NOT_ALLOWED")
        currency = capture["amount"]["currency_code"]
        left = objects.value_of(capture["amount"]) - self.refunded(capture)
        asked = given.get("amount") or objects.money(left, currency)
        _require_amount(asked, "/amount")
        if asked["currency_code"] != currency:
            raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH", field="/amount/currency_code")
        if objects.value_of(asked) > left:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED", field="/amount/value")
        disputes = [each for each in self.disputes.values() if _disputed(each) == capture["id"]]
        if any(each.get("dispute_outcome", {}).get("outcome_code") == OUTCOMES["lost"] for each in disputes):
            raise unprocessable("REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK")
        if any(each["status"] != "RESOLVED" for each in disputes) and objects.value_of(asked) < left:
            raise unprocessable("TRANSACTION_DISPUTED")
        return objects.money(objects.value_of(asked), currency)

    def refunded(self, capture: Json) -> Decimal:
        """Return the money that went back, or is on its way back."""
        refunds = self._refunded_by.get(capture["id"], [])
        return sum((objects.value_of(each["amount"]) for each in refunds if each["status"] in LIVE_REFUNDS), Decimal(0))

    def settle_refund(self, refund: Json) -> Json:
        """Complete a pending refund, and return the refund."""
        if refund["status"] != "PENDING":
            raise Misuse(f"refund {refund['id']} is {refund['status']}, not PENDING")
        refund.pop("status_details")
        refund.update(status="COMPLETED", update_time=objects.stamp(self._now()))
        self._tell_refund("CAPTURE.REFUNDED", refund)
        return refund

    def fail_refund(self, refund: Json) -> Json:
        """Let a refund fail, also one that was reported as completed, and return the refund."""
        if refund["status"] not in LIVE_REFUNDS:
            raise Misuse(f"refund {refund['id']} is {refund['status']} already")
        refund.pop("status_details", None)
        refund.update(status="FAILED", update_time=objects.stamp(self._now()))
        self._count(self.captures[_up(refund)])
        self._tell_refund("REFUND.FAILED", refund)
        return refund

    def _count(self, capture: Json) -> Decimal:
        total, paid = self.refunded(capture), objects.value_of(capture["amount"])
        status = "REFUNDED" if total == paid else "PARTIALLY_REFUNDED" if total else "COMPLETED"
        capture.update(status=status, update_time=objects.stamp(self._now()))
        return total

    def _tell_refund(self, kind: str, refund: Json) -> None:
        self.tell(f"PAYMENT.{kind}", {**refund, "payer": dict(MERCHANT)})

    # ── disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_dispute(self, capture: Json, value: str | None, reason: str) -> Json:
        if capture["status"] in {"PENDING", "DECLINED", "FAILED"}:
            raise Misuse(f"capture {capture['id']} is {capture['status']}; nobody disputes what was not paid")
        amount = {**capture["amount"], **({"value": value} if value else {})}
        dispute = objects.dispute(capture, amount, reason, self._now(), self._url, MERCHANT)
        self.disputes[dispute["dispute_id"]] = dispute
        self.tell("CUSTOMER.DISPUTE.CREATED", dispute)
        return dispute

    def review_dispute(self, dispute: Json) -> Json:
        _require_open(dispute)
        dispute.update(status="UNDER_REVIEW", update_time=objects.fine_stamp(self._now()))
        self.tell("CUSTOMER.DISPUTE.UPDATED", dispute)
        return dispute

    def close_dispute(self, dispute: Json, outcome: str, *, is_reversal_told: bool) -> Json:
        """Close a dispute, and return the dispute.

        `outcome`: `won` by the seller, `lost`, or `withdrawn` by the buyer.
        """
        _require_open(dispute)
        if outcome not in OUTCOMES:
            raise Misuse(f"a dispute ends {', '.join(OUTCOMES)}")
        is_lost = outcome == "lost"
        nothing = objects.money(Decimal(0), dispute["dispute_amount"]["currency_code"])
        dispute.update(
            status="RESOLVED",
            update_time=objects.fine_stamp(self._now()),
            dispute_outcome={
                "outcome_code": OUTCOMES[outcome],
                "amount_refunded": dispute["dispute_amount"] if is_lost else nothing,
            },
        )
        self.tell("CUSTOMER.DISPUTE.RESOLVED", dispute)
        if is_lost and is_reversal_told:
            self._reverse(self.captures[_disputed(dispute)], dispute["dispute_amount"])
        return dispute

    def _reverse(self, capture: Json, amount: Json) -> None:
        """Money lost in a dispute is listed as a refund too, as PayPal does."""
        reversal = objects.refund(capture, amount, "COMPLETED", self._now(), self._url, {})
        self.refunds[reversal["id"]] = reversal
        self._refunded_by.setdefault(capture["id"], []).append(reversal)
        self.order_of(capture)["purchase_units"][0]["payments"].setdefault("refunds", []).append(reversal)
        self._count(capture)
        self.tell("PAYMENT.CAPTURE.REVERSED", reversal)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, kind: str, resource: Json) -> Json:
        event = objects.event(kind, copied(resource), self._now(), self._url)
        self.events[event["id"]] = event
        self._announce(event)
        return event


def _disputed(dispute: Json) -> str:
    return str(dispute["disputed_transactions"][0]["seller_transaction_id"])


def _up(refund: Json) -> str:
    return next(str(each["href"]).rpartition("/")[2] for each in refund["links"] if each["rel"] == "up")


def _require_open(dispute: Json) -> None:
    if dispute["status"] == "RESOLVED":
        raise Misuse(f"dispute {dispute['dispute_id']} is resolved")


def _require_unit(unit: Json) -> None:
    if not isinstance(unit.get("amount"), dict):
        raise invalid("MISSING_REQUIRED_PARAMETER", "/purchase_units/@reference_id=='default'/amount")
    _require_amount(unit["amount"], "/purchase_units/@reference_id=='default'/amount")
    for name in ("custom_id", "invoice_id", "description"):
        if name in unit and not 1 <= len(str(unit[name])) <= ID_CHARACTERS_MAX:
            raise invalid("INVALID_STRING_LENGTH", f"/purchase_units/@reference_id=='default'/{name}")


def _require_amount(amount: Json, at: str) -> None:
    currency, value = amount.get("currency_code"), amount.get("value")
    if currency is None or value is None:
        raise invalid("MISSING_REQUIRED_PARAMETER", f"{at}/{'value' if currency else 'currency_code'}")
    if currency not in objects.CURRENCIES:
        raise unprocessable("INVALID_CURRENCY_CODE", field=f"{at}/currency_code")
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        raise invalid("INVALID_PARAMETER_SYNTAX", f"{at}/value")
    if Decimal(value) <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", field=f"{at}/value")
    if not VALUE.fullmatch(value) or (currency in objects.WITHOUT_DECIMALS and Decimal(value) % 1):
        raise unprocessable("DECIMAL_PRECISION", field=f"{at}/value")
