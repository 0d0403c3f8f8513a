"""Settings of the sources of each network: `BASE_RPC_URLS=https://…,https://…`, `BITCOIN_API_URLS=…`.

The names are made of the networks' names. An address may hold a key, so the values are secrets unless they show that
they hold none.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.kernel.network_settings import BITCOIN, network_prefix
from shared.kernel.setting_values import address

CHAIN_SETTING = re.compile(r"[A-Z][A-Z0-9_]{0,63}_(RPC|API)_URLS", re.ASCII)
SOURCES_MAX = 4
"""Sources of one network. Two are compared; more would only make each look dearer."""
KEY_SHAPED = re.compile(r"[\w.~-]{16,}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSources:
    """Addresses of the sources of one network, which may hold keys."""

    network: str
    urls: tuple[str, ...] = field(repr=False)


def sources_setting(network: str) -> str:
    """Return the name of the setting with a network's sources: `BASE_RPC_URLS` for `base`."""
    kind = "API" if network.startswith(BITCOIN) else "RPC"
    return f"{network_prefix(network)}_{kind}_URLS"


def parse_chain_sources(
    env: Mapping[str, str], read: Callable[[str, str, Callable[[str], tuple[str, ...]]], tuple[str, ...]]
) -> tuple[ChainSources, ...]:
    """Return the sources of all networks in `env`. `read` parses the text of a setting, and notes a wrong one."""
    names = sorted(name for name, value in env.items() if value and CHAIN_SETTING.fullmatch(name))
    return tuple(ChainSources(network=_network_of(name), urls=read(name, " ", source_urls)) for name in names)


def source_urls(text: str) -> tuple[str, ...]:
    """Parse addresses, comma-separated. Raises ValueError, without an address in the message."""
    urls = tuple(address(part.strip()) for part in text.split(",") if part.strip())
    if not 1 <= len(urls) <= SOURCES_MAX or len(set(urls)) != len(urls):
        raise ValueError(f"must be one to {SOURCES_MAX} different http(s) URLs, comma-separated")
    return urls


def holds_key(text: str) -> bool:
    """Return True if an address in this text seems to hold a key: a name and password, a query, or a long segment."""
    return any(_seems_keyed(part.strip()) for part in text.split(","))


def _seems_keyed(url: str) -> bool:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    segments = parts.path.split("/")
    return "@" in parts.netloc or bool(parts.query) or any(KEY_SHAPED.fullmatch(each) for each in segments)


def _network_of(setting: str) -> str:
    return setting.rsplit("_", 2)[0].lower().replace("_", "-")
