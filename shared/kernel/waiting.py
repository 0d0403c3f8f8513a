"""Waiting rooms: a limit on waiting callers, below half of an instance's threads, so that the rest can serve."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

THREADS_DEFAULT = 1_000
"""Number of threads if none is configured, so large that waiting is hardly limited."""


class WaitingRoom:
    """Places for callers who wait for another caller's work. One caller gets at most half. Safe between threads."""

    def __init__(self, threads: int = THREADS_DEFAULT) -> None:
        self.places = max(1, threads * 3 // 8)
        self.places_per_caller = max(1, self.places // 2)
        self._lock = threading.Lock()
        self._waiting = Counter[str]()

    @contextmanager
    def place(self, caller: str) -> Iterator[bool]:
        """Yield True and hold a place for the block if one is free.

        Yield False if the caller must continue without waiting.
        """
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
