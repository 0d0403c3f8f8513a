"""Amounts of coins: due, value, and decimal texts, exact on fractions of whole numbers. Pure.

Atomic units are whole numbers of any size. A rate is the USD that one whole coin is worth.
"""

import re
from decimal import Decimal
from fractions import Fraction
from math import ceil

from shared.kernel.errors import InvalidValue
from shared.payments.fiat import Fiat

DOLLARS = "USD"
CENTS_PER_DOLLAR = 100
TYPED_STEP_USD = Fraction(1, CENTS_PER_DOLLAR)
"""Most that rounding to typeable decimals may add to an amount due."""
RATE_DIGITS_MAX = 40
RATE_EXPONENT_MAX = 30
DECIMAL = re.compile(r"\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)
PLAIN_DECIMAL = re.compile(r"\d{1,80}(\.\d{1,80})?", re.ASCII)


def rate_of(text: str) -> Fraction:
    """Return the exact rate that a decimal text writes, also with an exponent (`6.4e4`).

    Raises InvalidValue for any other text, for zero, and for a rate outside 10^-30 to 10^30.
    """
    if not DECIMAL.fullmatch(text):
        raise InvalidValue("rate", "must be a decimal number above zero")
    rate = Fraction(Decimal(text))
    if not Fraction(1, 10**RATE_EXPONENT_MAX) <= rate <= 10**RATE_EXPONENT_MAX:
        raise InvalidValue("rate", "must be a decimal number above zero")
    return rate


def rate_text(rate: Fraction) -> str:
    """Return a rate as a decimal without exponent and trailing zeros. The rate must be a finite decimal."""
    scaled, places = rate, 0
    while scaled.denominator != 1:
        scaled, places = scaled * 10, places + 1
        assert places <= 2 * RATE_DIGITS_MAX, "a rate is read from a decimal text"
    return decimal_text(scaled.numerator, places)


def decimal_text(amount: int, decimals: int) -> str:
    """Return atomic units as a decimal of whole coins, without exponent and trailing zeros: 1500000, 6 → `1.5`."""
    whole, part = divmod(amount, 10**decimals)
    return f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".") if part else str(whole)


def atomic_of(text: str, decimals: int) -> int:
    """Return the atomic units that a decimal of whole coins writes. Raises InvalidValue if there is no such amount."""
    whole, _, part = text.partition(".")
    scale: int = 10**decimals
    if not PLAIN_DECIMAL.fullmatch(text) or part[decimals:].strip("0"):
        raise InvalidValue("amount", f"must be a decimal number with at most {decimals} digits after the point")
    return int(whole) * scale + int(part[:decimals].ljust(decimals, "0") or "0")


def typed_decimals(rate: Fraction, decimals: int) -> int:
    """Return the fewest digits after the point in which a step is worth at most a cent; at most `decimals`."""
    return next((digits for digits in range(decimals) if rate / 10**digits <= TYPED_STEP_USD), decimals)


def due(price: Fiat, rate: Fraction, decimals: int) -> int:
    """Return the atomic units that buy `price`, rounded up to a number that people can type.

    Raises InvalidValue for a price in another currency than USD.
    """
    _require_dollars(price)
    step: int = 10 ** (decimals - typed_decimals(rate, decimals))
    exact: Fraction = Fraction(price.minor, CENTS_PER_DOLLAR) / rate * 10**decimals
    return ceil(exact / step) * step


def usd_of(amount: int, decimals: int, rate: Fraction) -> Fraction:
    """Return the exact value of an amount in USD."""
    return Fraction(amount, 10**decimals) * rate


def value_cents(amount: int, decimals: int, rate: Fraction) -> int:
    """Return the value of an amount in cents of USD, rounded down. The number may be larger than a payment can have."""
    return int(usd_of(amount, decimals, rate) * CENTS_PER_DOLLAR // 1)


def _require_dollars(price: Fiat) -> None:
    if price.currency != DOLLARS:
        raise InvalidValue("currency", f"must be {DOLLARS} for a payment with coins, not {price.currency}")
