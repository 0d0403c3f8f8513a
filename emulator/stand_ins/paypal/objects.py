"""Objects of PayPal as PayPal publishes them: Orders v2, Payments v2, Disputes v1, Webhooks v1."""

import secrets
import string
from datetime import UTC, datetime
from decimal import Decimal

from emulator.stand_ins.stand_in import token
from emulator.stand_ins.wire import Json

ID_ALPHABET = string.ascii_uppercase + string.digits
ID_LENGTH = 17
ACCOUNT_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # PayPal leaves out what is easily confused
FEE_RATE = Decimal("0.0349")
FEE_FIXED = Decimal("0.49")
WITHOUT_DECIMALS = {"HUF", "JPY", "TWD"}
CURRENCIES = {
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY", "MYR", "MXN", "NOK",
    "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TWD", "USD",
}  # fmt: skip
PAYER_NAME = {"given_name": "Zoë", "surname": "Müller-Ñandú"}
SUMMARIES = {
    "CHECKOUT.ORDER.APPROVED": "An order has been approved by buyer",
    "CHECKOUT.ORDER.COMPLETED": "Checkout Order Completed",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": "A payment has been reversed after approval.",
    "CUSTOMER.DISPUTE.CREATED": "A new dispute opened",
    "CUSTOMER.DISPUTE.RESOLVED": "A dispute was resolved",
    "CUSTOMER.DISPUTE.UPDATED": "A dispute was updated",
    "PAYMENT.CAPTURE.COMPLETED": "Payment completed for {amount}",
    "PAYMENT.CAPTURE.DENIED": "Payment denied for {amount}",
    "PAYMENT.CAPTURE.PENDING": "Payment pending for {amount}",
    "PAYMENT.CAPTURE.REFUNDED": "A {amount} capture payment was refunded",
    "PAYMENT.CAPTURE.REVERSED": "A {amount} capture payment was reversed",
    "PAYMENT.REFUND.FAILED": "A {amount} refund failed",
    "PAYMENT.REFUND.PENDING": "A {amount} refund is pending",
}


def new_id() -> str:
    return token(ID_LENGTH, ID_ALPHABET)


