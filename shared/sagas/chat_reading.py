"""Reading a model's answer: as it comes, so that silence can be heard and a call ended while it blocks, or at once."""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from shared.ai.ports import ChatEvent, ChatStream, UpstreamUnavailable
from shared.kernel.clock import Clock
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.meanwhile import Meanwhile

AHEAD_MAX = 64
"""Events read ahead of a slow client: more than that, and the upstream is made to wait."""


class Ended:
    """There are no more events; `error` says why, if the upstream did not end it."""

    __slots__ = ("error",)

    def __init__(self, error: DomainError | None = None) -> None:
        self.error = error


class Silence:
    """Nothing came for as long as the reader was willing to wait."""

    __slots__ = ()


class Pulse:
    """Says when a client that gets nothing should hear that the call goes on: once in so many seconds."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last = clock.monotonic()

    def is_due(self) -> bool:
        """Return True if it is time; the next time is counted from now."""
        now = self._clock.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Reading:
    """One answer being read. Leaving the `with` block aborts the call, wherever it is.

    The reader is woken once for all that has come meanwhile, and the upstream is made to wait for a slow one.
    """

    def __init__(self, stream: ChatStream) -> None:
        self._stream = stream
        self._arrived: deque[ChatEvent | Ended] = deque()
        self._taken: deque[ChatEvent | Ended] = deque()
        self._change = threading.Condition()
        self._is_waited_for = False
        self._is_stopped = False
        self._is_over = False
        self._is_woken = False
        self._is_handed_over = False
        self.is_open = True
        """False once the answer has ended."""
        self.is_behind = False
        """True if the upstream was made to wait for a slow reader, so that it may have generated more than arrived."""

    def __enter__(self) -> Self:
        """Start the call."""
        Meanwhile(self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, if it has not ended by itself, and nobody else goes on reading."""
        if not self._is_handed_over:
            self.close()

    def hand_over(self) -> None:
        """Leave the reading open at the end of the `with` block: another thread goes on, and closes it."""
        self._is_handed_over = True

    def close(self) -> None:
        """End the call, if it has not ended by itself; closing twice is fine."""
        with self._change:
            self._is_stopped = True
            self._change.notify_all()
        if not self._is_over:
            self._stream.close()

    def wake(self) -> None:
        """Let whoever waits in `next` go on at once, from whichever thread."""
        with self._change:
            self._is_woken = True
            self._change.notify_all()

    def rest(self) -> list[ChatEvent]:
        """Close the reading, and return the events that came and were not taken."""
        self.close()
        with self._change:
            left = [*self._taken, *self._arrived]
            self._taken.clear()
            self._arrived.clear()
        return [event for event in left if not isinstance(event, Ended)]

    def next(self, seconds: float) -> ChatEvent | Ended | Silence:
        """The next event, or what there is instead of one after so many seconds."""
        event = self._taken.popleft() if self._taken or self._take(seconds) else Silence()
        self.is_open = self.is_open and not isinstance(event, Ended)
        return event

    def _take(self, seconds: float) -> bool:
        """All that has arrived, or arrives in so many seconds; whether that is anything."""
        with self._change:
            self._is_waited_for = True
            self._change.wait_for(lambda: self._arrived or self._is_woken, seconds)
            self._is_waited_for = self._is_woken = False
            self._taken, self._arrived = self._arrived, self._taken
            self._change.notify_all()
        return bool(self._taken)

    def _read(self) -> None:
        try:
            while self._put(event := _next(self._stream, lambda: self._is_stopped)):
                if isinstance(event, Ended):
                    return
        finally:
            self._stream.close()
            self._is_over = True

    def _put(self, event: ChatEvent | Ended) -> bool:
        """Hand over; False once nobody wants it."""
        with self._change:
            self.is_behind = len(self._arrived) >= AHEAD_MAX
            self._change.wait_for(lambda: self._is_stopped or len(self._arrived) < AHEAD_MAX)
            if self._is_stopped:
                return False
            self.is_behind = False
            self._arrived.append(event)
            if self._is_waited_for:
                self._change.notify_all()
        return True


class ReadingWhole:
    """An answer that comes in one piece, read by whoever waits for it: it is there, or it has failed."""

    is_open = False
    """No other thread can go on reading it."""
    is_behind = False

    def __init__(self, stream: ChatStream) -> None:
        self._stream = stream
        self._has_begun = False

    def hand_over(self) -> None:
        """See `Reading.hand_over`; there is nobody to hand over to."""
        raise AssertionError("an answer of one piece is read by whoever waits for it")

    def close(self) -> None:
        """End the call."""
        self._stream.close()

    def wake(self) -> None:
        """See `Reading.wake`: the whole answer is waited for."""

    def rest(self) -> list[ChatEvent]:
        """See `Reading.rest`. Once anything came, all of the answer is there."""
        left: list[ChatEvent] = []
        while self._has_begun and not isinstance(event := _next(self._stream), Ended):
            left.append(event)
        self.close()
        return left

    def __enter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Its connection may serve the next call."""
        self._stream.close()

    def next(self, seconds: float) -> ChatEvent | Ended:
        """The next of what the answer says, however long that takes: its upstream's reader has its own limit."""
        del seconds
        event = _next(self._stream)
        self._has_begun = not isinstance(event, Ended)
        return event


def _next(stream: ChatStream, is_stopped: Callable[[], bool] = lambda: False) -> ChatEvent | Ended:
    """The next event, or how it ended. An adapter's surprise must reach the caller, typed, not end a thread."""
    try:
        return next(stream)
    except StopIteration:
        return Ended()
    except DomainError as error:
        return Ended(error)
    except Exception as error:  # noqa: BLE001  # see above
        if not is_stopped():
            log("upstream_surprise", "ERROR", kind=type(error).__name__)
        return Ended(UpstreamUnavailable())
