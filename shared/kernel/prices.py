"""Prices: exact fractions from decimal strings, rounded up once to whole microcredits."""

import re
from fractions import Fraction

from shared.kernel.money import Micro

DIGITS_MAX = 40
PRICE = re.compile(r"(0|[1-9]\d{0,8})(\.\d{1,18})?", re.ASCII)


def parse_price(text: object) -> Fraction:
    """Return the exact, non-negative price in USD of a decimal string. Raises ValueError for anything else."""
    if not isinstance(text, str) or not PRICE.fullmatch(text):
        raise ValueError(text)
    return Fraction(text)


def round_up(amount: Fraction) -> Micro:
    """Return the sum rounded up once to a whole µcr, so that a price is never below the exact sum."""
    return Micro(-((-amount.numerator) // amount.denominator))


def decimal_text(amount: Fraction, *, digits_max: int = DIGITS_MAX) -> str:
    """Return an exact, non-negative decimal without trailing zeros. Raises ValueError for more than `digits_max`."""
    digits = 0
    while (amount * 10**digits).denominator != 1:
        digits += 1
        if digits > digits_max:
            raise ValueError(amount)
    whole, rest = divmod(int(amount * 10**digits), 10**digits)
    return f"{whole}.{rest:0{digits}d}" if digits else str(whole)
