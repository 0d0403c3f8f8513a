"""PayPal's events as notices: which objects each is about, and whose it says they are. Pure, without the SDK."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.clock import parse_rfc3339
from shared.kernel.ids import is_safe_id
from shared.payments.ports import Notice

KIND_BY_PATH = {"orders": "order", "captures": "capture"}


class NotAnEvent(ValueError):
    """This is not the shape of an event of PayPal's."""


def notice_of(event: Mapping[str, Any], *, is_live: bool) -> Notice:
    """What an event says. Raises NotAnEvent. PayPal's events do not name their mode: that is who signed them."""
    event_id, kind, created = event.get("id"), event.get("event_type"), event.get("create_time")
    if not (_is_name(event_id) and _is_name(kind) and isinstance(created, str)):
        raise NotAnEvent("an event has an id, a type and a time")
    try:
        at = parse_rfc3339(str(created))
    except ValueError as error:
        raise NotAnEvent("an event has a time") from error
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
    """Our name of the payment, if this order, capture, refund or dispute carries it."""
    unit, disputed = _first(thing.get("purchase_units")), _first(thing.get("disputed_transactions"))
    named = thing.get("custom_id") or unit.get("custom_id") or disputed.get("custom")
    return named if _is_name(named) else None


def refs_of(resource_type: str, thing: Mapping[str, Any]) -> dict[str, str]:
    """An object and those it names, by kind."""
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
    """What an object belongs to, as its link `up` says: a capture's order, a refund's capture."""
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
    """Custom ids are anybody's who sells on this account: what could not name a document of ours names nothing."""
    return isinstance(value, str) and is_safe_id(value)
