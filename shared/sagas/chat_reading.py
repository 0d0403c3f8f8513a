"""Reading a model's answer on a thread of its own, so that silence can be heard, and a call ended while it blocks."""

import queue
import threading
from types import TracebackType
from typing import Self

from shared.ai.ports import ChatEvent, ChatStream, UpstreamUnavailable
from shared.kernel.errors import DomainError
from shared.kernel.events import log

AHEAD_MAX = 64
"""Events read ahead of a slow client: more than that, and the upstream is made to wait."""
PUT_SECONDS = 0.1


class Ended:
    """There are no more events; `error` says why, if the upstream did not end it."""

    __slots__ = ("error",)

    def __init__(self, error: DomainError | None = None) -> None:
        self.error = error


class Silence:
    """Nothing came for as long as the reader was willing to wait."""

    __slots__ = ()


class Reading:
    """One answer being read. Leaving the `with` block aborts the call, wherever it is."""

    def __init__(self, stream: ChatStream) -> None:
        self._stream = stream
        self._events: queue.Queue[ChatEvent | Ended] = queue.Queue(maxsize=AHEAD_MAX)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="chat reading", daemon=True)

    def __enter__(self) -> Self:
        """Start the call."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, if it has not ended by itself."""
        self._is_stopped.set()
        if self._thread.is_alive():
            self._stream.close()

    def next(self, seconds: float) -> ChatEvent | Ended | Silence:
        """The next event, or what there is instead of one after so many seconds."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return Silence()

    def _read(self) -> None:
        try:
            for event in self._stream:
                if not self._put(event):
                    return
            self._put(Ended())
        except DomainError as error:
            self._put(Ended(error))
        except Exception as error:  # noqa: BLE001  # an adapter's surprise must reach the caller, typed, not end a thread
            if not self._is_stopped.is_set():
                log("upstream_surprise", "ERROR", kind=type(error).__name__)
            self._put(Ended(UpstreamUnavailable()))
        finally:
            self._stream.close()

    def _put(self, event: ChatEvent | Ended) -> bool:
        """Hand over; False once nobody wants it."""
        while not self._is_stopped.is_set():
            try:
                self._events.put(event, timeout=PUT_SECONDS)
            except queue.Full:
                continue
            return True
        return False
