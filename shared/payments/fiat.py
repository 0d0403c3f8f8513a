"""Money of the outside world: whole minor units and a currency; never a float, never a sum of two currencies."""

from dataclasses import dataclass
from typing import Self

from shared.kernel.errors import InvalidValue

MINOR_MAX = 10**12
MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}
"""Currencies whose minor unit is not a hundredth: ISO 4217, and the ariary, which providers take whole."""
MINOR_DIGITS_USUAL = 2
CURRENCY_LETTERS = 3


@dataclass(frozen=True, slots=True, order=False)
class Fiat:
    """Amount of `minor` units (cents, yen) of `currency`, an upper-case ISO 4217 code."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Raise InvalidValue if the amount is negative or too large, or the currency is no upper-case ISO 4217 code."""
        if not 0 <= self.minor <= MINOR_MAX:
            raise InvalidValue("amount", "is more than one payment can have")
        is_code = len(self.currency) == CURRENCY_LETTERS and self.currency.isascii() and self.currency.isalpha()
        if not is_code or not self.currency.isupper():
            raise InvalidValue("currency", "must be an upper-case ISO 4217 code")

    @property
    def decimal(self) -> str:
        """Return the amount as people and PayPal write amounts: `12.50`, `1250` for yen."""
        digits = minor_digits(self.currency)
        if digits == 0:
            return str(self.minor)
        whole, part = divmod(self.minor, 10**digits)
        return f"{whole}.{part:0{digits}d}"

    @classmethod
    def parse(cls, decimal: str, currency: str) -> Self:
        """Return the exact amount that `decimal` writes. Raises InvalidValue if the currency has no such amount."""
        digits = minor_digits(currency)
        whole, _, part = decimal.partition(".")
        kept, beyond = part[:digits].ljust(digits, "0"), part[digits:]
        if not (f"{whole}{part}".isascii() and whole.isdigit() and f"0{part}".isdigit()) or beyond.strip("0"):
            raise InvalidValue("amount", f"must be an amount of {currency}, not {decimal!r}")
        return cls(int(f"{whole}{kept}"), currency)


def decimal_of(minor: int, currency: str) -> str:
    """Return a sum of minor units as people write amounts, with a sign if the sum is below 0; see `Fiat.decimal`."""
    digits, sign = minor_digits(currency), "-" if minor < 0 else ""
    whole, part = divmod(abs(minor), 10**digits)
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def minor_digits(currency: str) -> int:
    """Return the number of decimal digits of the currency's minor unit."""
    return MINOR_DIGITS.get(currency, MINOR_DIGITS_USUAL)
