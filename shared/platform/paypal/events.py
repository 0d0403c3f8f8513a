"""PayPal's events as notices: the objects and the payment that each event names. Pure, without the SDK."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.clock import parse_rfc3339
from shared.kernel.ids import is_safe_id
from shared.payments.ports import Notice

KIND_BY_PATH = {"orders": "order", "captures": "capture"}
EVENT_TYPES = (
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    "PAYMENT.REFUND.FAILED",
    "PAYMENT.REFUND.PENDING",
    "CUSTOMER.DISPUTE.CREATED",
    "CUSTOMER.DISPUTE.UPDATED",
    "CUSTOMER.DISPUTE.RESOLVED",
)
"""Event types that a webhook must subscribe to.

https://developer.paypal.com/api/rest/webhooks/event-names/
"""


class NotAPayPalEvent(ValueError):
    """Event without the shape of a PayPal event."""


def notice_of(event: Mapping[str, Any], *, is_live: bool) -> Notice:
    """Return the notice of an event. PayPal's events do not name their mode, so `is_live` comes from the signer.

    Raises NotAnEvent.
    """
    event_id, kind, created = event.get("id"), event.get("event_type"), event.get("create_time")
    if not (_is_name(event_id) and _is_name(kind) and isinstance(created, str)):
        raise NotAPayPalEvent("an event has an id, a type and a time")
    try:
        at = parse_rfc3339(str(created))
    except ValueError as error:
        raise NotAPayPalEvent("an event has a time") from error
    resource = _mapping(event.get("resource"))
    return Notice(
        provider="paypal",
        id=str(event_id),
        type=str(kind),
        at=at,
        is_live=is_live,
        payment=payment_in(resource),
        refs=refs_of(str(event.get("resource_type")), resource),
    )


def payment_in(thing: Mapping[str, Any]) -> str | None:
    """Return our payment id if this order, capture, refund or dispute carries the id, else None."""
    unit, disputed = _first(thing.get("purchase_units")), _first(thing.get("disputed_transactions"))
    named = thing.get("custom_id") or unit.get("custom_id") or disputed.get("custom")
    return named if _is_name(named) else None


def refs_of(resource_type: str, thing: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids of a PayPal object and of the objects that it names, by kind: `order`, `capture`, `refund`,
    `dispute`.
    """
    found: dict[str, Any] = {}
    if resource_type == "checkout-order":
        found["order"] = thing.get("order_id") or thing.get("id")
    elif resource_type == "capture":
        related = _mapping(_mapping(thing.get("supplementary_data")).get("related_ids"))
        found = {**above(thing), "capture": thing.get("id")}
        found["order"] = related.get("order_id") or found.get("order")
    elif resource_type == "refund":
        found = {**above(thing), "refund": thing.get("id")}
    elif resource_type == "dispute":
        transaction = _first(thing.get("disputed_transactions"))
        found = {"dispute": thing.get("dispute_id"), "capture": transaction.get("seller_transaction_id")}
    return {kind: str(value) for kind, value in found.items() if _is_name(value)}


def above(thing: Mapping[str, Any]) -> dict[str, str]:
    """Return the parent that the link `up` names: a capture's order, or a refund's capture.

    Empty without such a link.
    """
    links = thing.get("links")
    for link in links if isinstance(links, list) else ():
        parts = str(_mapping(link).get("href")).split("?")[0].split("/")
        if _mapping(link).get("rel") == "up" and parts[-2:-1] and parts[-2] in KIND_BY_PATH and parts[-1]:
            return {KIND_BY_PATH[parts[-2]]: parts[-1]}
    return {}


def _first(value: Any) -> Mapping[str, Any]:
    return _mapping(value[0]) if isinstance(value, list) and value else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_name(value: Any) -> bool:
    """Return True if the value could be one of our ids. Other sellers on this account set custom ids too."""
    return isinstance(value, str) and is_safe_id(value)
