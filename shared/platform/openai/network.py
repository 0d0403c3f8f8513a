"""HTTP calls that another thread can end while they connect, wait for an answer or read.

Closing a socket does not wake a thread that is blocked in reading; shutting the socket down does. So every call knows
the connection that its thread uses, and aborting the call shuts that connection down.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import httpcore2
import httpx2

CONNECT_SECONDS = 5.0
READ_SECONDS = 1_000.0
"""Time limit of one read.

Models that reason may be silent for minutes. Longer than a turn, so that a turn's own limits end a silent call.
"""
WRITE_SECONDS = 10.0
POOL_SECONDS = 5.0
CONNECTIONS_MAX = 200
KEEPALIVE_SECONDS = 5.0
CONNECT_RETRIES = 1
"""Number of retries for connecting only. A request is never sent twice, since every call costs."""

_CURRENT = threading.local()


class HttpExchange:
    """HTTP exchange of one thread (`with call:`), whose connection `abort` shuts down from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: AbortableStream | None = None
        self._is_aborted = False
        self._read_until = float("inf")
        self.is_sent = False
        """True once anything was sent, so that the provider may have begun to answer."""

    def __enter__(self) -> Self:
        """Make this the current call of the thread."""
        _CURRENT.call = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the thread without a current call."""
        _CURRENT.call = None

    def abort(self) -> None:
        """End the call. Afterwards nothing is sent or read for this call."""
        with self._lock:
            self._is_aborted = True
            if self._stream is not None:
                self._stream.shut_down()

    def attach(self, stream: "AbortableStream") -> None:
        """Attach the connection that the call uses from here. Raises ReadError if the call was aborted."""
        if self._stream is stream and not self._is_aborted:
            return
        with self._lock:
            if self._is_aborted:
                raise httpcore2.ReadError("aborted")
            self._stream = stream

    def hurry(self, seconds: float) -> None:
        """Limit all further reading to `seconds` in total. An earlier limit is kept."""
        self._read_until = min(self._read_until, time.monotonic() + seconds)

    @property
    def is_late(self) -> bool:
        """Return True once the time that `hurry` gave is over."""
        return time.monotonic() >= self._read_until

    def read_seconds(self, seconds: float | None) -> float | None:
        """Return the limit of one read: `seconds`, or the call's remaining time if shorter; None for no limit.

        Raises ReadTimeout if no time is left.
        """
        if self._read_until == float("inf"):
            return seconds
        left = self._read_until - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("what follows the answer takes too long")
        return left if seconds is None else min(left, seconds)

    def detach(self) -> None:
        """Detach the connection at the end of the exchange, so that another call may use the connection."""
        with self._lock:
            self._stream = None


class AbortableStream(httpcore2.NetworkStream):
    """Connection that attaches itself to the current call whenever it is used."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read from the connection, within the current call's time; see `NetworkStream.read`."""
        call = self._attach()
        return self._inner.read(max_bytes, timeout if call is None else call.read_seconds(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write to the connection, unless the current call was aborted; see `NetworkStream.write`."""
        call = self._attach()
        if call is not None:
            call.is_sent = True
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        """Close the connection; see `NetworkStream.close`."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Return the same connection under TLS, abortable too; see `NetworkStream.start_tls`."""
        self._attach()
        return AbortableStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return a fact of the connection, such as its socket; see `NetworkStream.get_extra_info`."""
        return self._inner.get_extra_info(info)

    def shut_down(self) -> None:
        """Wake the thread that is blocked in this connection."""
        with contextlib.suppress(OSError):
            # The plain socket's, also under TLS: an SSLSocket's own would pull the session from under its reader.
            socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)

    def _attach(self) -> HttpExchange | None:
        call: HttpExchange | None = getattr(_CURRENT, "call", None)
        if call is not None:
            call.attach(self)
        return call


def hurry(seconds: float) -> None:
    """Limit the rest of this thread's current call to `seconds`."""
    call: HttpExchange | None = getattr(_CURRENT, "call", None)
    if call is not None:
        call.hurry(seconds)


def is_late() -> bool:
    """Return True if this thread's call has used up the time from `hurry`, so that we end the call ourselves."""
    call: HttpExchange | None = getattr(_CURRENT, "call", None)
    return call is not None and call.is_late


def is_sent() -> bool:
    """Return True if anything was sent for this thread's call."""
    call: HttpExchange | None = getattr(_CURRENT, "call", None)
    return call is not None and call.is_sent


class AbortableBackend(httpcore2.SyncBackend):
    """TCP backend whose connections can be aborted."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Open a TCP connection that can be aborted; see `NetworkBackend.connect_tcp`."""
        return AbortableStream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Body(httpx2.SyncByteStream):
    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._body

    def close(self) -> None:
        # Detached first: what is closed may serve the next call at once.
        call: HttpExchange | None = getattr(_CURRENT, "call", None)
        if call is not None:
            call.detach()
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class AbortableTransport(httpx2.BaseTransport):
    """Transport for httpx over connections that can be aborted. Connections stay open between calls."""

    def __init__(self) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=CONNECTIONS_MAX,
            keepalive_expiry=KEEPALIVE_SECONDS,
            retries=CONNECT_RETRIES,
            network_backend=AbortableBackend(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send an httpx request, and return the response; see `BaseTransport.handle_request`."""
        assert isinstance(request.stream, httpx2.SyncByteStream), "requests have a body that can be read"
        url = request.url
        core = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            response = self._pool.handle_request(core)
        assert isinstance(response.stream, Iterable), "a synchronous pool has synchronous answers"
        return httpx2.Response(
            response.status, headers=response.headers, stream=_Body(response.stream), extensions=response.extensions
        )

    def close(self) -> None:
        """Close all connections; see `BaseTransport.close`."""
        self._pool.close()


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise the errors of the pool as httpx's."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise httpx2.ReadError(str(error)) from error


def http_client() -> httpx2.Client:
    """Build a client whose calls can be aborted. Every wait has a limit."""
    timeout = httpx2.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS, write=WRITE_SECONDS, pool=POOL_SECONDS)
    return httpx2.Client(transport=AbortableTransport(), timeout=timeout, follow_redirects=False)


@contextlib.contextmanager
def ending_after(seconds: float) -> Iterator[None]:
    """Shut down this thread's connection after `seconds`, even if bytes still arrive slowly; see `is_late`."""
    call = HttpExchange()
    call.hurry(seconds)
    timer = threading.Timer(seconds, call.abort)
    timer.daemon = True
    timer.start()
    try:
        with call:
            yield
    finally:
        timer.cancel()
