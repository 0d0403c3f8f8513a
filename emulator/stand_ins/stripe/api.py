"""HTTP API of Stripe in the SDK's form: keys, parameters, idempotency, one handler for each route."""

import hashlib
import hmac
import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.stand_ins.idempotency import KeyInUse, KeyMismatch, Keys
from emulator.stand_ins.stand_in import Pause, token
from emulator.stand_ins.stripe import forms, objects
from emulator.stand_ins.stripe.endpoints import Endpoints
from emulator.stand_ins.stripe.errors import StripeError, invalid
from emulator.stand_ins.stripe.payments import Payments
from emulator.stand_ins.stripe.rendering import page, shown
from emulator.stand_ins.stripe.reversals import Reversals
from emulator.stand_ins.stripe.store import NO_REQUEST, Store
from emulator.stand_ins.wire import Answer, Json, Request, json_answer

KEY_LENGTH_MAX = 255
EVENT_DAYS = 30
LISTED = {
    "customers": "customer",
    "checkout/sessions": "checkout.session",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "balance_transactions": "balance_transaction",
    "events": "event",
    "radar/early_fraud_warnings": "radar.early_fraud_warning",
}
# Which of the SDK's types publishes the parameters of a call.
PUBLISHED = {
    ("POST", "customers"): "_customer_create_params.CustomerCreateParams",
    ("POST", "customers/*"): "_customer_update_params.CustomerUpdateParams",
    ("POST", "customer_sessions"): "_customer_session_create_params.CustomerSessionCreateParams",
    ("GET", "customers"): "_customer_list_params.CustomerListParams",
    ("POST", "checkout/sessions"): "checkout._session_create_params.SessionCreateParams",
    ("GET", "checkout/sessions"): "checkout._session_list_params.SessionListParams",
    ("GET", "checkout/sessions/*/line_items"): "checkout._session_list_line_items_params.SessionListLineItemsParams",
    ("POST", "payment_intents"): "_payment_intent_create_params.PaymentIntentCreateParams",
    ("POST", "payment_intents/*"): "_payment_intent_update_params.PaymentIntentUpdateParams",
    ("POST", "payment_intents/*/confirm"): "_payment_intent_confirm_params.PaymentIntentConfirmParams",
    ("POST", "payment_intents/*/cancel"): "_payment_intent_cancel_params.PaymentIntentCancelParams",
    ("GET", "payment_intents/*"): "_payment_intent_retrieve_params.PaymentIntentRetrieveParams",
    ("GET", "payment_intents"): "_payment_intent_list_params.PaymentIntentListParams",
    ("GET", "charges"): "_charge_list_params.ChargeListParams",
    ("POST", "refunds"): "_refund_create_params.RefundCreateParams",
    ("GET", "refunds"): "_refund_list_params.RefundListParams",
    ("GET", "disputes"): "_dispute_list_params.DisputeListParams",
    ("GET", "balance_transactions"): "_balance_transaction_list_params.BalanceTransactionListParams",
    ("GET", "events"): "_event_list_params.EventListParams",
    ("POST", "webhook_endpoints"): "_webhook_endpoint_create_params.WebhookEndpointCreateParams",
    ("GET", "webhook_endpoints"): "_webhook_endpoint_list_params.WebhookEndpointListParams",
    ("POST", "webhook_endpoints/*"): "_webhook_endpoint_update_params.WebhookEndpointUpdateParams",
    ("GET", "radar/early_fraud_warnings"): "radar._early_fraud_warning_list_params.EarlyFraudWarningListParams",
}
ONLY_EXPAND = "_event_retrieve_params.EventRetrieveParams"

Handler = Callable[..., Json]


