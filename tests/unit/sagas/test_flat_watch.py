"""The cost of a run without news is flat: it follows the open payments, not the addresses ever made."""

from dataclasses import dataclass

import pytest

from shared.kernel.clock import DAY, MINUTE
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.crypto_watcher import Watcher
from shared.sagas.payments.payment_addresses import PaymentAddresses
from tests.support.watched_chains import (
    CountedDocuments,
    NotedFollower,
    NumberedAddresses,
    bitcoin_network,
    evm_network,
    played,
)

CALLS_MAX = 6
READS_MAX = 3
HOT_CALLS_MAX = 10
OPEN = 10


@dataclass(frozen=True)
class Cost:
    """Cost of one run."""

    calls: int
    size: int
    reads: int
    commits: int


def cost(ever: int, *, hot: int = OPEN, scans_blocks: bool = False) -> Cost:
    """Return the cost of a run without news, with addresses ever made, the newest of them hot."""
    clock, documents = ManualClock(), CountedDocuments(MemoryDocuments())
    chain, network = played(clock, scans_blocks=scans_blocks), bitcoin_network() if scans_blocks else evm_network()
    numbers = NumberedAddresses(documents, count=ever - hot)
    watcher = Watcher(
        documents=documents,
        networks={network.name: network},
        chains=lambda: {network.name: chain},
        addresses=PaymentAddresses(lambda: numbers),
        indices=numbers,
        follower=NotedFollower(),
        alerts=MemoryAlerts(),
        clock=clock,
    )

    def run(pause: int) -> None:
        clock.advance(pause)
        chain.mine(number=1 if scans_blocks else 30)
        watcher.run(JobRun("", clock, 60))

    for pause in (MINUTE, 4 * DAY, 4 * DAY):
        run(pause)
    numbers.count += hot
    run(MINUTE)
    calls, size, reads, commits = sum(chain.calls.values()), chain.size, documents.reads, documents.commits
    run(MINUTE)
    return Cost(
        calls=sum(chain.calls.values()) - calls,
        size=chain.size - size,
        reads=documents.reads - reads,
        commits=documents.commits - commits,
    )


@pytest.mark.parametrize("scans_blocks", [False, True])
def test_a_run_costs_the_same_with_ten_and_with_many_addresses(scans_blocks):
    assert cost(100_000, scans_blocks=scans_blocks) == cost(OPEN, scans_blocks=scans_blocks)


def test_a_run_without_news_takes_few_calls_and_reads():
    spent = cost(100_000)

    assert spent.calls <= CALLS_MAX
    assert spent.reads <= READS_MAX
    assert spent.commits == 1


def test_five_thousand_hot_addresses_take_few_calls():
    spent = cost(100_000, hot=5_000)

    assert spent.calls <= HOT_CALLS_MAX
    assert spent.reads <= READS_MAX
