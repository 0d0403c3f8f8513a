"""Prices that payment providers accept: currencies, smallest steps, least and largest amounts. Pure."""

from collections.abc import Sequence

from shared.kernel.errors import InvalidValue
from shared.payments.fiat import Fiat
from shared.payments.ports import ProviderName
from shared.payments.providers import PROVIDERS, ProviderRecord


def takers(currency: str) -> Sequence[ProviderName]:
    """Return the providers that accept this currency at all."""
    return [name for name, record in PROVIDERS.items() if currency in record.limits.currencies]


def require_payable(price: Fiat) -> None:
    """Raise InvalidValue if no provider accepts the currency, or if one that does cannot take this amount."""
    names = takers(price.currency)
    if not names:
        titles = " or ".join(record.title for record in PROVIDERS.values())
        raise InvalidValue("currency", f"must be a currency that {titles} takes; {price.currency} is none")
    for name in names:
        _require_within(PROVIDERS[name], price)


def _require_within(record: ProviderRecord, price: Fiat) -> None:
    limits, title = record.limits, record.title
    step = limits.steps.get(price.currency, 1)
    if price.minor % step:
        unit = Fiat(step, price.currency).decimal
        raise InvalidValue("price", f"must be a multiple of {unit} {price.currency}, as {title} takes no other")
    least = Fiat.parse(limits.minimums.get(price.currency, "0"), price.currency)
    if price.minor < least.minor:
        raise InvalidValue("price", f"must be at least {least.decimal} {price.currency}, the least that {title} takes")
    if limits.minor_max is not None and price.minor > limits.minor_max:
        most = Fiat(limits.minor_max, price.currency).decimal
        raise InvalidValue("price", f"must be at most {most} {price.currency}, the most that {title} takes")
