"""Credits for bitcoin on a real node: bought, replaced, suspended, given back and taken back as the chain has it."""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from emulator.chains.bitcoin_node import BitcoinNode, in_coins
from emulator.chains.esplora import EsploraStandIn
from emulator.chains.esplora_index import in_satoshis
from shared.kernel.clock import DAY, MINUTE, SECOND
from shared.payments.chains.networks import Network
from shared.payments.payment import Payment, status_of
from shared.platform.bitcoin.chain import EsploraChain
from shared.platform.memory.clock import ManualClock
from tests.contract.test_bitcoin_node import full_block
from tests.support.coins import FEE_BONUS, FEE_CREDITS, GRACE, LOCK, CoinShop
from tests.support.regtest import REGTEST, address_of

NAME, COIN = REGTEST.name, REGTEST.coin.name
ALL = FEE_CREDITS + FEE_BONUS
ADDRESSES = itertools.count(1_000_000)
FINAL = 6


class NodeShop(CoinShop):
    """Shop whose Bitcoin is a real node. Time of the node is the shop's time."""

    settings: ClassVar[Mapping[str, str]] = {
        "CRYPTO_NETWORKS": f"base-sepolia,{NAME}",
        "BASE_SEPOLIA_RPC_URLS": "https://base.example",
        "BITCOIN_REGTEST_API_URLS": "https://bitcoin.example/api",
    }

    def __init__(self, node: BitcoinNode, server: EsploraStandIn, version: int) -> None:
        tip = node.rpc("getblockheader", node.rpc("getbestblockhash"))
        super().__init__(clock=ManualClock(now=(tip["time"] + 3_600) * SECOND))
        self.node, self.version = node, version
        self.wallet = ""
        self.served[NAME] = EsploraChain(REGTEST, server.url, self.clock)

    def address(self, network: Network, index: int) -> str:
        if self.wallet:
            return str(self.node.rpc("getnewaddress", "", ["bech32", "bech32m"][self.version], wallet=self.wallet))
        return address_of(next(ADDRESSES), self.version)

    def ordered(self) -> Payment:
        return self.order(NAME, COIN)

    def pay(self, payment: Payment, permille: int = 1_000) -> str:
        assert payment.quote is not None
        return self.node.pay(payment.quote.address, payment.quote.due * permille // 1_000)

    def mine(self, blocks: int = 1, *, is_empty: bool = False) -> list[str]:
        """Mine blocks at the present time, a minute after each other."""
        mined = []
        for _ in range(blocks):
            self.clock.advance(MINUTE // 2)
            self.node.rpc("setmocktime", self.clock.now() // SECOND)
            mined += self.node.mine_empty() if is_empty else self.node.mine()
        return mined

    def reorg(self, blocks: int) -> None:
        """Replace the last blocks by one more without any transaction of the pool."""
        height = self.node.rpc("getblockcount") - blocks + 1
        self.node.rpc("invalidateblock", self.node.rpc("getblockhash", height))
        self.mine(blocks + 1, is_empty=True)

    def looked(self, payment: Payment) -> str:
        """Look twice, as two runs of the job do, and return the status that the owner reads."""
        for _ in range(2):
            self.clock.advance(5 * SECOND)
            self.follow(payment)
        return str(self.view(payment)["status"])

    def state(self, payment: Payment) -> str:
        return str(self.view(payment)["crypto"]["state"])


@pytest.fixture(scope="module")
def server(bitcoin_node) -> Iterator[EsploraStandIn]:
    with EsploraStandIn(bitcoin_node) as stand_in:
        yield stand_in
    bitcoin_node.rpc("setmocktime", 0)


@pytest.fixture(params=[0, 1], ids=["v0", "v1"])
def shop(request, bitcoin_node, server) -> NodeShop:
    while bitcoin_node.rpc("getrawmempool"):
        bitcoin_node.mine()
    return NodeShop(bitcoin_node, server, request.param)


@pytest.fixture
def operator(shop) -> str:
    """Wallet of the operator, from which all addresses of the shop come."""
    shop.wallet = f"operator-{next(ADDRESSES)}"
    shop.node.rpc("createwallet", shop.wallet)
    return shop.wallet


def test_payment_is_seen_in_the_pool_and_credited_at_one_block(shop):
    payment = shop.ordered()
    shop.pay(payment)

    in_pool = shop.looked(payment), shop.state(payment), shop.money()
    shop.mine()

    assert in_pool == ("confirming", "pool", (0, 0, 0))
    assert (shop.looked(payment), shop.money()) == ("settled", (ALL, 0, 0))


def test_bumped_payment_that_pays_less_is_partial_and_a_share_after_grace(shop):
    payment = shop.ordered()
    less = {payment.quote.address: in_coins(payment.quote.due // 2)}
    shop.node.wallet("bumpfee", shop.pay(payment), {"outputs": [less]})
    shop.mine()

    partial = shop.looked(payment), shop.state(payment), shop.money()
    shop.clock.advance(LOCK + GRACE)
    shop.mine(2)

    assert partial == ("pending", "partial", (0, 0, 0))
    assert (shop.looked(payment), shop.money()) == ("settled", (FEE_CREDITS // 2, 0, 0))


def test_bumped_payment_that_pays_elsewhere_gives_nothing(shop):
    payment = shop.ordered()
    paid = shop.pay(payment)
    in_pool = shop.looked(payment), shop.state(payment)
    elsewhere = {shop.node.wallet("getnewaddress"): in_coins(payment.quote.due // 2)}
    shop.node.wallet("bumpfee", paid, {"outputs": [elsewhere]})
    shop.mine(FINAL)

    assert in_pool == ("confirming", "pool")
    assert (shop.looked(payment), shop.state(payment), shop.money()) == ("pending", "waiting", (0, 0, 0))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_reorg_after_credit_suspends_and_gives_back(shop, depth):
    payment = shop.ordered()
    shop.pay(payment)
    shop.mine(depth)
    credited = shop.looked(payment), shop.money()
    shop.reorg(depth)

    suspended = shop.looked(payment), shop.money()
    shop.mine()

    assert credited == ("settled", (ALL, 0, 0))
    assert suspended == ("taken_back", (0, ALL, 0))
    assert (shop.looked(payment), shop.money()) == ("settled", (ALL, 0, 0))
    shop.check_conserved(payment)


def test_payment_that_never_comes_back_is_taken_once_finality_has_passed(shop):
    payment = shop.ordered()
    paid = shop.pay(payment)
    shop.mine(2)
    shop.looked(payment)
    shop.reorg(2)
    shop.looked(payment)
    elsewhere = {shop.node.wallet("getnewaddress"): in_coins(payment.quote.due // 2)}
    shop.node.wallet("bumpfee", paid, {"outputs": [elsewhere]})
    shop.mine(FINAL + 2)

    assert (shop.looked(payment), shop.money()) == ("taken_back", (0, 0, 0))
    shop.check_conserved(payment)


def test_reorg_of_six_final_blocks_takes_nothing_and_alerts(shop):
    payment = shop.ordered()
    shop.pay(payment)
    shop.mine(FINAL)
    shop.looked(payment)
    shop.reorg(FINAL)

    assert (shop.looked(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert "chain_below_final" in {each.event for each in shop.alerts.raised}


def test_payment_too_much_is_the_package_and_a_deposit(shop):
    payment = shop.ordered()
    shop.pay(payment, 1_600)
    shop.mine()
    shop.looked(payment)

    [deposit] = shop.deposits(payment)

    assert (status_of(deposit), deposit.terms.price.minor) in {("settled", 600), ("settled", 599)}
    assert shop.money() == (ALL + deposit.terms.credits, 0, 0)


def test_payment_among_4000_transactions_is_credited_once(shop):
    payments = [shop.ordered(), shop.ordered()]
    shop.clock.advance(MINUTE)
    shop.node.rpc("setmocktime", shop.clock.now() // SECOND)
    full_block(shop.node, [payment.quote.address for payment in payments])
    for payment in payments:
        shop.pay(payment)
    shop.mine()

    for payment in payments:
        assert shop.looked(payment) == "settled"
        shop.check_conserved(payment)


def test_coinbase_output_is_seen_and_counts_after_100_blocks(shop):
    payment = shop.ordered()
    shop.node.mine(1, payment.quote.address)

    young = shop.looked(payment), shop.money()
    shop.node.mine(99)
    before = shop.looked(payment), shop.money()
    shop.node.mine(FINAL)

    assert (young, before) == (("confirming", (0, 0, 0)), ("confirming", (0, 0, 0)))
    assert shop.looked(payment) == "settled"
    assert shop.money()[0] > ALL
    shop.check_conserved(payment)


def test_credits_are_the_level_after_random_blocks_and_reorgs(shop):
    chance = random.Random(shop.version)
    payments = [shop.ordered() for _ in range(3)]
    for _ in range(25):
        payment = chance.choice(payments)
        match chance.randrange(5):
            case 0 | 1:
                shop.pay(payment, chance.choice([300, 1_000, 1_500]))
            case 2:
                shop.mine(chance.randint(1, 3))
            case 3:
                shop.reorg(chance.randint(1, 4))
            case 4:
                shop.looked(payment)
    shop.mine(FINAL + 2)
    for payment in payments:
        shop.looked(payment)
        shop.looked(payment)
        shop.check_conserved(payment)
        shown = in_satoshis(shop.node.rpc("scantxoutset", "start", [f"addr({payment.quote.address})"])["total_amount"])
        assert shop.record(payment).level((NAME, COIN)).standing == shown
    settled = [
        each
        for payment in payments
        for each in (shop.now(payment), *shop.deposits(payment))
        if status_of(each) == "settled"
    ]
    assert shop.money() == (sum(each.terms.credits + each.terms.bonus for each in settled), 0, 0)
    assert settled


def test_half_a_percent_less_is_the_package_and_more_is_partial(shop):
    enough, short = shop.ordered(), shop.ordered()
    shop.pay(enough, 996)
    shop.pay(short, 993)
    shop.mine()

    assert (shop.looked(enough), shop.looked(short), shop.state(short)) == ("settled", "pending", "partial")
    assert shop.money() == (ALL, 0, 0)


def test_two_parts_are_the_package_once_whole(shop):
    payment = shop.ordered()
    shop.pay(payment, 400)
    shop.mine()
    partial = shop.looked(payment), shop.state(payment)
    shop.pay(payment, 600)
    shop.mine()

    assert partial == ("pending", "partial")
    assert (shop.looked(payment), shop.money()) == ("settled", (ALL, 0, 0))


def test_part_becomes_its_share_when_its_user_takes_it(shop):
    payment = shop.ordered()
    shop.pay(payment, 500)
    shop.mine()
    shop.looked(payment)

    shop.services().crypto.follower.take(payment.id, shop.uid)

    assert (shop.looked(payment), shop.money()) == ("settled", (FEE_CREDITS // 2, 0, 0))


def test_coins_within_grace_are_the_package_and_after_grace_a_deposit(shop):
    late, later = shop.ordered(), shop.ordered()
    shop.clock.advance(LOCK + MINUTE)
    shop.pay(late)
    shop.mine(2)
    shop.looked(late)
    shop.clock.advance(GRACE)
    shop.mine(2)
    expired = shop.looked(later)
    shop.pay(later)
    shop.mine()
    shop.looked(later)

    [deposit] = shop.deposits(later)

    assert (shop.looked(late), expired, status_of(deposit)) == ("settled", "expired", "settled")
    assert shop.money() == (ALL + deposit.terms.credits, 0, 0)


def test_second_payment_weeks_later_is_a_deposit(shop):
    payment = shop.ordered()
    shop.pay(payment)
    shop.mine(FINAL)
    shop.looked(payment)
    shop.clock.advance(20 * DAY)
    shop.pay(payment, 700)
    shop.mine(2)
    shop.looked(payment)

    [deposit] = shop.deposits(payment)

    assert (status_of(deposit), deposit.terms.bonus) == ("settled", 0)
    assert shop.money() == (ALL + deposit.terms.credits, 0, 0)


def test_dust_is_a_deposit_once_the_sum_passes_the_minimum(shop):
    payment = shop.ordered()
    shop.pay(payment, 1_300)
    shop.mine()
    shop.looked(payment)
    dust = shop.money(), shop.deposits(payment)
    shop.pay(payment, 300)
    shop.mine()
    shop.looked(payment)

    [deposit] = shop.deposits(payment)

    assert dust == ((ALL, 0, 0), [])
    assert deposit.terms.price.minor in {599, 600}


def test_sweep_moves_no_credit_and_later_coins_are_reviewed(shop, operator):
    payment = shop.ordered()
    shop.pay(payment)
    shop.mine(2)
    shop.looked(payment)
    shop.node.rpc("sendall", [shop.node.wallet("getnewaddress")], wallet=operator)
    shop.mine()
    swept = shop.looked(payment), shop.money()
    shop.pay(payment)
    shop.mine(FINAL)
    shop.looked(payment)

    [deposit] = shop.deposits(payment)

    assert swept == ("settled", (ALL, 0, 0))
    assert (status_of(deposit), deposit.problem) == ("confirming", "address_swept")
    assert shop.money() == (ALL, 0, 0)
