"""Stripe's events as notices: which objects each is about, and whose it says they are. Pure, without the SDK."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.clock import SECOND
from shared.kernel.ids import is_safe_id
from shared.payments.ports import Notice

PAYMENT = "payment_id"
"""Where our name of a payment stands in the metadata of Stripe's objects."""
KINDS = {
    "checkout.session": "session",
    "payment_intent": "intent",
    "charge": "charge",
    "refund": "refund",
    "dispute": "dispute",
    "radar.early_fraud_warning": "warning",
}
"""What we call Stripe's objects."""
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
"""What an endpoint should be sent, and what is looked for when something was missed. Stripe takes twenty at most."""


class NotAnEvent(ValueError):
    """This is not the shape of an event of Stripe's."""


def is_live_key(secret_key: str) -> bool:
    """Whether a key moves real money: `sk_live_…`, or a restricted `rk_live_…`."""
    return secret_key.startswith(("sk_live_", "rk_live_"))


def notice_of(event: Mapping[str, Any]) -> Notice:
    """What an event says. Raises NotAnEvent. Types and objects we do not know are notices too, of nothing."""
    thing = _mapping(_mapping(event.get("data")).get("object"))
    event_id, kind, created = event.get("id"), event.get("type"), event.get("created")
    account, is_live = event.get("account"), event.get("livemode")
    if not (_is_name(event_id) and _is_name(kind) and _is_count(created) and isinstance(is_live, bool)):
        raise NotAnEvent("an event has an id, a type, a time and a mode")
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
    """Our name of the payment, if this object carries it."""
    named = _mapping(thing.get("metadata")).get(PAYMENT)
    return named if _is_name(named) else None


def refs_of(thing: Mapping[str, Any]) -> dict[str, str]:
    """An object and those it names, by kind; named by id, or expanded in place."""
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
    """Metadata are anybody's who works on this account: what could not name a document of ours names nothing."""
    return isinstance(value, str) and is_safe_id(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
