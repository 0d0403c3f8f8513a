"""Bitcoin on a real node: payments of both segwit versions, replaced, moved to other blocks, mined, among thousands."""

import contextlib
import hashlib
import itertools
import random
import time
from collections.abc import Iterator

import pytest

from emulator.chains.bitcoin_node import BitcoinNode, BitcoinNodeError, in_coins
from emulator.chains.esplora import EsploraStandIn
from emulator.chains.esplora_index import in_satoshis
from shared.payments.chains.ports import BlockGone
from shared.platform.bitcoin.chain import EsploraChain
from shared.platform.memory.clock import ManualClock
from tests.support.regtest import REGTEST, RULES, address_of, made_transaction

COIN = "BTC"
VERSIONS = [0, 1]
"""Versions of segwit."""
NUMBERS = itertools.count(1)
ANYONE = b"\x51"
"""Script that everybody may spend: OP_TRUE."""
TRANSACTIONS = 4_000
OUTPUTS_MAX = 2_000
"""Outputs of one transaction that nodes still relay."""
SEARCH_SECONDS_MAX = 1.0


@pytest.fixture(scope="module")
def server(bitcoin_node) -> Iterator[EsploraStandIn]:
    with EsploraStandIn(bitcoin_node) as stand_in:
        yield stand_in


@pytest.fixture
def chain(server) -> EsploraChain:
    return EsploraChain(REGTEST, server.url, ManualClock())


@pytest.fixture(params=VERSIONS)
def address(request) -> str:
    return address_of(next(NUMBERS), request.param)


@pytest.fixture(autouse=True)
def empty_pool(bitcoin_node) -> None:
    """Each test begins with an empty pool."""
    while bitcoin_node.rpc("getrawmempool"):
        bitcoin_node.mine()


def level(chain: EsploraChain, address: str) -> int:
    return chain.levels(chain.block("latest").hash, [address], [COIN])[address, COIN]


def unspent(node: BitcoinNode, address: str) -> int:
    """Return what the node itself has for an address that never paid."""
    return in_satoshis(node.rpc("scantxoutset", "start", [f"addr({address})"])["total_amount"])


def waiting(chain: EsploraChain, address: str) -> list[tuple[str, int]]:
    return [(one.transaction, one.amount) for _, one in chain.pending([address])]


def test_payment_goes_from_the_pool_to_a_block(chain, bitcoin_node, address):
    name = bitcoin_node.pay(address, 123_456)

    in_pool = waiting(chain, address), level(chain, address)
    block = bitcoin_node.mine()[0]

    assert in_pool == ([(name, 123_456)], 0)
    assert chain.received_in(block, [address]) == {address: 123_456}
    assert (waiting(chain, address), level(chain, address)) == ([], 123_456)
    assert chain.transaction(name).block == chain.block(block)


def test_bumped_payment_that_pays_less_counts_as_mined(chain, bitcoin_node, address):
    old = bitcoin_node.pay(address, 500_000)
    new = bitcoin_node.wallet("bumpfee", old, {"outputs": [{address: in_coins(400_000)}]})["txid"]

    in_pool = waiting(chain, address)
    block = bitcoin_node.mine()[0]

    assert in_pool == [(new, 400_000)]
    assert chain.received_in(block, [address]) == {address: 400_000}
    assert (level(chain, address), chain.transaction(old)) == (400_000, None)


def test_bumped_payment_that_pays_elsewhere_never_counts(chain, bitcoin_node, address):
    old = bitcoin_node.pay(address, 500_000)
    elsewhere = bitcoin_node.wallet("getnewaddress")
    bitcoin_node.wallet("bumpfee", old, {"outputs": [{elsewhere: in_coins(400_000)}]})

    in_pool = waiting(chain, address)
    block = bitcoin_node.mine()[0]

    assert (in_pool, level(chain, address), chain.received_in(block, [address])) == ([], 0, {})


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_payment_whose_block_is_invalidated_is_pending_and_comes_back(chain, bitcoin_node, address, depth):
    name = bitcoin_node.pay(address, 70_000)
    block = bitcoin_node.mine(depth)[0]
    before = level(chain, address)
    bitcoin_node.rpc("invalidateblock", block)
    bitcoin_node.mine_empty(depth + 1)

    gone = level(chain, address), waiting(chain, address)
    with pytest.raises(BlockGone):
        chain.levels(block, [address], [COIN])
    moved = bitcoin_node.mine()[0]

    assert (before, gone) == (70_000, (0, [(name, 70_000)]))
    assert (level(chain, address), chain.received_in(moved, [address])) == (70_000, {address: 70_000})


