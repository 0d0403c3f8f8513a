"""A clock whose time passes only where somebody waits, and lets happen what is due by then."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from shared.kernel.clock import Millis
from shared.kernel.documents import Document, Documents, Query, Version, Write
from shared.kernel.events import TopicMessage
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.publisher import MemoryPublisher

NESTED_MAX = 6
LATENCIES: Mapping[str, Millis] = {"get": 15, "query": 18, "commit": 50, "publish": 25}
"""Times of a multi-region store and of the broker, in ms."""


class Timeline(ManualClock):
    """Clock that runs planned work while other work waits, so that one thread plays many instances.

    At most `NESTED_MAX` waits are open at once. Work that is due in a deeper wait happens later, like a late event.
    """

    def __init__(self) -> None:
        super().__init__()
        self._planned: list[tuple[Millis, int, Callable[[], object]]] = []
        self._numbers = count()
        self._depth = 0

    def plan(self, after: Millis, work: Callable[[], object]) -> None:
        heapq.heappush(self._planned, (self.now() + after, next(self._numbers), work))

    def wait(self, seconds: float) -> None:
        self.let_pass(int(seconds * 1000))

    def let_pass(self, by: Millis) -> None:
        until = self.now() + by
        self._depth += 1
        while self._depth <= NESTED_MAX and self._planned and self._planned[0][0] <= until:
            at, _, work = heapq.heappop(self._planned)
            self.advance(max(0, at - self.now()))
            work()
        self._depth -= 1
        self.advance(max(0, until - self.now()))

    def let_all_happen(self) -> None:
        while self._planned:
            self.let_pass(1_000)


class SlowDocuments:
    """A store that takes its time, and counts its commits."""

    def __init__(self, inner: Documents, clock: Timeline) -> None:
        self.inner = inner
        self.clock = clock
        self.commits = 0

    def get(self, path: str) -> Document | None:
        self.clock.let_pass(LATENCIES["get"])
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        self.clock.let_pass(LATENCIES["get"])
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        self.clock.let_pass(LATENCIES["query"])
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = 10) -> list[Version]:
        self.clock.let_pass(LATENCIES["commit"])
        versions = self.inner.commit(writes, timeout_seconds=timeout_seconds)
        self.commits += 1
        return versions


class SlowPublisher(MemoryPublisher):
    """A broker that takes its time."""

    def __init__(self, clock: Timeline) -> None:
        super().__init__()
        self.clock = clock

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        self.clock.let_pass(LATENCIES["publish"])
        super().publish(messages)
