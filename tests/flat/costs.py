"""Cost of a run of the watch without news, measured on a real node behind a proxy that counts requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emulator.chains.proxy import ChainProxy
from shared.kernel.clock import DAY, MINUTE
from shared.payments.chains.networks import Family
from shared.platform.evm.chain import EvmChain
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.crypto_watcher import Watcher
from shared.sagas.payments.payment_addresses import PaymentAddresses
from tests.support.anvil import Town
from tests.support.watched_chains import CountedDocuments, NotedFollower, NumberedAddresses

FIRST_ADDRESS = 1 << 64
RUN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RunCost:
    """Cost of one run: HTTP requests to the node, documents read, and commits."""

    requests: int
    reads: int
    commits: int


class PlainAddresses(NumberedAddresses):
    """Addresses of EVM networks that count upwards."""

    def addresses(self, family: Family, indices: Sequence[int]) -> Mapping[int, str]:
        """Return the addresses of the taken indices."""
        return {index: f"0x{FIRST_ADDRESS + index:040x}" for index in indices if index < self.count}


def cost_of_run(place: Town, proxy: ChainProxy, *, ever: int, hot: int) -> RunCost:
    """Return the cost of a run without news, with `ever` addresses of which the newest `hot` are hot."""
    documents, clock = CountedDocuments(MemoryDocuments()), ManualClock()
    numbers, network = PlainAddresses(documents, count=ever - hot), place.network
    chain = EvmChain(network, proxy.url)
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
    for pause in (MINUTE, 4 * DAY, 4 * DAY):
        clock.advance(pause)
        watcher.run(JobRun("", clock, RUN_SECONDS))
    numbers.count = ever
    before = [0, 0, 0]
    for _ in range(2):
        before = [proxy.calls, documents.reads, documents.commits]
        place.hands.mine(3)
        clock.advance(MINUTE)
        watcher.run(JobRun("", clock, RUN_SECONDS))
    after = (proxy.calls, documents.reads, documents.commits)
    return RunCost(*(now - then for now, then in zip(after, before, strict=True)))
