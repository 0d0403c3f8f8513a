"""Last trades at Kraken, in USD.

https://docs.kraken.com/api/docs/rest-api/get-recent-trades. Kraken's ticker tells no time, so the last trade is read.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.kernel.clock import MINUTE, SECOND, Millis
from shared.kernel.errors import InvalidValue
from shared.payments.chains.amounts import rate_of
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.ports import AssetName
from shared.payments.chains.prices import NoPrice, PriceAnswer
from shared.platform.spot.fetching import OK, fetch_json

NAME = "kraken"
TITLE = "Kraken"
TRADE_AGE_MAX: Millis = 5 * MINUTE
SYMBOLS: Mapping[AssetName, str] = {"BTC": "XBT"}
"""Kraken's names of assets, where they differ from ours."""
NEXT_PAGE = "last"
UNKNOWN_PAIR = "EQuery:Unknown asset pair"
TIME_MAX = Decimal(10**12)


class KrakenPrices:
    """Prices of Kraken; see `PriceSource`."""

    def __init__(self, api_base: str) -> None:
        self._api_base = api_base

    @property
    def name(self) -> str:
        """Return the name of the source; see `PriceSource.name`."""
        return NAME

    def price(self, network: Network, asset: Asset) -> PriceAnswer | None:
        """Return the price of the last trade; None for an asset that is not traded; see `PriceSource.price`."""
        symbol = SYMBOLS.get(asset.name, asset.name)
        answer = fetch_json(self._api_base, f"/0/public/Trades?pair={symbol}USD&count=1", TITLE)
        try:
            if UNKNOWN_PAIR in answer.body["error"]:
                return None
            if answer.status != OK or answer.body["error"]:
                raise NoPrice(f"{TITLE} refuses to answer")
            return _last_trade(answer.body["result"])
        except (KeyError, TypeError, ValueError, IndexError, InvalidOperation, InvalidValue):
            raise NoPrice(f"{TITLE}'s answer cannot be read") from None


def _last_trade(result: Mapping[str, Any]) -> PriceAnswer:
    """Return the newest trade of the only pair in the answer: Kraken names a pair otherwise than the question did."""
    (trades,) = (trades for pair, trades in result.items() if pair != NEXT_PAGE)
    times = [Decimal(trade[2]) for trade in trades]
    newest = max(times)
    if not 0 < newest < TIME_MAX:
        raise ValueError(newest)
    at = int(newest * SECOND)
    rate = rate_of(trades[times.index(newest)][0])
    return PriceAnswer(source=NAME, rate=rate, at=at, stale_at=at + TRADE_AGE_MAX)
