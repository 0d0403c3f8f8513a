"""Webhooks of a stand-in PayPal's app: where PayPal sends events, and which."""

from emulator.stand_ins.paypal import objects
from emulator.stand_ins.paypal.errors import invalid, missing
from emulator.stand_ins.stand_in import token
from emulator.stand_ins.wire import Json, copied

WEBHOOKS_MAX = 10
URL_CHARACTERS_MAX = 2_048
ID_LENGTH = 17
ID_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
EVERYTHING = "*"
KNOWN = frozenset({*objects.SUMMARIES, "PAYMENT.CAPTURE.DECLINED", "PAYMENT.SALE.COMPLETED", EVERYTHING})
"""Names of events that PayPal knows, those that it never sends here among them."""


class Webhooks:
    """Webhooks of one app. Registering a webhook here does not send events there: `target` does."""

    def __init__(self) -> None:
        self._webhooks: dict[str, Json] = {}

    def list(self) -> list[Json]:
        return [copied(each) for each in self._webhooks.values()]

    def create(self, given: Json) -> Json:
        url = str(given.get("url", ""))
        if not url:
            raise invalid("MISSING_REQUIRED_PARAMETER", "url")
        _check_url(url)
        if any(each["url"] == url for each in self._webhooks.values()):
            raise invalid("WEBHOOK_URL_ALREADY_EXISTS", "url")
        if len(self._webhooks) >= WEBHOOKS_MAX:
            raise invalid("WEBHOOK_NUMBER_LIMIT_EXCEEDED", "url")
        webhook: Json = {
            "id": token(ID_LENGTH, ID_ALPHABET),
            "url": url,
            "event_types": _event_types(given.get("event_types")),
            "links": [],
        }
        self._webhooks[webhook["id"]] = webhook
        return copied(webhook)

    def get(self, webhook_id: str) -> Json:
        return copied(self._known(webhook_id))

    def patch(self, webhook_id: str, orders: object) -> Json:
        """Replace the address or the events, as a JSON patch orders."""
        webhook = self._known(webhook_id)
        if not isinstance(orders, list) or not orders:
            raise invalid("MALFORMED_REQUEST_JSON", "")
        for order in orders:
            if order.get("op") != "replace" or order.get("path") not in {"/url", "/event_types"}:
                raise invalid("INVALID_PARAMETER_VALUE", "path")
            if order["path"] == "/url":
                _check_url(str(order["value"]))
                webhook["url"] = order["value"]
            else:
                webhook["event_types"] = _event_types(order["value"])
        return copied(webhook)

    def delete(self, webhook_id: str) -> None:
        self._known(webhook_id)
        del self._webhooks[webhook_id]

    def _known(self, webhook_id: str) -> Json:
        if webhook_id not in self._webhooks:
            raise missing()
        return self._webhooks[webhook_id]


def _check_url(url: str) -> None:
    if not url.startswith("https://") or len(url) > URL_CHARACTERS_MAX:
        raise invalid("INVALID_PARAMETER_SYNTAX", "url")


def _event_types(given: object) -> list[Json]:
    names = [each.get("name") for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    if not names:
        raise invalid("MISSING_REQUIRED_PARAMETER", "event_types")
    if any(name not in KNOWN for name in names):
        raise invalid("INVALID_PARAMETER_VALUE", "event_types")
    return [{"name": name, "description": objects.SUMMARIES.get(str(name), ""), "status": "ENABLED"} for name in names]
