"""Prices in memory, in place of exchanges and Chainlink."""

import threading
from collections.abc import Mapping

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.payments.chains.amounts import rate_of
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.ports import AssetName
from shared.payments.chains.prices import NoPrice, PriceAnswer

RATES: Mapping[AssetName, str] = {"ETH": "2500", "POL": "0.4", "BTC": "60000", "USDC": "0.9999", "USDT": "1.0002"}
AGE_MAX: Millis = 5 * MINUTE


class MemoryPrices:
    """Price source that tells the rates that a test sets, as decimal texts by asset; see `PriceSource`."""

    def __init__(self, clock: Clock, name: str = "memory") -> None:
        self._clock = clock
        self._name = name
        self._lock = threading.Lock()
        self._rates = dict(RATES)
        self._age: Millis = 0
        self._failure = ""
        self.calls = 0

    @property
    def name(self) -> str:
        """Return the name of the source; see `PriceSource.name`."""
        return self._name

    def price(self, network: Network, asset: Asset) -> PriceAnswer | None:
        """Return the rate that is set; see `PriceSource.price`."""
        with self._lock:
            self.calls += 1
            rate, failure, at = self._rates.get(asset.name), self._failure, self._clock.now() - self._age
        if failure:
            raise NoPrice(failure)
        return (
            None if rate is None else PriceAnswer(source=self._name, rate=rate_of(rate), at=at, stale_at=at + AGE_MAX)
        )

    def set_rate(self, asset: AssetName, rate: str | None) -> None:
        """Tell this rate from now on; None: the asset is not traded."""
        with self._lock:
            self._rates.pop(asset, None)
            if rate is not None:
                self._rates[asset] = rate

    def age(self, by: Millis) -> None:
        """Tell prices that are this old from now on."""
        with self._lock:
            self._age = by

    def fail(self, reason: str = "the source does not answer") -> None:
        """Refuse all questions from now on; an empty reason: answer again."""
        with self._lock:
            self._failure = reason
