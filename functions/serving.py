"""Handling of connections by gunicorn in our HTTP functions, so that no client holds a thread by being slow.

functions-framework starts gunicorn's threaded worker without settings. That worker loses threads in two places: a
thread waits for the first bytes and the headers of a connection, and the accepting thread waits for clients that were
answered before they had sent everything. This module replaces both.
"""

import errno
import heapq
import selectors
import socket
import threading
import time
from contextlib import suppress

FIRST_BYTES_SECONDS = 0.05
"""A thread waits this long for the first bytes of a connection; later ones are waited for without a thread."""
HEADERS_SECONDS_MAX = 5.0
HEADERS_BYTES_MAX = 64 * 1024
UNFINISHED_MAX = 4
"""Threads that wait for the rest of somebody's headers. Further clients whose headers come in pieces are left."""
LINGER_SECONDS_MAX = 10.0
"""Most seconds in which the rest from an answered client is read and dropped, before the connection is closed."""
LINGER_BYTES_MAX = 32 * 1024 * 1024
LINGERING_MAX = 500
CHUNK_BYTES = 64 * 1024


def serve_patiently() -> None:
    """Replace the handling of slow connections in gunicorn's threaded worker.

    Call once per process, before the worker accepts.
    """
    from gunicorn.workers import gthread  # type: ignore[import-untyped]  # gunicorn has no types

    lingering, unfinished = Lingering(), threading.BoundedSemaphore(UNFINISHED_MAX)

    class Connection(gthread.TConn):  # type: ignore[misc]  # gunicorn has no types
        """A connection with a time limit for its headers. A thread that has time closes the connection."""

        def init(self) -> None:
            """Called in a request's thread before the headers are read."""
            super().init()
            # What was read ahead of a request before is no longer in the socket.
            if not self.parser.unreader.buf.getvalue() and not _has_headers(self.sock):
                if not unfinished.acquire(blocking=False):
                    raise ConnectionResetError(errno.ECONNRESET, "too many unfinished headers")
                try:
                    _wait_for_headers(self.sock)
                finally:
                    unfinished.release()
            self.sock.settimeout(HEADERS_SECONDS_MAX)

        def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002  # as gunicorn calls it
            """Called in the thread that accepts connections."""
            if graceful:
                lingering.take(self.sock)
            else:
                super().close()

    gthread.DEFAULT_WORKER_DATA_TIMEOUT = FIRST_BYTES_SECONDS
    gthread.TConn = Connection


def _has_headers(connection: socket.socket) -> bool:
    """True if the headers of a request, or more than they may be, have arrived; nothing is taken."""
    connection.setblocking(False)
    try:
        arrived = connection.recv(HEADERS_BYTES_MAX, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        connection.setblocking(True)
    return not arrived or b"\r\n\r\n" in arrived or len(arrived) == HEADERS_BYTES_MAX


def _wait_for_headers(connection: socket.socket) -> None:
    """Return when they have arrived. Raises ConnectionResetError when their time is up."""
    ends_at = time.monotonic() + HEADERS_SECONDS_MAX
    while not _has_headers(connection):
        if (left := ends_at - time.monotonic()) <= 0 or not _hears_more(connection, left):
            raise ConnectionResetError(errno.ECONNRESET, "the headers did not come")


def _hears_more(connection: socket.socket, seconds: float) -> bool:
    """Wait for more than has arrived already."""
    arrived = 0
    with suppress(BlockingIOError):
        arrived = len(connection.recv(HEADERS_BYTES_MAX, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, arrived + 1)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            return bool(selector.select(seconds))
    finally:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


class Lingering:
    """Closer of connections whose clients may still send (RFC 9112, 9.6).

    One thread reads and drops the rest of the input, for a limited time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._selector: selectors.BaseSelector | None = None
        self._open: dict[int, tuple[socket.socket, int]] = {}
        self._deadlines: list[tuple[float, int, socket.socket]] = []

    def take(self, connection: socket.socket) -> None:
        """Tell the client that nothing more is sent.

        Close once the client has closed, or the time or the bytes are used up.
        """
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.setblocking(False)
        except OSError:
            _close(connection)
            return
        with self._lock:
            if len(self._open) >= LINGERING_MAX:
                _close(connection)
                return
            self._remember(connection)

    def _remember(self, connection: socket.socket) -> None:
        number = connection.fileno()
        self._open[number] = (connection, LINGER_BYTES_MAX)
        heapq.heappush(self._deadlines, (time.monotonic() + LINGER_SECONDS_MAX, number, connection))
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            threading.Thread(target=self._run, name="lingering", daemon=True).start()
        self._selector.register(connection, selectors.EVENT_READ)

    def _run(self) -> None:
        assert self._selector is not None, "the thread is started with its selector"
        while True:
            for key, _ in self._selector.select(1.0):
                self._read(key.fd)
            self._close_late_ones()

    def _read(self, number: int) -> None:
        with self._lock:
            if number not in self._open:
                return
            connection, left = self._open[number]
            try:
                read = len(connection.recv(CHUNK_BYTES))
            except BlockingIOError:
                return
            except OSError:
                read = 0
            if read == 0 or read >= left:
                self._forget(connection, number)
            else:
                self._open[number] = (connection, left - read)

    def _close_late_ones(self) -> None:
        now = time.monotonic()
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= now:
                _, number, connection = heapq.heappop(self._deadlines)
                if connection.fileno() == number and number in self._open:
                    self._forget(connection, number)

    def _forget(self, connection: socket.socket, number: int) -> None:
        assert self._selector is not None, "what is forgotten was registered"
        del self._open[number]
        self._selector.unregister(connection)
        _close(connection)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.close()