def event_id() -> str:
    return f"WH-{new_id()}-{new_id()}"


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fine_stamp(seconds: float) -> str:
    """Return the time as text with milliseconds, as in PayPal's events and disputes."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(value: Decimal, currency: str) -> Json:
    places = Decimal(1) if currency in WITHOUT_DECIMALS else Decimal("0.01")
    return {"currency_code": currency, "value": str(value.quantize(places))}


def value_of(amount: Json) -> Decimal:
    return Decimal(amount["value"])


def link(url: str, rel: str, method: str = "GET") -> Json:
    return {"href": url, "rel": rel, "method": method}


def order(given: Json, now: float, url: str, merchant: Json) -> Json:
    """Return a new order. An order with a payment source waits for its payer; any other order is created only."""
    order_id = new_id()
    source = (given.get("payment_source") or {}).get("paypal")
    rel = "approve" if source is None else "payer-action"
    links = [
        link(f"{url}/v2/checkout/orders/{order_id}", "self"),
        link(f"{url}/checkoutnow?token={order_id}", rel),
    ]
    if source is None:
        links.append(link(f"{url}/v2/checkout/orders/{order_id}", "update", "PATCH"))
        links.append(link(f"{url}/v2/checkout/orders/{order_id}/capture", "capture", "POST"))
    units = [_unit(unit, merchant) for unit in given["purchase_units"]]
    made: Json = {
        "id": order_id,
        "intent": given["intent"],
        "status": "CREATED" if source is None else "PAYER_ACTION_REQUIRED",
        "purchase_units": units,
        "create_time": stamp(now),
        "links": links,
    }
    if source is not None:
        made["payment_source"] = {"paypal": {}}
    return made


def _unit(given: Json, merchant: Json) -> Json:
    kept = ("description", "custom_id", "invoice_id", "soft_descriptor", "items")
    return {
        "reference_id": given.get("reference_id", "default"),
        "amount": given["amount"],
        "payee": dict(merchant),
        **{name: given[name] for name in kept if name in given},
    }


def payer(email: str) -> Json:
    return {
        "name": dict(PAYER_NAME),
        "email_address": email,
        "payer_id": token(13, ACCOUNT_ALPHABET),
        "address": {"country_code": "US"},
    }


def wallet(of: Json) -> Json:
    return {
        "email_address": of["email_address"],
        "account_id": of["payer_id"],
        "account_status": "VERIFIED",
        "name": of["name"],
        "address": of["address"],
    }


def capture(of: Json, unit: Json, status: str, now: float, url: str) -> Json:
    capture_id = new_id()
    amount = {name: unit["amount"][name] for name in ("currency_code", "value")}
    made: Json = {
        "id": capture_id,
        "status": status,
        "amount": amount,
        "final_capture": True,
        "seller_protection": {
            "status": "ELIGIBLE",
            "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
        },
        **{name: unit[name] for name in ("invoice_id", "custom_id") if name in unit},
        "create_time": stamp(now),
        "update_time": stamp(now),
        "links": [
            link(f"{url}/v2/payments/captures/{capture_id}", "self"),
            link(f"{url}/v2/payments/captures/{capture_id}/refund", "refund", "POST"),
            link(f"{url}/v2/checkout/orders/{of['id']}", "up"),
        ],
    }
    if status == "PENDING":
        made["status_details"] = {"reason": "PENDING_REVIEW"}
    if status == "COMPLETED":
        made["seller_receivable_breakdown"] = receivable(amount)
    return made


def receivable(amount: Json) -> Json:
    gross, currency = value_of(amount), amount["currency_code"]
    fee = gross * FEE_RATE + FEE_FIXED
    shown_fee = money(fee, currency)
    return {
        "gross_amount": money(gross, currency),
        "paypal_fee": shown_fee,
        "net_amount": money(gross - value_of(shown_fee), currency),
    }


def refund(of: Json, amount: Json, status: str, now: float, url: str, given: Json) -> Json:
    refund_id = new_id()
    made: Json = {
        "id": refund_id,
        "amount": amount,
        "status": status,
        "seller_payable_breakdown": {
            "gross_amount": amount,
            "paypal_fee": money(Decimal(0), amount["currency_code"]),
            "net_amount": amount,
        },
        **{name: of[name] for name in ("invoice_id", "custom_id") if name in of},
        **{name: given[name] for name in ("invoice_id", "custom_id", "note_to_payer") if name in given},
        "create_time": stamp(now),
        "update_time": stamp(now),
        "links": [
            link(f"{url}/v2/payments/refunds/{refund_id}", "self"),
            link(f"{url}/v2/payments/captures/{of['id']}", "up"),
        ],
    }
    if status == "PENDING":
        made["status_details"] = {"reason": "ECHECK"}
    return made


def dispute(of: Json, amount: Json, reason: str, now: float, url: str, merchant: Json) -> Json:
    dispute_id = f"PP-R-{token(3, string.ascii_uppercase)}-{secrets.randbelow(10**8):08d}"
    return {
        "dispute_id": dispute_id,
        "create_time": fine_stamp(now),
        "update_time": fine_stamp(now),
        "disputed_transactions": [
            {
                "buyer_transaction_id": new_id(),
                "seller_transaction_id": of["id"],
                "create_time": fine_stamp(now),
                "transaction_status": "COMPLETED",
                "gross_amount": of["amount"],
                "buyer": {"name": f"{PAYER_NAME['given_name']} {PAYER_NAME['surname']}"},
                "seller": {
                    "email": merchant["email_address"],
                    "merchant_id": merchant["merchant_id"],
                    "name": "Integrated Credits",
                },
                **({"custom": of["custom_id"]} if "custom_id" in of else {}),
            }
        ],
        "reason": reason,
        "status": "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": amount,
        "dispute_life_cycle_stage": "CHARGEBACK",
        "dispute_channel": "INTERNAL",
        "extensions": {},
        "offer": {"buyer_requested_amount": amount},
        "messages": [
            {"posted_by": "BUYER", "time_posted": fine_stamp(now), "content": "Das war ich nicht – ¡no fui yo!"}
        ],
        "links": [link(f"{url}/v1/customer/disputes/{dispute_id}", "self")],
    }


def event(kind: str, resource: Json, now: float, url: str) -> Json:
    made = event_id()
    amount = resource.get("amount") or resource.get("dispute_amount")
    told = f"{amount['currency_code']} {amount['value']}" if amount else ""
    resource_type, version = _resource_of(kind)
    return {
        "id": made,
        "event_version": "1.0",
        "create_time": fine_stamp(now),
        "resource_type": resource_type,
        **({"resource_version": version} if version else {}),
        "event_type": kind,
        "summary": SUMMARIES[kind].format(amount=told),
        "resource": resource,
        "links": [
            link(f"{url}/v1/notifications/webhooks-events/{made}", "self"),
            link(f"{url}/v1/notifications/webhooks-events/{made}/resend", "resend", "POST"),
        ],
    }


def _resource_of(kind: str) -> tuple[str, str]:
    if kind.startswith("CHECKOUT."):
        return "checkout-order", "2.0"
    if kind.startswith("CUSTOMER.DISPUTE."):
        return "dispute", ""
    is_refund = kind in {"PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED"} or kind.startswith("PAYMENT.REFUND.")
    return ("refund" if is_refund else "capture"), "2.0"