class Api:
    """Answers calls with the secret key, and those of a mobile SDK with the publishable one."""

    def __init__(
        self, *, store: Store, payments: Payments, reversals: Reversals, keys: Keys, account: str, secret_key: str
    ) -> None:
        self._store = store
        self._payments = payments
        self._reversals = reversals
        self.endpoints = Endpoints(store)
        self._keys = keys
        self._account = account
        self._secret_key = secret_key
        self.publishable_key = secret_key.replace("sk_", "pk_", 1)
        self._routes: list[tuple[str, re.Pattern[str], str, Handler]] = []
        self._add_routes()

    # ── a call ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request, pause: Pause, lock: Any) -> Answer:
        request_id = f"req_{token(14)}"
        headers = {"Request-Id": request_id, "Stripe-Version": objects.API_VERSION}
        key = request.headers.get("idempotency-key", "")

        def run() -> Answer:
            pause()
            with lock:
                self._store.request = {"id": request_id, "idempotency_key": key or None}
                try:
                    return json_answer(self._act(request), headers=headers)
                except StripeError as error:
                    if not error.is_remembered:
                        raise
                    return json_answer(error.body, status=error.status, headers=headers)
                finally:
                    self._store.request = NO_REQUEST

        try:
            self._authenticate(request)
            if request.method != "POST" or not key:
                return run()
            return self._once(request, key, run)
        except StripeError as error:
            return json_answer(error.body, status=error.status, headers=headers)

    def _once(self, request: Request, key: str, run: Callable[[], Answer]) -> Answer:
        """Run the request once for each idempotency key, and replay the answer."""
        if len(key) > KEY_LENGTH_MAX:
            raise invalid("Idempotency keys are at most 255 characters long.")
        fingerprint = (request.path, hashlib.sha256(request.body).hexdigest())
        try:
            answer, is_replay = self._keys.once(key, fingerprint, run)
        except KeyMismatch:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise StripeError(400, "idempotency_error", message) from None
        except KeyInUse:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again once it's "
                "concluded."
            )
            raise StripeError(409, "idempotency_error", message, code="idempotency_key_in_use") from None
        told = {"Idempotency-Key": key}
        if is_replay:
            told |= {"Idempotent-Replayed": "true", "Original-Request": answer.headers["Request-Id"]}
        return Answer(status=answer.status, body=answer.body, headers={**answer.headers, **told}, is_replay=is_replay)

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key:
            message = "You did not provide an API key. You need to provide your API key in the Authorization header."
            raise invalid(message, status=401)
        is_secret = hmac.compare_digest(key.encode(), self._secret_key.encode())
        if not is_secret and not (key == self.publishable_key and _is_for_mobile(request)):
            hidden = f"{key[:8]}{'*' * max(len(key) - 12, 4)}{key[-4:]}"
            raise invalid(f"Invalid API Key provided: {hidden}", status=401)
        if request.headers.get("stripe-account", self._account) != self._account:
            message = "The provided key does not have access to this account (or that account does not exist)."
            raise invalid(message, status=403, code="account_invalid")

    def _act(self, request: Request) -> Json:
        is_get = request.method == "GET"
        given = forms.decode(request.query if is_get else request.body.decode())
        if _is_for_mobile(request):
            del given["client_secret"]  # the SDK for servers does not publish it everywhere
        for method, pattern, name, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                published = _published(method, name)
                return handler(*match.groups(), forms.parse(given, published))
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        raise invalid(message, status=404)

    # ── the routes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _route(self, method: str, name: str, handler: Handler) -> None:
        pattern = re.compile("/v1/" + re.escape(name).replace(r"\*", "([^/]+)"))
        self._routes.append((method, pattern, name, handler))

    def _add_routes(self) -> None:
        payments, reversals, act = self._payments, self._reversals, self._acting
        self._route("GET", "account", lambda _: objects.account(self._account, self._store.since))
        self._route("GET", "balance", lambda _: self._balance())
        for name, kind in LISTED.items():
            self._route("GET", name, self._listing(name, kind))
            self._route("GET", f"{name}/*", self._retrieving(kind))
        self._route("GET", "checkout/sessions/*/line_items", self._line_items)
        self._route("POST", "customers", self._creating(payments.create_customer))
        self._route("POST", "customers/*", act("customer", payments.update_customer))
        self._route("DELETE", "customers/*", act("customer", lambda it, _: payments.delete_customer(it)))
        self._route("POST", "customer_sessions", payments.create_customer_session)
        self._route("POST", "checkout/sessions", self._creating(payments.create_session))
        self._route(
            "POST", "checkout/sessions/*/expire", act("checkout.session", lambda it, _: payments.expire_session(it))
        )
        self._route("POST", "payment_intents", self._creating(self._create_intent))
        self._route("POST", "payment_intents/*", act("payment_intent", payments.update_intent))
        self._route("POST", "payment_intents/*/confirm", act("payment_intent", self._confirm))
        self._route("POST", "payment_intents/*/cancel", act("payment_intent", self._cancel))
        self._route("POST", "refunds", self._creating(reversals.create_refund))
        self._route("POST", "refunds/*/cancel", act("refund", lambda it, _: reversals.cancel_refund(it)))
        self._route("POST", "webhook_endpoints", self.endpoints.create)
        self._route("GET", "webhook_endpoints", self.endpoints.list)
        self._route("GET", "webhook_endpoints/*", self.endpoints.retrieve)
        self._route("POST", "webhook_endpoints/*", self.endpoints.update)
        self._route("DELETE", "webhook_endpoints/*", self.endpoints.delete)

    def _creating(self, create: Callable[[Json], Json]) -> Handler:
        return lambda given: shown(self._store, create(_without_expand(given)), given.get("expand", []))

    def _acting(self, kind: str, act: Callable[[Json, Json], Json]) -> Handler:
        def handle(object_id: str, given: Json) -> Json:
            thing = self._store.get(kind, object_id)
            return shown(self._store, act(thing, _without_expand(given)), given.get("expand", []))

        return handle

    def _retrieving(self, kind: str) -> Handler:
        def handle(object_id: str, given: Json) -> Json:
            thing = self._store.get(kind, object_id)
            sessions = [thing] if kind == "checkout.session" else self._store.of("checkout.session", object_id)
            for session in sessions:
                self._payments.expire_if_due(session)
            if object_id in self._store.deleted:
                return {"id": object_id, "object": kind, "deleted": True}
            return shown(self._store, thing, given.get("expand", []))

        return handle

    def _listing(self, name: str, kind: str) -> Handler:
        def handle(asked: Json) -> Json:
            self._payments.expire_due_sessions()
            return page(self._store, _matching(self._candidates(kind, asked), asked), asked, f"/v1/{name}")

        return handle

    def _candidates(self, kind: str, asked: Json) -> list[Json]:
        for owner in ("charge", "payment_intent"):
            if owner in asked:
                return self._store.of(kind, asked[owner])
        if kind == "event":
            oldest = self._store.now() - EVENT_DAYS * objects.DAY_SECONDS
            return [event for event in self._store.all(kind) if event["created"] >= oldest]
        return [thing for thing in self._store.all(kind) if thing["id"] not in self._store.deleted]

    def _line_items(self, session_id: str, asked: Json) -> Json:
        session = self._store.get("checkout.session", session_id)
        items = self._store.line_items[session["id"]]
        return page(self._store, items[::-1], asked, f"/v1/checkout/sessions/{session_id}/line_items")

    def _create_intent(self, given: Json) -> Json:
        intent = self._payments.create_intent(given)
        return self._confirm(intent, given) if given.get("confirm") else intent

    def _confirm(self, intent: Json, given: Json) -> Json:
        return self._payments.confirm_with(intent, given.get("payment_method", "pm_card_visa"))

    def _cancel(self, intent: Json, given: Json) -> Json:
        return self._payments.cancel_intent(intent, given.get("cancellation_reason"))

    def _balance(self) -> Json:
        sums: dict[str, int] = {}
        for each in self._store.all("balance_transaction"):
            sums[each["currency"]] = sums.get(each["currency"], 0) + each["net"]
        pending = [
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            for currency, amount in (sums or {"usd": 0}).items()
        ]
        none = [{**each, "amount": 0, "source_types": {"card": 0}} for each in pending]
        return {"object": "balance", "available": none, "livemode": False, "pending": pending}


