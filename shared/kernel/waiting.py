"""Room for callers who wait: fewer than half of an instance's threads, so that the others can serve."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

THREADS_DEFAULT = 1_000
"""Where nobody says how many threads there are, waiting is hardly bounded."""


class WaitingRoom:
    """Places for callers who wait for somebody else's work, half of them for one caller. Safe between threads."""

    def __init__(self, threads: int = THREADS_DEFAULT) -> None:
        self.places = max(1, threads * 3 // 8)
        self.places_per_caller = max(1, self.places // 2)
        self._lock = threading.Lock()
        self._waiting = Counter[str]()

    @contextmanager
    def place(self, caller: str) -> Iterator[bool]:
        """Take a place for the block, if that is True. False: the caller has to go on without waiting."""
        with self._lock:
            is_free = self._waiting.total() < self.places and self._waiting[caller] < self.places_per_caller
            if is_free:
                self._waiting[caller] += 1
        try:
            yield is_free
        finally:
            if is_free:
                self._leave(caller)

    def _leave(self, caller: str) -> None:
        with self._lock:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller]
