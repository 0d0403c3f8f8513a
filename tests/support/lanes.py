"""A clock for work that runs side by side, each piece on a thread of its own: a round takes as long as its longest."""

import threading

from shared.kernel.clock import Millis
from shared.platform.memory.clock import ManualClock


class LaneClock(ManualClock):
    """Clock whose time moves on for each piece of work alone. Its owner, when it asks, has waited for all pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._owner = threading.get_ident()
        self._lanes: dict[int, Millis] = {}
        self._longest: Millis = 0

    def begin(self) -> None:
        """Begin a piece of work at the time at which the round began, whichever thread does it."""
        me = threading.get_ident()
        if me != self._owner:
            self._longest = max(self._longest, self._lanes.get(me, 0))
            self._lanes[me] = 0

    def now(self) -> Millis:
        me = threading.get_ident()
        if me != self._owner:
            return self._now + self._lanes.get(me, 0)
        self._now += max(self._longest, *self._lanes.values(), 0)
        self._longest = 0
        self._lanes.clear()
        return self._now

    def monotonic(self) -> float:
        return self.now() / 1000

    def advance(self, by: Millis) -> None:
        me = threading.get_ident()
        if me == self._owner:
            self._now = self.now() + by
        else:
            self._lanes[me] = self._lanes.get(me, 0) + by
