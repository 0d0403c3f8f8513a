"""The watch: news are found once, nothing is lost, and sources that fail make payments wait."""

import pytest

from shared.kernel.clock import DAY, MINUTE, SECOND
from shared.kernel.documents import PreconditionFailed, Put
from shared.kernel.errors import Unavailable
from shared.payments.chains.ports import Transfer
from shared.payments.chains.watch_documents import look_in, slice_path, watch_in
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.cold_addresses import ColdAddresses
from shared.sagas.payments.crypto_watcher import Watcher
from shared.sagas.payments.payment_addresses import PaymentAddresses
from tests.support.watched_chains import (
    CountedDocuments,
    NotedFollower,
    NumberedAddresses,
    address_of,
    bitcoin_network,
    evm_network,
    played,
)


class World:
    """One network under watch, by as many instances as a test starts."""

    def __init__(self, *, scans_blocks=False):
        self.clock = ManualClock()
        self.documents = CountedDocuments(MemoryDocuments())
        self.network = bitcoin_network() if scans_blocks else evm_network()
        self.chain = played(self.clock, scans_blocks=scans_blocks)
        self.numbers = NumberedAddresses(self.documents, count=10)
        self.follower = NotedFollower()
        self.alerts = MemoryAlerts()
        self.watcher = self.instance()
        self.cold = ColdAddresses(**self.parts)

    @property
    def parts(self):
        return {
            "documents": self.documents,
            "networks": {self.network.name: self.network},
            "chains": lambda: {self.network.name: self.chain},
            "addresses": PaymentAddresses(lambda: self.numbers),
            "indices": self.numbers,
            "clock": self.clock,
        }

    def instance(self):
        return Watcher(**self.parts, follower=self.follower, alerts=self.alerts)

    def pay(self, index, amount=5, asset="USDC"):
        self.clock.advance(2 * SECOND)
        self.chain.mine({(address_of(self.network.family, index), asset): amount})

    def minute(self, watcher=None):
        """Let a minute pass with blocks, run the job, and return the indices followed in it."""
        self.clock.advance(MINUTE)
        if not self.chain.scans_blocks:
            self.chain.mine(number=3)
        before = len(self.follower.followed)
        (watcher or self.watcher).run(JobRun("", self.clock, 60))
        return [index for index, _ in self.follower.followed[before:]]

    def looked(self, index=None, watcher=None):
        """Let a page ask, and return the indices followed in the look."""
        before = len(self.follower.followed)
        (watcher or self.watcher).look(self.network.name, index)
        return [each for each, _ in self.follower.followed[before:]]

    def state(self):
        return watch_in(self.documents.get(f"chain_watch/{self.network.name}"))

    def record(self):
        return look_in(self.documents.get(f"chain_looks/{self.network.name}"))


@pytest.fixture
def world():
    world = World()
    world.minute()
    return world


@pytest.fixture
def scanned():
    world = World(scans_blocks=True)
    world.minute()
    return world


# Levels -------------------------------------------------------------------------------------------------------------


def test_an_address_is_followed_until_everything_is_final(world):
    world.pay(3)

    assert [world.minute(), world.minute()] == [[3], [3]]

    world.follower.finals = {3}

    assert [world.minute(), world.minute(), world.minute()] == [[3], [], []]


def test_coins_of_any_listed_asset_are_found(world):
    world.pay(1, asset="ETH")
    world.pay(2, asset="USDT")

    assert sorted(world.minute()) == [1, 2]


def test_a_sweep_by_the_operator_is_looked_at_once(world):
    world.follower.finals = {3}
    world.pay(3)
    world.minute()
    world.pay(3, amount=-5)

    assert [world.minute(), world.minute()] == [[3], []]


def test_a_follow_that_fails_is_tried_again(world):
    world.follower.fault = Unavailable("not now")
    world.pay(3)
    world.minute()
    world.follower.fault = None

    assert world.minute() == [3]


@pytest.mark.parametrize("fault", [RuntimeError("odd"), Unavailable("not now")])
def test_one_broken_address_holds_up_no_other(world, fault):
    world.follower.fault, world.follower.broken = fault, {3}
    world.pay(3)
    world.pay(4)

    assert sorted(world.minute()) == [3, 4]


