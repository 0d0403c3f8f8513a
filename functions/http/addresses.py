"""Where a request comes from: the address that the last machine we trust has seen, never one that a client chose.

Each proxy appends the address of its own client to `X-Forwarded-For`. What stands further left than the machines that
are known to be there was written by the client, and may be anything.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from flask import Request

FROM_THE_RIGHT = {"function": 1, "load_balancer": 2, "hosting": 2, "proxy": 2}
"""Which entry is the client's: Google's front end appends the last, behind whatever stands in between."""
IPV6_NETWORK_BITS = 64
"""One customer of a network has at least so many of its addresses."""
UNKNOWN = "unknown"
ADDRESSES_REMEMBERED = 4_096


def client_address(request: Request, source: str) -> str:
    """Return the client's address as `CLIENT_ADDRESS_FROM` says; of IPv6, the network.

    An entry that is not there, or is no address, gives way to the next on its right, which a trusted machine wrote.
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
