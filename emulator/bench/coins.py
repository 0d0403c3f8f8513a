"""From the block with coins to the credited balance, beside the same commits alone; a page's first sight of coins."""

import io
import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from emulator.bench.payments import IN_FLIGHT, SAMPLES, WARM_UP, Commits, Recorded, copies_of
from emulator.bench.tables import Row, milliseconds, percentile, print_table, timed
from emulator.chains.anvil import Anvil
from emulator.chains.forms import form
from emulator.chains.hands import Contract, Hands
from emulator.chains.laptop import NETWORKS, RICH, settings_of
from emulator.seed import seed_packages
from emulator.settings import laptop_settings
from emulator.stand_ins.spot import SpotStandIn
from emulator.suite import Suite
from shared.bootstrap import MEMORY_ENVIRONMENT, Services, production
from shared.kernel.documents import Documents
from shared.kernel.ids import Uid, new_id, operation_id
from shared.kernel.settings import parse_settings
from shared.payments.chains.payer import LIVE_SECONDS
from shared.payments.payment import Payment, status_of
from shared.sagas.payments.crypto_checkout import CoinOrderRequest

NETWORK = NETWORKS[0]
TOKEN = "USDC"
PACKAGE = "plus"
BLOCKS = 3
"""Number of blocks after which this value counts: the network's own waiting is not measured."""
PAGES = (1, 50)
"""Numbers of pages that are open at once."""
TIMES = 5
"""Number of times between two requests of a page at which the coins come, if one page is open."""
SIGHT_SECONDS_MAX = 30.0
FOLLOWS_MAX = 5


class Counter:
    """Payments with coins that are in a block, and not credited yet."""

    def __init__(self, services: Services, hands: Hands, token: Contract, bare: Documents, recorded: Recorded) -> None:
        self._services = services
        self._hands = hands
        self._token = token
        self._bare = bare
        self._recorded = recorded
        self._numbers = itertools.count()

    def ordered(self) -> Payment:
        """Return a new payment of a new user, for which nothing has come."""
        uid = Uid(new_id("bench"))
        order = CoinOrderRequest(uid=uid, package=PACKAGE, network=NETWORK.name, asset=TOKEN)
        return self._services.crypto.checkouts.begin(order, operation_id("bench", uid), "f")

    def pay(self, payments: Sequence[Payment], blocks: int = BLOCKS) -> None:
        """Send the amounts due in one block, and add blocks above."""
        for payment in payments:
            quote = payment.quote
            assert quote is not None, "a payment with coins has a quote"
            sender = next(self._numbers) % RICH  # one account has coins for some 220 payments
            self._hands.call(self._token, "transfer", quote.address, quote.due, sender=sender)
        self._hands.mine(blocks)

    def credit(self, payment: Payment) -> tuple[float, Commits]:
        """Follow the payment until the balance has the credits. Return the seconds, and the commits."""
        commits = self._recorded.begin()
        seconds = timed(lambda: self._follow(payment))
        return seconds, commits

    def _follow(self, payment: Payment) -> None:
        """Follow once more if a commit failed, as the schedule does. Raises RuntimeError."""
        for _ in range(FOLLOWS_MAX):
            self._services.crypto.follower.follow_payment(payment.id)
            if status_of(self._services.payments.store.get(payment.id)) == "settled":
                return
        raise RuntimeError("the coins were not credited")

    def again(self, commits: Commits) -> float:
        """Return the seconds of the same commits on copies of the documents."""
        copies = copies_of(commits, f"bench/{next(self._numbers)}")

        def bare() -> None:
            for writes in copies:
                self._bare.commit(writes)

        return timed(bare)

    def first_sight(self, payment: Payment, phase: float, came: threading.Event, at: "Moment") -> float:
        """Ask as an open page does until the coins are seen. Return the seconds since the block.

        `phase` is the time of the page's first request, in seconds from now.
        """
        pause = threading.Event()
        pause.wait(phase)
        pages = self._services.crypto.payer_pages
        while pages.state(payment.id, payment.page_key)["phase"] == "waiting":
            if came.is_set() and time.perf_counter() - at.seconds > SIGHT_SECONDS_MAX:
                raise RuntimeError("the page does not see the coins")
            pause.wait(LIVE_SECONDS)
        return time.perf_counter() - at.seconds


@dataclass
class Moment:
    """Time at which the block with the coins came, on the clock of `perf_counter`."""

    seconds: float = 0.0


