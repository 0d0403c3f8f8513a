"""Random histories of payments and reorgs on two networks at once, and what must be true after each reorg."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from shared.kernel.clock import MINUTE, SECOND, Millis
from shared.payments.chains.addresses import AddressRecord
from shared.payments.chains.amounts import value_cents
from shared.payments.chains.levels import share_up, states
from shared.payments.chains.seen import AddressView
from shared.payments.payment import Payment, share
from tests.chains.killing import Killed, KillingDocuments
from tests.chains.node_shop import DEPTH_MAX, NodeShop

ORDERS_MAX = 6
PRICES = (100, 1_000, 30_000, 70_000)
PARTS = ((1, 1), (1, 1), (1, 2), (3, 2), (2, 1))
LEASE: Millis = 2 * MINUTE
"""Longer than a killed worker's lease."""
BETWEEN_LOOKS: Millis = 3 * SECOND
LOOKS_MAX = 6
PAUSE: Millis = 20 * MINUTE
ANNOUNCED = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


Key = Callable[[Mapping[str, Any]], tuple[Any, ...]]
"""Name of an event in the books of a reader of events."""


@dataclass
class Tally:
    """What a history went through."""

    seen: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        for name, number in sorted(self.seen.items()):
            yield f"{name:<28}{number:>8}"


