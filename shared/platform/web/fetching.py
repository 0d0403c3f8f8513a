"""Fetching of one public page: each redirect is checked like a first address, and everything has a limit."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias, TypeVar
from urllib.parse import urljoin

import httpcore2

from shared.ai.agents.web import FetchFailed, Target, WebPage, checked_url, require_named
from shared.kernel.events import log
from shared.platform.web.connecting import (
    CheckedBackend,
    Connector,
    FetchDeadline,
    Resolver,
    system_connector,
    system_resolver,
)
from shared.platform.web.decoding import checked_encoding, read_bounded
from shared.platform.web.text import media_type, text_of

T = TypeVar("T")
Read: TypeAlias = Callable[[Target, httpcore2.Response], T | Target]
"""Function that converts an answer to a result, or returns the target of a redirect."""
REDIRECTS_MAX = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = (
    (b"User-Agent", b"credits-agent/1.0"),
    (b"Accept", b"text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.1"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"Connection", b"close"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Limits of one fetch, redirects included."""

    seconds: float = 20.0
    packed_bytes: int = 2_000_000
    unpacked_bytes: int = 2_000_000


class PublicWeb:
    """Reader of the public web; see `Web`.

    Two fetches share nothing: no connection, no cookie, no answer of a name server.
    """

    def __init__(
        self,
        *,
        resolve: Resolver = system_resolver,
        connect: Connector = system_connector,
        trust: ssl.SSLContext | None = None,
        limits: FetchLimits | None = None,
    ) -> None:
        self._resolve = resolve
        self._connect = connect
        self._trust = trust
        self._limits = limits or FetchLimits()

    def fetch(self, url: str, hosts: frozenset[str] | None = None) -> WebPage:
        """Fetch the page at `url`, in bounded time and size, and return the page; see `Web.fetch`."""
        return self._found(url, hosts, self._read)

    def fetch_file(self, url: str, bytes_max: int) -> bytes:
        """Return the bytes at `url`, in bounded time; see `PublicFiles.fetch_file`."""
        return self._found(url, None, lambda target, response: _file(target, response, bytes_max))

    def _found(self, url: str, hosts: frozenset[str] | None, read: "Read[T]") -> T:
        """Follow all redirects and return the result of `read` for the last answer.

        Raises FetchFailed, also for a redirect that is not allowed, or for too many redirects.
        """
        deadline = FetchDeadline(self._limits.seconds)
        target = checked_url(url)
        for _ in range(REDIRECTS_MAX + 1):
            require_named(target, hosts)
            found = self._request(target, deadline, read)
            if not isinstance(found, Target):
                return found
            target = found
        raise FetchFailed("too_many_redirects", f"The page redirects more than {REDIRECTS_MAX} times.")

    def _request(self, target: Target, deadline: FetchDeadline, read: "Read[T]") -> T | Target:
        """Send one request, and return the result of `read`, or the target of a redirect. Raises FetchFailed."""
        backend = CheckedBackend(self._resolve, self._connect, deadline)
        url = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.authority.encode(),
            port=target.port,
            target=target.path.encode("ascii"),
        )
        headers = [(b"Host", target.authority.encode()), *HEADERS]
        with (
            _as_failures(),
            httpcore2.ConnectionPool(ssl_context=self._trust, network_backend=backend) as pool,
            pool.stream("GET", url, headers=headers) as response,
        ):
            return read(target, response)

    def _read(self, target: Target, response: httpcore2.Response) -> WebPage | Target:
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        if response.status in REDIRECTS:
            return _redirected(target, headers)
        if response.status != HTTPStatus.OK:
            raise FetchFailed("http_status", f"The host answered with status {response.status}.")
        kind = headers.get("content-type", "")
        name, encoding = media_type(kind), checked_encoding(headers.get("content-encoding", ""))
        limits = self._limits
        body, is_cut = read_bounded(
            response.iter_stream(), encoding, packed_max=limits.packed_bytes, unpacked_max=limits.unpacked_bytes
        )
        title, text = text_of(body, kind)
        return WebPage(url=target.url, title=title, text=text, content_type=name, is_truncated=is_cut)


def _file(target: Target, response: httpcore2.Response, bytes_max: int) -> bytes | Target:
    headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
    if response.status in REDIRECTS:
        return _redirected(target, headers)
    if response.status != HTTPStatus.OK:
        raise FetchFailed("http_status", f"The host answered with status {response.status}.")
    encoding = checked_encoding(headers.get("content-encoding", ""))
    body, is_cut = read_bounded(response.iter_stream(), encoding, packed_max=bytes_max, unpacked_max=bytes_max)
    if is_cut:
        raise FetchFailed("too_large", f"The file has more than {bytes_max} bytes.")
    return body


def _redirected(target: Target, headers: Mapping[str, str]) -> Target:
    location = headers.get("location", "")
    if not location:
        raise FetchFailed("broken", "The page redirects to nowhere.")
    try:
        joined = urljoin(target.url, location)
    except ValueError as error:
        raise FetchFailed("bad_url", "The page redirects to what is no URL.") from error
    return checked_url(joined)


@contextmanager
def _as_failures() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpcore2.TimeoutException) as error:
        raise FetchFailed("too_slow", "The page took too long.") from error
    except ssl.SSLError as error:
        raise FetchFailed("not_trusted", "The host's certificate is not trusted.") from error
    except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        log("fetch_failed", "WARNING", kind=type(error).__name__)
        raise FetchFailed("broken", "The host broke off or does not speak HTTP.") from error
