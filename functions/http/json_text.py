"""JSON texts from strangers: measured before they are parsed, so that parsing costs no more than the bounds allow."""

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

JSON_DEPTH_MAX = 64
"""A tool's schema may have ten levels (OpenAI's limit), each of which is up to five of JSON."""
JSON_VALUES_MAX = 100_000
"""Most values of a text, counted from brackets and commas. An object takes some 200 bytes of memory."""
JSON_MEMBERS_MAX = 50_000
"""Most members of all objects of a text. The members are sorted for the canonical form."""
JSON_DIGITS_MAX = 100
"""Digits in a row. Turning digits into a number takes quadratic time, and no number of an API is this long."""

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""String of a JSON text, or the unfinished string at the end, so that no byte is read twice."""
LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (JSON_DIGITS_MAX + 1))
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse_json(raw: bytes, *, values_max: int = JSON_VALUES_MAX) -> tuple[Any, str]:
    """Return the value of a JSON text and its canonical form.

    Raises ValueError with a reason for people. Beyond JSON's own rules, these are refused: a key twice in one object, a
    number that is not finite, half a surrogate, and a text beyond the limits of size, depth or length. The limits are
    checked before the text is parsed.
    """
    _measure(raw, values_max)
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite)
        canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        canonical.encode("utf-8")
    except UnicodeError as error:
        raise ValueError("it is not valid Unicode") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} (line {error.lineno}, column {error.colno})") from error
    return value, canonical


def _measure(raw: bytes, values_max: int) -> None:
    """Raise ValueError if the text has too many values, levels or digits. One pass is enough for any bytes."""
    # Every string opens with a quote that no backslash precedes: fewer such quotes are fewer strings to skip.
    quotes = raw.count(b'"') - raw.count(b'\\"')
    if quotes > 2 * values_max:
        raise ValueError(f"it has more than {values_max} values")
    bare = STRING.sub(b"", raw)
    if 1 + bare.count(b",") + bare.count(b"[") + bare.count(b"{") > values_max:
        raise ValueError(f"it has more than {values_max} values")
    if bare.count(b":") > JSON_MEMBERS_MAX:
        raise ValueError(f"its objects have more than {JSON_MEMBERS_MAX} members")
    brackets = bare.translate(None, NOT_BRACKETS)
    if max(accumulate(map(STEPS.__getitem__, brackets)), default=0) > JSON_DEPTH_MAX:
        raise ValueError(f"it is nested deeper than {JSON_DEPTH_MAX} levels")
    if LONG_NUMBER.search(bare):
        raise ValueError("a number is too large")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return built


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("a number is too large")
    return number
