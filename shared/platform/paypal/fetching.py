"""Download of one small file: no redirect, no proxy, no cookie, and a limit for size and time."""

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from shared.kernel.events import log
from shared.payments.ports import ProviderUnavailable, WebhookRefused

TIMEOUT_SECONDS = 5.0
BYTES_MAX = 64 * 1024
OK = 200
FAILURES_FROM = 500
TOO_MANY = 429


def fetch(url: str) -> bytes:
    """Return the bytes of the certificate at `url`; see `certificates.Fetch`.

    The caller must have checked the address.
    """
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.netloc)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        status, body = answer.status, answer.read(BYTES_MAX + 1)
    except (OSError, HTTPException) as error:
        log("certificate_not_fetched", "WARNING", kind=type(error).__name__)
        raise ProviderUnavailable("paypal") from None
    finally:
        connection.close()
    if status >= FAILURES_FROM or status == TOO_MANY:
        log("certificate_not_fetched", "WARNING", status=status)
        raise ProviderUnavailable("paypal")
    if status != OK or len(body) > BYTES_MAX:
        raise WebhookRefused("certificate")
    return body


def _connection(scheme: str, host: str) -> HTTPConnection:
    if scheme == "http":  # a stand-in on this machine
        return HTTPConnection(host, timeout=TIMEOUT_SECONDS)
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    return HTTPSConnection(host, timeout=TIMEOUT_SECONDS, context=context)
