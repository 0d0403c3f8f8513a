"""Connections to checked addresses only.

A name is resolved once, and each of its addresses must be public. The connection goes to an address from that answer. A
second answer of a hostile name server is never requested.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import httpcore2

from shared.ai.agents.web import FetchFailed, is_public

Resolver = Callable[[str, int], Sequence[str]]
Connector = Callable[[str, int, float], socket.socket]

CONNECT_SECONDS = 5.0
RESOLVE_SECONDS = 5.0
ADDRESSES_TRIED_MAX = 3


class FetchDeadline:
    """Remaining time of a fetch. A host that sends single bytes slowly does not extend the time."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float:
        """Return the seconds left, but not more than `at_most`. Raises FetchFailed when no time is left."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise FetchFailed("too_slow", "The page took too long.")
        return left if at_most is None else min(left, at_most)


class CheckedBackend(httpcore2.NetworkBackend):
    """TCP connections for one fetch."""

    def __init__(self, resolve: Resolver, connect: Connector, deadline: FetchDeadline) -> None:
        self._resolve = resolve
        self._connect = connect
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to a public address of the host, within the deadline; see `NetworkBackend.connect_tcp`.

        Raises FetchFailed.
        """
        addresses = self._checked(host, port)
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                return BoundedStream(self._connect(address, port, self._deadline.left(CONNECT_SECONDS)), self._deadline)
            except OSError:
                continue
        raise FetchFailed("unreachable", "The host could not be reached.")

    def _checked(self, host: str, port: int) -> list[str]:
        """Return all addresses of the host.

        Raises FetchFailed if one address is not public, as that address may be the next answer. Raises FetchFailed if
        the host has no address.
        """
        try:
            addresses = list(self._resolve(host.strip("[]"), port))
        except (OSError, UnicodeError) as error:
            raise FetchFailed("unreachable", "The host has no address.") from error
        if not addresses:
            raise FetchFailed("unreachable", "The host has no address.")
        if not all(map(is_public, addresses)):
            raise FetchFailed("host_not_public", "The host is not on the public internet.")
        return addresses


class BoundedStream(httpcore2.NetworkStream):
    """Connection whose every wait ends with the fetch's deadline."""

    def __init__(self, sock: socket.socket, deadline: FetchDeadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read from the connection, within the deadline; see `NetworkStream.read`."""
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write to the connection, within the deadline; see `NetworkStream.write`."""
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(buffer)

    def close(self) -> None:
        """Close the connection; see `NetworkStream.close`."""
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Return the same connection under TLS, with the same deadline; see `NetworkStream.start_tls`."""
        self._sock.settimeout(self._deadline.left())
        try:
            return BoundedStream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname), self._deadline)
        except BaseException:
            self._sock.close()
            raise


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses that this machine's resolver knows.

    The resolver has no timeout of its own, so a slow resolver's thread is left running. Raises FetchFailed after
    RESOLVE_SECONDS, and the resolver's own errors.
    """
    found: list[str] = []
    failed: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found.extend(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(RESOLVE_SECONDS)
    if thread.is_alive():
        raise FetchFailed("too_slow", "The host's name took too long to resolve.")
    if failed:
        raise failed[0]
    return found


def system_connector(address: str, port: int, seconds: float) -> socket.socket:
    """Connect to exactly this address; no name is resolved here. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock
