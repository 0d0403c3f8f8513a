"""Screening of senders: coins from a listed address are parked for an operator, and no button sends them back.

Chainalysis keeps the addresses of sanctions lists in a contract that anybody may read:
https://go.chainalysis.com/chainalysis-oracle-docs.html
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, cast

from shared.payments.chains.networks import Network
from shared.payments.chains.ports import Chain, ChainUnavailable, Contracts, NetworkName

SCREENED_SENDER = "screened_sender"
"""Problem of coins from a listed sender."""
USUAL_ORACLE = "0x40C57923924B5c5c5455c48D93317139ADDaC8fb"
ORACLES: Mapping[int, str] = {
    1: USUAL_ORACLE,
    10: USUAL_ORACLE,
    56: USUAL_ORACLE,
    137: USUAL_ORACLE,
    8453: "0x3A91A31cB3dC49b4db9Ce721F50a9D076c8D739B",
    42161: USUAL_ORACLE,
    43114: USUAL_ORACLE,
}
"""Contracts of Chainalysis' sanctions oracle, by chain id."""


class Screening(Protocol):
    """List of addresses whose coins must not become credits without an operator."""

    @property
    def is_on(self) -> bool:
        """Return True if senders are screened, so that coins wait until the senders are known."""
        ...

    def is_any_listed(self, network: NetworkName, senders: Collection[str]) -> bool:
        """Return True if one of the senders is listed. Raises ChainUnavailable: then coins wait."""
        ...


class NoScreening:
    """Screening that lists nobody."""

    is_on = False

    def is_any_listed(self, network: NetworkName, senders: Collection[str]) -> bool:
        """Return False; see `Screening.is_any_listed`."""
        return False


class OracleScreening:
    """Screening by Chainalysis' oracle on the network of the coins. On a network without an oracle nobody is listed."""

    is_on = True

    def __init__(
        self, chains: Callable[[], Mapping[NetworkName, Chain]], networks: Mapping[NetworkName, Network]
    ) -> None:
        self._chains = chains
        self._networks = networks

    def is_any_listed(self, network: NetworkName, senders: Collection[str]) -> bool:
        """Return True if the oracle lists one of the senders; see `Screening.is_any_listed`."""
        oracle = ORACLES.get(self._networks[network].chain_id or 0)
        if oracle is None or not senders:
            return False
        chain = self._chains().get(network)
        if chain is None:
            raise ChainUnavailable(network, "not_configured")
        contracts = cast("Contracts", chain)
        return any(contracts.is_sanctioned(oracle, sender) for sender in sorted(senders))