class Killed(BaseException):
    """End of a worker."""


def test_a_worker_that_dies_before_the_follow_loses_nothing(world):
    world.pay(3)
    world.follower.fault = Killed()
    with pytest.raises(Killed):
        world.minute()
    world.follower.fault = None

    assert world.minute(world.instance()) == [3]


def test_a_token_that_does_not_answer_spoils_no_other(world):
    world.pay(3)
    world.minute()
    world.chain.silent_assets = {"USDC"}
    world.pay(4, asset="ETH")

    assert sorted(set(world.minute())) == [3, 4]
    assert world.state().levels == {3: {"USDC": 5}, 4: {"ETH": 5}}
    assert world.record().silent == ("USDC",)


def test_a_head_that_runs_backwards_changes_nothing(world):
    world.follower.finals = {3}
    world.pay(3)
    world.minute()
    before = world.state()
    world.chain.lag = 5

    world.clock.advance(30 * SECOND)
    world.watcher.run(JobRun("", world.clock, 60))

    assert (world.state().blocks, world.state().levels) == (before.blocks, before.levels)


def test_a_head_far_below_all_known_blocks_is_no_answer(world):
    world.chain.lag = len(world.chain.blocks) - 1
    world.minute()

    assert world.state().head is not None
    assert world.state().head.height > 5


def test_a_reorg_that_takes_coins_away_is_followed(world):
    world.follower.finals = {3}
    world.pay(3)
    world.minute()
    world.chain.reorganise(6)

    assert world.minute() == [3]
    assert world.state().levels == {}


def test_a_chain_that_shares_no_known_block_is_read_anew(world):
    world.follower.finals = {3, 4}
    world.pay(3)
    world.minute()
    world.chain.reorganise(len(world.chain.blocks), {(address_of("evm", 3), "USDC"): 5})

    assert world.minute() == [3]


def test_an_outage_is_told_once_and_ends_once(world):
    for fault in ("silent", "apart", "silent", "silent", "", "", ""):
        world.chain.fault = fault
        world.minute()

    assert [(each.event, dict(each.fields)) for each in world.alerts.raised] == [
        ("network_unavailable", {"network": "base", "reason": "apart"}),
        ("network_available", {"network": "base"}),
    ]
    (outage,) = world.record().outages
    assert outage.end is not None
    assert outage.end - outage.begin == 5 * MINUTE


def test_a_network_says_why_it_is_unavailable(world):
    world.chain.fault = "apart"
    world.minute()
    assert world.record().reason == ""
    world.minute()
    world.minute()

    assert world.record().reason == "apart"


def test_a_halted_chain_is_unavailable_and_comes_back(world):
    for _ in range(5):
        world.clock.advance(MINUTE)
        world.watcher.run(JobRun("", world.clock, 60))
    assert world.record().reason == "halted"

    world.minute()

    assert world.record().reason == ""


def test_coins_that_came_during_an_outage_are_found_after_it(world):
    world.chain.fault = "silent"
    world.pay(3)
    world.minute()
    world.chain.fault = ""

    assert world.minute() == [3]


def test_an_address_that_cannot_be_derived_hides_no_other():
    world = World()
    world.numbers.disagreed = frozenset({2, 7})
    world.minute()
    world.pay(3)

    assert world.minute() == [3]


def test_a_network_without_a_source_is_unavailable():
    world = World()
    watcher = Watcher(**{**world.parts, "chains": dict}, follower=world.follower, alerts=world.alerts)
    for _ in range(4):
        world.minute(watcher)

    assert world.record().reason == "not_configured"


def test_a_slow_network_does_not_keep_others_from_their_turn():
    world = World()
    parts = {**world.parts, "networks": {name: evm_network(name) for name in ("base", "polygon")}}
    asked = []

    class Slow:
        def get(self, name):
            asked.append(name)
            world.clock.advance(70 * SECOND)
            return world.chain

    watcher = Watcher(**{**parts, "chains": Slow}, follower=world.follower, alerts=world.alerts)
    first, second = JobRun("", world.clock, 60), None
    watcher.run(first)
    second = JobRun(first.cursor, world.clock, 60)
    watcher.run(second)

    assert asked == ["base", "polygon"]


