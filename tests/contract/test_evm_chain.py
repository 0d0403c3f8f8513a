"""The adapter of EVM networks over a real node."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from eth_account import Account

from emulator.chains.anvil import Anvil
from shared.payments.chains.ports import BlockGone, ChainRefused, ChainUnavailable, FeedRound
from shared.payments.chains.transactions import WantedTransfer, cost_of, require_transfer, unsigned
from shared.platform.evm.chain import EvmChain
from shared.platform.evm.node import Node, NodeRefused
from shared.platform.evm.reading import block_of
from shared.platform.evm.tokens import TokenReader
from tests.support.anvil import ETHER, Town, town
from tests.support.wallets import signed as signed_call

PLACES = [f"0x{number:040x}" for number in range(1 << 40, (1 << 40) + 1_000)]
THREADS = 120
STRANGER = Account.from_key("0x" + "11" * 32)


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def place(node: Anvil) -> Town:
    return town(node, broken=True)


@pytest.fixture
def chain(node: Anvil, place: Town) -> EvmChain:
    return EvmChain(place.network, node.url)


def signed(place: Town, nonce: int, *, value: int = 1, key: bytes = STRANGER.key) -> bytes:
    fields = {"to": PLACES[0], "value": value, "gas": 21_000, "nonce": nonce, "chainId": place.network.chain_id}
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
    return bytes(Account.sign_transaction({**fields, **fees}, key).raw_transaction)


def test_levels_are_the_balances_of_all_addresses_at_a_hash(chain: EvmChain, place: Town):
    hands = place.hands
    hands.send(PLACES[1], value=7)
    hands.call(place.usdc, "transfer", PLACES[2], 8)
    hands.call(place.usdt, "transfer", PLACES[999], 9)
    hands.mine()
    at = chain.block("latest").hash
    hands.call(place.usdc, "transfer", PLACES[2], 8)
    hands.mine()

    levels = chain.levels(at, PLACES, ["ETH", "USDC", "USDT"])

    assert len(levels) == 3_000
    rest = {pair: level for pair, level in levels.items() if level}
    assert rest == {(PLACES[1], "ETH"): 7, (PLACES[2], "USDC"): 8, (PLACES[999], "USDT"): 9}


def test_a_failing_token_is_missing_and_spoils_no_other(chain: EvmChain, place: Town):
    at = chain.block("latest").hash

    levels = chain.levels(at, PLACES, list(place.network.assets))

    assert {asset for _, asset in levels} == {"ETH", "USDC", "USDT"}
    assert len(levels) == 3_000


def test_balances_beyond_int64_are_exact(chain: EvmChain, place: Town):
    address = "0x" + "ab" * 20
    place.hands.call(place.usdc, "mint", address, 2**200 + 1)
    place.hands.mine()

    levels = chain.levels(chain.block("latest").hash, [address], ["USDC"])

    assert levels == {(address, "USDC"): 2**200 + 1}


def test_a_block_that_was_replaced_is_gone_for_every_question(chain: EvmChain, place: Town):
    place.hands.mine(2)
    old = chain.block("latest")
    place.hands.reorg(2)

    for asked in (
        lambda: chain.block(old.hash),
        lambda: chain.levels(old.hash, PLACES[:1], ["ETH"]),
        lambda: chain.spent(old.hash, PLACES[:1]),
        lambda: chain.block(old.height + 1_000),
    ):
        with pytest.raises(BlockGone):
            asked()
    assert chain.block(old.height).hash != old.hash


def test_tags_name_blocks_of_different_depths(chain: EvmChain, place: Town):
    place.hands.mine(9)

    heights = [chain.block(tag).height for tag in ("latest", "safe", "finalized")]

    assert heights == [heights[0], heights[0] - 4, heights[0] - 8]


def test_senders_and_contracts_are_told_as_spent(chain: EvmChain, place: Town):
    at = chain.block("latest").hash

    spent = chain.spent(at, [PLACES[5], place.hands.accounts[0], place.usdc.address])

    assert spent == {place.hands.accounts[0], place.usdc.address}


def test_transfers_tell_sender_amount_and_block(chain: EvmChain, place: Town):
    sender = place.hands.accounts[0]
    token = place.hands.call(place.usdc, "transfer", PLACES[20], 5)
    coin = place.hands.send(PLACES[20], value=6)
    place.hands.mine()
    home = chain.block("latest")

    tokens = chain.transfers(PLACES[20], "USDC", 0, home.height)
    coins = chain.transfers(PLACES[20], "ETH", 0, home.height)

    assert [(each.transaction, each.sender, each.amount, each.block) for each in (*tokens, *coins)] == [
        (token, sender, 5, home),
        (coin, sender, 6, home),
    ]


def test_a_node_of_another_network_is_never_believed(node: Anvil, place: Town):
    for other in (replace(place.network, genesis="0x" + "00" * 32), replace(place.network, chain_id=1)):
        with pytest.raises(ChainUnavailable) as raised:
            EvmChain(other, node.url).block("latest")
        assert raised.value.params["reason"] == "a source belongs to another network"


def test_a_transaction_sent_again_is_the_same_before_and_after_its_block(chain: EvmChain, place: Town):
    place.hands.send(STRANGER.address, value=ETHER)
    place.hands.mine()
    raw = signed(place, 0)

    first, again = chain.broadcast(raw), chain.broadcast(raw)
    waiting = chain.transaction(first)
    place.hands.mine()
    late = chain.broadcast(raw)

    assert first == again == late
    assert waiting is not None
    assert waiting.block is None
    mined = chain.transaction(first)
    assert mined is not None
    assert (mined.block, mined.succeeded) == (chain.block("latest"), True)


def test_a_transaction_that_nobody_can_pay_is_refused_for_good(chain: EvmChain, place: Town):
    with pytest.raises(ChainRefused, match=r"(?i)insufficient funds"):
        chain.broadcast(signed(place, 0, key=b"\x22" * 32))


def test_an_unknown_transaction_is_none(chain: EvmChain):
    assert chain.transaction("0x" + "12" * 32) is None


def test_a_reverted_transaction_did_not_succeed(chain: EvmChain, place: Town):
    sent = place.hands.call(place.usdc, "transfer", PLACES[3], 10**30)
    place.hands.mine()

    seen = chain.transaction(sent)

    assert seen is not None
    assert not seen.succeeded


def test_fees_are_positive(chain: EvmChain):
    fees = chain.fees()

    assert fees.base > 0
    assert fees.tip > 0


def test_a_price_feed_tells_its_last_round(chain: EvmChain, place: Town):
    feed = place.hands.deploy("price_feed", "ETH / USD", 8, 2_500 * 10**8)
    place.hands.call(feed, "set_answer_at", -5, 1_700_000_000)
    place.hands.mine()

    told = chain.feed_round(feed.address)

    assert told == FeedRound(answer=-5, decimals=8, started_at=1_700_000_000_000, updated_at=1_700_000_000_000)
    assert chain.decimals(place.usdc.address) == 6
    assert chain.chain_id() == place.network.chain_id


def test_an_address_without_a_feed_tells_no_price(chain: EvmChain):
    with pytest.raises(ChainUnavailable):
        chain.feed_round(PLACES[0])


def test_threads_that_come_and_go_leave_nothing_behind(chain: EvmChain, place: Town):
    together = threading.Barrier(THREADS)

    def asked(_: int) -> int:
        together.wait()
        return chain.block("latest").height

    with ThreadPoolExecutor(THREADS) as pool:
        heads = list(pool.map(asked, range(THREADS)))

    assert len(set(heads)) == 1


class _Refusing(BaseHTTPRequestHandler):
    """Server of a node that refuses every request as a whole, as nodes without batches do."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(HTTPStatus.BAD_REQUEST)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_tokens_are_unavailable_at_a_node_that_refuses_the_request():
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tokens = TokenReader(Node("base", f"http://127.0.0.1:{server.server_port}"), lambda _: None)

        with pytest.raises(ChainUnavailable):
            tokens.domain(PLACES[0])
        with pytest.raises(ChainUnavailable):
            tokens.used(f"0x{1:064x}", PLACES[0], [(PLACES[1], f"0x{1:064x}")])
        server.shutdown()


