"""PayPal's online check of a signature, for notices whose certificate leads to no known root."""

import json
from collections.abc import Mapping

from shared.kernel.clock import Clock
from shared.kernel.events import Alerts
from shared.payments.lockout import Lockout
from shared.payments.ports import ProviderRefused, UnknownAtProvider
from shared.platform.paypal.api import PayPalApi, calling
from shared.platform.paypal.slots import Slots

PATH = "/v1/notifications/verify-webhook-signature"
ASKED_PER_MINUTE = 30
FIELD_OF_HEADER: Mapping[str, str] = {
    "paypal-auth-algo": "auth_algo",
    "paypal-cert-url": "cert_url",
    "paypal-transmission-id": "transmission_id",
    "paypal-transmission-sig": "transmission_sig",
    "paypal-transmission-time": "transmission_time",
}


class PayPalVouching:
    """Client of PayPal's signature check. Safe to share between threads."""

    def __init__(
        self, *, api_base: str, client_id: str, client_secret: str, webhook_id: str, clock: Clock, alerts: Alerts
    ) -> None:
        self._api = PayPalApi(api_base=api_base, client_id=client_id, client_secret=client_secret)
        self._webhook_id = webhook_id
        self._slots = Slots(clock, ASKED_PER_MINUTE)
        self._lockout = Lockout("paypal", alerts, clock)

    def vouches_for(self, raw: bytes, headers: Mapping[str, str]) -> bool:
        """Return True if PayPal confirms that PayPal signed these bytes. `headers` have lower-case names.

        Raises ProviderUnavailable if PayPal is not reached, or if this minute's limit of checks is used up.
        """
        self._slots.take()
        try:
            with calling("verify_webhook_signature", self._lockout):
                answer = self._api.post_bytes(PATH, question(raw, headers, self._webhook_id))
        except (ProviderRefused, UnknownAtProvider):
            return False
        return answer.get("verification_status") == "SUCCESS"


def question(raw: bytes, headers: Mapping[str, str], webhook_id: str) -> bytes:
    """Return the body of the check's request. `raw` must be one JSON object.

    The event is inserted byte for byte, since a re-serialised event has another signature.
    """
    fields = {field: headers[header] for header, field in FIELD_OF_HEADER.items()}
    return json.dumps({**fields, "webhook_id": webhook_id}).encode()[:-1] + b', "webhook_event": ' + raw + b"}"