# Looks of pages -----------------------------------------------------------------------------------------------------


def test_a_page_sees_a_transfer_at_its_next_look(world):
    world.clock.advance(5 * SECOND)
    world.pay(3)

    assert world.looked(3) == [3]


def test_pages_on_all_instances_share_one_look(world):
    instances = [world.instance() for _ in range(5)]
    world.clock.advance(5 * SECOND)
    world.pay(3)
    world.chain.calls.clear()

    for number in range(1_000):
        world.looked(number % 10, instances[number % 5])

    assert world.chain.calls["levels"] == 1
    assert world.follower.followed[-1:] == [(3, "base")]


def test_open_pages_are_marked_without_a_write_per_request(world):
    world.clock.advance(5 * SECOND)
    before = world.documents.commits, world.documents.reads

    for number in range(1_000):
        world.looked(number % 10)

    assert world.documents.commits - before[0] <= 3
    assert world.documents.reads - before[1] <= 5
    world.clock.advance(5 * SECOND)
    world.looked(0)
    assert set(world.record().pages) == set(range(10))


def test_a_page_is_marked_also_if_another_instance_looked(world):
    other = world.instance()
    world.clock.advance(5 * SECOND)
    world.looked(1)
    world.looked(2, other)

    assert set(world.record().pages) == {1, 2}


def test_a_page_that_asks_no_more_is_closed_after_a_while(world):
    world.clock.advance(5 * SECOND)
    world.looked(1)
    world.clock.advance(3 * MINUTE)
    world.looked(2)

    assert set(world.record().pages) == {2}


def test_two_workers_that_store_at_once_both_keep_their_news(world):
    world.pay(3)
    commit, others = world.documents.inner.commit, [world.instance()]

    def overtaken(writes, *, timeout_seconds=10.0):
        if others and any(write.path == "chain_watch/base" for write in writes):
            others.pop().run(JobRun("", world.clock, 60))
        return commit(writes, timeout_seconds=timeout_seconds)

    world.documents.inner.commit = overtaken

    world.minute()

    assert set(world.state().followed) == {3}


def test_a_cold_address_is_read_while_its_page_is_open(world):
    world.clock.advance(4 * DAY)
    world.minute()
    world.numbers.count += 1
    world.clock.advance(4 * DAY)
    world.minute()
    world.looked(3)
    world.clock.advance(5 * SECOND)
    world.pay(3)

    assert world.looked(3) == [3]


def test_a_look_that_fails_lets_the_reader_go_ahead(world):
    world.clock.advance(5 * SECOND)
    world.chain.fault = "silent"

    assert world.looked(3) == []


def test_pages_look_seldom_at_a_network_that_is_unavailable(world):
    world.chain.fault = "silent"
    for _ in range(3):
        world.minute()
    world.chain.calls.clear()
    for _ in range(20):
        world.clock.advance(3 * SECOND)
        world.looked(3)

    assert world.chain.calls["block"] == 2


def test_an_unknown_network_is_not_looked_at(world):
    world.watcher.look("dogecoin", 3)

    assert world.documents.get("chain_looks/dogecoin") is None


def test_whoever_loses_the_claim_of_a_look_does_not_look(world):
    world.clock.advance(5 * SECOND)

    def refuse(_writes, *, timeout_seconds=10.0):
        raise PreconditionFailed

    world.documents.inner.commit = refuse
    world.chain.calls.clear()
    world.looked(3)

    assert not world.chain.calls


# Cold addresses -----------------------------------------------------------------------------------------------------


def cooled(count=2_500):
    """A world whose addresses are all cold, and that has read them today."""
    world = World()
    world.numbers.count = count
    world.minute()
    for _ in range(2):
        world.clock.advance(4 * DAY)
        world.minute()
    read_cold(world)
    return world


def read_cold(world, cursor=""):
    run = JobRun(cursor, world.clock, 60)
    world.cold.read(run)
    return run


