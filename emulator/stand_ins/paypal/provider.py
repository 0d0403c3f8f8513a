"""Stand-in PayPal: its server, and all that a test can make happen behind the merchant's back."""

import base64
import time
import uuid
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from emulator.stand_ins.idempotency import Keys
from emulator.stand_ins.paypal import certificates, objects, pages, reporting
from emulator.stand_ins.paypal.api import Api
from emulator.stand_ins.paypal.certificates import Certificate
from emulator.stand_ins.paypal.errors import PayPalError, refused_token
from emulator.stand_ins.paypal.money import REFUND_STARTS, Money
from emulator.stand_ins.paypal.webhooks import Webhooks
from emulator.stand_ins.stand_in import Misuse, Pause, StandIn
from emulator.stand_ins.wire import Answer, Json, Request, copied

KEY_LIFETIME_SECONDS = 6 * 3600
CLIENT_ID = "stand-in-client"
CLIENT_SECRET = "stand-in-secret"
WEBHOOK_ID = "8PT597110X687430LKGECATA"
CERTIFICATE_HOST = "https://api.sandbox.paypal.com"
REFUSALS = {
    404: "RESOURCE_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    422: "UNPROCESSABLE_ENTITY",
    429: "RATE_LIMIT_REACHED",
    503: "SERVICE_UNAVAILABLE",
}


