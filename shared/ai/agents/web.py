"""Public web for an agent: the check of addresses, and the shape of a page.

A model chooses the URL, and a page that the model read may have suggested the URL: both are hostile. So a URL is parsed
here once, strictly. The adapter that fetches must connect to an address that passed `is_public`, never to a name.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, Protocol, cast
from urllib.parse import quote, urlsplit

URL_CHARACTERS_MAX = 2_048
HOST_CHARACTERS_MAX = 253
PORTS = {"http": 80, "https": 443}

Scheme = Literal["http", "https"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
DOTTED_QUAD = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}", re.ASCII)
SAFE_IN_URL = "/:?#[]@!$&'()*+,;=%-._~"

LOCAL_DOMAINS = frozenset({"arpa", "corp", "home", "internal", "lan", "local", "localdomain", "localhost"})
"""Domains with a meaning only inside a network, such as the domain of a cloud's metadata server."""

PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""Range that is allocated for the public IPv6 internet (RFC 4291)."""
NOT_PUBLIC_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, where clouds put their metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
NOT_PUBLIC_V6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # Teredo, ORCHID, benchmarks: for protocols, not for hosts
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries any IPv4 address
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
"""Special-purpose ranges of IANA's registries, within PUBLIC_V6.

Mapped, compatible and translated IPv4 addresses (`::ffff:…`, `::…`, `64:ff9b::…`) are outside of PUBLIC_V6 anyway.
"""


class FetchFailed(Exception):
    """A page could not be read. `code` gives a model the reason to continue with, and holds nothing of the answer."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Parsed URL that may be fetched. `host` is lower-case ASCII, or an address in the usual form."""

    scheme: Scheme
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return the URL to fetch. The port is the default port of the scheme."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Return the host in the form that a URL needs, with brackets around an IPv6 address."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """Text of a page. `url` is the final address, after redirects."""

    url: str
    title: str
    text: str
    content_type: str
    is_truncated: bool


class Web(Protocol):
    """Reader of pages of the public web."""

    def fetch(self, url: str, hosts: frozenset[str] | None = None) -> WebPage:
        """Fetch the page at `url`, in bounded time and size, and return the page. Raises FetchFailed.

        Only these `hosts` are contacted, redirects included. None allows every public host.
        """
        ...


class PublicFiles(Protocol):
    """Reader of files of the public web, which returns their bytes unchanged."""

    def fetch_file(self, url: str, bytes_max: int) -> bytes:
        """Return the bytes at `url`, in bounded time. Raises FetchFailed, also for a file of more than `bytes_max`."""
        ...


def checked_url(url: str) -> Target:
    """Parse the target that `url` names. Raises FetchFailed if `url` is not plainly a public page's address."""
    if len(url) > URL_CHARACTERS_MAX or UNPRINTABLE.search(url):
        raise _bad_url("It is too long, or holds spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _bad_url("It cannot be read as a URL.") from error
    if parts.scheme not in PORTS:
        raise FetchFailed("scheme_not_allowed", "Only http and https can be fetched.")
    if "@" in parts.netloc:
        raise _bad_url("It must not hold a user or password.")
    if port is not None and port != PORTS[parts.scheme]:
        raise FetchFailed("port_not_allowed", "Only the ports 80 (http) and 443 (https) can be fetched.")
    host = _host(parts.hostname or "")
    path = quote(parts.path or "/", safe=SAFE_IN_URL) + (
        f"?{quote(parts.query, safe=SAFE_IN_URL)}" if parts.query else ""
    )
    return Target(scheme=cast("Scheme", parts.scheme), host=host, port=PORTS[parts.scheme], path=path)


def require_named(target: Target, hosts: frozenset[str] | None) -> None:
    """Raise FetchFailed if `hosts` lacks the target's host, in the form of `Target.host`; None allows all."""
    if hosts is not None and target.host not in hosts:
        named = ", ".join(sorted(hosts)) or "none"
        raise FetchFailed(
            "host_not_named",
            "This task has read a document of its user. From then on only hosts that the user named in the goal can be "
            f"fetched: {named}. Tell the user which page you need.",
        )


def is_public(text: str) -> bool:
    """Return True if `text` is an address of a host on the public internet. False for text that is not an address."""
    if "%" in text:
        return False
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in NOT_PUBLIC_V4)
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def _host(name: str) -> str:
    """Return the host in the usual form. Raises FetchFailed.

    Numbers in any other notation are refused, since resolvers disagree about them.
    """
    if ":" in name:
        return _public_address(name)
    try:
        ascii_name = name.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:
        raise _bad_url("Its host is not a name.") from error
    labels = ascii_name.split(".")
    if NUMERIC_LABEL.fullmatch(labels[-1]):
        if not DOTTED_QUAD.fullmatch(ascii_name):
            raise FetchFailed("host_not_public", "Its host is an address in an unusual notation.")
        return _public_address(ascii_name)
    if len(labels) == 1 or labels[-1] in LOCAL_DOMAINS:
        raise FetchFailed("host_not_public", "Its host is not on the public internet.")
    if len(ascii_name) > HOST_CHARACTERS_MAX or not all(map(LABEL.fullmatch, labels)):
        raise _bad_url("Its host is not a public name.")
    return ascii_name


def _public_address(text: str) -> str:
    if not is_public(text):
        raise FetchFailed("host_not_public", "Its host is not on the public internet.")
    return str(ipaddress.ip_address(text))


def _bad_url(detail: str) -> FetchFailed:
    return FetchFailed("bad_url", detail)
