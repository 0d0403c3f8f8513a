"""One text for one value: the canonical JSON (RFC 8785, restricted) that we hash and sign.

Restricted: objects with ASCII keys, arrays, strings, booleans and integers up to 2^53; no floats, no nulls. On that
profile sorted compact JSON is exactly RFC 8785, which `tests/properties` proves against an implementation of it.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json]"

INTEGER_MAX = 2**53 - 1


class NotCanonical(ValueError):
    """A value outside the restricted profile, or a text that is not its value's canonical form."""


def canonical(value: Json) -> bytes:
    """The canonical form. Raises NotCanonical for floats, nulls, large integers, non-ASCII keys, broken Unicode."""
    _check(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise NotCanonical(str(error)) from error


def parse_canonical(text: str | bytes) -> Json:
    """The value of a canonical text. Raises NotCanonical if the text is not the canonical form of its value."""
    try:
        value: Json = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotCanonical(str(error)) from error
    if canonical(value) != (text.encode() if isinstance(text, str) else text):
        raise NotCanonical("not in canonical form")
    return value


def _check(value: object) -> None:
    if isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise NotCanonical("an integer is too large")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise NotCanonical("a key is not ASCII")
            _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    else:
        raise NotCanonical(f"a {type(value).__name__} has no canonical form here")
