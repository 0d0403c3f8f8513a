"""The faults of a source as the adapter meets them, and the ways around abilities that a node lacks."""

import contextlib
from collections.abc import Iterator

import pytest

from emulator.chains.anvil import Anvil
from emulator.chains.proxy import FAULTS, WAYS, ChainProxy
from shared.payments.chains.ports import Block, BlockGone, Chain, ChainUnavailable
from shared.payments.chains.sources import Sources, agreed
from shared.platform.evm.chain import EvmChain
from tests.support.anvil import Town, town

HASTY_SECONDS = 0.5
TRIES_MAX = 20
PLACES = [f"0x{number:040x}" for number in range(1 << 40, (1 << 40) + 300)]
RICH = PLACES[1]
ASSETS = ["ETH", "USDC", "USDT"]


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def place(node: Anvil) -> Town:
    found = town(node, broken=True)
    found.hands.send(RICH, value=7)
    found.hands.call(found.usdc, "transfer", RICH, 8)
    found.hands.mine(12)
    return found


@pytest.fixture
def source(node: Anvil) -> Iterator[ChainProxy]:
    with ChainProxy(node.url) as running:
        yield running


@pytest.fixture
def second(node: Anvil) -> Iterator[ChainProxy]:
    with ChainProxy(node.url, salt=1) as running:
        yield running


def chain_of(place: Town, source: ChainProxy) -> EvmChain:
    return EvmChain(place.network, source.url)


def hasty_chain(place: Town, source: ChainProxy) -> tuple[EvmChain, Block]:
    """Return a chain that waits for each answer HASTY_SECONDS, and its head. A busy machine may need several tries."""
    chain = EvmChain(place.network, source.url, answer_seconds_max=HASTY_SECONDS)
    for _ in range(TRIES_MAX):
        with contextlib.suppress(ChainUnavailable):
            return chain, chain.block("latest")
    raise AssertionError("the node does not answer in time")


def levels_at(chain: Chain, at: Block) -> dict:
    return {pair: level for pair, level in chain.levels(at.hash, PLACES, ASSETS).items() if level}


def truth(place: Town) -> dict:
    return {(RICH, "ETH"): 7, (RICH, "USDC"): 8}


@pytest.mark.parametrize("lost", [(), ("overrides",), ("canonical",), ("canonical", "overrides")])
def test_levels_are_the_same_for_a_node_that_lacks_abilities(place: Town, source: ChainProxy, lost: tuple[str, ...]):
    source.ways = WAYS - set(lost)
    chain = chain_of(place, source)
    head = chain.block("latest")

    levels = chain.levels(head.hash, PLACES, list(place.network.assets))

    assert len(levels) == 3 * len(PLACES)
    assert {pair: level for pair, level in levels.items() if level} == truth(place)


def test_a_way_that_a_node_refused_is_not_tried_again(place: Town, source: ChainProxy):
    source.ways = WAYS - {"canonical"}
    chain = chain_of(place, source)
    head = chain.block("latest")
    levels_at(chain, head)
    source.methods.clear()

    levels_at(chain, head)

    assert source.methods == {"eth_call": 1, "eth_getBlockByHash": 1, "eth_getBlockByNumber": 1}


def test_a_node_without_overrides_and_batches_is_unavailable(place: Town, source: ChainProxy):
    source.ways = frozenset({"canonical"})
    chain = chain_of(place, source)

    with pytest.raises(ChainUnavailable):
        levels_at(chain, chain.block("latest"))


def test_a_gone_block_is_gone_by_every_way(place: Town, source: ChainProxy):
    for lost in (set(), {"canonical"}, {"overrides", "canonical"}):
        source.ways = WAYS - lost
        with pytest.raises(BlockGone):
            chain_of(place, source).levels("0x" + "ab" * 32, PLACES, ASSETS)


def test_a_thousand_addresses_cost_one_call(place: Town, source: ChainProxy):
    chain = chain_of(place, source)
    head = chain.block("latest")
    source.methods.clear()

    chain.levels(head.hash, [f"0x{number:040x}" for number in range(1, 1_001)], ASSETS)

    assert source.methods == {"eth_call": 1}


def test_logs_beyond_the_head_are_none_as_geth_tells_them(place: Town, source: ChainProxy):
    chain = chain_of(place, source)
    head = chain.block("latest")

    assert chain.transfers(RICH, "USDC", head.height + 1, head.height + 9) == []
    assert [each.amount for each in chain.transfers(RICH, "USDC", 0, head.height + 9)] == [8]


@pytest.mark.parametrize("fault", ["empty", "rate_limited", "silent", "broken"])
def test_no_answer_is_an_error_and_never_zero(place: Town, source: ChainProxy, fault: str):
    chain, head = hasty_chain(place, source)
    source.fault = fault

    for asked in (
        lambda: chain.block("latest"),
        lambda: levels_at(chain, head),
        chain.fees,
        lambda: chain.broadcast(b"raw"),
    ):
        with pytest.raises((ChainUnavailable, BlockGone)):
            asked()


@pytest.mark.parametrize("fault", ["stale", "backwards", "forked", "lying", "denying"])
def test_a_fault_of_one_source_never_passes_for_the_truth_of_two(
    place: Town, source: ChainProxy, second: ChainProxy, fault: str
):
    honest = chain_of(place, source)
    chain = agreed(Sources([honest, chain_of(place, second)], lag=60_000))
    chain.block("latest")
    second.fault = fault
    place.hands.mine(4)

    for _ in range(5):
        try:
            head = chain.block("latest")
            told = levels_at(chain, head)
        except ChainUnavailable:
            continue
        assert told == levels_at(honest, head)
    second.fault = ""
    for _ in range(5):
        place.hands.mine()
        with contextlib.suppress(ChainUnavailable):
            chain.block("latest")

    assert levels_at(chain, chain.block("latest")) == truth(place)


def test_a_slow_source_is_waited_for(place: Town, source: ChainProxy):
    source.fault = "slow"
    chain = chain_of(place, source)

    assert levels_at(chain, chain.block("latest")) == truth(place)


def test_a_forked_source_knows_none_of_the_blocks_of_the_chain(place: Town, source: ChainProxy):
    chain = chain_of(place, source)
    old = chain.block("latest")
    source.fault = "forked"

    other = chain.block("latest")

    assert (other.height, other.hash == old.hash) == (old.height, False)
    assert chain.block(other.hash) == other
    assert chain.block(other.height - 1).hash == other.parent
    with pytest.raises(BlockGone):
        levels_at(chain, old)
    assert levels_at(chain, other) == truth(place)


def test_a_lie_is_told_by_the_source_alone(place: Town, source: ChainProxy):
    source.fault = "lying"
    chain = chain_of(place, source)

    told = chain.levels(chain.block("latest").hash, [RICH], ["USDC"])

    assert told == {(RICH, "USDC"): 8 + 5_000_000}


def test_every_fault_has_a_name_that_a_laptop_may_set(place: Town, source: ChainProxy):
    for fault in (*FAULTS, ""):
        source.fault = fault
    assert chain_of(place, source).block("latest").height > 0
