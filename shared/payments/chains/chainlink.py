"""Chainlink's price feeds, read on the chains in use.

https://docs.chain.link/data-feeds/api-reference and https://docs.chain.link/data-feeds/l2-sequencer-feeds
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import cast

from shared.kernel.clock import HOUR, MINUTE, SECOND, Clock, Millis
from shared.payments.chains.networks import Asset, Feed, Network
from shared.payments.chains.ports import Chain, ChainUnavailable, Contracts, FeedRound, NetworkName
from shared.payments.chains.prices import NoPrice, PriceAnswer

NAME = "chainlink"
HEARTBEAT_SLACK: Millis = MINUTE
"""Time that a feed's regular update may take to reach a block."""
SEQUENCER_GRACE: Millis = HOUR
"""Time after a sequencer's restart in which prices are not used: feeds may still be catching up."""
SEQUENCER_UP = 0
FEED_DECIMALS_MAX = 36


class ChainlinkPrices:
    """Price source that reads the asset's feed on the asset's own network, else on another network in use.

    Bitcoin has no feeds: the price is read on the first EVM network with a feed for BTC.
    """

    def __init__(
        self,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        clock: Clock,
    ) -> None:
        self._networks = networks
        self._chains = chains
        self._clock = clock

    @property
    def name(self) -> str:
        """Return the name of the source; see `PriceSource.name`."""
        return NAME

    def price(self, network: Network, asset: Asset) -> PriceAnswer | None:
        """Return the last answer of the asset's feed; see `PriceSource.price`."""
        places = [each for each in (network, *self._networks.values()) if asset.name in each.feeds]
        if not places:
            return None
        place = places[0]
        chain = self._chains().get(place.name)
        if chain is None:
            raise NoPrice(f"{place.title} has no source")
        contracts = cast("Contracts", chain)  # a network with feeds is an EVM chain
        try:
            if place.sequencer_feed:
                fault = sequencer_fault(contracts.feed_round(place.sequencer_feed), place, self._clock.now())
                if fault:
                    raise NoPrice(fault, is_final=place.name == network.name)
            return answer_of(contracts.feed_round(place.feeds[asset.name].contract), place.feeds[asset.name])
        except ChainUnavailable:
            raise NoPrice(f"Chainlink's feed on {place.title} cannot be read") from None


def sequencer_fault(found: FeedRound, network: Network, now: Millis) -> str:
    """Return the reason why prices on a network cannot be used; "" if its sequencer is up past the grace period."""
    if found.answer != SEQUENCER_UP or not 0 < found.started_at <= now:
        return f"{network.title} is not making blocks"
    return f"{network.title} has been back for less than an hour" if now - found.started_at < SEQUENCER_GRACE else ""


def answer_of(found: FeedRound, feed: Feed) -> PriceAnswer:
    """Return the price in a feed's last round. The price is stale after the feed's own heartbeat. Raises NoPrice."""
    if found.answer <= 0 or not 0 <= found.decimals <= FEED_DECIMALS_MAX:
        raise NoPrice("Chainlink's answer is not above zero")
    return PriceAnswer(
        source=NAME,
        rate=Fraction(found.answer, 10**found.decimals),
        at=found.updated_at,
        stale_at=found.updated_at + feed.heartbeat_seconds * SECOND + HEARTBEAT_SLACK,
    )
