"""Payment providers: one record for each, from which adapters, webhooks, routes, schemas and stand-ins derive.

`main.py` reads this table in every function, so the module imports no other module of the backend.

Stripe: https://docs.stripe.com/currencies (presentment currencies, special cases, minimum amounts).

PayPal: https://developer.paypal.com/api/rest/reference/currency-codes/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Prices that a provider accepts. `minimums` are decimals by currency, `steps` minor units by currency.

    `minor_max` is the largest amount in minor units; None: no limit.
    """

    currencies: frozenset[str]
    steps: Mapping[str, int]
    minimums: Mapping[str, str]
    minor_max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRecord:
    """Facts of one provider. Its adapter is the module `shared.platform.{name}.adapter`, imported at the first use."""

    name: "ProviderName"
    title: str
    """Name as people write the name."""
    money: str
    """Kind of the provider's object that identifies received money."""
    limits: Limits
    app_key: str
    """Setting that an app reads in `GET /v1/payments/options`, to show the provider's own form: a public key or id."""
    secrets: tuple[str, ...]
    """Secrets with which payments are made, looked up and given back."""
    webhook_secrets: tuple[str, ...]
    """Secrets of the function that receives the provider's notices."""

    @property
    def webhook(self) -> str:
        """Name of the function that receives the provider's notices."""
        return f"{self.name}_webhook"

    @property
    def api_base(self) -> str:
        """Name of the setting with the address of the provider's API."""
        return f"{self.name.upper()}_API_BASE"


_RECORDS = (
    ProviderRecord(
        name="stripe",
        title="Stripe",
        money="intent",
        limits=Limits(
            currencies=STRIPE_CURRENCIES,
            steps=STRIPE_STEPS,
            minimums=STRIPE_MINIMUMS,
            minor_max=STRIPE_MINOR_MAX,
        ),
        app_key="stripe_publishable_key",
        secrets=("STRIPE_SECRET_KEY",),
        webhook_secrets=("STRIPE_WEBHOOK_SECRET",),
    ),
    ProviderRecord(
        name="paypal",
        title="PayPal",
        money="capture",
        limits=Limits(currencies=PAYPAL_CURRENCIES, steps=PAYPAL_STEPS, minimums={}),
        app_key="paypal_client_id",
        secrets=("PAYPAL_CLIENT_SECRET",),
        webhook_secrets=("PAYPAL_CLIENT_SECRET",),
    ),
)
PROVIDERS: "Mapping[ProviderName, ProviderRecord]" = {record.name: record for record in _RECORDS}
"""Providers with an SDK and webhooks. Functions, secrets and the manifest derive from this table."""
CHAIN_FAMILIES: "Mapping[ProviderName, str]" = {"evm": "EVM networks", "bitcoin": "Bitcoin"}
"""Titles of the families of chains, by provider name. A chain has no webhook, but is looked at."""
PROVIDER_NAMES: "tuple[ProviderName, ...]" = (*PROVIDERS, *CHAIN_FAMILIES)
"""Names of all providers that a payment can have."""


def is_chain(provider: "ProviderName") -> bool:
    """Return True if payments of this provider are coins on a chain."""
    return provider in CHAIN_FAMILIES