def test_a_second_payment_months_later_is_found_within_a_day():
    world = cooled()
    world.pay(7)
    world.pay(2_400)
    assert world.minute() == []

    run = read_cold(world)

    assert run.done == 3
    assert sorted(world.minute()) == [7, 2_400]


def test_cold_addresses_are_read_once_a_day():
    world = cooled()
    cursor = read_cold(world).cursor

    assert read_cold(world, cursor).done == 0

    world.clock.advance(DAY)

    assert read_cold(world, cursor).done == 3


def test_a_cold_address_without_news_is_not_followed_again():
    world = cooled()
    world.follower.finals = {7}
    world.pay(7)
    read_cold(world)
    world.minute()
    world.clock.advance(DAY)
    read_cold(world)

    assert world.minute() == []


def test_a_failed_slice_is_read_in_the_next_run():
    world = cooled()
    world.clock.advance(DAY)
    world.chain.fault = "silent"
    failed = read_cold(world)
    world.chain.fault = ""

    assert (failed.done, read_cold(world, failed.cursor).done) == (0, 3)


def test_a_broken_slice_holds_up_no_other():
    world = cooled()
    world.clock.advance(DAY)
    world.documents.commit([Put(slice_path("base", 0), {"levels": "{"})])
    world.pay(7)
    world.pay(2_400)

    run = read_cold(world)

    assert run.done == 2
    assert world.minute() == [2_400]


# Block by block -----------------------------------------------------------------------------------------------------


def test_each_block_is_read_once(scanned):
    scanned.pay(3, asset="BTC")
    scanned.chain.mine(number=4)
    scanned.chain.calls.clear()

    assert scanned.minute() == [3]
    scanned.minute()
    assert scanned.chain.calls["received_in"] == 5


def test_blocks_that_were_missed_are_caught_up_in_order(scanned):
    scanned.chain.mine(number=20)
    scanned.pay(3, asset="BTC")
    scanned.chain.mine(number=20)
    scanned.chain.reading_seconds = 2

    followed = [each for _ in range(4) for each in scanned.minute()]

    assert set(followed) == {3}
    assert scanned.state().head.height == scanned.chain.blocks[-1].block.height


def test_blocks_of_a_reorg_are_read_again(scanned):
    scanned.chain.mine(number=3)
    scanned.minute()
    scanned.chain.reorganise(2, {(address_of("bitcoin", 4), "BTC"): 5})

    assert scanned.minute() == [4]


def test_coins_to_an_old_address_are_found_in_their_block(scanned):
    scanned.clock.advance(90 * DAY)
    scanned.pay(0, asset="BTC")

    assert scanned.minute() == [0]


def test_the_pool_is_asked_for_open_pages_only(scanned):
    scanned.minute()
    assert scanned.chain.calls["pending"] == 0
    address = address_of("bitcoin", 3)
    scanned.chain.pool[address] = Transfer(transaction="t1", sender="", amount=9, block=None)
    scanned.clock.advance(5 * SECOND)

    assert scanned.looked(3) == [3]
    assert scanned.chain.calls["pending"] == 1


def test_a_transfer_that_leaves_the_pool_is_news(scanned):
    scanned.follower.finals = {3}
    address = address_of("bitcoin", 3)
    scanned.chain.pool[address] = Transfer(transaction="t1", sender="", amount=9, block=None)
    scanned.clock.advance(5 * SECOND)
    scanned.looked(3)
    scanned.chain.pool.clear()
    scanned.clock.advance(5 * SECOND)

    assert scanned.looked(3) == [3]


def test_a_page_reads_no_blocks(scanned):
    scanned.pay(3, asset="BTC")
    scanned.clock.advance(5 * SECOND)
    scanned.chain.calls.clear()
    scanned.looked(4)

    assert scanned.chain.calls["received_in"] == 0
    assert scanned.minute() == [3]


def test_blocks_are_read_though_the_pool_is_silent(scanned):
    scanned.chain.is_pool_silent = True
    scanned.looked(3)
    scanned.pay(5, asset="BTC")

    assert scanned.minute() == [5]
