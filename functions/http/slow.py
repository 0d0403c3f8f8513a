"""Deadlines of slow clients. When a deadline has passed, the client's connection is shut down."""

import heapq
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

SOCKET = "gunicorn.socket"
"""Key under which the server leaves the connection. Absent without a real connection (tests, other servers)."""


@dataclass(eq=False, slots=True)
class BodyTransfer:
    """Reading of a body, or writing of an answer. `since` is the start of the current piece, in monotonic seconds."""

    connection: socket.socket | None
    caller: str
    ends_at: float
    since: float
    due: float = 0.0
    is_cut: bool = False
    is_over: bool = False
    direction: int = socket.SHUT_RDWR

    def cut(self) -> None:
        """End the transfer. A thread that is blocked in reading or writing wakes."""
        self.is_cut = True
        if self.connection is not None:
            with suppress(OSError):
                self.connection.shutdown(self.direction)


def never_later(_place: BodyTransfer, _now: float) -> float | None:
    """Return None, so that a late transfer gets no more time."""
    return None


@dataclass(slots=True)
class DeadlineWatch:
    """Watch that ends transfers at their deadlines. One thread watches all, and runs while there is a deadline.

    `look` may give a late transfer more time: it returns the next deadline, or None to end the transfer.
    """

    monotonic: Callable[[], float]
    look: Callable[[BodyTransfer, float], float | None] = never_later
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _deadlines: list[tuple[float, int, BodyTransfer]] = field(default_factory=list)
    _is_running: bool = False

    def expect(self, place: BodyTransfer, due: float) -> None:
        """Set or move the deadline of a transfer."""
        is_first = place.due == 0.0
        place.due = due
        if is_first:
            with self._changed:
                self._push(place)

    def _push(self, place: BodyTransfer) -> None:
        heapq.heappush(self._deadlines, (place.due, id(place), place))
        if not self._is_running:
            self._is_running = True
            threading.Thread(target=self._run, name="slow clients", daemon=True).start()
        elif self._deadlines[0][2] is place:
            self._changed.notify()

    def _run(self) -> None:
        """Look at each transfer when its deadline comes, until no transfer is left.

        A transfer that `look` gives a later deadline waits until then. One without is cut.
        """
        with self._changed:
            while self._deadlines:
                due, _, place = self._deadlines[0]
                if (wait := due - self.monotonic()) > 0:
                    self._changed.wait(wait)
                    continue
                heapq.heappop(self._deadlines)
                if place.is_over:
                    continue
                if place.due > due:
                    heapq.heappush(self._deadlines, (place.due, id(place), place))
                elif (later := self.look(place, self.monotonic())) is not None:
                    place.due = later
                    heapq.heappush(self._deadlines, (later, id(place), place))
                else:
                    place.cut()
            self._is_running = False
