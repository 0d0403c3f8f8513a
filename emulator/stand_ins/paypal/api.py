"""PayPal's HTTP API: tokens, orders, payments, disputes, webhook events, certificates; one handler for each route."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlencode

from emulator.stand_ins.idempotency import KeyInUse, KeyMismatch, Keys
from emulator.stand_ins.paypal import reporting
from emulator.stand_ins.paypal.certificates import PATH as CERTIFICATES
from emulator.stand_ins.paypal.certificates import SIGNER, Certificate, authority
from emulator.stand_ins.paypal.errors import PayPalError, debug_id, invalid, missing, refused_token, unprocessable
from emulator.stand_ins.paypal.money import Money
from emulator.stand_ins.paypal.webhooks import Webhooks
from emulator.stand_ins.stand_in import Pause, token
from emulator.stand_ins.wire import Answer, Json, Request, json_answer

TOKEN_SECONDS = 32_400
DECLINED = "INSTRUMENT_DECLINED"
DISPUTE_LISTED_SECONDS = 180 * 86_400
EVENT_SECONDS = 30 * 86_400
PAGE_SIZE = 10
PAGE_SIZE_MAX = 300
DISPUTE_SUMMARY = (
    "dispute_id",
    "create_time",
    "update_time",
    "reason",
    "status",
    "dispute_amount",
    "dispute_life_cycle_stage",
    "dispute_channel",
    "links",
)
EVENTS = "/v1/notifications/webhooks-events"
WEBHOOKS = "/v1/notifications/webhooks"
LINKS_HOST = "https://api.sandbox.paypal.com"
SIGNATURE_FIELDS = (
    "auth_algo",
    "cert_url",
    "transmission_id",
    "transmission_sig",
    "transmission_time",
    "webhook_id",
    "webhook_event",
)
EVENT_IN_BODY = re.compile(rb"(?s)^.*?\"webhook_event\"\s*:\s*")
"""Part of a question about a signature that stands before the event."""
SCOPE = " ".join(
    f"https://uri.paypal.com/services/{name}"
    for name in ("payments/payment", "disputes/read-seller", "reporting/search/read")
)

Handler = Callable[..., Answer]


class Api:
    """Answers calls with a token that was given out for the client's id and secret."""

    def __init__(
        self,
        *,
        money: Money,
        keys: Keys,
        client_id: str,
        client_secret: str,
        webhook_id: str,
        now: Callable[[], float],
        announce_again: Callable[[str], None],
    ) -> None:
        self._money = money
        self.webhooks = Webhooks()
        self.reporting = reporting.Reporting(money, now)
        self._keys = keys
        self._client = f"{client_id}:{client_secret}"
        self._webhook_id = webhook_id
        self._now = now
        self._announce_again = announce_again
        self._tokens: dict[str, float] = {}
        self.certificates: dict[str, Certificate] = {}
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            (method, re.compile(re.escape(path).replace(r"\*", "([^/]+)")), handler)
            for method, path, handler in (
                ("POST", "/v2/checkout/orders", self._create_order),
                ("GET", "/v2/checkout/orders/*", self._get_order),
                ("POST", "/v2/checkout/orders/*/capture", self._capture_order),
                ("GET", "/v2/payments/captures/*", self._get_capture),
                ("POST", "/v2/payments/captures/*/refund", self._refund_capture),
                ("GET", "/v2/payments/refunds/*", self._get_refund),
                ("GET", "/v1/customer/disputes", self._list_disputes),
                ("GET", "/v1/customer/disputes/*", self._get_dispute),
                ("GET", EVENTS, self._list_events),
                ("GET", f"{EVENTS}/", self._list_events),
                ("GET", "/v1/notifications/webhooks-events/*", self._get_event),
                ("POST", "/v1/notifications/webhooks-events/*/resend", self._resend),
                ("POST", "/v1/notifications/verify-webhook-signature", self._verify_signature),
                ("GET", reporting.PATH, lambda request: _told(self.reporting.search(request.asked()))),
                ("GET", WEBHOOKS, lambda _: _told({"webhooks": self.webhooks.list()})),
                ("POST", WEBHOOKS, lambda request: _told(self.webhooks.create(_body(request)), status=201)),
                ("GET", f"{WEBHOOKS}/*", lambda webhook, _: _told(self.webhooks.get(webhook))),
                ("PATCH", f"{WEBHOOKS}/*", self._patch_webhook),
                ("DELETE", f"{WEBHOOKS}/*", self._delete_webhook),
            )
        ]

    # ── a call ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request, pause: Pause, lock: Any) -> Answer:
        if request.path.startswith(CERTIFICATES):
            return self._certificate(request.path.removeprefix(CERTIFICATES))
        if request.path == "/v1/oauth2/token":
            pause()
            return self._give_token(request)
        if not self._is_authorised(request):
            return refused_token("invalid_token", "Token signature verification failed")

        def run() -> Answer:
            pause()
            try:
                with lock:
                    return self._act(request)
            except PayPalError as error:
                if error.issue != DECLINED:
                    raise
                return error.answer()  # PayPal repeats this answer under the request's id

        try:
            key = request.headers.get("paypal-request-id", "")
            return self._once(request, key, run) if key and request.method == "POST" else run()
        except PayPalError as error:
            return error.answer()

    def _once(self, request: Request, key: str, run: Callable[[], Answer]) -> Answer:
        """Run the request once for each request id and path. A replay answers 200 where the first answer was 201."""
        try:
            answer, is_replay = self._keys.once(f"{request.path} {key}", hashlib.sha256(request.body).hexdigest(), run)
        except KeyMismatch:
            raise unprocessable("DUPLICATE_REQUEST_ID") from None
        except KeyInUse:
            raise PayPalError("RESOURCE_CONFLICT", "PREVIOUS_REQUEST_IN_PROGRESS") from None
        if not is_replay or answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return answer
        return Answer(status=200, body=answer.body, headers={"Paypal-Debug-Id": debug_id()}, is_replay=True)

    def _act(self, request: Request) -> Answer:
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                return handler(*match.groups(), request)
        raise PayPalError("RESOURCE_NOT_FOUND")

    def _certificate(self, certificate_id: str) -> Answer:
        found = self.certificates.get(certificate_id)
        if found is None:
            return missing().answer()
        return Answer(body=found.chain.encode(), kind="application/x-pem-file")

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _give_token(self, request: Request) -> Answer:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            client = base64.b64decode(given, validate=True) if scheme == "Basic" else b""
        except binascii.Error:
            client = b""
        if not hmac.compare_digest(client, self._client.encode()):
            return refused_token("invalid_client", "Client Authentication failed")
        if parse_qs(request.body.decode(errors="replace")).get("grant_type") != ["client_credentials"]:
            body = {"error": "unsupported_grant_type", "error_description": "Grant Type is NULL"}
            return json_answer(body, status=400, headers={"Paypal-Debug-Id": debug_id()})
        made = f"A21AA{token(90)}"
        self._tokens[made] = self._now() + TOKEN_SECONDS
        told: Json = {
            "scope": SCOPE,
            "access_token": made,
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "expires_in": TOKEN_SECONDS,
            "nonce": f"{self._now():.0f}{token(20)}",
        }
        return json_answer(told, headers={"Paypal-Debug-Id": debug_id()})

    def _is_authorised(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self._tokens.get(given, 0.0) > self._now()

    def expire_tokens(self) -> None:
        self._tokens.clear()

    # ── orders and payments ──────────────────────────────────────────────────────────────────────────────────────────

    def _create_order(self, request: Request) -> Answer:
        order = self._money.create_order(_body(request))
        status = 200 if order["status"] == "PAYER_ACTION_REQUIRED" else 201
        return _told(order if _is_whole(request) else _brief(order), status=status)

    def _get_order(self, order_id: str, request: Request) -> Answer:
        return _told(self._money.get_order(order_id))

    def _capture_order(self, order_id: str, request: Request) -> Answer:
        _body(request)
        order = self._money.capture(self._money.get_order(order_id))
        return _told(order if _is_whole(request) else _captured(order), status=201)

    def _get_capture(self, capture_id: str, request: Request) -> Answer:
        return _told(_known(self._money.captures, capture_id))

    def _refund_capture(self, capture_id: str, request: Request) -> Answer:
        refund = self._money.create_refund(_known(self._money.captures, capture_id), _body(request))
        return _told(refund if _is_whole(request) else _brief(refund), status=201)

    def _get_refund(self, refund_id: str, request: Request) -> Answer:
        return _told(_known(self._money.refunds, refund_id))

    # ── disputes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _list_disputes(self, request: Request) -> Answer:
        asked = request.asked()
        found = [
            each
            for each in reversed(self._money.disputes.values())
            if asked.get("disputed_transaction_id", "") in json.dumps(each["disputed_transactions"])
            and datetime.fromisoformat(each["create_time"]).timestamp() >= self._now() - DISPUTE_LISTED_SECONDS
            and each["update_time"] >= asked.get("update_time_after", asked.get("start_time", ""))
        ]
        size = _page_size(asked, PAGE_SIZE)
        start = int(asked.get("next_page_token", "0") or "0")
        items = [{name: each[name] for name in DISPUTE_SUMMARY} for each in found[start : start + size]]
        links = [{"href": f"{LINKS_HOST}{request.path}", "rel": "self", "method": "GET"}]
        if start + size < len(found):
            query = urlencode({**asked, "page_size": size, "next_page_token": start + size})
            links.append({"href": f"{LINKS_HOST}{request.path}?{query}", "rel": "next", "method": "GET"})
        return _told({"items": items, "links": links} if items else {"links": links})

    def _get_dispute(self, dispute_id: str, request: Request) -> Answer:
        return _told(_known(self._money.disputes, dispute_id))

    # ── webhook events ───────────────────────────────────────────────────────────────────────────────────────────────

    def _verify_signature(self, request: Request) -> Answer:
        """Check a signature over the bytes of the event as they stand in the body."""
        asked = _body(request)
        for name in SIGNATURE_FIELDS:
            if name not in asked:
                raise invalid("MISSING_REQUIRED_PARAMETER", name)
        raw = EVENT_IN_BODY.sub(b"", request.body).rstrip()[:-1]
        return _told({"verification_status": "SUCCESS" if self._is_own(asked, raw) else "FAILURE"})

    def _is_own(self, asked: Json, raw: bytes) -> bool:
        certificate = self.certificates.get(str(asked["cert_url"]).rpartition("/")[2])
        if certificate is None or not authority().has_issued(certificate.chain, SIGNER):
            return False
        message = f"{asked['transmission_id']}|{asked['transmission_time']}|{self._webhook_id}|{zlib.crc32(raw)}"
        signature = base64.b64encode(certificate.sign(message.encode())).decode()
        return bool(asked["webhook_id"] == self._webhook_id and asked["transmission_sig"] == signature)

    def _list_events(self, request: Request) -> Answer:
        """Return the events of the last thirty days, newest first.

        As with PayPal, the link `next` has a slash before its query, and names PayPal's own host, also if the call came
        in by another name.
        """
        asked = request.asked()
        since = max(_seconds(asked, "start_time", 0.0), self._now() - EVENT_SECONDS)
        until = _seconds(asked, "end_time", self._now() + 1)
        found = [
            event
            for event in reversed(self._money.events.values())
            if since <= datetime.fromisoformat(event["create_time"]).timestamp() <= until
            and asked.get("event_type") in {None, event["event_type"]}
            and asked.get("transaction_id") in {None, event["resource"].get("id")}
        ]
        size = _page_size(asked, PAGE_SIZE)
        ids = [event["id"] for event in found]
        start = ids.index(asked["index_id"]) + 1 if asked.get("index_id") in ids else 0
        page = found[start : start + size]
        links = [{"href": f"{LINKS_HOST}{EVENTS}/?{request.query}", "rel": "self", "method": "GET"}]
        if start + size < len(found):
            last = page[-1]
            moved = {"move_to": "next", "index_time": last["create_time"], "index_id": last["id"]}
            query = urlencode({**asked, "page_size": size, **moved})
            links.append({"href": f"{LINKS_HOST}{EVENTS}/?{query}", "rel": "next", "method": "GET"})
        return _told({"events": page, "count": len(page), "links": links})

    def _get_event(self, event_id: str, request: Request) -> Answer:
        return _told(_known(self._money.events, event_id))

    def _patch_webhook(self, webhook_id: str, request: Request) -> Answer:
        try:
            orders = json.loads(request.body)
        except ValueError:
            raise PayPalError("INVALID_REQUEST", "MALFORMED_REQUEST_JSON") from None
        return _told(self.webhooks.patch(webhook_id, orders))

    def _delete_webhook(self, webhook_id: str, request: Request) -> Answer:
        self.webhooks.delete(webhook_id)
        return Answer(status=204, headers={"Paypal-Debug-Id": debug_id()})

    def _resend(self, event_id: str, request: Request) -> Answer:
        event = _known(self._money.events, event_id)
        self._announce_again(event_id)
        return _told(event, status=202)


def _told(thing: Json, *, status: int = 200) -> Answer:
    return json_answer(thing, status=status, headers={"Paypal-Debug-Id": debug_id()})


def _known(things: dict[str, Json], thing_id: str) -> Json:
    if thing_id not in things:
        raise missing()
    return things[thing_id]


def _body(request: Request) -> Json:
    """Return the body as a JSON object; an empty object without a body. Raises PayPalError."""
    if not request.headers.get("content-type", "application/json").startswith("application/json"):
        raise PayPalError("UNSUPPORTED_MEDIA_TYPE")
    try:
        given = json.loads(request.body or b"{}")
    except ValueError:
        raise PayPalError("INVALID_REQUEST", "MALFORMED_REQUEST_JSON") from None
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise PayPalError("INVALID_REQUEST", "MALFORMED_REQUEST_JSON")
    return given


def _is_whole(request: Request) -> bool:
    return request.headers.get("prefer", "") == "return=representation"


def _brief(thing: Json) -> Json:
    """Return PayPal's short answer, for a caller that does not prefer the whole object."""
    return {name: thing[name] for name in ("id", "status", "payment_source", "links") if name in thing}


def _captured(order: Json) -> Json:
    names = ("id", "status", "payment_source", "payer", "links")
    units = [{"reference_id": unit["reference_id"], "payments": unit["payments"]} for unit in order["purchase_units"]]
    return {**{name: order[name] for name in names if name in order}, "purchase_units": units}


def _page_size(asked: dict[str, str], default: int) -> int:
    text = asked.get("page_size", str(default))
    if not text.isdigit() or not 1 <= int(text) <= PAGE_SIZE_MAX:
        raise invalid("INVALID_PARAMETER_VALUE", "page_size")
    return int(text)


def _seconds(asked: dict[str, str], name: str, default: float) -> float:
    if name not in asked:
        return default
    try:
        return datetime.fromisoformat(asked[name]).timestamp()
    except ValueError:
        raise invalid("INVALID_PARAMETER_SYNTAX", name) from None
