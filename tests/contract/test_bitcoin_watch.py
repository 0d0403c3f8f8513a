"""The watch over Bitcoin through a server: no arrival is lost, however the chain, the server and the workers fail."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.chains.esplora import EsploraStandIn
from shared.kernel.clock import MINUTE
from shared.platform.bitcoin.chain import EsploraChain
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.crypto_watcher import Watcher
from shared.sagas.payments.payment_addresses import PaymentAddresses
from tests.support.regtest import REGTEST, START_SECONDS, PythonRegtest, address_of

NAME, COIN = REGTEST.name, REGTEST.coin.name
TAKEN = 8
RUNS_MAX = 40
CALLS_MAX = 60
"""Calls that a limited server answers in one run."""

BAD: dict[str, dict[str, Any]] = {
    "lagging": {"lag": 2},
    "backwards": {"lag": 3, "is_backwards": True},
    "limited": {"is_limited": True},
    "down": {"is_down": True},
    "empty": {"is_empty": True},
    "frozen": {"is_frozen": True},
    "amounts": {"lies": frozenset({"amounts"})},
    "repeats": {"lies": frozenset({"repeats"})},
    "blocks": {"lies": frozenset({"blocks"})},
}
"""Faults of a server."""


class World:
    """A chain, its server, and a watch by a fresh worker each minute. `levels` has the last level of each index."""

    def __init__(self, regtest: PythonRegtest, server: EsploraStandIn) -> None:
        self.clock = ManualClock(now=START_SECONDS * 1_000)
        self.regtest, self.server = regtest, server
        self.documents = MemoryDocuments()
        self.chain = EsploraChain(REGTEST, server.url, self.clock)
        self.levels: dict[int, int] = {}
        self.paid: dict[int, int] = {}

    def addresses(self, family, indices):
        return {index: address_of(index + 1, index % 2) for index in indices}

    def taken(self, family) -> int:
        return TAKEN

    def follow(self, family, index, networks=None) -> bool:
        """Read the level of an address at the head. Six blocks later everything is final."""
        head = self.chain.block("latest")
        address = self.addresses(family, [index])[index]
        self.levels[index] = self.chain.levels(head.hash, [address], [COIN])[address, COIN]
        final = self.chain.block(max(0, head.height - 5)).hash
        return self.levels[index] == self.chain.levels(final, [address], [COIN])[address, COIN] != 0

    def minute(self) -> None:
        """Let a minute pass, and run the job in a worker that knows nothing of the ones before."""
        self.clock.advance(MINUTE)
        watcher = Watcher(
            documents=self.documents,
            networks={NAME: REGTEST},
            chains=lambda: {NAME: self.chain},
            addresses=PaymentAddresses(lambda: self),
            indices=self,
            follower=self,
            alerts=MemoryAlerts(),
            clock=self.clock,
        )
        watcher.run(JobRun("", self.clock, 60))

    def pay(self, index: int, amount: int) -> str:
        self.paid[index] = self.paid.get(index, 0) + amount
        return self.regtest.pay((self.addresses("bitcoin", [index])[index], amount))

    def catch_up(self) -> int:
        """Run until the levels are the amounts paid, and return the number of runs."""
        for number in range(1, RUNS_MAX):
            self.minute()
            if self.levels == self.paid:
                return number
        raise AssertionError(f"{self.levels} is not {self.paid}")


@pytest.fixture
def world() -> Iterator[World]:
    regtest = PythonRegtest()
    regtest.mine(3)
    with EsploraStandIn(regtest) as server:
        found = World(regtest, server)
        found.minute()
        yield found


def test_each_arrival_is_followed_by_a_worker_that_is_new_at_each_block(world):
    chance = random.Random(5)
    for _ in range(25):
        world.pay(chance.randrange(TAKEN), chance.randint(1, 1_000))
        world.regtest.mine(chance.randint(1, 3))
        world.minute()

        assert world.levels == world.paid


@pytest.mark.parametrize("depth", [1, 3, 6, 62, 70])
def test_arrivals_are_found_again_after_a_reorg(world, depth):
    for index in range(4):
        world.pay(index, 100 + index)
        world.regtest.mine(1)
        world.minute()
    world.regtest.mine(70)
    world.minute()
    world.pay(5, 7)
    world.regtest.mine(1)
    world.minute()
    world.regtest.fork(depth)
    world.regtest.mine(depth, names=[])
    world.minute()
    world.regtest.mine(2)

    assert world.catch_up() == 1


def test_blocks_missed_for_a_day_are_read_in_order(world):
    for number in range(150):
        if number % 20 == 0:
            world.pay(number // 20, number + 1)
        world.regtest.mine(1)

    assert world.catch_up() == 1


def test_limited_server_lets_each_run_read_some_blocks(world):
    for number in range(60):
        if number % 10 == 0:
            world.pay(number // 10, number + 1)
        world.regtest.mine(1)

    runs = 0
    while world.levels != world.paid and runs < RUNS_MAX:
        world.server.order(calls_max=CALLS_MAX)
        world.clock.advance(5 * MINUTE)
        world.minute()
        runs += 1

    assert 2 < runs < RUNS_MAX


@pytest.mark.parametrize("fault", BAD)
def test_no_arrival_is_lost_when_a_fault_ends(world, fault):
    world.pay(1, 50)
    world.regtest.mine(2)
    world.minute()
    world.server.order(**BAD[fault])
    for index in (2, 3):
        world.pay(index, index * 10)
        world.pay(1, index)
        world.regtest.mine(1)
        world.minute()
    told = dict(world.levels)
    world.server.order()
    world.clock.advance(10 * MINUTE)

    assert all(level <= world.paid[index] for index, level in told.items())
    assert world.catch_up() <= 3


def test_random_reorgs_and_faults_lose_nothing(world):
    chance = random.Random(11)
    for _ in range(40):
        world.server.order(**chance.choice([BAD["lagging"], BAD["backwards"], BAD["limited"], BAD["frozen"], {}, {}]))
        if chance.random() < 0.7:
            world.pay(chance.randrange(TAKEN), chance.randint(1, 500))
        if chance.random() < 0.3:
            depth = chance.randint(1, min(8, world.regtest.height - 1))
            world.regtest.fork(depth)
            world.regtest.mine(depth, names=[])
        world.regtest.mine(chance.randint(1, 2))
        world.minute()
    world.server.order()
    world.clock.advance(10 * MINUTE)

    assert world.catch_up() <= 3
