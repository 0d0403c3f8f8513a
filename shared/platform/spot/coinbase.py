"""Last trades at Coinbase Exchange, in USD.

https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-ticker
"""

import re

from shared.kernel.clock import MINUTE, Millis, parse_rfc3339
from shared.kernel.errors import InvalidValue
from shared.payments.chains.amounts import rate_of
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.prices import NoPrice, PriceAnswer
from shared.platform.spot.fetching import OK, fetch_json

NAME = "coinbase"
TITLE = "Coinbase"
TRADE_AGE_MAX: Millis = 5 * MINUTE
NOT_FOUND = 404
BEYOND_MICROSECONDS = re.compile(r"(?<=\.\d{6})\d+(?=Z$)", re.ASCII)


class CoinbasePrices:
    """Prices of Coinbase Exchange; see `PriceSource`."""

    def __init__(self, api_base: str) -> None:
        self._api_base = api_base

    @property
    def name(self) -> str:
        """Return the name of the source; see `PriceSource.name`."""
        return NAME

    def price(self, network: Network, asset: Asset) -> PriceAnswer | None:
        """Return the price of the last trade; None for an asset that is not traded; see `PriceSource.price`."""
        answer = fetch_json(self._api_base, f"/products/{asset.name}-USD/ticker", TITLE)
        if answer.status == NOT_FOUND:
            return None
        if answer.status != OK:
            raise NoPrice(f"{TITLE} refuses to answer")
        try:
            at = parse_rfc3339(BEYOND_MICROSECONDS.sub("", answer.body["time"]))
            rate = rate_of(answer.body["price"])
        except (KeyError, TypeError, ValueError, InvalidValue):
            raise NoPrice(f"{TITLE}'s answer cannot be read") from None
        return PriceAnswer(source=NAME, rate=rate, at=at, stale_at=at + TRADE_AGE_MAX)
