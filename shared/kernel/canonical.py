"""Canonical JSON (RFC 8785, restricted): exactly one text for each value, for hashes and signatures.

Restricted: objects with ASCII keys, arrays, strings, booleans and integers up to 2^53; no floats, no nulls. Within
these limits sorted compact JSON is exactly RFC 8785. `tests/properties` proves this against an implementation.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import orjson

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json]"

INTEGER_MAX = 2**53 - 1
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
"""Options that sort keys and refuse integers beyond `INTEGER_MAX`."""
_CONTAINERS = frozenset({dict, list})


class NotCanonical(ValueError):
    """Error for a value that has no canonical JSON text, or a text that is not the canonical form of its value."""


def canonical(value: Json) -> bytes:
    """Return the canonical JSON text of a value, in UTF-8.

    Raises NotCanonical for floats, nulls, large integers, non-ASCII keys, broken Unicode, and for values that are
    nested too deeply.
    """
    try:
        _check(value)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, RecursionError, orjson.JSONEncodeError) as error:
        raise NotCanonical(str(error)) from error


def parse_canonical(text: str | bytes) -> Json:
    """Return the value of a canonical text. Raises NotCanonical if the text is not the canonical form of its value."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        value: Json = orjson.loads(raw)
        # The encoder refuses deep values, so that the walk behind it is never deep.
        is_written_so = orjson.dumps(value, option=_SORTED) == raw
    except (UnicodeError, orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise NotCanonical(str(error)) from error
    if not (is_written_so and raw.isascii() and type(value) in _CONTAINERS and _is_plain(value)):
        _require_canonical(value, raw)
    return value


def _is_plain(value: Any) -> bool:
    """Return True for a parsed object or array without floats and nulls at any depth."""
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is str or kind is int or kind is bool:
            continue
        if not (kind is dict or kind is list) or not _is_plain(item):
            return False
    return True


def _require_canonical(value: Json, raw: bytes) -> None:
    if canonical(value) != raw:
        raise NotCanonical("not in canonical form")


def _check(value: object) -> None:
    """Raise NotCanonical for a value outside the profile. Exact types come first, since nearly all values have them."""
    kind = type(value)
    if kind is str or kind is bool:
        return
    if kind is int:
        if not -INTEGER_MAX <= cast("int", value) <= INTEGER_MAX:
            raise NotCanonical("an integer is too large")
    elif kind is dict:
        _check_object(cast("Mapping[object, object]", value))
    elif kind is list or kind is tuple:
        _check_array(cast("Sequence[object]", value))
    else:
        _check_kin(value)


def _check_object(value: Mapping[object, object]) -> None:
    for key, item in value.items():
        if not isinstance(key, str) or not key.isascii():
            raise NotCanonical("a key is not ASCII")
        if type(item) is not str:
            _check(item)


def _check_array(value: Sequence[object]) -> None:
    for item in value:
        if type(item) is not str:
            _check(item)


def _check_kin(value: object) -> None:
    """Check a value of no exact type of the profile, such as a subclass. Raises NotCanonical."""
    if isinstance(value, int):
        _check(int(value))
    elif isinstance(value, Mapping):
        _check_object(value)
    elif isinstance(value, list | tuple):
        _check_array(value)
    elif not isinstance(value, str):
        raise NotCanonical(f"a {type(value).__name__} has no canonical form here")
