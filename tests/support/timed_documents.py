"""A store whose calls take time on a manual clock, and during one of which the process may end."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from shared.kernel.clock import Millis
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Document, Documents, Query, Version, Write
from shared.platform.memory.clock import ManualClock
from tests.support.faults import Crash

T = TypeVar("T")


class TimedDocuments:
    """Documents of `inner`. Each call advances the clock by `millis`; after commit `dies_after` nothing works any more.

    `trips` counts the calls, `commits` the commits that were applied.
    """

    def __init__(self, inner: Documents, clock: ManualClock, millis: Millis = 40, dies_after: int = 0) -> None:
        self._inner = inner
        self._clock = clock
        self._millis = millis
        self._lock = Lock()
        self.dies_after = dies_after
        self.trips = 0
        self.commits = 0
        self.is_dead = False

    def get(self, path: str) -> Document | None:
        """Return the document; see `Documents.get`."""
        return self._taking_time(lambda: self._inner.get(path))

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents; see `Documents.get_all`."""
        return self._taking_time(lambda: self._inner.get_all(paths))

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents; see `Documents.query`."""
        return self._taking_time(lambda: self._inner.query(query))

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none; see `Documents.commit`."""
        return self._taking_time(lambda: self._committed(writes))

    def _committed(self, writes: Sequence[Write]) -> list[Version]:
        versions = self._inner.commit(writes)
        self.commits += 1
        if self.commits == self.dies_after:
            self.is_dead = True
            raise Crash
        return versions

    def _taking_time(self, call: Callable[[], T]) -> T:
        with self._lock:
            if self.is_dead:
                raise Crash
            self.trips += 1
            self._clock.advance(self._millis)
            return call()
