"""Random schedules of faults of sources around one payment each, and what must never happen meanwhile.

A schedule has three phases: the payment is detected, credited, and met by a reorg or by the operator's sweep. In each
phase one source may have a fault, then both.
"""

import http.client
import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from emulator.chains.proxy import FAULTS, ChainProxy
from shared.kernel.ids import Uid
from shared.payments.chains.addresses import AddressRecord
from shared.payments.chains.levels import LevelRecord
from shared.payments.chains.ports import Chain
from shared.payments.chains.seen import AddressView
from shared.payments.chains.sources import Sources, lag_max
from shared.payments.payment import Payment
from shared.platform.evm.chain import EvmChain
from tests.chains.node_shop import DEPTH_MAX, NodeShop, node_shop
from tests.chains.reorgs import ANNOUNCED, BETWEEN_LOOKS, History, Tally, is_settled

NETWORK = "first"
DEPTH = 2
"""Blocks at which coins count there, for the values of these schedules."""
ASSETS = ("USDC", "USDC", "ETH")
PRICES = (100, 1_000, 5_000, 30_000)
"""Cents. One source is enough for the smaller ones."""
QUICK_SECONDS = 0.01
ANSWER_SECONDS_MAX = 60.0
LOOKS_MAX = 20
"""More than the blocks until finality."""
CALL_SECONDS_MAX = 60


@dataclass(frozen=True)
class Plan:
    """Fault of each phase, "" for none, and the end of the story: `reorg`, `dropped` or `sweep`."""

    faults: tuple[str, str, str]
    end: str


class Liars:
    """A shop one of whose networks is seen through two sources that may have faults."""

    def __init__(self, shop: NodeShop, sources: Sequence[ChainProxy], chains: Sequence[Chain], tally: Tally) -> None:
        self.shop = shop
        self.sources = sources
        self.chains = chains
        self.tally = tally
        self.reader = LogReader(shop, heads=sources[1], logs=sources[0])
        self._random = shop.random
        self._count = 0

    def plan(self) -> Plan:
        names = ("", *FAULTS)
        faults = (self._random.choice(names), self._random.choice(names), self._random.choice(names))
        return Plan(faults, self._random.choice(("reorg", "dropped", "sweep")))

    def play(self, plan: Plan) -> None:
        """Play one schedule with a user of its own, and check it all along."""
        self._count += 1
        self.shop.uid = Uid(f"user-{self.shop.seed}-{self._count}")
        order = self.shop.order(NETWORK, self._random.choice(ASSETS), self._random.choice(PRICES))
        assert order.quote is not None
        self.reader.watch(order)
        self.shop.pay(NETWORK, order.quote.asset, order.quote.address, order.quote.due)
        for blocks, fault in zip((1, 2), plan.faults, strict=False):
            self._phase(order, fault, blocks)
        self._end(order, plan)
        self.tally.seen["schedules"] += 1
        self.tally.seen[f"end by {plan.end}"] += 1

    # Phases ----------------------------------------------------------------------------------------------------------

    def _phase(self, order: Payment, fault: str, blocks: int) -> None:
        self.tally.seen[f"fault {fault or 'none'}"] += 1
        for faulty in (self._one(), self.sources):
            for source in faulty:
                source.fault = fault
            self.shop.mine(NETWORK, blocks)
            self.look(order)
        self._heal()

    def _one(self) -> Sequence[ChainProxy]:
        return [self._random.choice(self.sources)]

    def _heal(self) -> None:
        for source in self.sources:
            source.fault = ""

    def _end(self, order: Payment, plan: Plan) -> None:
        if plan.end == "sweep":
            self._sweep(order, plan.faults[2])
            return
        for source in self._random.choice((self._one(), self.sources)):
            source.fault = plan.faults[2]
        depth = self._random.randrange(1, DEPTH_MAX + 1)
        self.shop.reorg(NETWORK, depth, fate="moved" if plan.end == "reorg" else "dropped")
        for _ in range(2):
            self.look(order)
            self.shop.mine(NETWORK)
        self._heal()
        self._recover(order)
        history = History(self.shop, self.tally)
        history.orders = [order]
        history.check()

    def _sweep(self, order: Payment, fault: str) -> None:
        """Send everything away, before or after finality. Nobody's credits move, whatever is seen of it."""
        if self._random.random() < 0.5:
            self.shop.mine(NETWORK, 14)
        self._recover(order)
        before = self.shop.money()
        self.shop.sweep(NETWORK, order)
        for faulty in (self._one(), self.sources):
            for source in faulty:
                source.fault = fault
            self.look(order, is_swept=True)
            self.shop.mine(NETWORK, 2)
            self.look(order, is_swept=True)
        self._heal()
        self.shop.mine(NETWORK, 14)
        self._recover(order, is_swept=True)
        assert self.shop.money() == before, "a sweep moves no credit"
        assert before[0] > 0, "the payment was credited"

    # Looks -----------------------------------------------------------------------------------------------------------

    def look(self, order: Payment, *, is_swept: bool = False) -> tuple[AddressRecord, bool]:
        """Follow once, check each step against the chain itself, and return whether the network was unavailable."""
        assert order.quote is not None
        before = self.shop.record(order)
        self.shop.clock.advance(BETWEEN_LOOKS)
        view = self.shop.services().crypto.follower.follow("evm", order.quote.index, [NETWORK])
        if not is_swept:
            self._check_step(order, before, view)
        self.reader.look()
        is_away = NETWORK in view.unavailable
        self.tally.seen["looks"] += 1
        self.tally.seen["looks without an answer"] += is_away
        return view.record, is_away

    def _check_step(self, order: Payment, before: AddressRecord, view: AddressView) -> None:
        """Only what is deep enough on the chain is claimed, and only what has left the chain is missing."""
        top, _ = self.shop.block_at(NETWORK, "latest")
        for key, level in view.record.levels.items():
            known = before.level(key)
            if level.end > known.end:
                assert level.end <= self._level(order, key[1], top), "a credit has its level on the chain"
                self.tally.seen["credits"] += 1
            if level.missing > known.missing:
                head = view.heads[NETWORK]
                assert self._is_left(known), "only a block that left the chain takes anything back"
                assert self.shop.block_at(NETWORK, hex(head.height))[1] == head.hash, "the look was at the chain"
                there = self._level(order, key[1], head.height)
                assert level.end - level.missing >= there, "no more is taken back than has left the chain"
                self.tally.seen["taken back"] += 1

    def _level(self, order: Payment, asset: str, head: int) -> int:
        """The level that is deep enough below a head."""
        assert order.quote is not None
        _, block = self.shop.block_at(NETWORK, hex(head - DEPTH + 1))
        return self.shop.level(NETWORK, asset, order.quote.address, block)

    def _is_left(self, level: LevelRecord) -> bool:
        """True if the block in which a level was read is not on the chain."""
        assert level.mark is not None
        return self.shop.block_at(NETWORK, hex(level.mark.height))[1] != level.mark.hash

    def _recover(self, order: Payment, *, is_swept: bool = False) -> None:
        """Look until nothing changes and the network answers: no payment is stuck once a fault has ended."""
        for _ in range(LOOKS_MAX):
            before = self.shop.record(order)
            self.shop.mine(NETWORK)
            after, is_away = self.look(order, is_swept=is_swept)
            if not is_away and is_settled(before, after) and (is_swept or _is_owned(after)):
                return
        raise AssertionError("a payment is stuck after the fault has ended")


