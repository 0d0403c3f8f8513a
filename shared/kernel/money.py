"""Money: integer microcredits inside, decimal strings on the wire."""

import re
from typing import NewType

from shared.kernel.errors import InvalidValue

Micro = NewType("Micro", int)
"""Microcredits (µcr). One credit is 1 000 000 µcr."""

MICRO_PER_CREDIT = 1_000_000
AMOUNT_MAX = Micro(9_000_000_000 * MICRO_PER_CREDIT)
"""Largest amount or balance in µcr: below 2^53, so that every JSON reader reads the number exactly."""

AMOUNT = re.compile(r"(0|[1-9]\d{0,9})(\.\d{1,6})?", re.ASCII)


def parse_credits(text: str, field: str = "amount") -> Micro:
    r"""Return the µcr of a decimal string of credits, e.g. `"12.5"` → 12 500 000.

    Raises InvalidValue unless the text matches `^(0|[1-9]\\d{0,9})(\\.\\d{1,6})?$`, and the amount is above zero and at
    most AMOUNT_MAX.
    """
    if not AMOUNT.fullmatch(text):
        raise InvalidValue(field, "must be a decimal string with at most 10 digits before and 6 after the point")
    whole, _, rest = text.partition(".")
    amount = int(whole) * MICRO_PER_CREDIT + int(rest.ljust(6, "0"))
    if amount == 0:
        raise InvalidValue(field, "must be more than zero")
    if amount > AMOUNT_MAX:
        raise InvalidValue(field, f"must be at most {AMOUNT_MAX // MICRO_PER_CREDIT}")
    return Micro(amount)


def format_credits(amount: int) -> str:
    """Return µcr as a decimal string of credits, without trailing zeros or exponent: 12 500 000 → `"12.5"`."""
    whole, rest = divmod(abs(amount), MICRO_PER_CREDIT)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}" + (f".{rest:06d}".rstrip("0") if rest else "")
