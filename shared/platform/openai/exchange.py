"""One answer of an upstream, read by one thread; any other may end it, wherever the reading is."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from shared.ai.ports import UpstreamUnavailable

if TYPE_CHECKING:
    from shared.platform.openai.network import Call
    from shared.platform.openai.upstream import StreamEnd

T = TypeVar("T")


class Exchange(Generic[T]):
    """See `ChatStream` and `RawStream`. Nothing is sent before the first `next`."""

    def __init__(self, read: Callable[[], Generator[T, None, None]], end: "StreamEnd") -> None:
        self._end = end
        self._lock = threading.Lock()
        self._events = read()
        self._reader: int | None = None
        self._call: Call | None = None
        self._is_closed = False

    @property
    def is_done(self) -> bool:
        """See `RawStream.is_done`."""
        return self._end.is_done

    def __iter__(self) -> Iterator[T]:
        """Itself."""
        return self

    def __next__(self) -> T:
        """The next event."""
        with self._started():
            return next(self._events)

    def close(self) -> None:
        """Another thread's reading is woken, and ends itself; one's own is ended here."""
        with self._lock:
            self._is_closed = True
            call = self._call
        if call is None:
            return
        if self._reader == threading.get_ident():
            with call:
                self._events.close()
        else:
            call.abort()

    def _started(self) -> "Call":
        from shared.platform.openai.network import Call

        with self._lock:
            if self._is_closed:
                raise UpstreamUnavailable
            if self._call is None:
                self._call, self._reader = Call(), threading.get_ident()
            return self._call
