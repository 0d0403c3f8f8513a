"""View of Stripe's objects by the API: lists in pages, newest first, and fields expanded on request."""

from collections.abc import Callable, Iterable
from typing import Any

from emulator.stand_ins.stripe.errors import invalid, missing
from emulator.stand_ins.stripe.store import Store
from emulator.stand_ins.wire import Json, copied

LIMIT = 10
LIMIT_MAX = 100
DEPTH_MAX = 4
EXPANDABLE = {
    "checkout.session": {"customer", "line_items", "payment_intent"},
    "payment_intent": {"customer", "latest_charge", "payment_method"},
    "charge": {"balance_transaction", "customer", "failure_balance_transaction", "payment_intent", "refunds"},
    "refund": {"balance_transaction", "charge", "failure_balance_transaction", "payment_intent"},
    "dispute": {"charge", "payment_intent"},
    "radar.early_fraud_warning": {"charge", "payment_intent"},
    "balance_transaction": {"source"},
}


def listed(data: list[Json], url: str, *, has_more: bool = False) -> Json:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def shown(store: Store, thing: Json, expand: Iterable[str] = ()) -> Json:
    """Return a copy in which these fields are replaced by the named objects. Raises StripeError for other fields."""
    copy = copied(thing)
    for path in expand:
        names = path.split(".")
        if len(names) > DEPTH_MAX:
            raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
        _expand(store, copy, names, path)
    return copy


def page(store: Store, found: Iterable[Json], asked: Json, url: str) -> Json:
    """Return the requested number of newest objects, before or after one of them."""
    expand = [_within_data(path) for path in asked.get("expand", [])]
    newest = _created(list(found)[::-1], asked.get("created"))
    limit = asked.get("limit", LIMIT)
    if not 1 <= limit <= LIMIT_MAX:
        raise invalid("Invalid integer: must be between 1 and 100", param="limit")
    if "ending_before" in asked:
        before = newest[: _position(newest, asked["ending_before"], "ending_before")]
        chosen, has_more = before[-limit:], len(before) > limit
    else:
        after = newest
        if "starting_after" in asked:
            after = newest[_position(newest, asked["starting_after"], "starting_after") + 1 :]
        chosen, has_more = after[:limit], len(after) > limit
    return listed([shown(store, each, expand) for each in chosen], url, has_more=has_more)


def _within_data(path: str) -> str:
    first, _, rest = path.partition(".")
    if first != "data" or not rest:
        raise invalid(f"This property cannot be expanded ({path}). You may want to try `data.{path}`.", param="expand")
    return rest


def _position(things: list[Json], object_id: str, param: str) -> int:
    for index, thing in enumerate(things):
        if thing["id"] == object_id:
            return index
    raise missing("object", object_id, param=param)


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}


def _created(things: list[Json], bounds: Any) -> list[Json]:
    if bounds is None:
        return things
    if isinstance(bounds, int):
        return [thing for thing in things if thing["created"] == bounds]
    return [thing for thing in things if all(_COMPARE[how](thing["created"], at) for how, at in bounds.items())]


def _expand(store: Store, thing: Json, names: list[str], path: str) -> None:
    name, *below = names
    if name == "data" and isinstance(thing.get("data"), list):
        for each in thing["data"]:
            _expand(store, each, below, path)
        return
    if name not in EXPANDABLE.get(str(thing.get("object")), set()):
        raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    value = thing.get(name)
    if isinstance(value, str):
        found = store.find(value)
        thing[name] = value = value if found is None else copied(found)
    elif name == "refunds" and value is None:
        refunds = [copied(refund) for refund in store.of("refund", thing["id"])[::-1]]
        has_more = len(refunds) > LIMIT
        thing[name] = value = listed(refunds[:LIMIT], f"/v1/charges/{thing['id']}/refunds", has_more=has_more)
    elif name == "line_items" and value is None:
        items = [copied(item) for item in store.line_items[thing["id"]]]
        thing[name] = value = listed(items, f"/v1/checkout/sessions/{thing['id']}/line_items")
    if below and isinstance(value, dict):
        _expand(store, value, below, path)
