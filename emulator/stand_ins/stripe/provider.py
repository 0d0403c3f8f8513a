"""Stand-in Stripe: its server, and all that a test can make happen behind the merchant's back."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.stand_ins.idempotency import Keys
from emulator.stand_ins.stand_in import Misuse, Pause, StandIn
from emulator.stand_ins.stripe import objects, pages
from emulator.stand_ins.stripe.api import Api
from emulator.stand_ins.stripe.endpoints import Endpoints
from emulator.stand_ins.stripe.errors import StripeError
from emulator.stand_ins.stripe.payments import Payments
from emulator.stand_ins.stripe.reversals import REFUND_STARTS, Reversals
from emulator.stand_ins.stripe.store import Store
from emulator.stand_ins.wire import Answer, Json, Request, copied, json_answer, redirect

KEY_LIFETIME_SECONDS = 24 * 3600
SECRET_KEY = "sk_test_stand_in"
WEBHOOK_SECRET = "whsec_stand_in"
ACCOUNT = "acct_1StandIn00000000"
ERRORS = {
    401: ("invalid_request_error", "Invalid API Key provided."),
    409: ("invalid_request_error", "This object cannot be accessed right now; please try again."),
    429: ("invalid_request_error", "Request rate limit exceeded."),
}


class StripeStandIn(StandIn):
    """Sessions, intents, refunds and disputes in memory. Every control refuses impossible orders with Misuse.

    A control that takes an intent or a charge accepts either id. `later_seconds` is the time until a payment that the
    hosted page put off comes (or fails) by itself; None waits for `settle_later`.
    """

    name = "stripe"
    pay_button = "paid"
    key_header = "idempotency-key"
    controls = StandIn.controls | {
        "alter", "charges_for", "close_dispute", "confirm", "decline", "dispute", "escalate_dispute", "events",
        "expire_session", "fail_refund", "get", "pay", "pay_later", "refund", "refunds_start", "review_dispute",
        "settle_intent", "settle_later", "settle_refund", "warn_of_fraud",
    }  # fmt: skip

    def __init__(
        self,
        *,
        port: int = 0,
        secret_key: str = SECRET_KEY,
        webhook_secret: str = WEBHOOK_SECRET,
        account: str = ACCOUNT,
        later_seconds: float | None = None,
    ) -> None:
        super().__init__(port=port, later_seconds=later_seconds)
        self.secret_key = secret_key
        self._webhook_secrets = webhook_secret
        self.account = account
        self._keys = Keys(lifetime_seconds=KEY_LIFETIME_SECONDS, now=self.now)
        self._store = Store(now=self.now, announce=self._announce)
        self._payments = Payments(self._store, url=self.url)
        self._reversals = Reversals(self._store)
        self._api = Api(
            store=self._store,
            payments=self._payments,
            reversals=self._reversals,
            keys=self._keys,
            account=account,
            secret_key=secret_key,
        )

    @classmethod
    def webhook_of(cls, settings: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the given signing secrets; see `StandIn.webhook_of`."""
        return {"webhook_secret": given} if _secrets_in(given := settings.get("STRIPE_WEBHOOK_SECRET", "")) else {}

    @property
    def webhook_secret(self) -> str:
        """Return the secret that signs deliveries: the first one, if several are given, comma-separated."""
        return _secrets_in(self._webhook_secrets)[0]

    @property
    def publishable_key(self) -> str:
        return self._api.publishable_key

    def settings_for(self, home: Path) -> Mapping[str, str]:
        """Return the settings with which a backend uses this stand-in; see `StandIn.settings_for`."""
        del home
        return {
            "STRIPE_API_BASE": self.url,
            "STRIPE_SECRET_KEY": self.secret_key,
            "STRIPE_WEBHOOK_SECRET": self._webhook_secrets,
        }

    # ── buyers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def pay(self, *, session: str, email: str = "", name: str = "") -> Json:
        """Pay on the hosted page, without a browser, and return the session."""
        return self._on_page(session, "paid", email, name)

    def decline(self, *, session: str) -> Json:
        """Try to pay on the hosted page with a card that is declined, and return the session, which stays open."""
        return self._on_page(session, "declined", "", "")

    def pay_later(self, *, session: str) -> Json:
        """Pay on the hosted page in a way that takes days, and return the session. `settle_later` ends the payment."""
        return self._on_page(session, "later", "", "")

    def settle_later(self, *, session: str, is_paid: bool = True) -> Json:
        """Let the money of a session that is paid later arrive, or fail to, and return the session."""
        with self.lock:
            return copied(self._payments.settle_session(self._get("checkout.session", session), is_paid=is_paid))

    def expire_session(self, *, session: str) -> Json:
        """Let a session expire, so that nobody can pay any more, and return the session."""
        with self.lock:
            return copied(self._payments.expire_session(self._get("checkout.session", session)))

    def confirm(self, *, client_secret: str, outcome: str = "paid") -> Json:
        """Confirm an intent by the client secret, like a mobile SDK, and return the intent.

        The intent is then paid, declined, or to be paid later.
        """
        with self.lock:
            intent = self._get("payment_intent", client_secret.partition("_secret_")[0])
            if intent["client_secret"] != client_secret:
                raise Misuse("that is not the intent's client secret")
            self._payments.attempt(intent, outcome, billing={"email": intent["receipt_email"]})
            return copied(intent)

    def settle_intent(self, *, intent: str, is_paid: bool = True) -> Json:
        """Let the money of an intent without a session arrive, or fail to, and return the intent."""
        with self.lock:
            found = self._get("payment_intent", intent)
            self._payments.settle(found, is_paid=is_paid)
            return copied(found)

    # ── the merchant's dashboard, and banks ──────────────────────────────────────────────────────────────────────────

    def refund(self, *, of: str, amount: int | None = None, reason: str | None = None) -> Json:
        """Refund an amount in the dashboard, or all that is left, and return the refund.

        Raises StripeError as the API does.
        """
        with self.lock:
            given: Json = {"charge": self._charge(of)["id"], "reason": reason}
            return copied(self._reversals.create_refund(given if amount is None else {**given, "amount": amount}))

    def refunds_start(self, *, status: str) -> None:
        """Let later refunds begin with this status: `succeeded` (as to cards) or `pending` (as to banks)."""
        if status not in REFUND_STARTS:
            raise Misuse(f"a refund starts as {' or '.join(REFUND_STARTS)}")
        self._reversals.refunds_start = status

    def settle_refund(self, *, refund: str) -> Json:
        """Complete a pending refund, and return the refund."""
        with self.lock:
            return copied(self._reversals.settle_refund(self._get("refund", refund)))

    def fail_refund(self, *, refund: str, reason: str = "expired_or_canceled_card") -> Json:
        """Let a refund fail, also one that was reported as succeeded, and return the refund."""
        with self.lock:
            return copied(self._reversals.fail_refund(self._get("refund", refund), reason))

    def dispute(
        self, *, of: str, amount: int | None = None, reason: str = "fraudulent", is_inquiry: bool = False
    ) -> Json:
        """Let the buyer dispute a payment, and return the dispute.

        The money is taken at once, unless `is_inquiry` is True.
        """
        with self.lock:
            return copied(self._reversals.open_dispute(self._charge(of), amount, reason, is_inquiry=is_inquiry))

    def escalate_dispute(self, *, dispute: str) -> Json:
        """Turn an inquiry into a chargeback, and return the dispute."""
        with self.lock:
            return copied(self._reversals.escalate_dispute(self._get("dispute", dispute)))

    def review_dispute(self, *, dispute: str) -> Json:
        """Send evidence, so that the bank reviews the dispute, and return the dispute."""
        with self.lock:
            return copied(self._reversals.review_dispute(self._get("dispute", dispute)))

    def close_dispute(self, *, dispute: str, outcome: str) -> Json:
        """Close a dispute, and return the dispute. `outcome`: `won`, `lost`, or `withdrawn` by the buyer.

        Stripe calls a withdrawn dispute won. An inquiry closes as `warning_closed`.
        """
        with self.lock:
            return copied(self._reversals.close_dispute(self._get("dispute", dispute), outcome))

    def warn_of_fraud(self, *, of: str, fraud_type: str = "made_with_stolen_card") -> Json:
        """Let a card network warn of a payment that may be disputed soon, and return the warning."""
        with self.lock:
            return copied(self._reversals.warn(self._charge(of), fraud_type))

    # ── looking, and lying ───────────────────────────────────────────────────────────────────────────────────────────

    def get(self, *, id: str) -> Json:  # noqa: A002  # ids are called id everywhere
        """Return an object in its present state."""
        with self.lock:
            found = self._store.find(id)
            if found is None:
                raise Misuse(f"there is no {id}")
            return copied(found)

    def events(self, *, type: str = "") -> list[Json]:  # noqa: A002
        """Return the events since the last reset, of one type or of all types, oldest first."""
        with self.lock:
            return [copied(each) for each in self._store.all("event") if type in {"", each["type"]}]

    def charges_for(self, *, reference: str) -> list[Json]:
        """Return the successful payments of this session, intent, client reference or value of metadata.

        More than one payment means a double payment.
        """
        with self.lock:
            intents = {
                session["payment_intent"]
                for session in self._store.all("checkout.session")
                if reference in {session["id"], session["client_reference_id"], *session["metadata"].values()}
            }
            for intent in self._store.all("payment_intent"):
                if reference in {intent["id"], *intent["metadata"].values()}:
                    intents.add(intent["id"])
            charges = self._store.all("charge")
            return [
                copied(each) for each in charges if each["payment_intent"] in intents and each["status"] == "succeeded"
            ]

    def alter(self, *, id: str, changes: Json) -> Json:  # noqa: A002
        """Change an object without an event, such as the amount, currency or livemode, and return the object.

        `changes` maps top-level fields to values.
        """
        with self.lock:
            found = self._store.find(id)
            if found is None:
                raise Misuse(f"there is no {id}")
            found.update(changes)
            return copied(found)

    # ── what every stand-in says for itself ──────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request, pause: Pause) -> Answer:
        return self._api.answer(request, pause, self.lock)

    def refusal(self, status: int) -> Answer:
        kind, message = ERRORS.get(status, ("api_error", "An error occurred on our side."))
        error: Json = {"type": kind, "message": message}
        if status == 429:  # noqa: PLR2004
            error["code"] = "rate_limit"
        return json_answer({"error": error}, status=status, headers={"Request-Id": objects.new_id("req", 14)})

    def remember_failure(self, request: Request, answer: Answer) -> None:
        self._keys.rewrite(request.headers.get(self.key_header, ""), answer)

    def sign(self, body: bytes, signing: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the signature header `t=…,v1=…` over `{t}.{body}`.

        signing: `secret`, `at` (seconds) or `ahead_seconds`, `header` as a whole.
        """
        if "header" in signing:
            return {"Stripe-Signature": str(signing["header"])}
        stamp = int(signing.get("at", time.time() + float(signing.get("ahead_seconds", 0))))
        secret = str(signing.get("secret", self.webhook_secret))
        digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={stamp},v1={digest}"}

    def event(self, event_id: str) -> Json:
        with self.lock:
            return self._get("event", event_id)

    def event_id(self) -> str:
        return objects.new_id("evt")

    @staticmethod
    def type_of(event: Json) -> str:
        return str(event.get("type", ""))

    @property
    def endpoints(self) -> Endpoints:
        """Return the registered webhook endpoints."""
        return self._api.endpoints

    def clear(self) -> None:
        self._store.clear()
        self._reversals.refunds_start = "succeeded"

    def expire_idempotency_keys(self) -> int:
        return self._keys.expire()

    def on_taken(self, event_id: str) -> None:
        with self.lock:
            event = self._store.find(event_id)
            if event is not None:
                event["pending_webhooks"] = self.waiting_for(event_id)

    def _announce(self, event: Json) -> None:
        event["pending_webhooks"] = len(self._deliveries.targets)
        self.announce(event)

    # ── the hosted pages ──────────────────────────────────────────────────────────────────────────────────────────────

    def page(self, request: Request) -> Answer | None:
        receipt = pages.receipt_in(request.path)
        if receipt is not None:
            with self.lock:
                charge = self._store.receipts.get(receipt)
                return pages.unknown() if charge is None else pages.receipt(charge)
        session_id = pages.session_in(request.path)
        if session_id is None:
            return None
        with self.lock:
            session = self._store.find(session_id)
            if session is None or session["object"] != "checkout.session":
                return pages.unknown()
            self._payments.expire_if_due(session)
            if session["status"] != "open":
                return pages.closed(session)
            if request.method != "POST":
                return pages.checkout(session, self._store.line_items[session_id])
            return self._press(session, *pages.action_of(request))

    def _press(self, session: Json, action: str, email: str, name: str) -> Answer:
        if action == "cancel" and session["cancel_url"]:
            return redirect(session["cancel_url"])
        outcome = action.partition("_")[0]
        try:
            self._payments.pay_session(session, outcome, email=email, name=name)
        except StripeError as error:
            return pages.refused(error)
        if outcome == "declined":
            problem = "Your card was declined. Nothing was charged; try again."
            return pages.checkout(session, self._store.line_items[session["id"]], problem=problem)
        if outcome == "later" and self._later_seconds is not None:
            is_paid = action == "later_paid"
            self.later(self._later_seconds, lambda: self.settle_later(session=session["id"], is_paid=is_paid))
        return pages.back_to_shop(session)

    def _on_page(self, session_id: str, outcome: str, email: str, name: str) -> Json:
        with self.lock:
            session = self._get("checkout.session", session_id)
            return copied(self._payments.pay_session(session, outcome, email=email, name=name))

    def _charge(self, object_id: str) -> Json:
        """Return a charge by its own id, or by the id of its intent or session."""
        found = self._store.find(object_id)
        if found is not None and found["object"] == "checkout.session":
            found = self._store.find(found["payment_intent"] or "")
        if found is not None and found["object"] == "payment_intent":
            found = self._store.find(found["latest_charge"] or "")
        if found is None or found["object"] != "charge":
            raise Misuse(f"{object_id} has no charge")
        return found

    def _get(self, kind: str, object_id: str) -> Json:
        found = self._store.find(object_id)
        if found is None or found["object"] != kind:
            raise Misuse(f"there is no {kind} {object_id}")
        return found


def _secrets_in(text: str) -> list[str]:
    return [secret.strip() for secret in text.split(",") if secret.strip()]
