"""Offers of credits to agents: a dollar's worth, and the packages, in tokens that move by signed authorization."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import cast

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.money import MICRO_PER_CREDIT, Micro, format_credits
from shared.payments.chains.amounts import DOLLARS
from shared.payments.chains.authorizations import TokenDomain
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.ports import AssetName, Chain, NetworkName, Tokens
from shared.payments.chains.x402 import CreditOffer, caip2
from shared.payments.facilitator import Facilitator, FacilitatorUnavailable
from shared.payments.fiat import Fiat
from shared.payments.packages import Package, Packages
from shared.sagas.payments.coin_terms import CoinTerms

SMALLEST = Fiat(100, DOLLARS)
"""Price of the smallest offer: the most that stock clients pay without being told to."""

SUPPORTED_LIFETIME: Millis = 10 * MINUTE
"""Time for which an instance trusts the facilitator's list of networks."""
ALL_EVM = "eip155:*"

ASK_AGAIN: Millis = 10 * MINUTE
"""Time after which a token is asked again that told no domain: a source may have been behind or overloaded."""

Separator = Callable[[TokenDomain, int, str], str]
"""Function that returns the hash of a token's domain on a chain: domain, chain id, contract."""


class AgentOffers:
    """Offers in all listed stablecoins that take authorizations and work now. Safe to share between threads.

    The domain of a token is read once, and believed if our hash of the domain is the hash that the contract states. A
    token without one is asked again after `ASK_AGAIN`.
    """

    def __init__(
        self,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        terms: CoinTerms,
        packages: Packages,
        credits_per_usd: int,
        separator: Separator,
        facilitator: Callable[[], Facilitator | None],
        clock: Clock,
    ) -> None:
        self._networks = networks
        self._chains = chains
        self._terms = terms
        self._packages = packages
        self._credits_per_usd = credits_per_usd
        self._separator = separator
        self._facilitator = facilitator
        self._clock = clock
        self._settled_on: tuple[Millis, Collection[str]] | None = None
        self._lock = threading.Lock()
        self._domains: dict[tuple[NetworkName, AssetName], tuple[TokenDomain | None, Millis]] = {}

    def offers(self, receiver: str) -> Sequence[CreditOffer]:
        """Return all offers to pay to this address. A network, token or price that does not work now has none."""
        wares = self._wares()
        return [
            offer
            for network, asset, domain in self._tokens()
            for ware in wares
            if (offer := self._offer(network, asset, domain, ware, receiver)) is not None
        ]

    def _wares(self) -> Sequence[Package]:
        """Return a dollar's worth of credits, and the packages that a program may buy any number of times."""
        credits_ = Micro(self._credits_per_usd * MICRO_PER_CREDIT)
        title = f"{format_credits(credits_)} credits"
        smallest = Package(id="", title=title, description="", price=SMALLEST, credits=credits_, bonus=Micro(0))
        found = self._packages.on_offer()
        return [smallest, *(each for each in found if each.price.currency == DOLLARS and each.per_user_limit is None)]

    def _tokens(self) -> Iterator[tuple[Network, Asset, TokenDomain]]:
        """Yield the listed stablecoins that take authorizations, on the networks of the facilitator."""
        settled = self._networks_settled()
        for network in self._networks.values():
            if caip2(network) not in settled and ALL_EVM not in settled:
                continue
            for asset in network.assets.values():
                if network.family != "evm" or not asset.contract or not asset.is_stable:
                    continue
                domain = self._domain(network, asset)
                if domain is not None:
                    yield network, asset, domain

    def _networks_settled(self) -> Collection[str]:
        """Return the networks on which the facilitator settles now; none while it does not answer."""
        kept, facilitator, now = self._settled_on, self._facilitator(), self._clock.now()
        if kept is not None and 0 <= now - kept[0] < SUPPORTED_LIFETIME:
            return kept[1]
        try:
            found = frozenset[str]() if facilitator is None else frozenset(facilitator.networks())
        except FacilitatorUnavailable as error:
            log("facilitator_not_asked", "WARNING", code=error.code)
            return ()
        self._settled_on = (now, found)
        return found

    def _domain(self, network: Network, asset: Asset) -> TokenDomain | None:
        """Return the domain of a token; None if the token takes no authorizations, or cannot be asked now."""
        key, now = (network.name, asset.name), self._clock.now()
        with self._lock:
            known, at = self._domains.get(key, (None, now - ASK_AGAIN))
            if known is not None or now < at + ASK_AGAIN:
                return known
        try:
            found = cast("Tokens", self._chains()[network.name]).token_domain(asset.contract)
        except (DomainError, KeyError):
            return None
        if found is not None:
            is_right = self._separator(found, network.chain_id or 0, asset.contract) == found.separator
            found = found if is_right else None
        with self._lock:
            self._domains[key] = (found, now)
        return found

    def _offer(
        self, network: Network, asset: Asset, domain: TokenDomain, ware: Package, receiver: str
    ) -> CreditOffer | None:
        """Return the offer of a ware for a token; None if the network cannot take the price now."""
        try:
            quoted = self._terms.quoted(network.name, asset.name, ware.price)
        except DomainError as error:
            log("offer_not_made", network=network.name, asset=asset.name, code=error.code)
            return None
        return CreditOffer(
            network=network,
            asset=asset,
            domain=domain,
            receiver=receiver,
            due=quoted.due,
            rate=quoted.rate.rate,
            sources=quoted.rate.sources,
            price=ware.price,
            package=ware.id,
            title=ware.title,
            credits=ware.credits,
            bonus=ware.bonus,
            bonus_days=ware.bonus_days,
        )
