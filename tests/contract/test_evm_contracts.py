"""Contracts on a real node: Chainlink's rounds with signs and times, and the decimals that a token states."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from emulator.chains.anvil import Anvil
from emulator.chains.hands import Contract
from shared.kernel.clock import SECOND
from shared.payments.chains.ports import OTHER_NETWORK, ChainUnavailable, FeedRound
from shared.payments.chains.sources import Sources
from shared.platform.evm.chain import EvmChain
from tests.support.anvil import Town, town


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def place(node: Anvil) -> Town:
    return town(node)


@pytest.fixture(scope="module")
def feed(place: Town) -> Contract:
    return place.hands.deploy("price_feed", "ETH / USD", 8, 250_025_000_000)


@pytest.fixture
def chain(node: Anvil, place: Town) -> EvmChain:
    return EvmChain(place.network, node.url)


def set_answer(place: Town, feed: Contract, answer: int, updated: int) -> None:
    place.hands.call(feed, "set_answer_at", answer, updated)
    place.hands.mine()


@pytest.mark.parametrize("answer", [250_025_000_000, 0, -1, 2**255 - 1, -(2**255)])
def test_a_feed_tells_its_last_round(chain: EvmChain, place: Town, feed: Contract, answer: int):
    set_answer(place, feed, answer, 1_790_000_000)

    for reader in (chain, Sources([chain, chain], lag=SECOND)):
        assert reader.feed_round(feed.address) == FeedRound(
            answer=answer, decimals=8, started_at=1_790_000_000_000, updated_at=1_790_000_000_000
        )


def test_a_token_states_its_decimals_and_the_node_its_chain(chain: EvmChain, place: Town):
    reader = Sources([chain, chain], lag=SECOND)

    assert (reader.decimals(place.usdc.address), reader.chain_id()) == (6, place.network.chain_id)


@pytest.mark.parametrize("contract", ["0x" + "99" * 20, "usdt"])
def test_a_contract_that_tells_no_round_has_no_answer(chain: EvmChain, place: Town, contract: str):
    address = place.usdt.address if contract == "usdt" else contract

    with pytest.raises(ChainUnavailable):
        chain.feed_round(address)


def test_a_time_beyond_all_calendars_is_no_answer(chain: EvmChain, place: Town, feed: Contract):
    set_answer(place, feed, 1, 2**255)

    with pytest.raises(ChainUnavailable):
        chain.feed_round(feed.address)


def test_a_node_of_another_network_tells_no_price(node: Anvil, place: Town, feed: Contract):
    other = EvmChain(replace(place.network, genesis="0x" + "12" * 32), node.url)

    with pytest.raises(ChainUnavailable) as failure:
        other.feed_round(feed.address)

    assert failure.value.params["reason"] == OTHER_NETWORK


LISTED = "0x" + "66" * 20
ORACLE = "0x" + "0c" * 20
ORACLE_CODE = f"0x60043573{LISTED[2:]}1460005260206000f3"
"""Code that answers any call with 1 if its argument is LISTED, else with 0."""


def test_an_oracle_lists_an_address_and_no_other(chain: EvmChain, place: Town):
    place.hands.node.rpc("anvil_setCode", ORACLE, ORACLE_CODE)
    reader = Sources([chain, chain], lag=SECOND)

    assert [reader.is_sanctioned(ORACLE, each) for each in (LISTED, "0x" + "67" * 20)] == [True, False]
    with pytest.raises(ChainUnavailable):
        chain.is_sanctioned("0x" + "99" * 20, LISTED)


def test_holdings_of_any_token_are_read_at_many_addresses(chain: EvmChain, place: Town):
    unlisted, holder = place.hands.deploy("usdt"), "0x" + "68" * 20
    place.hands.call(unlisted, "mint", holder, 77)
    place.hands.mine()
    reader = Sources([chain], lag=SECOND)

    found = reader.holdings(unlisted.address, [LISTED, holder])

    assert found == {holder: 77}
