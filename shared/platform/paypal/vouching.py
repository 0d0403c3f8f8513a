"""PayPal's own check of a signature, for notices whose certificate does not lead to a root that we know.

https://developer.paypal.com/docs/api/webhooks/v1/#verify-webhook-signature_post
"""

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
    """Asks PayPal whether a notice is its own. Safe to share between threads."""

    def __init__(
        self, *, api_base: str, client_id: str, client_secret: str, webhook_id: str, clock: Clock, alerts: Alerts
    ) -> None:
        self._api = PayPalApi(api_base=api_base, client_id=client_id, client_secret=client_secret)
        self._webhook_id = webhook_id
        self._slots = Slots(clock, ASKED_PER_MINUTE)
        self._lockout = Lockout("paypal", alerts, clock)

    def vouches_for(self, raw: bytes, headers: Mapping[str, str]) -> bool:
        """Return True if PayPal says that it signed these bytes. `headers` by lower-case name.

        Raises ProviderUnavailable if PayPal is not reached or too many notices were asked about in this minute.
        """
        self._slots.take()
        try:
            with calling("verify_webhook_signature", self._lockout):
                answer = self._api.post_bytes(PATH, question(raw, headers, self._webhook_id))
        except (ProviderRefused, UnknownAtProvider):
            return False
        return answer.get("verification_status") == "SUCCESS"


def question(raw: bytes, headers: Mapping[str, str], webhook_id: str) -> bytes:
    """Return the request's body. The event stands in it as it came: a re-serialised event has another signature.

    `raw` must be one JSON object.
    """
    fields = {field: headers[header] for header, field in FIELD_OF_HEADER.items()}
    return json.dumps({**fields, "webhook_id": webhook_id}).encode()[:-1] + b', "webhook_event": ' + raw + b"}"
