"""One small answer over HTTP: no redirect, no proxy, no cookie, and limits for the size and for the whole time."""

import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallAnswer:
    """Answer of a server. `body` has at most one byte more than the caller's limit."""

    status: int
    body: bytes


def small_answer(
    url: str, headers: Mapping[str, str], *, seconds: float, bytes_max: int, content: bytes | None = None
) -> SmallAnswer:
    """Return the answer to a GET, or to a POST of `content`.

    `seconds` is the most time for connecting, for sending and for the answer, each. A server that drips its headers or
    its body gains no time. Raises OSError and HTTPException.
    """
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.netloc, seconds)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    try:
        connection.request("GET" if content is None else "POST", path, body=content, headers=dict(headers))
        until = time.monotonic() + seconds
        connection.response_class = lambda sock, **options: HTTPResponse(_timed(sock, until), **options)  # type: ignore[assignment]  # made of the same arguments
        answer = connection.getresponse()
        return SmallAnswer(status=answer.status, body=answer.read(bytes_max + 1))
    finally:
        connection.close()


class _TimedStream(io.RawIOBase):
    """Bytes of a connection, whose every wait ends at one time, in seconds of the monotonic clock."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb", buffering=0)
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """Read from the connection. Raises TimeoutError once the time is up."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _TimedSocket:
    """Part of a socket that `HTTPResponse` uses."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._stream = io.BufferedReader(_TimedStream(sock, until))

    def makefile(self, _mode: str) -> Any:
        """Return the bytes of the connection."""
        return self._stream


def _timed(sock: socket.socket, until: float) -> Any:
    return _TimedSocket(sock, until)


def _connection(scheme: str, host: str, seconds: float) -> HTTPConnection:
    if scheme == "http":  # a stand-in on this machine
        return HTTPConnection(host, timeout=seconds)
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    return HTTPSConnection(host, timeout=seconds, context=context)
