"""Availability: which networks and assets a user can pay with now, and why not, by one look for all instances.

The last look stands in `crypto_state/networks`. A request reads the document, and only the first request after
`LOOK_LIFETIME` asks the chains and price sources.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Documents, PreconditionFailed, Put, Value
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.events import Alerts
from shared.kernel.meanwhile import Meanwhile
from shared.payments.chains.networks import Family, Network, listed_asset
from shared.payments.chains.ports import (
    OTHER_NETWORK,
    AssetName,
    Block,
    Chain,
    Contracts,
    NetworkName,
)
from shared.payments.chains.prices import PriceUnavailable
from shared.payments.chains.quotes import Quotes

PATH = "crypto_state/networks"
LOOK_LIFETIME: Millis = MINUTE
KEPT: Millis = 10 * SECOND
"""Time for which an instance uses the document that it has read."""
HALT_MIN: Millis = 10 * MINUTE
HALT_BLOCKS = 30
"""Age of the newest block, in usual times between blocks, from which on a network counts as halted."""

NO_KEY = "no wallet is set up for it"
NO_SOURCE = "no source is set up for it"
SILENT = "the network cannot be asked"
HALTED = "the network is not making blocks"
WRONG_NETWORK = "its sources belong to another network"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAvailability:
    """Availability of a network. `reason` continues the sentence `… cannot be used right now: …`; "" if none.

    `assets` has such a reason for each asset. `mismatch` is the fact of the chain that contradicts the settings, "" if
    there is none: an operator must act.
    """

    reason: str = ""
    mismatch: str = ""
    assets: Mapping[AssetName, str] = field(default_factory=dict)

    def reason_for(self, asset: AssetName) -> str:
        """Return the reason why an asset cannot be used now; "" for an asset that can be used."""
        return self.reason or self.assets.get(asset, "")


States = Mapping[NetworkName, NetworkAvailability]


class PayingUnavailable(Unavailable):
    """Error for a network or an asset that cannot be used right now. Nothing was begun."""

    code = "network_unavailable"

    def __init__(self, network: Network, asset: AssetName, reason: str) -> None:
        super().__init__(
            f"{asset} on {network.title} cannot be used right now: {reason}. Choose another way to pay, or try again.",
            network=network.name,
            asset=asset,
            reason=reason,
        )


class NetworkCheck:
    """Look at networks: sources, network identity, decimals of tokens, age of the newest block, and prices.

    Identity and decimals are read once per instance, since they never change.
    """

    def __init__(
        self,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        quotes: Quotes,
        has_key: Callable[[Family], bool],
        clock: Clock,
    ) -> None:
        self._networks = networks
        self._chains = chains
        self._quotes = quotes
        self._has_key = has_key
        self._clock = clock
        self._verified: set[NetworkName] = set()

    def look(self) -> States:
        """Return the availability of all networks in use now."""
        asked = {name: Meanwhile(partial(self._state, network)) for name, network in self._networks.items()}
        return {name: work.result() for name, work in asked.items()}

    def _state(self, network: Network) -> NetworkAvailability:
        """Return the first reason why a network cannot be used, or the reasons why some of the assets cannot."""
        if not self._has_key(network.family):
            return NetworkAvailability(reason=NO_KEY)
        chain = self._chains().get(network.name)
        if chain is None:
            return NetworkAvailability(reason=NO_SOURCE)
        try:
            mismatch = self._mismatch(network, chain)
            if mismatch:
                return NetworkAvailability(reason=mismatch, mismatch=mismatch)
            if is_halted(network, chain.block("latest"), self._clock.now()):
                return NetworkAvailability(reason=HALTED)
        except DomainError as failure:
            is_other = failure.params.get("reason") == OTHER_NETWORK
            return NetworkAvailability(reason=WRONG_NETWORK if is_other else SILENT)
        return NetworkAvailability(assets={name: self._price_fault(network.name, name) for name in network.assets})

    def _mismatch(self, network: Network, chain: Chain) -> str:
        """Return the fact of the chain that contradicts the settings; "" if there is none.

        The genesis says which network answers; the chain id alone proves nothing, and forks share a genesis.
        """
        if network.name in self._verified:
            return ""
        if chain.block(0).hash.lower() != network.genesis.lower():
            return WRONG_NETWORK
        if network.family == "evm":
            contracts = cast("Contracts", chain)
            if contracts.chain_id() != network.chain_id:
                return WRONG_NETWORK
            for asset in network.assets.values():
                if asset.contract and (stated := contracts.decimals(asset.contract)) != asset.decimals:
                    return f"the contract of {asset.name} states {stated} decimals, not {asset.decimals}"
        self._verified.add(network.name)
        return ""

    def _price_fault(self, network: NetworkName, asset: AssetName) -> str:
        try:
            self._quotes.rate(network, asset)
        except PriceUnavailable as failure:
            return str(failure.params["reason"])
        return ""


class CoinAvailability:
    """Availability of networks and assets, from one look for all instances. Safe to share between threads."""

    def __init__(
        self,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        check: NetworkCheck,
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._networks = networks
        self._check = check
        self._alerts = alerts
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[Millis, States] | None = None

    def current(self) -> States:
        """Return the availability of all networks in use. Only the first call after LOOK_LIFETIME asks the networks.

        While one caller asks, the others get the last known answer: a slow network keeps nobody else waiting.
        """
        if not self._networks:
            return {}
        kept = self._kept
        if kept is not None and 0 <= self._clock.now() - kept[0] < KEPT:
            return kept[1]
        if not self._lock.acquire(blocking=kept is None):
            return kept[1] if kept is not None else {}
        try:
            return self._renewed()
        finally:
            self._lock.release()

    def _renewed(self) -> States:
        now = self._clock.now()
        if self._kept is None or not 0 <= now - self._kept[0] < KEPT:
            self._kept = (now, self._shared(now))
        return self._kept[1]

    def require(self, network: NetworkName, asset: AssetName) -> None:
        """Raise PayingUnavailable if an asset cannot be used now, and InvalidValue for an asset that is not listed."""
        listed_asset(self._networks, network, asset)
        reason = self.current().get(network, NetworkAvailability(reason=SILENT)).reason_for(asset)
        if reason:
            raise PayingUnavailable(self._networks[network], asset, reason)

    def _shared(self, now: Millis) -> States:
        """Return the last look of any instance; look now if it is too old or of other settings."""
        found = self._documents.get(PATH)
        last = {} if found is None else states_in(found.data)
        if found is not None and self._is_fresh(found.data, last, now):
            return last
        states = self._check.look()
        data = states_data(states, now)
        try:
            self._documents.commit([Create(PATH, data) if found is None else Put(PATH, data, found.version)])
        except PreconditionFailed:
            return states  # another instance has looked, and told the operators
        self._tell(states, last)
        return states

    def _is_fresh(self, data: Mapping[str, Value], last: States, now: Millis) -> bool:
        age = now - from_datetime(cast("Any", data["looked_at"]))
        is_of_ours = {name: set(state.assets) for name, state in last.items() if state.assets}
        listed = {name: set(self._networks[name].assets) for name in is_of_ours if name in self._networks}
        return 0 <= age < LOOK_LIFETIME and last.keys() == self._networks.keys() and is_of_ours == listed

    def _tell(self, states: States, last: States) -> None:
        """Alert operators of mismatches that the last look did not have, and end the alerts of those that are over."""
        for name, state in states.items():
            before = last.get(name)
            if state.mismatch and (before is None or before.mismatch != state.mismatch):
                self._alerts.alert("crypto_network_mismatch", network=name, reason=state.mismatch)
            if before is not None and before.mismatch and not state.mismatch:
                self._alerts.resolve("crypto_network_mismatch", network=name)


def is_halted(network: Network, head: Block, now: Millis) -> bool:
    """Return True if a network's newest block is so old that the network must have halted."""
    return now - head.time > max(HALT_MIN, round(HALT_BLOCKS * network.block_seconds * SECOND))


def states_data(states: States, now: Millis) -> dict[str, Value]:
    """Return the fields of the document of the last look."""
    return {
        "looked_at": to_datetime(now),
        "networks": {
            name: {"reason": state.reason, "mismatch": state.mismatch, "assets": dict(state.assets)}
            for name, state in states.items()
        },
    }


def states_in(data: Mapping[str, Value]) -> States:
    """Return the availability that a stored document describes."""
    stored = cast("Mapping[str, Mapping[str, Any]]", data["networks"])
    return {
        name: NetworkAvailability(reason=each["reason"], mismatch=each["mismatch"], assets=each["assets"])
        for name, each in stored.items()
    }
