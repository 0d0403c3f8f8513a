"""PayPal's signatures, verified offline: RSA over the transmission, our webhook's id and the raw body's CRC-32.

https://developer.paypal.com/api/rest/webhooks/rest/#link-selfverificationmethod
"""

import binascii
import zlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from shared.kernel.clock import DAY, HOUR, SECOND, Clock, Millis, parse_rfc3339
from shared.payments.ports import Notice, WebhookNotConfigured, WebhookRefused
from shared.payments.raw_events import checked, event_in, lower_case
from shared.platform.paypal.certificates import Certificates, Fetch, source_of
from shared.platform.paypal.events import NotAnEvent, notice_of
from shared.platform.paypal.fetching import fetch

ALGORITHM = "SHA256withRSA"
HEADERS = (
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-cert-url",
    "paypal-auth-algo",
    "paypal-transmission-sig",
)
HEADER_MAX = 2_048
STALE_AFTER: Millis = 3 * DAY + 1 * HOUR
"""PayPal tries for three days, and does not say whether it stamps each try anew. That a true event comes late or twice
does no harm (it is stored once, and only nudges), so nothing is won by turning late ones away."""
FUTURE_AFTER: Millis = 300 * SECOND


class PayPalWebhooks:
    """See `Webhooks`. The mode of a notice is that of the certificate it was signed with."""

    def __init__(
        self, *, webhook_id: str, api_base: str, roots: str, clock: Clock, fetch_certificate: Fetch = fetch
    ) -> None:
        self._webhook_id = webhook_id
        self._api_base = api_base
        self._clock = clock
        self._certificates = Certificates(fetch_certificate, roots, clock)

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Notice:
        """See `Webhooks.verify`."""
        if not self._webhook_id:
            raise WebhookNotConfigured
        transmission, sent, url, algorithm, signature = _parsed(lower_case(headers))
        if algorithm != ALGORITHM:
            raise WebhookRefused("algorithm")
        sent_at = self._checked_time(sent)
        source = source_of(url, self._api_base)
        key = self._certificates.key(source, sent_at)
        message = f"{transmission}|{sent}|{self._webhook_id}|{zlib.crc32(raw)}"
        _check(key, signature, message.encode())
        try:
            return checked(notice_of(event_in(raw), is_live=source.is_live))
        except NotAnEvent:
            raise WebhookRefused("not_an_event") from None

    def _checked_time(self, text: str) -> Millis:
        try:
            at = parse_rfc3339(text)
        except ValueError:
            raise WebhookRefused("time") from None
        if not -STALE_AFTER <= at - self._clock.now() <= FUTURE_AFTER:
            raise WebhookRefused("time")
        return at


def _parsed(headers: Mapping[str, str]) -> list[str]:
    """The headers that prove a transmission, in the order of HEADERS. Raises WebhookRefused."""
    values = [headers.get(name, "") for name in HEADERS]
    if not all(0 < len(value) <= HEADER_MAX and value.isascii() for value in values):
        raise WebhookRefused("header")
    return values


def _check(key: rsa.RSAPublicKey, signature: str, message: bytes) -> None:
    try:
        key.verify(binascii.a2b_base64(signature, strict_mode=True), message, padding.PKCS1v15(), SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        raise WebhookRefused("signature") from None
