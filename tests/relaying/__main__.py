"""An hour without triggers, healed by the sweep alone, over a store with production's latencies.

`python -m tests.relaying [ACCOUNTS [ENTRIES]]`: each account has as many entries that nobody has published. 20,000
accounts with nine entries each are an hour at 50 entries a second, and must be published within five minutes, the
oldest first. Fewer accounts have as much less time. Needs about two minutes to open the accounts.
"""

import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.kernel.clock import HOUR, SystemClock
from shared.kernel.documents import Document, Documents, Query, Version, Write
from shared.kernel.events import TopicMessage
from shared.kernel.ids import Uid
from shared.ledger.relay import CREDIT_EVENTS, Relay
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.publisher import MemoryPublisher
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.accounts.relay_sweep import RelaySweep
from shared.sagas.engine.jobs import JobRun
from tests.support.ledgers import charge, grant, ledger_on
from tests.support.timeline import LATENCIES

ACCOUNTS, ENTRIES = 20_000, 9
HEALED_SECONDS = 300.0
RUN_SECONDS = 60.0
SPREAD = (0.7, 1.4)
"""A call takes its latency times a number between these."""


class DistantDocuments:
    """A store that is as far away as production's."""

    def __init__(self, inner: Documents) -> None:
        self.inner = inner

    def get(self, path: str) -> Document | None:
        far("get")
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        far("get")
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        far("query")
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = 10) -> list[Version]:
        far("commit")
        return self.inner.commit(writes, timeout_seconds=timeout_seconds)


class DistantPublisher(MemoryPublisher):
    """A broker that is as far away."""

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        far("publish")
        super().publish(messages)


def far(kind: str) -> None:
    SystemClock().wait(LATENCIES[kind] / 1000 * random.uniform(*SPREAD))


def main(accounts: int = ACCOUNTS, entries: int = ENTRIES) -> int:
    """Return 0 if all accounts are published in time, the oldest first."""
    memory, began = MemoryDocuments(), SystemClock().now()
    uids = opened(memory, accounts, entries, began - HOUR)
    publisher, clock = DistantPublisher(), SystemClock()
    distant = DistantDocuments(memory)
    ledger = ledger_on(distant, clock)  # type: ignore[arg-type]  # any clock will do
    relay = Relay(distant, ledger, publisher, clock)
    sweep = RelaySweep(relay, LedgerWatch(distant, ledger, relay, MemoryAlerts(), clock))
    start, done, runs = time.monotonic(), 0, 0
    while relay.is_any_waiting():
        run = JobRun("", clock, RUN_SECONDS)
        sweep.sweep(run)
        done, runs = done + run.done, runs + 1
    seconds = time.monotonic() - start
    messages = publisher.on(CREDIT_EVENTS)
    firsts = list(dict.fromkeys(message.data["uid"] for message in messages))
    late = max(abs(place - firsts.index(uid)) for place, uid in list(enumerate(uids))[:: max(1, accounts // 200)])
    sys.stdout.write(
        f"{done} accounts in {runs} runs and {seconds:.0f} s, {len(messages)} messages, at most {late} places late\n"
    )
    is_whole = len(messages) == accounts * entries
    return 0 if is_whole and seconds <= HEALED_SECONDS * accounts / ACCOUNTS else 1


def opened(memory: MemoryDocuments, accounts: int, entries: int, since: int) -> list[Uid]:
    """Return the accounts in the order of their first entries, spread over an hour."""
    uids = [Uid(f"u{random.randrange(10**12)}") for _ in range(accounts)]

    def open_one(numbered: tuple[int, Uid]) -> None:
        number, uid = numbered
        ledger = ledger_on(memory, ManualClock(since + number * HOUR // accounts))
        ledger.execute(uid, grant("g", 1_000_000))
        ledger.execute_all(uid, [charge(str(each), 1) for each in range(entries - 1)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_one, enumerate(uids)))
    return uids


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
