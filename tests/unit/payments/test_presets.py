"""Presets of networks: each is whole, and no two could be mistaken for each other."""

import pytest
from eth_utils.address import to_checksum_address

from shared.payments.chains.presets import PRESETS

EVM = [network for network in PRESETS.values() if network.family == "evm"]


@pytest.mark.parametrize("network", EVM, ids=lambda network: network.name)
def test_every_contract_of_a_preset_has_a_valid_checksum(network):
    contracts = [asset.contract for asset in network.assets.values() if asset.contract]
    contracts += [feed.contract for feed in network.feeds.values()]
    contracts += [network.sequencer_feed] if network.sequencer_feed else []

    assert [to_checksum_address(contract) for contract in contracts] == contracts


@pytest.mark.parametrize("network", EVM, ids=lambda network: network.name)
def test_every_asset_of_a_preset_has_a_price_feed(network):
    assert set(network.assets) <= set(network.feeds)


def test_no_two_presets_have_the_same_genesis_or_chain_id():
    genesis = [network.genesis for network in PRESETS.values()]
    ids = [network.chain_id for network in EVM]

    assert len(set(genesis)) == len(genesis)
    assert len(set(ids)) == len(ids)


def test_only_networks_with_coins_of_value_are_live():
    assert {name for name, network in PRESETS.items() if network.is_live} == {
        "base", "polygon", "ethereum", "bitcoin",
    }  # fmt: skip


def test_a_transaction_has_its_page_at_the_explorer():
    assert PRESETS["base"].transaction_url("0xab") == "https://basescan.org/tx/0xab"
    assert PRESETS["bitcoin-regtest"].transaction_url("ab") is None
