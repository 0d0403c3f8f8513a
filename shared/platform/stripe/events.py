"""Stripe's events as notices: the objects and the payment that each event names. Pure, without the SDK."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.clock import SECOND
from shared.kernel.ids import is_safe_id
from shared.payments.ports import Notice

PAYMENT = "payment_id"
"""Metadata field of Stripe's objects that holds our payment id."""
KINDS = {
    "checkout.session": "session",
    "payment_intent": "intent",
    "charge": "charge",
    "refund": "refund",
    "dispute": "dispute",
    "radar.early_fraud_warning": "warning",
}
"""Our kinds for Stripe's object types."""
UNREADABLE = "unreadable"
LINKS = {"payment_intent": "intent", "charge": "charge", "latest_charge": "charge"}
EVENT_TYPES = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
)
"""Event types that an endpoint must subscribe to, and that a search for missed events lists.

Stripe takes at most twenty types.
"""


LIVE_KEYS = ("sk_live_", "rk_live_", "sk_org_live_")
"""First letters of secret keys that move real money: an account's, a restricted one, an organization's.

See https://docs.stripe.com/keys and https://docs.stripe.com/keys/organization-api-keys
"""


class NotAStripeEvent(ValueError):
    """Event without the shape of a Stripe event."""


def is_live_key(secret_key: str) -> bool:
    """Return True if the key moves real money, by the first letters of the key."""
    return secret_key.startswith(LIVE_KEYS)


def notice_of(event: Mapping[str, Any]) -> Notice:
    """Return the notice of an event. Raises NotAnEvent.

    An unknown event type or object gives a notice that names no objects.
    """
    thing = _mapping(_mapping(event.get("data")).get("object"))
    event_id, kind, created = event.get("id"), event.get("type"), event.get("created")
    account, is_live = event.get("account"), event.get("livemode")
    if not (_is_name(event_id) and _is_name(kind) and _is_count(created) and isinstance(is_live, bool)):
        raise NotAStripeEvent("an event has an id, a type, a time and a mode")
    return Notice(
        provider="stripe",
        id=str(event_id),
        type=str(kind),
        at=int(str(created)) * SECOND,
        is_live=is_live,
        account=account if account is None or _is_name(account) else UNREADABLE,
        payment=payment_in(thing),
        refs=refs_of(thing),
    )


def payment_in(thing: Mapping[str, Any]) -> str | None:
    """Return our payment id if this object carries the id, else None."""
    named = _mapping(thing.get("metadata")).get(PAYMENT)
    return named if _is_name(named) else None


def refs_of(thing: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids of an object and of the objects that it names, by kind.

    An object may be named by its id, or expanded in place.
    """
    own = KINDS.get(str(thing.get("object")))
    named = [(own, thing.get("id"))] if own else []
    for name, kind in LINKS.items():
        value = thing.get(name)
        named.append((kind, value.get("id") if isinstance(value, Mapping) else value))
    # Reversed, so that the first of a kind counts: an object before what it refers to.
    return {kind: str(value) for kind, value in reversed(named) if _is_name(value)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_name(value: Any) -> bool:
    """Return True if the value could be one of our ids. Other users of this account set metadata too."""
    return isinstance(value, str) and is_safe_id(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