class PayPalStandIn(StandIn):
    """Orders, captures, refunds and disputes in memory. Every control refuses impossible orders with Misuse.

    `later_seconds` is the time until a payment that the hosted page put under review is decided by itself; None waits
    for `settle_capture`.
    """

    name = "paypal"
    pay_button = "completed"
    key_header = "paypal-request-id"
    controls = StandIn.controls | {
        "alter", "approve", "capture_count", "captures_for", "close_dispute", "dispute", "events", "expire_order",
        "expire_tokens", "fail_refund", "get", "issue_certificate", "permit_search", "refund", "refunds_start",
        "review_dispute", "settle_capture", "settle_refund",
    }  # fmt: skip

    def __init__(
        self,
        *,
        port: int = 0,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        webhook_id: str = WEBHOOK_ID,
        later_seconds: float | None = None,
    ) -> None:
        super().__init__(port=port, later_seconds=later_seconds)
        self.client_id = client_id
        self.client_secret = client_secret
        self.webhook_id = webhook_id
        self._keys = Keys(lifetime_seconds=KEY_LIFETIME_SECONDS, now=self.now)
        self._money = Money(now=self.now, url=self.url, announce=self.announce)
        self._api = Api(
            money=self._money,
            keys=self._keys,
            client_id=client_id,
            client_secret=client_secret,
            webhook_id=webhook_id,
            now=self.now,
            announce_again=lambda event: self.announce_again(event=event),
        )
        self._certificate = self.serve(certificates.authority().issue())

    @classmethod
    def webhook_of(cls, settings: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the given id of the webhook; see `StandIn.webhook_of`."""
        return {"webhook_id": given} if (given := settings.get("PAYPAL_WEBHOOK_ID", "")) else {}

    @property
    def authorities_pem(self) -> str:
        """Return the root that a verifier has to trust, and the intermediate that is not served with a leaf."""
        return certificates.authority().authorities_pem

    def settings_for(self, home: Path) -> Mapping[str, str]:
        """Return the settings with which a backend uses this stand-in; see `StandIn.settings_for`."""
        roots = home / "paypal-roots.pem"
        roots.write_text(self.authorities_pem)
        return {
            "PAYPAL_API_BASE": self.url,
            "PAYPAL_CLIENT_ID": self.client_id,
            "PAYPAL_CLIENT_SECRET": self.client_secret,
            "PAYPAL_WEBHOOK_ID": self.webhook_id,
            "PAYPAL_WEBHOOK_ROOTS": str(roots),
        }

    # ── payers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def approve(self, *, order: str, ending: str = "completed", email: str = "zoe@example.com") -> Json:
        """Approve an order on the hosted page, without a browser, and return the order.

        ending: the result of a capture: `completed`, `pending`, `denied` (a failed capture) or `declined`
        (INSTRUMENT_DECLINED, until the payer approves again).
        """
        with self.lock:
            return copied(self._money.approve(self._order(order), ending, email))

    def settle_capture(self, *, capture: str, is_paid: bool = True) -> Json:
        """Complete a pending capture, or deny the capture if `is_paid` is False, and return the capture."""
        with self.lock:
            return copied(self._money.settle_capture(self._capture(capture), is_paid=is_paid))

    def expire_order(self, *, order: str) -> None:
        """Let an order expire that nobody captured in time. Then PayPal does not know the order."""
        with self.lock:
            self._money.expire_order(self._order(order))

    # ── the merchant's dashboard, and the resolution centre ──────────────────────────────────────────────────────────

    def refund(self, *, of: str, value: str | None = None) -> Json:
        """Refund an amount in the dashboard, or all that is left, and return the refund.

        Raises PayPalError as the API does.
        """
        with self.lock:
            capture = self._capture(of)
            given = {} if value is None else {"amount": {**capture["amount"], "value": value}}
            return copied(self._money.create_refund(capture, given))

    def refunds_start(self, *, status: str) -> None:
        """Let later refunds begin with this status: `COMPLETED`, `PENDING` or `FAILED`."""
        if status not in REFUND_STARTS:
            raise Misuse(f"a refund starts as {', '.join(REFUND_STARTS)}")
        self._money.refunds_start = status

    def settle_refund(self, *, refund: str) -> Json:
        with self.lock:
            return copied(self._money.settle_refund(self._known(self._money.refunds, refund)))

    def fail_refund(self, *, refund: str) -> Json:
        """Let a refund fail, also one that was reported as completed, and return the refund."""
        with self.lock:
            return copied(self._money.fail_refund(self._known(self._money.refunds, refund)))

    def dispute(self, *, of: str, value: str | None = None, reason: str = "UNAUTHORISED") -> Json:
        """Let the buyer dispute a payment, or a part of the payment, and return the dispute."""
        with self.lock:
            return copied(self._money.open_dispute(self._capture(of), value, reason))

    def review_dispute(self, *, dispute: str) -> Json:
        with self.lock:
            return copied(self._money.review_dispute(self._known(self._money.disputes, dispute)))

    def close_dispute(self, *, dispute: str, outcome: str, is_reversal_told: bool = True) -> Json:
        """Close a dispute, and return the dispute. `outcome`: `won` by the seller, `lost`, or `withdrawn` by the buyer.

        `is_reversal_told`: a loss is announced a second time, as PAYMENT.CAPTURE.REVERSED and as a refund of the order.
        """
        with self.lock:
            found = self._known(self._money.disputes, dispute)
            return copied(self._money.close_dispute(found, outcome, is_reversal_told=is_reversal_told))

    # ── looking, and lying ───────────────────────────────────────────────────────────────────────────────────────────

    def get(self, *, id: str) -> Json:  # noqa: A002  # ids are called id everywhere
        """Return an order, capture, refund, dispute or event in its present state."""
        with self.lock:
            money = self._money
            for known in (money.orders, money.captures, money.refunds, money.disputes, money.events):
                if id in known:
                    return copied(known[id])
        raise Misuse(f"there is no {id}")

    def events(self, *, type: str = "") -> list[Json]:  # noqa: A002
        """Return the events since the last reset, of one type or of all types, oldest first."""
        with self.lock:
            return [copied(each) for each in self._money.events.values() if type in {"", each["event_type"]}]

    def capture_count(self, *, order: str) -> int:
        """Return the number of times that this order's money was taken."""
        with self.lock:
            found = self._money.approvals.get(order)
            return 0 if found is None else len([each for each in found.captures if self._is_taken(each)])

    def captures_for(self, *, reference: str) -> list[Json]:
        """Return the captures of this order, invoice id or custom id that took money, or still may.

        More than one capture means a double payment.
        """
        with self.lock:
            return [
                copied(each)
                for name, approval in self._money.approvals.items()
                for each in map(self._money.captures.__getitem__, approval.captures)
                if reference in {name, each.get("invoice_id"), each.get("custom_id")} and self._is_taken(each["id"])
            ]

    def _is_taken(self, capture_id: str) -> bool:
        return self._money.captures[capture_id]["status"] not in {"DECLINED", "FAILED"}

    def alter(self, *, id: str, changes: Json) -> Json:  # noqa: A002
        """Change an object without an event, such as the amount or currency, and return the object.

        `changes` maps top-level fields to values.
        """
        with self.lock:
            money = self._money
            for known in (money.orders, money.captures, money.refunds, money.disputes):
                if id in known:
                    known[id].update(changes)
                    return copied(known[id])
        raise Misuse(f"there is no {id}")

    # ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self, certificate: Certificate) -> Certificate:
        """Serve a certificate for signing deliveries, and return the certificate: `deliver(id,
        certificate=certificate.id)`.
        """
        self._api.certificates[certificate.id] = certificate
        return certificate

    def permit_search(
        self, *, is_permitted: bool, late_seconds: float = reporting.LATE_SECONDS, results_max: int = 10_000
    ) -> None:
        """Grant or take away the permission of the transaction search.

        `late_seconds` is the age from which on money is listed, `results_max` the most results of one search.
        """
        with self.lock:
            found = self._api.reporting
            found.is_permitted, found.late_seconds, found.results_max = is_permitted, late_seconds, results_max

    def issue_certificate(
        self,
        *,
        common_name: str = certificates.SIGNER,
        names: list[str] | None = None,
        starts_in_days: float = -1,
        ends_in_days: float = certificates.LEAF_DAYS,
        is_chain_whole: bool = False,
        is_trusted: bool = True,
    ) -> str:
        """Issue and serve a certificate, good or bad, and return its id.

        A stranger issues a certificate that nobody trusts.
        """
        now = datetime.now(UTC)
        issuer = certificates.authority() if is_trusted else certificates.stranger()
        issued = issuer.issue(
            common_name=common_name,
            names=names,
            since=now + timedelta(days=starts_in_days),
            until=now + timedelta(days=ends_in_days),
            is_chain_whole=is_chain_whole,
        )
        return self.serve(issued).id

    # ── what every stand-in says for itself ──────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request, pause: Pause) -> Answer:
        return self._api.answer(request, pause, self.lock)

    def refusal(self, status: int) -> Answer:
        if status == 401:  # noqa: PLR2004
            return refused_token("invalid_token", "Token signature verification failed")
        return PayPalError(REFUSALS.get(status, "INTERNAL_SERVER_ERROR")).answer()

    def sign(self, body: bytes, signing: Mapping[str, Any]) -> Mapping[str, str]:
        """Return headers with the RSA-SHA256 signature of `{transmission id}|{time}|{webhook id}|{CRC-32 of the body}`.

        signing: `certificate` (an id), `certificate_url`, `webhook_id`, `algorithm`, `transmission_id`, `time` (as
        sent), `ahead_seconds`, `crc`, `signature`.
        """
        certificate = self._api.certificates[signing.get("certificate", self._certificate.id)]
        transmission = str(signing.get("transmission_id", uuid.uuid4()))
        stamp = str(signing.get("time", objects.stamp(time.time() + float(signing.get("ahead_seconds", 0)))))
        webhook = signing.get("webhook_id", self.webhook_id)
        message = f"{transmission}|{stamp}|{webhook}|{signing.get('crc', zlib.crc32(body))}"
        signature = base64.b64encode(certificate.sign(message.encode())).decode()
        return {
            "PAYPAL-TRANSMISSION-ID": transmission,
            "PAYPAL-TRANSMISSION-TIME": stamp,
            "PAYPAL-TRANSMISSION-SIG": str(signing.get("signature", signature)),
            "PAYPAL-CERT-URL": str(signing.get("certificate_url", f"{CERTIFICATE_HOST}{certificate.path}")),
            "PAYPAL-AUTH-ALGO": str(signing.get("algorithm", "SHA256withRSA")),
            "PAYPAL-AUTH-VERSION": "v2",
        }

    def event(self, event_id: str) -> Json:
        with self.lock:
            return self._known(self._money.events, event_id)

    def event_id(self) -> str:
        return objects.event_id()

    @staticmethod
    def type_of(event: Json) -> str:
        return str(event.get("event_type", ""))

    @property
    def webhooks(self) -> Webhooks:
        """Return the registered webhooks."""
        return self._api.webhooks

    def clear(self) -> None:
        self._money.clear()

    def expire_idempotency_keys(self) -> int:
        return self._keys.expire()

    def expire_tokens(self) -> None:
        """Refuse every access token from now on, also before its end."""
        self._api.expire_tokens()

    # ── the hosted page ──────────────────────────────────────────────────────────────────────────────────────────────

    def page(self, request: Request) -> Answer | None:
        if request.path != pages.PATH:
            return None
        with self.lock:
            try:
                order = self._money.get_order(request.asked().get("token", ""))
            except PayPalError:
                return pages.unknown()
            approval = self._money.approvals[order["id"]]
            if order["status"] == "COMPLETED":
                return pages.closed(approval)
            if request.method != "POST":
                return pages.approve(order, approval)
            return self._press(order, *pages.action_of(request))

    def _press(self, order: Json, action: str, email: str) -> Answer:
        approval = self._money.approvals[order["id"]]
        if action == "cancel":
            return pages.back(approval.cancel_url, token=order["id"])
        ending, _, decision = action.partition("_")
        try:
            self._money.approve(order, ending, email or "zoe@example.com")
        except Misuse:
            return pages.approve(order, approval)
        if decision and self._later_seconds is not None:
            self._decide_later(order["id"], is_paid=decision == "paid")
        return pages.back(approval.return_url, token=order["id"], PayerID=order["payer"]["payer_id"])

    def _decide_later(self, order_id: str, *, is_paid: bool) -> None:
        """Decide a captured payment after the time of a review. Before the capture, look again later."""

        def decide() -> None:
            with self.lock:
                approval = self._money.approvals.get(order_id)
                if approval is None or order_id not in self._money.orders:
                    return
                pending = [self._money.captures[each] for each in approval.captures]
                for capture in pending:
                    if capture["status"] == "PENDING":
                        self._money.settle_capture(capture, is_paid=is_paid)
                if not pending:
                    self._decide_later(order_id, is_paid=is_paid)

        self.later(self._later_seconds or 0.0, decide)

    def _order(self, order_id: str) -> Json:
        return self._known(self._money.orders, order_id)

    def _capture(self, object_id: str) -> Json:
        """Return a capture by its own id, or by its order's id."""
        approval = self._money.approvals.get(object_id)
        if approval is not None and approval.captures:
            return self._money.captures[approval.captures[-1]]
        return self._known(self._money.captures, object_id)

    @staticmethod
    def _known(things: dict[str, Json], thing_id: str) -> Json:
        if thing_id not in things:
            raise Misuse(f"there is no {thing_id}")
        return things[thing_id]
