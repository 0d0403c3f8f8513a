"""The sweep of the relay: publishes entries whose trigger was lost, the oldest first, over all shards side by side."""

import heapq
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document
from shared.kernel.ids import Uid
from shared.kernel.schemas import RefusedData
from shared.ledger.account_documents import uid_of
from shared.ledger.markers import MARKER_SHARDS, RELAY, SHARD_SPAN
from shared.ledger.relay import Relay
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun

ACCOUNTS_AT_ONCE = 48
"""Accounts that the sweep works on side by side. Most of their time is the store's."""
PAGE = 512
"""Accounts that are taken out of the shards together, in the order of their oldest entry."""
SHARD_PAGE = 32
"""Markers of one shard that are read together."""
SHARDS_AT_ONCE = 32
"""Shards that are read side by side."""


NEWS = "news"
"""Name of the look that the jobs `relay` and `log` share."""
OLD_MARKERS_EVERY = 10


class RelaySweep:
    """The job that follows the markers which no trigger has cleared."""

    def __init__(self, relay: Relay, watch: LedgerWatch) -> None:
        self._relay = relay
        self._watch = watch

    def sweep(self, run: JobRun) -> None:
        """Publish the entries of all waiting accounts, the longest waiting first, until the run is over.

        An account that fails keeps the marker for the next run, and holds up no other account. A run takes only markers
        from before the run, and therefore ends although new markers keep coming. Reads one document if nobody waits,
        which the job `log` reads too. Markers of an older release are found in every tenth minute.
        """
        is_news = run.looks.once(NEWS, self._relay.is_any_news) or is_tenth_minute(run.deadline.clock.now())
        if not (is_news and self._relay.is_any_waiting()):
            return
        with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
            queue = _WaitingQueue(self._relay, run.deadline.clock.now() + 1, pool)
            while not run.is_over() and (page := queue.oldest(PAGE)):
                run.lag = max(run.lag, run.deadline.clock.now() - oldest_wait_of(page[0]))
                markers = {uid_of(marker.path): marker for marker in page}

                def work(uid: Uid, deadline: Deadline, markers: dict[Uid, Document] = markers) -> None:
                    self._watch.relay(uid, markers[uid], deadline)

                run.attempt_all("relay", list(markers), work, ACCOUNTS_AT_ONCE)


@dataclass(slots=True, eq=False)
class _WaitingShard:
    """Markers of one shard that were read and not taken, the oldest first. `is_read`: the store has no more."""

    number: int
    markers: deque[Document] = field(default_factory=deque)
    last: Document | None = None
    is_read: bool = False


class _WaitingQueue:
    """Markers of all shards with news from before `before` (ms), merged so that the oldest marker comes first."""

    def __init__(self, relay: Relay, before: Millis, pool: ThreadPoolExecutor) -> None:
        self._relay = relay
        self._before = before
        self._pool = pool
        self._shards = [_WaitingShard(number) for number in range(MARKER_SHARDS)]

    def oldest(self, limit: int) -> list[Document]:
        """Take the next markers, at most `limit`. Raises StoreUnavailable."""
        taken: list[Document] = []
        while len(taken) < limit:
            self._refill()
            heap = [(_waiting_since(shard), shard.number) for shard in self._shards if shard.markers]
            if not heap:
                break
            heapq.heapify(heap)
            self._take(heap, limit, taken)
        return taken

    def _take(self, heap: list[tuple[Millis, int]], limit: int, taken: list[Document]) -> None:
        """Take the oldest markers until a shard must be read on, since the next marker there may be the oldest."""
        while heap and len(taken) < limit:
            shard = self._shards[heapq.heappop(heap)[1]]
            taken.append(shard.markers.popleft())
            if shard.markers:
                heapq.heappush(heap, (_waiting_since(shard), shard.number))
            elif not shard.is_read:
                return

    def _refill(self) -> None:
        short = [each for each in self._shards if not each.is_read and len(each.markers) <= SHARD_PAGE // 2]
        list(self._pool.map(self._read, short))

    def _read(self, shard: _WaitingShard) -> None:
        """Read the next markers of the shard. Markers that this release cannot read are left out."""
        readable: list[Document] = []
        while not readable and not shard.is_read:
            found = self._relay.waiting(shard.number, self._before, SHARD_PAGE, shard.last)
            readable = [marker for marker in found if not isinstance(marker.data, RefusedData)]
            shard.markers.extend(readable)
            shard.is_read = len(found) < SHARD_PAGE
            shard.last = found[-1] if found else shard.last


def is_tenth_minute(now: Millis) -> bool:
    """Return True in the minutes in which jobs look for what is hardly ever there."""
    return now // MINUTE % OLD_MARKERS_EVERY == 0


def oldest_wait_of(marker: Document) -> Millis:
    """Return the time (ms) of the oldest entry that waits; 0 if a stranger stored a number that is no integer."""
    number = marker.data[RELAY]
    return number % SHARD_SPAN if isinstance(number, int) else 0


def _waiting_since(shard: _WaitingShard) -> Millis:
    return oldest_wait_of(shard.markers[0])