def main() -> None:
    """Start the servers and a node, measure, and print the table."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        suite = stack.enter_context(Suite(home=Path(home), only=("firestore",)))
        node, spot = stack.enter_context(Anvil(chain_id=NETWORK.chain_id)), stack.enter_context(SpotStandIn())
        os.environ.update(suite.environment())
        seed_packages(suite.project)
        told = settings_of(NETWORK, node, node.url)
        chains = {"CRYPTO_NETWORKS": NETWORK.name, "EVM_XPUB": MEMORY_ENVIRONMENT["EVM_XPUB"]}
        prices = {"COINBASE_API_BASE": spot.url, "KRAKEN_API_BASE": spot.url}
        settings = parse_settings({**laptop_settings(), **suite.environment(), **told, **chains, **prices})
        bare = production(settings).ports.documents()
        recorded = Recorded(bare)
        hands = Hands(node)
        hands.mine(BLOCKS)
        services = production(settings, documents=recorded)
        token = Contract(services.crypto.networks[NETWORK.name].assets[TOKEN].contract, form(NETWORK.tokens[TOKEN]))
        print_table(_rows(Counter(services, hands, token, bare, recorded)))


def _rows(counter: Counter) -> Iterator[Row]:
    with redirect_stdout(io.StringIO()):
        _measure(counter, 1, WARM_UP)
    for pages in PAGES:
        with redirect_stdout(io.StringIO()):  # what is measured logs as it goes
            seen = _sights(counter, pages)
        who = f"{pages} pages open" if pages > 1 else "1 page open"
        beside = f"a request every {LIVE_SECONDS} s"
        yield f"block to a page's first sight, {who}, p50", f"{statistics.median(seen):.2f} s", beside, ""
        yield "the same, the longest", f"{max(seen):.2f} s", beside, ""
    for in_flight in IN_FLIGHT:
        with redirect_stdout(io.StringIO()):
            ours, floor, commits = _measure(counter, in_flight, SAMPLES)
        who = f"{in_flight} in flight" if in_flight > 1 else "1 at a time"
        what = f"bare, the same {len(commits)} commits"
        yield _row(f"block to credits, {who}, p50", statistics.median(ours), statistics.median(floor), what)
        yield _row(f"block to credits, {who}, p99", percentile(ours, 99), percentile(floor, 99), what)


def _measure(counter: Counter, in_flight: int, samples: int) -> tuple[list[float], list[float], Commits]:
    """Measure our payments and the floor in turn, `in_flight` at once. Return both, and the commits of one payment."""
    ours: list[float] = []
    floor: list[float] = []
    done: list[Commits] = []
    with ThreadPoolExecutor(in_flight) as pool:
        for _ in range(max(1, samples // in_flight)):
            payments = [counter.ordered() for _ in range(in_flight)]
            counter.pay(payments)
            told = list(pool.map(counter.credit, payments))
            ours += [seconds for seconds, _ in told]
            done = [commits for _, commits in told]
            floor += list(pool.map(counter.again, done))
    return ours, floor, done[0]


def _sights(counter: Counter, pages: int) -> list[float]:
    """Return the seconds from the block to the first sight of each page, and of one page at several times."""
    shifts = [number / TIMES for number in range(TIMES)] if pages == 1 else [0.0]
    return [seconds for shift in shifts for seconds in _sight(counter, pages, shift)]


def _sight(counter: Counter, pages: int, shift: float) -> list[float]:
    """Open pages one after the other, then let coins come for all.

    `shift` is the part of the time between two requests by which the block comes later.
    """
    payments = [counter.ordered() for _ in range(pages)]
    came, at = threading.Event(), Moment()
    with ThreadPoolExecutor(pages) as pool:
        waiting = [
            pool.submit(counter.first_sight, payment, number / pages * LIVE_SECONDS, came, at)
            for number, payment in enumerate(payments)
        ]
        came.wait((1 + shift) * LIVE_SECONDS)
        counter.pay(payments, blocks=1)
        at.seconds = time.perf_counter()
        came.set()
        return [each.result() for each in waiting]


def _row(what: str, ours: float, floor: float, beside: str) -> Row:
    return what, milliseconds(ours), f"{milliseconds(floor)} ({beside})", f"{ours / floor:.2f}×"


if __name__ == "__main__":
    main()
