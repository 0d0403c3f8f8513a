"""PayPal's host names, for live money, for the sandbox and for a stand-in on this machine."""

from urllib.parse import urlsplit

LIVE_HOSTS = frozenset({"api-m.paypal.com", "api.paypal.com"})
SANDBOX_HOSTS = frozenset({"api-m.sandbox.paypal.com", "api.sandbox.paypal.com"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def is_live_address(api_base: str) -> bool:
    """Return True if `api_base` is PayPal's live host, where money is real. The sandbox and a stand-in are not live."""
    return urlsplit(api_base).hostname in LIVE_HOSTS


def is_loopback(api_base: str) -> bool:
    """Return True if `api_base` is a stand-in on this machine."""
    return urlsplit(api_base).hostname in LOOPBACK_HOSTS
