"""Address of a request's client, as the last trusted machine has seen the client.

Each proxy appends the address of its own client to `X-Forwarded-For`. Entries to the left of the trusted machines were
written by the client and may be false.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from flask import Request

FROM_THE_RIGHT = {"function": 1, "load_balancer": 2, "hosting": 2, "proxy": 2}
"""Place of the client's entry, counted from the right. Google's front end appends the last entry."""
IPV6_NETWORK_BITS = 64
"""Bits of a customer's network. One customer has at least this network's addresses."""
UNKNOWN = "unknown"
ADDRESSES_REMEMBERED = 4_096


def client_address(request: Request, source: str) -> str:
    """Return the client's address for the setting `CLIENT_ADDRESS_FROM`; for IPv6, the network.

    If an entry is missing or is no address, the next entry on the right counts, which a trusted machine wrote.
    """
    peer = request.remote_addr or UNKNOWN
    if source == "direct":
        return _network(peer) or UNKNOWN
    entries = request.headers.get("X-Forwarded-For", "").split(",")
    for entry in entries[-FROM_THE_RIGHT[source] :]:
        if (found := _network(entry.strip())) is not None:
            return found
    return _network(peer) or UNKNOWN


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def _network(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> IPV6_NETWORK_BITS << IPV6_NETWORK_BITS))