def test_coinbase_output_counts_after_100_blocks(chain, bitcoin_node, address):
    mined = bitcoin_node.mine(1, address)[0]
    came = unspent(bitcoin_node, address)

    young = level(chain, address), [one.block for _, one in chain.pending([address])]
    before, after = bitcoin_node.mine(100)[-2:]

    assert young == (0, [chain.block(mined)])
    assert (chain.levels(before, [address], [COIN])[address, COIN], level(chain, address)) == (0, came)
    assert (chain.received_in(before, [address]), chain.received_in(after, [address])) == ({}, {address: came})


def test_block_of_4000_transactions_is_searched_for_both_kinds(chain, bitcoin_node):
    ours = [address_of(next(NUMBERS), version) for version in VERSIONS]
    block = full_block(bitcoin_node, ours)
    chain.block(block)

    began = time.process_time()
    found = chain.received_in(block, ours)
    seconds = time.process_time() - began

    assert len(bitcoin_node.rpc("getblock", block, 1)["tx"]) > TRANSACTIONS
    assert found == {address: unspent(bitcoin_node, address) for address in ours}
    assert {address: level(chain, address) for address in ours} == found
    assert seconds < SEARCH_SECONDS_MAX


def test_level_is_what_the_node_has_after_each_of_many_reorgs(chain, bitcoin_node):
    chance = random.Random(2)
    ours = [address_of(next(NUMBERS), version) for version in VERSIONS]
    for _ in range(25):
        _some_payments(bitcoin_node, ours, chance)
        depth = chance.randint(1, 6)
        tip = bitcoin_node.rpc("getblockcount")
        bitcoin_node.rpc("invalidateblock", bitcoin_node.rpc("getblockhash", tip - depth + 1))
        bitcoin_node.mine_empty(chance.randint(0, depth))
        bitcoin_node.mine(max(1, depth + 1 - (bitcoin_node.rpc("getblockcount") - tip + depth)))

        assert {one: level(chain, one) for one in ours} == {one: unspent(bitcoin_node, one) for one in ours}


def full_block(node: BitcoinNode, ours: list[str]) -> str:
    """Mine a block of more than 4 000 transactions, of which every hundredth pays one of our addresses."""
    from embit import bech32

    anyone = str(bech32.encode(RULES.prefix, 0, hashlib.sha256(ANYONE).digest()))
    spendable = [point for _ in range(TRANSACTIONS // OUTPUTS_MAX) for point in _fan_out(node, anyone)]
    receivers = [ours[place // 100 % 2] if place % 100 == 0 else anyone for place in range(TRANSACTIONS)]
    made = [
        made_transaction([point], [(receiver, 700)], ANYONE).raw.hex()
        for point, receiver in zip(spendable, receivers, strict=True)
    ]
    return str(node.rpc("generateblock", node.wallet("getnewaddress"), made)["hash"])


def _fan_out(node: BitcoinNode, anyone: str) -> list[tuple[str, int]]:
    """Mine a transaction with outputs that everybody may spend, and return their places."""
    point = node.wallet("listunspent", 1, 9_999_999, [], True, {"minimumAmount": 1})[0]
    outputs = [(anyone, 1_000)] * OUTPUTS_MAX
    bare = made_transaction([(point["txid"], point["vout"])], outputs).raw
    signed = node.wallet("signrawtransactionwithwallet", bare.hex())["hex"]
    node.rpc("generateblock", node.wallet("getnewaddress"), [signed])
    name = node.rpc("decoderawtransaction", signed)["txid"]
    return [(name, place) for place in range(OUTPUTS_MAX)]


def _some_payments(node: BitcoinNode, ours: list[str], chance: random.Random) -> None:
    """Pay, bump some payments, and mine some blocks, as it comes."""
    for _ in range(chance.randint(1, 3)):
        address, amount = chance.choice(ours), chance.randint(1_000, 100_000)
        name = node.pay(address, amount)
        if chance.random() < 0.3:
            receiver = chance.choice([address, str(node.wallet("getnewaddress"))])
            _bump(node, name, receiver, amount)
        if chance.random() < 0.6:
            node.mine(chance.randint(1, 3))
    node.mine(6 if chance.random() < 0.2 else 1)


def _bump(node: BitcoinNode, name: str, receiver: str, amount: int) -> None:
    """Bump a payment. The wallet refuses while the payment has descendants in the pool."""
    with contextlib.suppress(BitcoinNodeError):
        node.wallet("bumpfee", name, {"outputs": [{receiver: in_coins(amount // 2)}]})
