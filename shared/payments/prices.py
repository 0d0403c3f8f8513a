"""Prices that payment providers accept: currencies, smallest steps, least and largest amounts. Pure.

Stripe: https://docs.stripe.com/currencies (presentment currencies, special cases, minimum amounts).

PayPal: https://developer.paypal.com/api/rest/reference/currency-codes/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.errors import InvalidValue
from shared.payments.fiat import Fiat
from shared.payments.ports import ProviderName

STRIPE_CURRENCIES = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD
    CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD
    HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL
    MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP
    PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TND TOP TRY
    TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
    """.split()  # noqa: SIM905  # read as a table, not as a hundred quoted words
)
PAYPAL_CURRENCIES = frozenset(
    """
    AUD BRL CAD CNY CZK DKK EUR HKD HUF ILS JPY MYR MXN TWD NZD NOK PHP PLN GBP SGD SEK CHF THB USD
    """.split()  # noqa: SIM905  # read as a table, not as a hundred quoted words
)
STRIPE_MINIMUMS: Mapping[str, str] = {
    "USD": "0.50",
    "AED": "2.00",
    "AUD": "0.50",
    "BRL": "0.50",
    "CAD": "0.50",
    "CHF": "0.50",
    "CZK": "15.00",
    "DKK": "2.50",
    "EUR": "0.50",
    "GBP": "0.30",
    "HKD": "4.00",
    "HUF": "175.00",
    "INR": "0.50",
    "JPY": "50",
    "MXN": "10.00",
    "MYR": "2.00",
    "NOK": "3.00",
    "NZD": "0.50",
    "PLN": "2.00",
    "RON": "2.00",
    "SEK": "3.00",
    "SGD": "0.50",
    "THB": "10.00",
}
STRIPE_MINOR_MAX = 99_999_999
STRIPE_STEPS: Mapping[str, int] = {**dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10), "ISK": 100, "UGX": 100}
"""Least step of an amount in minor units, for currencies whose step is not 1."""
PAYPAL_STEPS: Mapping[str, int] = {"HUF": 100, "TWD": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Prices that a provider accepts. `minimums` are decimals by currency, `steps` minor units by currency."""

    title: str
    currencies: frozenset[str]
    steps: Mapping[str, int]
    minimums: Mapping[str, str]
    minor_max: int | None = None


LIMITS: Mapping[ProviderName, Limits] = {
    "stripe": Limits(
        title="Stripe",
        currencies=STRIPE_CURRENCIES,
        steps=STRIPE_STEPS,
        minimums=STRIPE_MINIMUMS,
        minor_max=STRIPE_MINOR_MAX,
    ),
    "paypal": Limits(title="PayPal", currencies=PAYPAL_CURRENCIES, steps=PAYPAL_STEPS, minimums={}),
}


def takers(currency: str) -> Sequence[ProviderName]:
    """Return the providers that accept this currency at all."""
    return [name for name, limits in LIMITS.items() if currency in limits.currencies]


def require_payable(price: Fiat) -> None:
    """Raise InvalidValue if no provider accepts the currency, or if one that does cannot take this amount."""
    names = takers(price.currency)
    if not names:
        raise InvalidValue("currency", f"must be a currency that Stripe or PayPal takes; {price.currency} is none")
    for name in names:
        _require_within(LIMITS[name], price)


def _require_within(limits: Limits, price: Fiat) -> None:
    step = limits.steps.get(price.currency, 1)
    if price.minor % step:
        unit = Fiat(step, price.currency).decimal
        raise InvalidValue("price", f"must be a multiple of {unit} {price.currency}, as {limits.title} takes no other")
    least = Fiat.parse(limits.minimums.get(price.currency, "0"), price.currency)
    if price.minor < least.minor:
        raise InvalidValue(
            "price", f"must be at least {least.decimal} {price.currency}, the least that {limits.title} takes"
        )
    if limits.minor_max is not None and price.minor > limits.minor_max:
        most = Fiat(limits.minor_max, price.currency).decimal
        raise InvalidValue("price", f"must be at most {most} {price.currency}, the most that {limits.title} takes")