def _is_for_mobile(request: Request) -> bool:
    """Return True for a call of a mobile SDK, which reads and confirms one intent with the intent's client secret."""
    given = forms.decode(request.query if request.method == "GET" else request.body.decode())
    match = re.fullmatch(r"/v1/payment_intents/([^/]+)(/confirm)?", request.path)
    secret = str(given.get("client_secret", ""))
    return match is not None and secret.startswith(f"{match[1]}_secret_")


def _published(method: str, name: str) -> type:
    path = f"stripe.params.{PUBLISHED.get((method, name), ONLY_EXPAND)}"
    module, _, kind = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), kind)
    return found


def _without_expand(given: Json) -> Json:
    return {name: value for name, value in given.items() if name != "expand"}


def _matching(things: list[Json], asked: Mapping[str, Any]) -> list[Json]:
    """Return the objects whose fields match the query. Parameters for pages and expansion are no fields."""
    wanted = {name: asked[name] for name in ("customer", "email", "source", "status", "type") if name in asked}
    types = asked.get("types")
    found = [
        each
        for each in things
        if all(_fits(each.get(name), value) for name, value in wanted.items()) and (not types or each["type"] in types)
    ]
    if "customer_details" in asked:
        email = asked["customer_details"].get("email")
        found = [each for each in found if (each["customer_details"] or {}).get("email") == email]
    if "delivery_success" in asked:
        found = [each for each in found if (each["pending_webhooks"] == 0) == asked["delivery_success"]]
    return found


def _fits(value: Any, wanted: str) -> bool:
    """`charge.*` is Stripe's way to ask for all types that begin so."""
    if wanted.endswith(".*"):
        return str(value).startswith(wanted[:-1])
    return bool(value == wanted)
