"""Stripe as our payment provider: Checkout Sessions for pages, PaymentIntents for apps.

`refs` holds `session` (if the user pays on a page), and `intent` and `charge` once each exists. The intent's id names
the money. All of a payment's objects carry our payment id in their metadata.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import stripe

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.events import Alerts
from shared.kernel.ids import derived_id
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListingForbidden, MoneyPage, readable_money
from shared.payments.lockout import Lockout
from shared.payments.ports import (
    Checkout,
    Notices,
    OpenedCheckout,
    ProviderName,
    ProviderRefused,
    Refs,
    Refund,
    Truth,
    UnknownAtProvider,
)
from shared.payments.raw_events import readable
from shared.platform.stripe.balance import money_of
from shared.platform.stripe.client import StripeReader, calling, connect, is_missing, keyed, plain
from shared.platform.stripe.events import EVENT_TYPES, PAYMENT, is_live_key, notice_of, payment_in
from shared.platform.stripe.reading import Found, Thing, refund_of, truth_of

PAGE = 100
REFUND_KEY = "refund_key"
"""Metadata field of a refund that holds its idempotency key: Stripe forgets keys, but not metadata."""
NOTHING = Found(session=None, intent=None)
CHARGE = ("latest_charge", "latest_charge.refunds")
COLLECTIONS = {
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "warning": "radar/early_fraud_warnings",
}


class StripeProvider:
    """Stripe as a provider of payments; see `PaymentProvider`. Safe to share between threads."""

    def __init__(self, *, secret_key: str, api_base: str, clock: Clock, alerts: Alerts) -> None:
        self._is_live = is_live_key(secret_key)
        self._lockout = Lockout("stripe", alerts, clock)
        self._stripe = connect(secret_key, api_base)
        self._read = StripeReader(self._stripe)

    @property
    def name(self) -> ProviderName:
        """Return the provider's name; see `PaymentProvider.name`."""
        return "stripe"

    @property
    def is_live(self) -> bool:
        """Return True for real money; see `PaymentProvider.is_live`."""
        return self._is_live

    # ── open ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, checkout: Checkout) -> OpenedCheckout:
        """Open a checkout, and return the checkout: always the same one for the same payment and end.

        Every parameter is derived from the checkout, so that the key fits each repetition. See `PaymentProvider.open`.
        """
        open_for = self._open_session if checkout.flow == "redirect" else self._open_intent
        with calling("open", self._lockout):
            customer = checkout.customer or self._customer(checkout, "")
            try:
                return open_for(checkout, customer)
            except stripe.InvalidRequestError as error:
                if not is_missing(error, "customer"):
                    raise
            return open_for(checkout, self._customer(checkout, customer))

    def _customer(self, checkout: Checkout, instead_of: str) -> str:
        """Return the id of this user's customer, created once. If `instead_of` was deleted, create another customer."""
        params: Any = {"metadata": {"uid": checkout.uid}}
        key = derived_id("customer", checkout.uid, instead_of)
        made = keyed(key, lambda key: self._stripe.v1.customers.create(params, {"idempotency_key": key}))
        return made.id

    def _open_session(self, checkout: Checkout, customer: str) -> OpenedCheckout:
        params = _session_params(checkout, customer)
        key = derived_id("session", checkout.payment, customer, str(checkout.expires_at))
        sessions = self._stripe.v1.checkout.sessions
        try:
            made = keyed(key, lambda key: sessions.create(params, {"idempotency_key": key}))
        except stripe.InvalidRequestError as error:
            if error.param != "expires_at":
                raise
            # Stripe takes 30 minutes to 24 hours from its own now. Whoever opens this late cancels it in time.
            del params["expires_at"]
            made = keyed(f"{key}-late", lambda key: sessions.create(params, {"idempotency_key": key}))
        return OpenedCheckout(refs={"session": made.id}, checkout_url=made.url, customer=customer)

    def _open_intent(self, checkout: Checkout, customer: str) -> OpenedCheckout:
        params: Any = {
            "amount": checkout.amount.minor,
            "currency": checkout.amount.currency.lower(),
            "customer": customer,
            "description": checkout.title,
            "metadata": {PAYMENT: checkout.payment},
            "automatic_payment_methods": {"enabled": True},
        }
        key = derived_id("intent", checkout.payment, customer, str(checkout.expires_at))
        intents = self._stripe.v1.payment_intents
        made = keyed(key, lambda key: intents.create(params, {"idempotency_key": key}))
        return OpenedCheckout(refs={"intent": made.id}, client_secret=made.client_secret, customer=customer)

    # ── ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def truth(self, refs: Refs, disputes: Sequence[str] = ()) -> Truth:
        """Return the present state of the payment that `refs` belong to; see `PaymentProvider.truth`.

        A change during the call causes another event, and the next call reads the change.
        """
        with calling("truth", self._lockout):
            found = self._find(refs)
            charge = found.charge
            if found == NOTHING:
                raise UnknownAtProvider("stripe")
            if charge is None:
                return truth_of(found, [], [], [])
            of_charge = {"charge": charge["id"], "limit": PAGE}
            listed = self._read.every("disputes", of_charge) if charge["disputed"] else []
            known = {each["id"] for each in listed}
            vanished = [gone for each in disputes if each not in known and (gone := self._dispute(each))]
            warnings = self._read.every("radar/early_fraud_warnings", of_charge) if charge["paid"] else []
            return truth_of(found, self._refunds(charge), [*listed, *vanished], warnings)

    def locate(self, refs: Refs) -> str | None:
        """Return our payment id that the provider stores with these objects; None if they belong to another system.

        See `PaymentProvider.locate`.
        """
        with calling("locate", self._lockout):
            found = self._find(refs)
            return payment_in(found.intent or {}) or payment_in(found.session or {})

    def notices(self, since: Millis, cursor: str | None, until: Millis | None = None) -> Notices:
        """Return events from `since` until `until` (ms), newest first; see `PaymentProvider.notices`.

        Stripe keeps thirty days, and counts in seconds.
        """
        created = {"gte": since // SECOND} | ({} if until is None else {"lte": -(-until // SECOND)})
        asked: Any = {"created": created, "types": list(EVENT_TYPES), "limit": PAGE}
        if cursor is not None:
            asked["starting_after"] = cursor
        with calling("notices", self._lockout):
            page = self._stripe.v1.events.list(asked)
            if page.has_more and not page.data:
                raise ValueError("Stripe says that there is more after a page without events")
            items = readable("stripe", [plain(event) for event in page.data], notice_of)
            return Notices(items=items, cursor=page.data[-1].id if page.has_more else None)

    def listed_money(self, since: Millis, until: Millis, cursor: str | None) -> MoneyPage:
        """Return the next page of the balance's transactions, newest first; see `ListsMoney.listed_money`."""
        created = {"gte": since // SECOND, "lt": until // SECOND}
        asked: dict[str, Any] = {"created": created, "limit": PAGE, "expand": ["data.source"]}
        if cursor is not None:
            asked["starting_after"] = cursor
        with calling("listed_money", self._lockout):
            try:
                page = self._read.page("balance_transactions", asked)
            except stripe.PermissionError:
                raise ListingForbidden("Stripe", "Balance: read") from None
            if page["has_more"] and not page["data"]:
                raise ValueError("Stripe says that there is more after an empty page")
            lines, unreadable = readable_money("stripe", page["data"], money_of)
            last = str(page["data"][-1]["id"]) if page["has_more"] else None
            return MoneyPage(lines=lines, cursor=last, unreadable=unreadable)

    def _find(self, refs: Refs) -> Found:
        """Find a payment's objects by the id of any of them.

        Raises InvalidRequestError if Stripe does not know the id, UnknownAtProvider without a known kind of id.
        """
        if "session" in refs:
            within = ("payment_intent", *(f"payment_intent.{name}" for name in CHARGE))
            session = self._read.one("checkout/sessions", refs["session"], within)
            intent = session.get("payment_intent")
            return Found(session=session, intent=intent if isinstance(intent, dict) else None)
        if "intent" in refs:
            return Found(session=None, intent=self._intent(refs["intent"]))
        return self._find_by_money(refs)

    def _find_by_money(self, refs: Refs) -> Found:
        kind = next((kind for kind in COLLECTIONS if kind in refs), None)
        if kind is None:
            raise UnknownAtProvider("stripe")
        intent = self._read.one(COLLECTIONS[kind], refs[kind]).get("payment_intent")
        # A charge without an intent was made by something else than we are.
        return Found(session=None, intent=self._intent(intent) if isinstance(intent, str) else None)

    def _intent(self, intent: str) -> Thing:
        return self._read.one("payment_intents", intent, CHARGE)

    def _dispute(self, dispute: str) -> Thing | None:
        """Return the dispute with this id; None if Stripe no longer knows the id."""
        try:
            return self._read.one("disputes", dispute)
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
            return None

    def _refunds(self, charge: Thing) -> Iterable[Thing]:
        """Return all refunds of a charge. The charge holds the newest; the others are listed if there are more."""
        listed = charge.get("refunds") or {}
        if not listed.get("has_more"):
            return list(listed.get("data", ()))
        return self._read.every("refunds", {"charge": charge["id"], "limit": PAGE})

    # ── act ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def capture(self, refs: Refs, key: str) -> None:
        """Capture the approved money once; a repeated call changes nothing.

        Stripe takes money when the user pays, unless an intent was made otherwise. See `PaymentProvider.capture`.
        """
        with calling("capture", self._lockout):
            intent = self._find(refs).intent or {}
            if intent.get("status") in {"succeeded", "processing"}:
                return
            if intent.get("status") != "requires_capture":
                raise ProviderRefused("stripe", "not_approved")
            intents, intent_id = self._stripe.v1.payment_intents, str(intent["id"])
            keyed(key, lambda key: intents.capture(intent_id, {}, {"idempotency_key": key}))

    def refund(self, refs: Refs, amount: Fiat, key: str) -> Refund:
        """Give money back, and return the refund; the same `key` gives the same refund.

        A refund carries `key` in its metadata, so that a repetition finds the refund. See `PaymentProvider.refund`.
        """
        with calling("refund", self._lockout):
            found = self._find(refs)
            if found.intent is None or found.charge is None:
                raise ProviderRefused("stripe", "not_paid")
            if str(found.intent["currency"]).upper() != amount.currency:
                raise ProviderRefused("stripe", "currency_mismatch")
            charge = str(found.charge["id"])
            made = keyed(
                key,
                lambda key_now: self._refund(charge, amount, key, key_now, payment_in(found.intent or {})),
                lambda: self._refund_made(charge, key),
            )
            refund = refund_of(made)
            if refund.amount != amount:
                raise ProviderRefused("stripe", "idempotency_error")
            return refund

    def _refund(self, charge: str, amount: Fiat, key: str, key_now: str, payment: str | None) -> Thing:
        params: Any = {
            "charge": charge,
            "amount": amount.minor,
            "metadata": {REFUND_KEY: key, **({PAYMENT: payment} if payment else {})},
        }
        return plain(self._stripe.v1.refunds.create(params, {"idempotency_key": key_now}))

    def _refund_made(self, charge: str, key: str) -> Thing | None:
        refunds = self._read.every("refunds", {"charge": charge, "limit": PAGE})
        return next((each for each in refunds if (each.get("metadata") or {}).get(REFUND_KEY) == key), None)

    def cancel(self, refs: Refs) -> None:
        """Close the checkout so that nobody can pay any more; a paid one stays paid.

        If the payment is over already, or unknown, nothing happens. See `PaymentProvider.cancel`.
        """
        v1 = self._stripe.v1
        with calling("cancel", self._lockout):
            try:
                if "session" in refs:
                    v1.checkout.sessions.expire(refs["session"])
                elif "intent" in refs:
                    v1.payment_intents.cancel(refs["intent"])
            except stripe.InvalidRequestError:
                return

    def customer_session(self, customer: str) -> str | None:
        """Return a new secret that lets an app's form show this customer's saved means of payment; None if unsupported.

        The payment element is the form that apps show. See `PaymentProvider.customer_session`.
        """
        with calling("customer_session", self._lockout):
            params: Any = {"customer": customer, "components": {"payment_element": {"enabled": True}}}
            return self._stripe.v1.customer_sessions.create(params).client_secret

    def forget_customer(self, customer: str) -> None:
        """Delete the provider's data of a user who left, if there is any.

        See `PaymentProvider.forget_customer`.
        """
        with calling("forget_customer", self._lockout):
            try:
                self._stripe.v1.customers.delete(customer)
            except stripe.InvalidRequestError as error:
                if error.code != "resource_missing":
                    raise


def _session_params(checkout: Checkout, customer: str) -> Any:
    """Return the parameters of a Stripe Checkout Session. Stripe's `expires_at` is in seconds."""
    named = {PAYMENT: checkout.payment}
    return {
        "mode": "payment",
        "customer": customer,
        "client_reference_id": checkout.payment,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": checkout.amount.currency.lower(),
                    "unit_amount": checkout.amount.minor,
                    "product_data": {"name": checkout.title},
                },
            }
        ],
        "adaptive_pricing": {"enabled": False},  # what is asked is what is received, in the currency of the package
        "metadata": named,
        "payment_intent_data": {"metadata": named, "description": checkout.title},
        "success_url": checkout.success_url,
        "cancel_url": checkout.cancel_url,
        "expires_at": checkout.expires_at // SECOND,
    }