def test_a_node_s_message_is_told_without_links_and_keys():
    refusal = NodeRefused(-32005, "project 4f9a1c77d2b84e0c9d at https://node.example/v3/4f9a is over its limit")

    assert refusal.message == "project … at … is over its limit"


@pytest.mark.parametrize(("field", "value"), [("number", 2**60), ("timestamp", 2**60), ("hash", 1), ("parentHash", 2)])
def test_a_block_that_cannot_be_is_no_answer(node: Anvil, field: str, value: int):
    told = node.rpc("eth_getBlockByNumber", "latest", False)

    with pytest.raises(ValueError, match=r"^(no|an) "):
        block_of({**told, field: hex(value)})


def test_an_error_never_tells_the_address_of_a_source(place: Town):
    chain = EvmChain(place.network, "http://user:geheim@127.0.0.1:1/v2/geheim?key=geheim")

    with pytest.raises(ChainUnavailable) as raised:
        chain.block("latest")

    assert raised.value.params["reason"] == "a source is out of reach"
    assert "geheim" not in repr(raised.value) + str(raised.value.params)


def test_a_wallet_is_told_nonce_and_gas_and_its_transfer_is_read_and_sent(chain: EvmChain, place: Town):
    wallet = Account.from_key("0x" + "13" * 32)
    place.hands.send(wallet.address, value=ETHER)
    place.hands.call(place.usdc, "mint", wallet.address, 100)
    place.hands.mine()
    wanted = WantedTransfer(network=place.network, asset="USDC", address=PLACES[5], amount=7)
    cost = cost_of(wanted, chain.gas(wallet.address, wanted.call), chain.fees())

    raw = signed_call(unsigned(wanted, wallet.address, chain.nonce(wallet.address), cost), wallet)
    told = chain.read_signed(bytes.fromhex(raw[2:]))
    require_transfer(told, wanted)
    sent = chain.broadcast(bytes.fromhex(raw[2:]))
    place.hands.mine()

    assert (told.hash, told.sender, told.nonce) == (sent, wallet.address, 0)
    assert chain.levels(chain.block("latest").hash, [PLACES[5]], ["USDC"]) == {(PLACES[5], "USDC"): 7}
    assert chain.nonce(wallet.address) == 1


def test_a_transfer_that_would_fail_has_no_gas(chain: EvmChain, place: Town):
    wanted = WantedTransfer(network=place.network, asset="USDC", address=PLACES[5], amount=7)

    with pytest.raises(ChainRefused):
        chain.gas("0x" + "17" * 20, wanted.call)