class History:
    """One history. All of `after` are called once all addresses are quiet after a reorg."""

    def __init__(self, shop: NodeShop, tally: Tally, after: Sequence[Callable[["History"], None]] = ()) -> None:
        self.shop = shop
        self.tally = tally
        self.orders: list[Payment] = []
        self._random = shop.random
        self._after = after

    def step(self) -> None:
        """Let payments come and blocks pass, make one reorg, and check everything."""
        self._pay_some()
        for network in self.shop.networks:
            self.shop.mine(network, self._random.randrange(3))
        if self._random.random() < 0.2:
            self.shop.clock.advance(PAUSE)
        if self.orders and self._random.random() < 0.7:
            self.follow(self._random.choice(self.orders))
        self._reorg()
        self.quiet()
        self.check()
        for each in self._after:
            each(self)

    def finish(self) -> None:
        """Let everything become final, and check that nothing is out of reach any more."""
        for network in self.shop.networks:
            self.shop.mine(network, 2 * DEPTH_MAX)
        self.quiet()
        self.check()
        assert self.shop.money()[1] == 0, "what is final is credited or taken back"

    # Events ----------------------------------------------------------------------------------------------------------

    def _pay_some(self) -> None:
        if len(self.orders) < ORDERS_MAX and self._random.random() < 0.5:
            network = self._random.choice(list(self.shop.networks))
            asset = self._random.choice(list(self.shop.networks[network].assets))
            self.orders.append(self.shop.order(network, asset, self._random.choice(PRICES)))
        for _ in range(self._random.randrange(3) if self.orders else 0):
            order = self._random.choice(self.orders)
            assert order.quote is not None
            network, asset, amount = order.quote.network, order.quote.asset, order.quote.due
            if self._random.random() < 0.25:
                network = self._random.choice(list(self.shop.networks))
                asset, amount = "USDC", 1_500_000
            over, under = self._random.choice(PARTS)
            self.shop.pay(network, asset, order.quote.address, amount * over // under)
            self.tally.seen["payments"] += 1

    def _reorg(self) -> None:
        network = self._random.choice(list(self.shop.networks))
        depth = self._random.randrange(1, DEPTH_MAX + 1)
        self.shop.reorg(network, depth)
        self.shop.mine(network, self._random.randrange(3))
        self.tally.seen["reorgs"] += 1
        self.tally.seen[f"reorgs on {network}"] += 1

    # The product -----------------------------------------------------------------------------------------------------

    def follow(self, order: Payment) -> AddressView:
        """Follow an address. The worker is killed before and after each of its commits, and another one takes over."""
        assert order.quote is not None
        for moment in count():
            store = KillingDocuments(self.shop.documents, moment)
            try:
                return self._followed(order, store)
            except Killed:
                self.tally.seen["kills"] += 1
                self.shop.clock.advance(LEASE)
        raise AssertionError

    def _followed(self, order: Payment, store: Any) -> AddressView:
        assert order.quote is not None
        return self.shop.services(store).crypto.follower.follow(order.provider, order.quote.index)

    def quiet(self) -> None:
        """Follow every address until a look changes nothing."""
        for order in self.orders:
            view = self.follow(order)
            for _ in range(LOOKS_MAX):
                self.shop.clock.advance(BETWEEN_LOOKS)
                before, view = view.record, self._followed(order, self.shop.documents)
                if is_settled(before, view.record):
                    break
            else:
                raise AssertionError("an address becomes quiet")
            self._note(view.record)

    def _note(self, record: AddressRecord) -> None:
        for level in record.levels.values():
            for _, state in states(level):
                for name in ("credited", "open", "lost"):
                    self.tally.seen[f"claims {name}"] += getattr(state, name) > 0

    # Laws ------------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Σ of all claims of an address is the level of the chain, and the account has exactly their credits."""
        available = held = 0
        for order in self.orders:
            view = self._followed(order, self.shop.documents)
            self.shop.check_conserved(order)
            for key, level in view.record.levels.items():
                self._check_level(view, key, level)
                for claim, state in states(level):
                    if claim.size:
                        granted, away = self._credits(claim, state)
                        available, held = available + granted, held + away
        assert self.shop.money() == (available, held, 0), "the account has what the claims say"

    def _check_level(self, view: AddressView, key: tuple[str, str], level: Any) -> None:
        network, asset = key
        depth = view.depths[network]
        at = depth if isinstance(depth, str) else hex(view.heads[network].height - depth + 1)
        height, block = self.shop.block_at(network, at)
        if level.mark is not None and level.mark.height > height:  # other coins of the user have made the tier stricter
            height, block = self.shop.block_at(network, hex(level.mark.height))
            assert block == level.mark.hash, "the level was read in a block of the chain"
        there = self.shop.level(network, asset, view.record.address, block)
        assert level.standing == there, "the level is the chain's"
        known = self.shop.networks[network].assets[asset]
        rate = self.shop.services().crypto.quotes.rate(network, asset).rate
        order = view.record.order
        is_waiting = view.record.is_order_open and order is not None and key == (order.network, order.asset)
        is_dust = value_cents(level.rest, known.decimals, rate) < 1
        assert level.missing or is_waiting or is_dust, f"units without an owner: {level.rest} of {key}"
        assert level.end - level.missing + level.rest == there, "claims are the level"

    def _credits(self, claim: Any, state: Any) -> tuple[int, int]:
        """Credits of a claim that its owner has, and those that are out of reach."""
        payment = self.shop.services().payments.store.get(claim.payment)
        away = share_up(claim.price, state.open + state.lost, claim.size)
        lost = share_up(claim.price, state.lost, claim.size)
        granted = sum(credits_ for _, credits_ in payment.lots)
        gone = sum(share(credits_, away, claim.price.minor) for _, credits_ in payment.lots)
        taken = sum(share(credits_, lost, claim.price.minor) for _, credits_ in payment.lots)
        return granted - gone, gone - taken


def is_settled(before: AddressRecord, after: AddressRecord) -> bool:
    """True if a look changed nothing, and no level waits for another look."""
    is_same = {key: (each.standing, each.claims, each.lost) for key, each in before.levels.items()} == {
        key: (each.standing, each.claims, each.lost) for key, each in after.levels.items()
    }
    return is_same and not after.unsettled and all(each.gone is None for each in after.levels.values())


class EventReader:
    """A reader of events, as they are often written: each transfer is credited once, by the key of its event."""

    def __init__(self, shop: NodeShop, key: Key) -> None:
        self._shop = shop
        self._key = key
        self._credited: dict[tuple[Any, ...], tuple[str, str, int]] = {}
        self.wrong = 0
        self.most = 0

    def __call__(self, history: History) -> None:
        """Read the events of the last blocks, and compare the credits with the levels of the tokens."""
        for network, place in self._shop.places.items():
            top = place.height() - 1
            wanted = {"fromBlock": hex(max(0, top - DEPTH_MAX - 3)), "toBlock": hex(top), "topics": [ANNOUNCED]}
            for log in place.node.rpc("eth_getLogs", {**wanted, "address": list(place.tokens.values())}):
                to = "0x" + log["topics"][2][-40:]
                told = (network, f"{log['address']}:{to}", int(log["data"], 16))
                self._credited.setdefault((network, *self._key(log)), told)
            self._compare(history, network, top)

    def _compare(self, history: History, network: str, top: int) -> None:
        _, block = self._shop.block_at(network, hex(top))
        sums: Counter[str] = Counter()
        for at, owner, amount in self._credited.values():
            sums[owner] += amount if at == network else 0
        for order in history.orders:
            assert order.quote is not None
            for asset, token in self._shop.places[network].tokens.items():
                there = self._shop.level(network, asset, order.quote.address, block)
                over = sums[f"{token}:{order.quote.address}"] - there
                self.wrong += over != 0
                self.most = max(self.most, over)


def by_block(log: Mapping[str, Any]) -> tuple[Any, ...]:
    return log["transactionHash"], log["logIndex"], log["blockHash"]


def by_transaction(log: Mapping[str, Any]) -> tuple[Any, ...]:
    return log["transactionHash"], log["logIndex"]
