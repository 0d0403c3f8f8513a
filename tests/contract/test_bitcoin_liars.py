"""Bitcoin through two servers that fail and lie at random: credits are the coins of the chain, and nothing is stuck."""

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

import pytest

from emulator.chains.esplora import EsploraStandIn
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.money import MICRO_PER_CREDIT
from shared.payments.chains.levels import states
from shared.payments.chains.networks import Network
from shared.payments.chains.sources import Sources, lag_max
from shared.payments.payment import Payment
from shared.platform.bitcoin.chain import EsploraChain
from shared.platform.memory.clock import ManualClock
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.chain_follows import WatchFollows
from shared.sagas.payments.crypto_watcher import Watcher
from shared.sagas.payments.payment_addresses import PaymentAddresses
from tests.contract.test_bitcoin_watch import BAD
from tests.support.coins import CoinShop
from tests.support.regtest import BLOCK_SECONDS, REGTEST, START_SECONDS, PythonRegtest, address_of

NAME, COIN = REGTEST.name, REGTEST.coin.name
SCHEDULES = 12
STEPS = 25
ORDERS = 3
CENT = 2 * MICRO_PER_CREDIT
"""More than the credits of a cent, to which parts of a price are rounded."""
QUIET_MINUTES = 20
"""Minutes with a block each: a reorg is noticed, and finality passes."""


