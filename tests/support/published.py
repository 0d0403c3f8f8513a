"""Holds JSON to the types that Stripe and PayPal publish in their SDKs, which are made from their OpenAPI documents.

Open enumerations (`Literal[…] | str`) are taken as closed: a stand-in has no reason to say what nobody published.
"""

import inspect
import json
import types
import typing
from decimal import Decimal
from typing import Any, get_args, get_origin

import typing_extensions

PLAIN = (str, int, bool, float)


def departures(value: Any, at: str = "") -> list[str]:
    """Where an API object differs from the class that the SDK has for its `object`; nothing if it does not."""
    return _of_class(value, _class_of(value), at or value["object"])


def _class_of(value: Any) -> type:
    from stripe._object_classes import get_object_class

    found: type = get_object_class("V1", value["object"])
    return found


def _of_class(value: Any, kind: type, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is not an object"]
    hints = {name: hint for name, hint in inspect.get_annotations(kind).items() if name != "OBJECT_NAME"}
    unknown = [f"{at}.{name}: not published" for name in value if name not in hints]
    absent = [
        f"{at}.{name}: always there, and missing" for name in hints.keys() - value.keys() if not _may_lack(hints[name])
    ]
    below = [
        each for name in value.keys() & hints.keys() for each in _of_hint(value[name], hints[name], f"{at}.{name}")
    ]
    return sorted(unknown + absent + below)


def _may_lack(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _of_hint(value: Any, hint: Any, at: str) -> list[str]:  # noqa: C901, PLR0911  # a line for each kind of type
    origin = get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        return _of_union(value, get_args(hint), at)
    if origin in {typing.Literal, typing_extensions.Literal}:
        return [] if value in get_args(hint) else [f"{at}: {value!r} is none of {get_args(hint)}"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{at}: {value!r} is not a list"]
        return [each for index, item in enumerate(value) for each in _of_hint(item, get_args(hint)[0], f"{at}.{index}")]
    if hint is type(None):
        return [] if value is None else [f"{at}: {value!r} is not null"]
    if hint in PLAIN:
        return [] if type(value) is hint else [f"{at}: {value!r} is not of type {hint.__name__}"]
    if hint is Decimal:
        return [] if isinstance(value, str) else [f"{at}: {value!r} is not a decimal string"]
    if isinstance(value, dict) and value.get("object") == "list":
        return [each for index, item in enumerate(value["data"]) for each in departures(item, f"{at}.{index}")]
    if inspect.isclass(hint) and hint.__module__.startswith("stripe.") and inspect.get_annotations(hint):
        return _of_class(value, hint, at)
    if isinstance(value, dict) and "object" in value:
        return departures(value, at)  # another resource, expanded
    return [] if isinstance(value, dict) else [f"{at}: {value!r} is not an object"]


def _of_union(value: Any, kinds: tuple[Any, ...], at: str) -> list[str]:
    is_enumeration = any(get_origin(kind) in {typing.Literal, typing_extensions.Literal} for kind in kinds)
    left = [kind for kind in kinds if not (is_enumeration and kind is str) and kind is not type(None)]
    return [] if value is None and type(None) in kinds else min((_of_hint(value, kind, at) for kind in left), key=len)


def lost_at_paypal(value: Any, model: Any) -> list[str]:
    """What PayPal's own model of an object does not know of it: what a round trip through the model loses."""
    from paypalserversdk.api_helper import APIHelper

    return _lost(value, json.loads(APIHelper.json_serialize(model.from_dictionary(value))), model.__name__)


def _lost(before: Any, after: Any, at: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [each for name in before for each in _lost(before[name], after.get(name), f"{at}.{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [each for index, (was, now) in pairs for each in _lost(was, now, f"{at}.{index}")]
    return [] if before == after else [f"{at}: {before!r} became {after!r}"]
