"""Reading of a model's answer: in pieces, to notice silence and to end a call that blocks, or in one piece."""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from shared.ai.ports import ChatEvent, ChatStream, UpstreamUnavailable
from shared.kernel.clock import Clock
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.meanwhile import Meanwhile

AHEAD_MAX = 64
"""Events to read ahead of a slow client. Beyond this number the upstream has to wait."""


class EndOfAnswer:
    """Marker after the last event. `error` is the reason if the upstream did not end the answer; otherwise None."""

    __slots__ = ("error",)

    def __init__(self, error: DomainError | None = None) -> None:
        self.error = error


class Silence:
    """Marker for a wait in which no event came."""

    __slots__ = ()


class Pulse:
    """Timer for signs of life to a silent client, one every `seconds`."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last = clock.monotonic()

    def is_due(self) -> bool:
        """Return True if a sign of life is due. The next one is timed from now."""
        now = self._clock.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class AnswerReading:
    """Reading of one answer. Leaving the `with` block aborts the call at any point.

    The reader is woken once for all events that have arrived. If the reader is slow, the upstream has to wait.
    """

    def __init__(self, stream: ChatStream) -> None:
        self._stream = stream
        self._arrived: deque[ChatEvent | EndOfAnswer] = deque()
        self._taken: deque[ChatEvent | EndOfAnswer] = deque()
        self._change = threading.Condition()
        self._is_waited_for = False
        self._is_stopped = False
        self._is_over = False
        self._is_woken = False
        self._is_handed_over = False
        self.is_open = True
        """False once the answer has ended."""
        self.is_behind = False
        """True if the upstream had to wait for a slow reader, and so may have generated more than arrived."""

    def __enter__(self) -> Self:
        """Start the call."""
        Meanwhile(self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the call, unless the call has ended by itself or the reading was handed over to another thread."""
        if not self._is_handed_over:
            self.close()

    def hand_over(self) -> None:
        """Leave the reading open at the end of the `with` block: another thread continues and closes the reading."""
        self._is_handed_over = True

    def close(self) -> None:
        """End the call, unless the call has ended by itself. A second `close` does nothing."""
        with self._change:
            self._is_stopped = True
            self._change.notify_all()
        if not self._is_over:
            self._stream.close()

    def wake(self) -> None:
        """Make a waiting `next` return at once. May be called from any thread."""
        with self._change:
            self._is_woken = True
            self._change.notify_all()

    def rest(self) -> list[ChatEvent]:
        """Close the reading, and return the events that have arrived and were not taken."""
        self.close()
        with self._change:
            left = [*self._taken, *self._arrived]
            self._taken.clear()
            self._arrived.clear()
        return [event for event in left if not isinstance(event, EndOfAnswer)]

    def next(self, seconds: float) -> ChatEvent | EndOfAnswer | Silence:
        """Return the next event.

        After `seconds` without an event return `Silence`; after the last event return `EndOfAnswer`.
        """
        event = self._taken.popleft() if self._taken or self._take(seconds) else Silence()
        self.is_open = self.is_open and not isinstance(event, EndOfAnswer)
        return event

    def _take(self, seconds: float) -> bool:
        """Take all events that have arrived, or that arrive within `seconds`. Return True if there are any."""
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
                if isinstance(event, EndOfAnswer):
                    return
        finally:
            self._stream.close()
            self._is_over = True

    def _put(self, event: ChatEvent | EndOfAnswer) -> bool:
        """Hand an event over to the reader. Return False once the reading is closed."""
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
    """Reading of an answer in one piece: the thread that waits for the answer reads the whole answer or its error."""

    is_open = False
    """False: no other thread can continue reading the answer."""
    is_behind = False

    def __init__(self, stream: ChatStream) -> None:
        self._stream = stream
        self._has_begun = False

    def hand_over(self) -> None:
        """Raise AssertionError, since no other thread can take over; see `AnswerReading.hand_over`."""
        raise AssertionError("an answer of one piece is read by whoever waits for it")

    def close(self) -> None:
        """End the call."""
        self._stream.close()

    def wake(self) -> None:
        """Do nothing, since the reader waits for the whole answer; see `AnswerReading.wake`."""

    def rest(self) -> list[ChatEvent]:
        """Return the events that were not taken, and close the reading; see `AnswerReading.rest`.

        Once an event has come, all of the answer is there.
        """
        left: list[ChatEvent] = []
        while self._has_begun and not isinstance(event := _next(self._stream), EndOfAnswer):
            left.append(event)
        self.close()
        return left

    def __enter__(self) -> Self:
        """Return the reading. The request is sent by the first `next`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the stream. Its connection may serve the next call."""
        self._stream.close()

    def next(self, seconds: float) -> ChatEvent | EndOfAnswer:
        """Return the next event, after any time: the upstream's reader has a time limit of its own."""
        del seconds
        event = _next(self._stream)
        self._has_begun = not isinstance(event, EndOfAnswer)
        return event


def _next(stream: ChatStream, is_stopped: Callable[[], bool] = lambda: False) -> ChatEvent | EndOfAnswer:
    """Return the next event, or `EndOfAnswer`.

    An adapter's unexpected error becomes a typed error, so that no thread ends.
    """
    try:
        return next(stream)
    except StopIteration:
        return EndOfAnswer()
    except DomainError as error:
        return EndOfAnswer(error)
    except Exception as error:  # noqa: BLE001  # see above
        if not is_stopped():
            log("upstream_surprise", "ERROR", kind=type(error).__name__)
        return EndOfAnswer(UpstreamUnavailable())


AnyReading: TypeAlias = AnswerReading | ReadingWhole
