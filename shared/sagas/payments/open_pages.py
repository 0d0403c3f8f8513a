"""Pages of payers that this instance serves now, and the time of the last common look at each network."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.kernel.clock import MINUTE, SECOND, Millis
from shared.payments.chains.ports import NetworkName

LOOK_EVERY: Millis = 2 * SECOND
"""Time between two looks at a network, for all pages together: less than between two requests of one page."""
PAGE_OPEN: Millis = 2 * MINUTE
"""Time after the last request of a page in which the page counts as open."""
PAGES_MAX = 1_000
"""Most open pages that are remembered of a network: the ones that asked last."""


class OpenPages:
    """Memory of this instance, so that a request costs neither a read nor a write. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[NetworkName, dict[int, Millis]] = {}
        self._turns: dict[NetworkName, Millis] = {}
        self._busy: set[NetworkName] = set()

    def note(self, network: NetworkName, index: int, now: Millis) -> None:
        """Note that the page of this index asked at `now`."""
        with self._lock:
            pages = self._pages.setdefault(network, {})
            pages.pop(index, None)
            pages[index] = now
            if len(pages) > PAGES_MAX:
                del pages[next(iter(pages))]

    @contextmanager
    def turn(self, network: NetworkName, now: Millis) -> Iterator[bool]:
        """Yield True to one thread at a time, and once in `LOOK_EVERY`; the others must not look."""
        with self._lock:
            is_free = network not in self._busy and now >= self._turns.get(network, 0) + LOOK_EVERY
            if is_free:
                self._busy.add(network)
                self._turns[network] = now
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._busy.discard(network)

    def merged(self, network: NetworkName, known: Mapping[int, Millis], now: Millis) -> Mapping[int, Millis]:
        """Return the open pages of this instance and the known pages, with the time until which each counts as open.

        A known page keeps the stored time while more than half of `PAGE_OPEN` is left, so that nothing need be written.
        """
        with self._lock:
            own = {index: at + PAGE_OPEN for index, at in self._pages.get(network, {}).items() if at + PAGE_OPEN > now}
        kept = {index: until for index, until in known.items() if until > now}
        fresh = {index: until for index, until in own.items() if kept.get(index, 0) <= now + PAGE_OPEN // 2}
        newest = sorted({**kept, **fresh}.items(), key=lambda each: each[1])[-PAGES_MAX:]
        return dict(newest)
