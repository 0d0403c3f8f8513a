"""Coins that lie at the addresses of payments now, for the operator's own sweep, and tokens that nobody listed."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from shared.kernel.documents import Documents, Query
from shared.kernel.errors import InvalidValue
from shared.payments.chains.addresses import COLLECTION, AddressRecord, from_data
from shared.payments.chains.index_table import IndexTables
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import AssetName, Chain, ChainUnavailable, Contracts, NetworkName

CONTRACT = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
PAGE = 300
"""Most addresses that are asked for in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LyingCoins:
    """Coins at an address. `step` is the last part of the key's path 0/step, None for a key that was never set.

    On a chain that scans blocks, `amount` is the sum that ever came. `is_swept` is True if coins were sent away.
    """

    network: Network
    asset: AssetName
    decimals: int
    amount: int
    record: AddressRecord
    step: int | None
    is_swept: bool


class Balances:
    """Reader of the coins at all addresses that were given out."""

    def __init__(
        self,
        documents: Documents,
        chains: Callable[[], Mapping[NetworkName, Chain]],
        networks: Mapping[NetworkName, Network],
        tables: IndexTables,
    ) -> None:
        self._documents = documents
        self._chains = chains
        self._networks = networks
        self._tables = tables

    def of_network(self, name: NetworkName) -> Iterator[LyingCoins]:
        """Yield the coins on a network, by address. Raises InvalidValue, ChainUnavailable."""
        network, chain = self._network(name)
        for records in self._pages(network.family):
            levels = chain.levels(chain.block("latest").hash, [each.address for each in records], list(network.assets))
            for record in records:
                for asset in network.assets.values():
                    amount = levels.get((record.address, asset.name), 0)
                    if amount:
                        yield self._lying(network, record, asset.name, asset.decimals, amount)

    def of_token(self, name: NetworkName, contract: str) -> Iterator[LyingCoins]:
        """Yield the units of any token's contract at our addresses on an EVM network, with the contract's decimals.

        Raises InvalidValue, ChainUnavailable.
        """
        network, chain = self._network(name)
        if network.family != "evm":
            raise InvalidValue("network", "must be an EVM network, which has tokens")
        if not CONTRACT.fullmatch(contract):
            raise InvalidValue("contract", "must be the address of a contract: 0x and 40 hexadecimal digits")
        contracts = cast("Contracts", chain)
        decimals: int | None = None
        for records in self._pages(network.family):
            found = contracts.holdings(contract, [each.address for each in records])
            for record in records:
                if found.get(record.address):
                    decimals = contracts.decimals(contract) if decimals is None else decimals
                    yield self._lying(network, record, contract, decimals, found[record.address])

    def _network(self, name: NetworkName) -> tuple[Network, Chain]:
        if name not in self._networks:
            raise InvalidValue("network", f"must be one of {', '.join(self._networks) or 'those in CRYPTO_NETWORKS'}")
        chains = self._chains()
        if name not in chains:
            raise ChainUnavailable(name, "not_configured")
        return self._networks[name], chains[name]

    def _pages(self, family: str) -> Iterator[Sequence[AddressRecord]]:
        after: str | None = None
        while True:
            behind = None if after is None else (after,)
            found = self._documents.query(Query(collection=COLLECTION, limit=PAGE, after=behind))
            records = [from_data(each.data) for each in found]
            if of_family := [each for each in records if each.family == family]:
                yield of_family
            if len(found) < PAGE:
                return
            after = found[-1].path

    def _lying(
        self, network: Network, record: AddressRecord, asset: AssetName, decimals: int, amount: int
    ) -> LyingCoins:
        place = self._tables.with_index(record.family, record.index).place(record.index)
        return LyingCoins(
            network=network,
            asset=asset,
            decimals=decimals,
            amount=amount,
            record=record,
            step=None if place is None else place.step,
            is_swept=network.name in record.swept,
        )
