"""Quotes over a real node's feeds and exchanges over HTTP: every fault of either kind of source, and of both."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from emulator.chains.anvil import Anvil
from emulator.chains.hands import Contract
from emulator.stand_ins.spot import SpotStandIn
from shared.kernel.clock import SystemClock
from shared.payments.chains.chainlink import ChainlinkPrices
from shared.payments.chains.networks import Feed, Network
from shared.payments.chains.prices import PriceUnavailable
from shared.payments.chains.quotes import Quotes
from shared.payments.fiat import Fiat
from shared.platform.evm.chain import EvmChain
from shared.platform.spot.coinbase import CoinbasePrices
from shared.platform.spot.kraken import KrakenPrices
from tests.support.anvil import Town, town

HOUR_SECONDS = 3_600
RATE = 250_025_000_000
"""The rate of the exchanges, 2500.25, in a feed's form."""
TEN_DOLLARS = Fiat(1_000, "USD")


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def place(node: Anvil) -> Town:
    return town(node)


@pytest.fixture(scope="module")
def feed(place: Town) -> Contract:
    return place.hands.deploy("price_feed", "ETH / USD", 8, RATE)


@pytest.fixture(scope="module")
def sequencer(place: Town) -> Contract:
    return place.hands.deploy("price_feed", "Sequencer", 0, 0)


@pytest.fixture
def network(place: Town, feed: Contract, sequencer: Contract) -> Network:
    feeds = {"ETH": Feed(contract=feed.address, heartbeat_seconds=HOUR_SECONDS)}
    return replace(place.network, feeds=feeds, sequencer_feed=sequencer.address)


@pytest.fixture
def spot() -> Iterator[SpotStandIn]:
    with SpotStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def tell(place: Town, feed: Contract, sequencer: Contract):
    """Set the feed and the sequencer; ages in seconds."""

    def told(*, answer: int = RATE, age: int = 0, down: int = 0, up_for: int = 2 * HOUR_SECONDS) -> None:
        now = int(time.time())
        place.hands.call(feed, "set_answer_at", answer, now - age)
        place.hands.call(sequencer, "set_answer_at", down, now - up_for)
        place.hands.mine()

    told()
    return told


def quoted(network: Network, node: Anvil, spot: SpotStandIn, *, exchanges: int = 2) -> str:
    """The amount due and the sources of a fresh quote, or the reason for none."""
    clock, networks = SystemClock(), {network.name: network}
    chainlink = ChainlinkPrices(networks, lambda: {network.name: EvmChain(network, node.url)}, clock)
    sources = [chainlink, *(CoinbasePrices(spot.url), KrakenPrices(spot.url))[:exchanges]]
    try:
        found = Quotes(networks, lambda: sources, clock).quote(network.name, "ETH", TEN_DOLLARS)
    except PriceUnavailable as failure:
        return str(failure.params["reason"])
    return f"{found.due / 10**18:.6f} by {', '.join(found.rate.sources)}"


def test_a_quote_stands_on_the_feed_and_both_exchanges(network, node, spot, tell):
    assert quoted(network, node, spot) == "0.004000 by chainlink, coinbase, kraken"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"answer": 0}, "Chainlink's answer is not above zero"),
        ({"answer": -RATE}, "Chainlink's answer is not above zero"),
        ({"age": HOUR_SECONDS + 61}, "the price of chainlink is out of date"),
        ({"age": -120}, "the price of chainlink is from the future"),
        ({"answer": RATE * 102 // 100}, "the sources are more than 1 % apart"),
        ({"down": 1}, "Laptop is not making blocks"),
        ({"up_for": HOUR_SECONDS - 60}, "Laptop has been back for less than an hour"),
    ],
)
def test_each_fault_of_the_feed_stops_quotes_beside_one_exchange(network, node, spot, tell, fault, reason):
    tell(**fault)

    assert quoted(network, node, spot, exchanges=1) == reason


@pytest.mark.parametrize("fault", [{"answer": 0}, {"age": HOUR_SECONDS + 61}])
def test_two_exchanges_that_agree_stand_in_for_a_feed_without_an_answer(network, node, spot, tell, fault):
    tell(**fault)

    assert quoted(network, node, spot) == "0.004000 by coinbase, kraken"


@pytest.mark.parametrize("fault", [{"down": 1}, {"up_for": HOUR_SECONDS - 60}])
def test_no_exchange_stands_in_for_a_halted_network(network, node, spot, tell, fault):
    tell(**fault)

    assert quoted(network, node, spot).startswith("Laptop ")


@pytest.mark.parametrize("how", ["stale", "ahead", "wrong", "silent", "refusing", "nonsense", "zero"])
@pytest.mark.parametrize("exchanges", [1, 2])
def test_each_fault_of_the_exchanges_stops_quotes(network, node, spot, tell, how, exchanges):
    spot.behave(how)

    assert " by " not in quoted(network, node, spot, exchanges=exchanges)


def test_a_node_that_ended_and_silent_exchanges_have_no_quote(network, node, spot, tell):
    spot.behave("silent")
    ended = replace(network, genesis="0x" + "12" * 32)

    assert quoted(ended, node, spot) == "Chainlink's feed on Laptop cannot be read"
