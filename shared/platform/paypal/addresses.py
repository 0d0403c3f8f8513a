"""Where PayPal is, for real money and for none."""

from urllib.parse import urlsplit

LIVE_HOSTS = frozenset({"api-m.paypal.com", "api.paypal.com"})
SANDBOX_HOSTS = frozenset({"api-m.sandbox.paypal.com", "api.sandbox.paypal.com"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def is_live_address(api_base: str) -> bool:
    """Whether money is real there; the sandbox and a laptop's stand-in are not."""
    return urlsplit(api_base).hostname in LIVE_HOSTS


def is_loopback(api_base: str) -> bool:
    """Whether this is a stand-in on this machine."""
    return urlsplit(api_base).hostname in LOOPBACK_HOSTS
