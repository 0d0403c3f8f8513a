"""Quotes: amounts due in coins for a price, and the value of coins, at a rate on which all price sources agree."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.events import log
from shared.kernel.meanwhile import Meanwhile
from shared.payments.chains import amounts
from shared.payments.chains.networks import Asset, Network, listed_asset
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.prices import AgreedRate, NoPrice, PriceAnswer, PriceSource, PriceUnavailable, agreed_rate
from shared.payments.fiat import Fiat

RATE_LIFETIME: Millis = 10 * SECOND
"""Time for which an instance reuses a rate, or the reason for none, so that many checkouts ask a source once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedAmount:
    """Amount due in atomic units for a price, at an agreed rate."""

    due: int
    rate: AgreedRate


@dataclass(frozen=True, slots=True, kw_only=True)
class _RateLook:
    """Result of asking all sources at the time `at`: a rate, or the reason for none."""

    at: Millis
    rate: AgreedRate | None
    reason: str = ""


class Quotes:
    """Quotes for the assets of the networks in use. Safe to share between threads."""

    def __init__(
        self,
        networks: Mapping[NetworkName, Network],
        sources: Callable[[], Sequence[PriceSource]],
        clock: Clock,
    ) -> None:
        self._networks = networks
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: dict[tuple[NetworkName, AssetName], threading.Lock] = {}
        self._looks: dict[tuple[NetworkName, AssetName], _RateLook] = {}

    def quote(self, network: NetworkName, asset: AssetName, price: Fiat) -> QuotedAmount:
        """Return the amount due for a price, and the rate.

        Raises PriceUnavailable. Raises InvalidValue for a price that is not in USD.
        """
        rate = self.rate(network, asset)
        return QuotedAmount(due=amounts.due(price, rate.rate, self.asset(network, asset).decimals), rate=rate)

    def rate(self, network: NetworkName, asset: AssetName) -> AgreedRate:
        """Return the rate on which all sources agree now. Raises PriceUnavailable, with the reason."""
        coin = self.asset(network, asset)
        with self._lock:
            lock = self._locks.setdefault((network, asset), threading.Lock())
        with lock:
            look = self._looks.get((network, asset))
            if look is None or not 0 <= self._clock.now() - look.at < RATE_LIFETIME:
                look = self._looks[network, asset] = self._look(self._networks[network], coin)
        if look.rate is None:
            raise PriceUnavailable(network, asset, look.reason)
        return look.rate

    def asset(self, network: NetworkName, asset: AssetName) -> Asset:
        """Return an asset of a network in use. Raises InvalidValue for one that is not listed."""
        return listed_asset(self._networks, network, asset)

    def _look(self, network: Network, asset: Asset) -> _RateLook:
        """Ask all sources, and return the agreed rate or the reason for none."""
        now = self._clock.now()
        try:
            rate = agreed_rate(asset, self._answers(network, asset), self._clock.now())
        except NoPrice as failure:
            log("price_unavailable", "WARNING", network=network.name, asset=asset.name, reason=failure.reason)
            return _RateLook(at=now, rate=None, reason=failure.reason)
        return _RateLook(at=now, rate=rate)

    def _answers(self, network: Network, asset: Asset) -> Sequence[PriceAnswer | NoPrice]:
        """Return the answer or the failure of each source that knows the asset."""
        asked = [Meanwhile(partial(_answer, source, network, asset)) for source in self._sources()]
        found = [each.result() for each in asked]
        return [each for each in found if each is not None]


class PresentRates:
    """Rates for the value of coins that came; None instead of an error while nobody can tell."""

    def __init__(self, quotes: Quotes) -> None:
        self._quotes = quotes

    def rate(self, network: NetworkName, asset: AssetName) -> AgreedRate | None:
        """Return the USD that one whole coin is worth, with the sources; None if there is no reliable price now."""
        try:
            return self._quotes.rate(network, asset)
        except PriceUnavailable:
            return None


def _answer(source: PriceSource, network: Network, asset: Asset) -> PriceAnswer | NoPrice | None:
    try:
        return source.price(network, asset)
    except NoPrice as failure:
        return failure
