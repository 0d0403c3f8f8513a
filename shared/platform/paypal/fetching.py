"""Download of one small file: no redirect, no proxy, no cookie, and a limit for size and time."""

from http.client import HTTPException

from shared.kernel.events import log
from shared.kernel.small_answers import small_answer
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
    try:
        answer = small_answer(url, {}, seconds=TIMEOUT_SECONDS, bytes_max=BYTES_MAX)
    except (OSError, HTTPException) as error:
        log("certificate_not_fetched", "WARNING", kind=type(error).__name__)
        raise ProviderUnavailable("paypal") from None
    status, body = answer.status, answer.body
    if status >= FAILURES_FROM or status == TOO_MANY:
        log("certificate_not_fetched", "WARNING", status=status)
        raise ProviderUnavailable("paypal")
    if status != OK or len(body) > BYTES_MAX:
        raise WebhookRefused("certificate")
    return body