def _is_owned(record: AddressRecord) -> bool:
    """True if all coins at the head belong to payments. Without a price, coins wait for the deepest tier."""
    return all(level.head <= level.end - level.missing for level in record.levels.values())


class LogReader:
    """A reader of logs with a cursor, as they are often written, behind a balancer. It believes every answer."""

    def __init__(self, shop: NodeShop, *, heads: ChainProxy, logs: ChainProxy) -> None:
        self._shop = shop
        self._heads = heads
        self._logs = logs
        self._cursor = shop.places[NETWORK].height()
        self._sums: dict[str, int] = {}
        self._orders: list[Payment] = []
        self.wrong = 0

    def watch(self, order: Payment) -> None:
        """Compare what is known of the order before, and read for another one."""
        self.wrong += sum(1 for each in self._orders if self._is_wrong(each))
        self._orders = [order] if order.quote is not None and order.quote.asset == "USDC" else []

    def look(self) -> None:
        """Read the logs since the last look."""
        top = _asked(self._heads, "eth_blockNumber")
        if not isinstance(top, str) or int(top, 16) <= self._cursor:
            return
        token = self._shop.places[NETWORK].tokens["USDC"]
        wanted = {"address": token, "topics": [ANNOUNCED], "fromBlock": hex(self._cursor + 1), "toBlock": top}
        for log in _asked(self._logs, "eth_getLogs", wanted) or []:
            receiver = "0x" + log["topics"][2][-40:]
            self._sums[receiver] = self._sums.get(receiver, 0) + int(log["data"], 16)
        self._cursor = int(top, 16)

    def _is_wrong(self, order: Payment) -> bool:
        assert order.quote is not None
        _, block = self._shop.block_at(NETWORK, "latest")
        there = self._shop.level(NETWORK, "USDC", order.quote.address, block)
        return there > 0 and self._sums.get(order.quote.address, 0) != there


def _asked(source: ChainProxy, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(source.url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS_MAX) as answer:
            return json.loads(answer.read()).get("result")
    except (OSError, ValueError, http.client.HTTPException):
        return None


@contextmanager
def liars(seed: int, tally: Tally) -> Iterator[Liars]:
    """A shop over fresh nodes with two sources of one network."""
    with ExitStack() as stack:
        shop = stack.enter_context(node_shop(seed))
        node, network = shop.places[NETWORK].node, shop.networks[NETWORK]
        sources = [stack.enter_context(ChainProxy(node.url, salt=salt, held_seconds=QUICK_SECONDS)) for salt in (1, 2)]
        chains = [EvmChain(network, source.url, answer_seconds_max=ANSWER_SECONDS_MAX) for source in sources]
        shop.served[NETWORK] = Sources(chains, lag=lag_max(network.block_seconds))
        yield Liars(shop, sources, chains, tally)
