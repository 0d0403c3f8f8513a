"""Check of Stripe's signatures: HMAC-SHA256 over the time and the raw body.

The SDK is not used, since its check accepts time stamps in the future.

https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from shared.kernel.clock import SECOND, Clock, Millis
from shared.payments.ports import Notice, WebhookNotConfigured, WebhookRefused
from shared.payments.raw_events import checked, event_in, lower_case
from shared.platform.stripe.events import NotAStripeEvent, notice_of

HEADER = "stripe-signature"
SCHEME = "v1"
TOLERANCE: Millis = 300 * SECOND
SIGNATURES_MAX = 16
STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class StripeWebhooks:
    """Verifier of Stripe's notices; see `Webhooks`.

    `secrets` are the endpoint's, comma-separated; several while a new secret replaces an old secret.
    """

    def __init__(self, secrets: str, clock: Clock) -> None:
        self._secrets = tuple(secret.strip().encode() for secret in secrets.split(",") if secret.strip())
        self._clock = clock

    def verify(self, raw: bytes, headers: Mapping[str, str]) -> Notice:
        """Return the notice in these raw bytes; see `Webhooks.verify`.

        Stripe signs each retry with a new time stamp, so a stamp is only as old as the delivery.
        """
        if not self._secrets:
            raise WebhookNotConfigured
        stamp, signatures = _parsed(lower_case(headers).get(HEADER, ""))
        if not self._is_signed(f"{stamp}.".encode() + raw, signatures):
            raise WebhookRefused("signature")
        if abs(self._clock.now() - int(stamp) * SECOND) > TOLERANCE:
            raise WebhookRefused("time")
        try:
            return checked(notice_of(event_in(raw)))
        except NotAStripeEvent:
            raise WebhookRefused("not_an_event") from None

    def _is_signed(self, message: bytes, signatures: Sequence[bytes]) -> bool:
        """Return True if a signature was made with one of our secrets.

        The comparison's time does not reveal how much of a signature matches.
        """
        made = [hmac.new(secret, message, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
        return any(hmac.compare_digest(ours, theirs) for ours in made for theirs in signatures)


def _parsed(header: str) -> tuple[str, list[bytes]]:
    """Return the single time stamp and the signatures in `t=…,v1=…,v1=…`. Raises WebhookRefused."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value.encode("utf-8", "replace") for name, _, value in pairs if name == SCHEME]
    if len(stamps) != 1 or not STAMP.fullmatch(stamps[0]) or not 1 <= len(signatures) <= SIGNATURES_MAX:
        raise WebhookRefused("header")
    return stamps[0], signatures
