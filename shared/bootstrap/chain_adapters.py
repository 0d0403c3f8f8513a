"""Chains of the networks in use: the adapter of each network's family, for each of the network's sources."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from shared.kernel.chain_settings import ChainSources
from shared.payments.chains.networks import Family, Network
from shared.payments.chains.ports import Chain, NetworkName
from shared.payments.chains.sources import Sources, lag_max

ADAPTERS: Mapping[Family, str] = {
    "evm": "shared.platform.evm.chain:EvmChain",
    "bitcoin": "shared.platform.bitcoin.chain:EsploraChain",
}
"""Class of a family's adapter; built with the network and the address of one source."""


def configured_chains(
    networks: Mapping[NetworkName, Network], sources: Sequence[ChainSources]
) -> Mapping[NetworkName, Chain]:
    """Return the chains of all networks that have sources. A vendor's library is loaded for a network in use only."""
    urls = {each.network: each.urls for each in sources}
    return {name: _chain(network, urls[name]) for name, network in networks.items() if name in urls}


def _chain(network: Network, urls: Sequence[str]) -> Chain:
    adapter = _adapter(network.family)
    return Sources([adapter(network, url) for url in urls], lag=lag_max(network.block_seconds))


def _adapter(family: Family) -> Callable[[Network, str], Chain]:
    module, _, name = ADAPTERS[family].partition(":")
    adapter: Callable[[Network, str], Chain] = getattr(import_module(module), name)
    return adapter