class LiarShop(CoinShop):
    """Shop whose Bitcoin is told by two servers. Each minute has new workers."""

    settings: ClassVar[Mapping[str, str]] = {
        "CRYPTO_NETWORKS": f"base-sepolia,{NAME}",
        "BASE_SEPOLIA_RPC_URLS": "https://base.example",
        "BITCOIN_REGTEST_API_URLS": "https://bitcoin.example/api",
    }

    def __init__(self, regtest: PythonRegtest, servers: list[EsploraStandIn]) -> None:
        super().__init__(clock=ManualClock(now=(START_SECONDS + BLOCK_SECONDS * (regtest.height + 1)) * SECOND))
        self.regtest, self.servers = regtest, servers
        chains = [EsploraChain(REGTEST, server.url, self.clock) for server in servers]
        self.served[NAME] = Sources(chains, lag=lag_max(REGTEST.block_seconds))
        self.orders = [self.order(NAME, COIN) for _ in range(ORDERS)]
        self.highest: dict[str, int] = {}

    def address(self, network: Network, index: int) -> str:
        return address_of(index, index % 2)

    def addresses(self, family: str, indices: Sequence[int]) -> Mapping[int, str]:
        return {index: address_of(index, index % 2) for index in indices if index}

    def taken(self, family: str) -> int:
        return self.count + 1

    def pay(self, order: Payment, permille: int) -> str:
        assert order.quote is not None
        return self.regtest.pay((order.quote.address, order.quote.due * permille // 1_000))

    def mine(self, blocks: int = 1, names: list[str] | None = None) -> None:
        self.regtest.mine(blocks, names=names)
        for order in self.orders:
            address = self.address_of(order)
            self.highest[address] = max(self.highest.get(address, 0), self.regtest.received(address))
        known = (START_SECONDS + BLOCK_SECONDS * self.regtest.height) * SECOND
        self.clock.advance(max(MINUTE, known - self.clock.now()))

    def address_of(self, order: Payment) -> str:
        assert order.quote is not None
        return order.quote.address

    def minute(self) -> None:
        """Run the jobs in workers that know nothing of the ones before."""
        self.clock.advance(MINUTE)
        services = self.services()
        watcher = Watcher(
            documents=services.ports.documents(),
            networks={NAME: REGTEST},
            chains=lambda: {NAME: self.served[NAME]},
            addresses=PaymentAddresses(lambda: self),
            indices=self,
            follower=WatchFollows(services.crypto.follower),
            alerts=self.alerts,
            clock=self.clock,
        )
        watcher.run(JobRun("", self.clock, 60))
        self.every_minute()

    def check_backed(self) -> None:
        """No claim is larger than the level that the chain once had."""
        for order in self.orders:
            end = self.record(order).level((NAME, COIN)).end
            assert end <= self.highest.get(self.address_of(order), 0)

    def check_whole(self) -> None:
        """Levels are those of the chain, and credits those of the coins that stand, up to a cent for each lost part."""
        due, cents = Fraction(0), 0
        for order in self.orders:
            level = self.record(order).level((NAME, COIN))
            assert level.standing == self.regtest.received(self.address_of(order))
            self.check_conserved(order)
            for claim, state in states(level):
                terms = self.services().payments.store.get(claim.payment).terms
                due += Fraction((terms.credits + terms.bonus) * state.credited, claim.size or 1)
                cents += state.lost > 0
        available, held, debt = self.money()
        assert abs(available - due) <= cents * CENT
        assert (held, debt) == (0, 0)


@pytest.fixture
def shop() -> Iterator[LiarShop]:
    regtest = PythonRegtest()
    regtest.mine(3)
    with EsploraStandIn(regtest) as first, EsploraStandIn(regtest) as second:
        yield LiarShop(regtest, [first, second])


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_credits_are_the_coins_of_the_chain_once_faults_end(shop, seed):
    chance = random.Random(seed)
    for _ in range(STEPS):
        step(shop, chance)
        shop.check_backed()
    for server in shop.servers:
        server.order()
    for _ in range(QUIET_MINUTES):
        shop.mine()
        shop.minute()

    shop.check_whole()


def test_arrivals_that_the_servers_hide_at_first_are_found_later(shop):
    shop.pay(shop.orders[0], 1_000)
    shop.mine()
    shop.minute()
    for server in shop.servers:
        server.order(**BAD["empty"])
    shop.served[NAME] = EsploraChain(REGTEST, shop.servers[0].url, shop.clock)
    shop.pay(shop.orders[0], 700)
    shop.pay(shop.orders[1], 1_000)
    shop.mine()
    shop.minute()
    shop.served[NAME] = EsploraChain(REGTEST, shop.servers[1].url, shop.clock)
    shop.minute()
    for server in shop.servers:
        server.order()
    for _ in range(QUIET_MINUTES):
        shop.mine()
        shop.minute()

    shop.check_whole()


def test_only_server_that_forgot_all_makes_no_deposit_of_nothing(shop):
    """A new instance has not seen the block of the payment."""
    order = shop.orders[0]
    shop.pay(order, 1_000)
    for _ in range(8):
        shop.mine()
        shop.minute()
    shop.served[NAME] = EsploraChain(REGTEST, shop.servers[0].url, shop.clock)
    shop.servers[0].order(**BAD["empty"])
    for _ in range(3):
        shop.mine()
        shop.minute()
        shop.follow(order)
    shop.servers[0].order()
    for _ in range(QUIET_MINUTES):
        shop.mine()
        shop.minute()
        shop.follow(order)

    assert shop.record(order).swept == frozenset()
    assert shop.deposits(order) == []
    shop.check_whole()


def step(shop: LiarShop, chance: random.Random) -> None:
    """Let something happen: coins, a bump, blocks, a reorg, faults of one server or both; mostly, a minute passes."""
    match chance.choice(["pay", "pay", "bump", "mine", "mine", "reorg", "faults", "well"]):
        case "pay":
            shop.pay(chance.choice(shop.orders), chance.choice([400, 1_000, 1_600]))
        case "bump" if shop.regtest.pool:
            old, order = chance.choice(sorted(shop.regtest.pool)), chance.choice(shop.orders)
            shop.regtest.bump(old, (shop.address_of(order), 30_000))
        case "mine":
            shop.mine(chance.randint(1, 3))
        case "reorg":
            depth = chance.randint(1, min(4, shop.regtest.height - 1))
            shop.regtest.fork(depth)
            shop.mine(depth + 1, names=chance.choice([[], None]))
        case "faults":
            fault = BAD[chance.choice(sorted(BAD))]
            for server in chance.choice([shop.servers[:1], shop.servers[1:], shop.servers]):
                server.order(**fault)
        case "well":
            for server in shop.servers:
                server.order()
    if chance.random() < 0.7:
        shop.minute()
