"""One body of tests for every EVM `Chain`: the chain in memory, the adapter on a real node, and several sources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from emulator.chains.anvil import Anvil
from emulator.chains.hands import Hands
from emulator.chains.proxy import ChainProxy
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import BlockGone, Chain
from shared.payments.chains.sources import Sources, agreed
from shared.platform.evm.chain import EvmChain
from shared.platform.memory.chain import MemoryChain
from shared.platform.memory.clock import ManualClock
from tests.support.anvil import network_of, town

LAG = 60_000
FIRST_BLOCKS = 20
NOBODY = "0x" + "99" * 20


@dataclass(frozen=True)
class World:
    """A chain, and hands at it: `send` puts coins into the pool, `drop` replaces the last blocks by empty ones."""

    chain: Chain
    send: Callable[[str, str, int], str]
    mine: Callable[[int], object]
    drop: Callable[[int], object]
    sweep: Callable[[str], object]


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def source(node: Anvil) -> Iterator[ChainProxy]:
    with ChainProxy(node.url) as running:
        yield running


@pytest.fixture(scope="module")
def on_node(node: Anvil, source: ChainProxy) -> World:
    place = town(node)
    tokens = {"USDC": place.usdc, "USDT": place.usdt}
    hands = place.hands

    def send(address: str, asset: str, amount: int) -> str:
        if asset in tokens:
            return hands.call(tokens[asset], "transfer", address, amount)
        return hands.send(address, value=amount)

    return World(EvmChain(place.network, source.url), send, hands.mine, hands.reorg, lambda owner: swept(hands, owner))


def swept(hands: Hands, owner: str) -> None:
    """Send a coin away from an address whose key nobody has."""
    hands.node.rpc("anvil_impersonateAccount", owner)
    hands.node.rpc("anvil_setNextBlockBaseFeePerGas", "0x0")
    hands.send(hands.accounts[0], value=1, **{"from": owner, "gasPrice": "0x0"})  # type: ignore[arg-type]  # fields
    hands.mine()


def in_memory(network: Network) -> World:
    clock = ManualClock()
    chain = MemoryChain(network, clock)

    def mine(blocks: int) -> None:
        for _ in range(blocks):
            clock.advance(1_000)
            chain.mine()

    def sweep(owner: str) -> None:
        chain.sweep(owner)
        mine(1)

    return World(chain, chain.send, mine, lambda depth: chain.reorg(depth, keep=()), sweep)


@pytest.fixture(params=["memory", "node", "sources", "agreed"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        contracts = {"USDC": "0x" + "01" * 20, "USDT": "0x" + "02" * 20}
        found = in_memory(network_of(request.getfixturevalue("node"), "laptop", contracts))
    else:
        found = request.getfixturevalue("on_node")
    if request.param in {"sources", "agreed"}:
        both = Sources([found.chain, found.chain], lag=LAG)
        chain = both if request.param == "sources" else agreed(both)
        found = World(chain, found.send, found.mine, found.drop, found.sweep)
    found.mine(FIRST_BLOCKS)
    return found


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """An address of the test's own."""
    return f"0x{abs(hash(request.node.nodeid)):040x}"


def test_levels_are_those_of_the_block_that_is_named(world: World, address: str):
    empty = world.chain.block("latest")
    world.send(address, "USDC", 5)
    world.send(address, "ETH", 7)
    world.mine(1)
    first = world.chain.block("latest")
    world.send(address, "USDC", 5)
    world.mine(1)
    second = world.chain.block("latest")

    read = [world.chain.levels(each.hash, [address, NOBODY], ["ETH", "USDC"]) for each in (empty, first, second)]

    assert [each[address, "USDC"] for each in read] == [0, 5, 10]
    assert [each[address, "ETH"] for each in read] == [0, 7, 7]
    assert all(each[NOBODY, asset] == 0 for each in read for asset in ("ETH", "USDC"))
    assert all(len(each) == 4 for each in read)


def test_amounts_beyond_int64_are_exact(world: World, address: str):
    amount = 10**19 + 1
    world.send(address, "ETH", amount)
    world.mine(1)

    assert world.chain.levels(world.chain.block("latest").hash, [address], ["ETH"]) == {(address, "ETH"): amount}


def test_no_addresses_have_no_levels(world: World):
    assert world.chain.levels(world.chain.block("latest").hash, [], ["ETH", "USDC"]) == {}


def test_a_block_is_the_same_by_height_and_hash_and_knows_its_parent(world: World):
    head = world.chain.block("latest")

    assert world.chain.block(head.height) == head
    assert world.chain.block(head.hash) == head
    parent = world.chain.block(head.height - 1)
    assert parent.hash == head.parent
    assert parent.time <= head.time


def test_tags_are_in_order(world: World):
    heights = [world.chain.block(tag).height for tag in ("latest", "safe", "finalized")]

    assert heights == sorted(heights, reverse=True)
    assert heights[2] < heights[0]


def test_a_block_that_left_the_chain_is_gone_for_every_question(world: World, address: str):
    world.send(address, "USDC", 5)
    world.mine(2)
    old = world.chain.block("latest")
    world.drop(2)

    new = world.chain.block(old.height)

    assert new.hash != old.hash
    assert world.chain.levels(new.hash, [address], ["USDC"]) == {(address, "USDC"): 0}
    for asked in (
        lambda: world.chain.block(old.hash),
        lambda: world.chain.levels(old.hash, [address], ["USDC"]),
        lambda: world.chain.spent(old.hash, [address]),
        lambda: world.chain.block(old.height + 1_000),
    ):
        with pytest.raises(BlockGone):
            asked()


def test_an_address_is_spent_once_it_has_sent_something(world: World, address: str):
    world.send(address, "ETH", 10)
    world.mine(1)
    before = world.chain.block("latest")
    world.sweep(address)

    after = world.chain.block("latest")

    assert set(world.chain.spent(before.hash, [address, NOBODY])) == set()
    assert set(world.chain.spent(after.hash, [address, NOBODY])) == {address}


@pytest.mark.parametrize("asset", ["ETH", "USDC"])
def test_transfers_tell_each_arrival_with_its_block(world: World, address: str, asset: str):
    sent = world.send(address, asset, 5)
    world.mine(1)
    home = world.chain.block("latest")

    found = world.chain.transfers(address, asset, home.height - 1, home.height)

    assert [(each.transaction, each.amount, each.block) for each in found] == [(sent, 5, home)]
    assert world.chain.transfers(address, asset, home.height + 1, home.height + 9) == []


def test_a_transaction_is_told_in_the_pool_and_in_its_block(world: World, address: str):
    sent = world.send(address, "USDC", 5)
    waiting = world.chain.transaction(sent)
    world.mine(1)
    mined = world.chain.transaction(sent)

    assert waiting is not None
    assert mined is not None
    assert (waiting.block, mined.block, mined.succeeded) == (None, world.chain.block("latest"), True)
    assert world.chain.transaction("0x" + "12" * 32) is None


def test_an_evm_chain_has_no_pool_and_scans_no_blocks(world: World, address: str):
    world.send(address, "ETH", 5)

    assert list(world.chain.pending([address])) == []
    assert not world.chain.scans_blocks
    assert world.chain.fees().base + world.chain.fees().tip > 0
