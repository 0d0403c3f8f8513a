"""Form encoding of Stripe, by the SDK's own types. As with Stripe, an unknown parameter is refused."""

import functools
import inspect
import re
import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import typing_extensions

from emulator.stand_ins.stripe.errors import StripeError, invalid
from emulator.stand_ins.wire import Json

OPTIONS = frozenset({
    "api_key", "content_type", "headers", "idempotency_key", "max_network_retries", "stripe_account", "stripe_context",
    "stripe_version",
})  # fmt: skip

TYPING_ONLY = {"Mapping": Mapping, "StripeContext": str}  # names that the SDK imports for type checkers alone


def decode(text: str) -> Json:
    """Return `a[b][0][c]=d` as nested dictionaries and lists."""
    root: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        keys = [name.partition("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        place = root
        for key, following in zip(keys, [*keys[1:], None], strict=True):
            used = key or str(len(place))
            if following is None:
                place[used] = value
            else:
                place = place.setdefault(used, {})
                if not isinstance(place, dict):
                    raise invalid(f"Invalid parameter: {name}", param=name)
    return {name: _listed(value) for name, value in root.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    below = {name: _listed(each) for name, each in value.items()}
    if below and all(name.isdigit() for name in below):
        return [below[name] for name in sorted(below, key=int)]
    return below


def parse(given: Json, published: type) -> Json:
    """Return the parameters with their types. Raises StripeError for an unknown, missing or mistyped parameter."""
    return _structure(given, published, "")


@functools.cache
def _hints(published: type) -> Mapping[str, Any]:
    """Return the allowed parameters. The SDK's types also name options of the SDK, which are never sent."""
    hints = typing_extensions.get_type_hints(published, localns=TYPING_ONLY)
    return {name: hint for name, hint in hints.items() if name not in OPTIONS}


def _structure(given: Any, published: type, at: str) -> Json:
    if not isinstance(given, dict):
        raise invalid(f"Invalid object: {given}", param=at)
    hints = _hints(published)
    for name in given:
        if name not in hints:
            full = _below(at, name)
            raise invalid(f"Received unknown parameter: {full}", param=full, code="parameter_unknown")
    for name in getattr(published, "__required_keys__", ()):
        if name in hints and name not in given:
            full = _below(at, name)
            raise invalid(f"Missing required param: {full}.", param=full, code="parameter_missing")
    return {name: _typed(value, hints[name], _below(at, name)) for name, value in given.items()}


def _below(at: str, name: str) -> str:
    return f"{at}[{name}]" if at else name


def _typed(value: Any, hint: Any, at: str) -> Any:
    origin = get_origin(hint)
    if origin in {typing.Union, UnionType}:
        return _one_of(value, get_args(hint), at)
    if origin in {typing.Literal, typing_extensions.Literal}:
        if value not in get_args(hint):
            known = ", ".join(str(each) for each in get_args(hint))
            raise invalid(f"Invalid {at}: must be one of {known}", param=at)
        return value
    if origin is list:
        if not isinstance(value, list):
            raise invalid("Invalid array", param=at)
        return [_typed(each, get_args(hint)[0], f"{at}[{index}]") for index, each in enumerate(value)]
    if inspect.isclass(hint) and typing_extensions.is_typeddict(hint):
        return _structure(value, hint, at)
    if hint in _PLAIN:
        return _plain(value, hint, at)
    if not isinstance(value, dict):  # Dict[str, str], or an object without a type of its own
        raise invalid(f"Invalid object: {value}", param=at)
    return {name: each for name, each in value.items() if each != ""}


def _one_of(value: Any, kinds: tuple[Any, ...], at: str) -> Any:
    refused: StripeError | None = None
    for kind in sorted(kinds, key=lambda each: each is str):
        if kind is type(None):
            continue
        try:
            return _typed(value, kind, at)
        except StripeError as error:
            refused = refused or error
    assert refused is not None, "a union has members"
    raise refused


_PLAIN = (int, float, bool, str)


def _plain(value: Any, kind: type, at: str) -> Any:
    if not isinstance(value, str):
        raise invalid(f"Invalid {kind.__name__}: {value}", param=at)
    if kind is bool and value in {"true", "false"}:
        return value == "true"
    if kind is int and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind is float and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if kind is str:
        return value
    name = "integer" if kind is int else kind.__name__
    raise invalid(f"Invalid {name}: {value}", param=at, code=f"parameter_invalid_{name}")
