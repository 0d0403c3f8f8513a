"""PayPal's signatures, verified offline: RSA over the transmission, our webhook's id and the raw body's CRC-32.

https://developer.paypal.com/api/rest/webhooks/rest/#link-selfverificationmethod
"""

import binascii
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from shared.kernel.clock import DAY, HOUR, SECOND, Clock, Millis, parse_rfc3339, to_datetime
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, log
from shared.payments.lockout import Reminder
from shared.payments.ports import Notice, WebhookNotConfigured, WebhookRefused
from shared.payments.raw_events import checked, event_in, lower_case
from shared.platform.paypal.certificates import Certificates, Fetch, Source, leaf_key, source_of
from shared.platform.paypal.events import NotAPayPalEvent, notice_of
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
"""Age in ms from which a notice is refused.

PayPal retries for three days. PayPal does not document if each retry gets a new time stamp. Late or repeated events do
no harm: each is stored once and only triggers a read of the payment.
"""
FUTURE_AFTER: Millis = 300 * SECOND
REMIND_AFTER: Millis = HOUR


class Vouches(Protocol):
    """Online check of a notice's origin."""

    def vouches_for(self, raw: bytes, headers: Mapping[str, str]) -> bool:
        """Return True if PayPal confirms that PayPal signed these bytes; see `PayPalVouching.vouches_for`."""
        ...


class PayPalWebhooks:
    """Verifier of PayPal's notices; see `Webhooks`. A notice has the mode of the certificate that signed the notice.

    `vouching` makes the online check for notices whose certificate leads to no known root. None: there are no
    credentials for that check.
    """

    def __init__(
        self,
        *,
        webhook_id: str,
        api_base: str,
        roots: str,
        clock: Clock,
        documents: Documents,
        alerts: Alerts,
        vouching: Callable[[], Vouches] | None = None,
        fetch_certificate: Fetch = fetch,
    ) -> None:
        self._webhook_id = webhook_id
        self._api_base = api_base
        self._clock = clock
        self._certificates = Certificates(fetch_certificate, roots, clock, documents)
        self._vouching = vouching
        self._reminder = Reminder("webhook_certificate_refused", alerts, clock, REMIND_AFTER)

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Notice:
        """Return the notice in these raw bytes; see `Webhooks.verify`."""
        if not self._webhook_id:
            raise WebhookNotConfigured
        told = lower_case(headers)
        transmission, sent, url, algorithm, signature = _parsed(told)
        if algorithm != ALGORITHM:
            raise WebhookRefused("algorithm")
        sent_at = self._checked_time(sent)
        source = source_of(url, self._api_base)
        message = f"{transmission}|{sent}|{self._webhook_id}|{zlib.crc32(raw)}".encode()
        self._check_signer(
            source, sent_at, SignedTransmission(raw=raw, headers=told, message=message, signature=signature)
        )
        return _notice_in(raw, source)

    def _check_signer(self, source: Source, sent_at: Millis, signed: "SignedTransmission") -> None:
        """Check that PayPal's certificate from `source` signed the notice. Raises WebhookRefused."""
        chain = self._certificates.chain(source)
        times = [to_datetime(sent_at), to_datetime(self._clock.now())]
        try:
            _check(leaf_key(chain.leaf, source.signer, times), signed.signature, signed.message)
            if self._certificates.are_vouched_for(chain, source, times):
                self._certificates.remember(source, chain)
            else:
                self._ask_paypal(signed)
        except WebhookRefused as refusal:
            if refusal.params["reason"] == "certificate":
                self._reminder.tell(address=source.url)
            raise

    def _ask_paypal(self, signed: "SignedTransmission") -> None:
        """Check with PayPal that the notice is PayPal's. Raises WebhookRefused.

        The served certificate bears PayPal's name and has signed the notice. Only the issuer is unknown here.
        """
        event_in(signed.raw)
        if self._vouching is None or not self._vouching().vouches_for(signed.raw, signed.headers):
            raise WebhookRefused("certificate")
        log("webhook_vouched_for_by_paypal", "WARNING")

    def _checked_time(self, text: str) -> Millis:
        try:
            at = parse_rfc3339(text)
        except ValueError:
            raise WebhookRefused("time") from None
        if not -STALE_AFTER <= at - self._clock.now() <= FUTURE_AFTER:
            raise WebhookRefused("time")
        return at


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransmission:
    """Parts of a transmission: body and headers as received, the signed text, and the signature in base64."""

    raw: bytes
    headers: Mapping[str, str]
    message: bytes
    signature: str


def _notice_in(raw: bytes, source: Source) -> Notice:
    try:
        return checked(notice_of(event_in(raw), is_live=source.is_live))
    except NotAPayPalEvent:
        raise WebhookRefused("not_an_event") from None


def _parsed(headers: Mapping[str, str]) -> list[str]:
    """Return the headers that prove a transmission, in the order of HEADERS. Raises WebhookRefused."""
    values = [headers.get(name, "") for name in HEADERS]
    if not all(0 < len(value) <= HEADER_MAX and value.isascii() for value in values):
        raise WebhookRefused("header")
    return values


def _check(key: rsa.RSAPublicKey, signature: str, message: bytes) -> None:
    try:
        key.verify(binascii.a2b_base64(signature, strict_mode=True), message, padding.PKCS1v15(), SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        raise WebhookRefused("signature") from None
