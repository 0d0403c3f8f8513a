"""Answer of an upstream that one thread reads, and that any other thread may end at any point."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from shared.ai.ports import UpstreamUnavailable

if TYPE_CHECKING:
    from shared.platform.openai.network import HttpExchange
    from shared.platform.openai.upstream import StreamEnd

T = TypeVar("T")


class Exchange(Generic[T]):
    """Answer of an upstream, object by object; see `ChatStream` and `RawStream`.

    Nothing is sent before the first `next`.
    """

    def __init__(self, read: Callable[[], Generator[T, None, None]], end: "StreamEnd") -> None:
        self._end = end
        self._lock = threading.Lock()
        self._events = read()
        self._reader: int | None = None
        self._call: HttpExchange | None = None
        self._is_closed = False

    @property
    def is_done(self) -> bool:
        """Return True once the upstream has ended the answer, by the protocol's last event or by a whole answer.

        See `RawStream.is_done`.
        """
        return self._end.is_done

    def __iter__(self) -> Iterator[T]:
        """Return the exchange, which is its own iterator."""
        return self

    def __next__(self) -> T:
        """Return the next event."""
        with self._started():
            return next(self._events)

    def close(self) -> None:
        """End the exchange.

        If another thread reads, its connection is shut down, so that the reading ends. If the reading thread itself
        calls, the generator is closed at once.
        """
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

    def _started(self) -> "HttpExchange":
        from shared.platform.openai.network import HttpExchange

        with self._lock:
            if self._is_closed:
                raise UpstreamUnavailable
            if self._call is None:
                self._call, self._reader = HttpExchange(), threading.get_ident()
            return self._call
