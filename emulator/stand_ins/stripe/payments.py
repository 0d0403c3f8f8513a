"""Incoming money of a stand-in Stripe: customers, Checkout Sessions, payment intents and their charges."""

from emulator.stand_ins.stripe import objects
from emulator.stand_ins.stripe.errors import StripeError, invalid
from emulator.stand_ins.stripe.store import Store
from emulator.stand_ins.wire import Json

SESSION_SECONDS_MIN = 1800
SESSION_SECONDS_MAX = objects.DAY_SECONDS
CLOCK_SLACK_SECONDS = 60
AMOUNT_MAX = 99_999_999
AMOUNT_MIN = 50
DECLINED = {"pm_card_chargeDeclined", "pm_card_visa_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"}
LATER = {"pm_usBankAccount_success", "pm_usBankAccount"}
OUTCOMES = ("paid", "declined", "later")
CANCELABLE = {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing"}


class Payments:
    """Transitions of a session, an intent and a charge, with the events of each."""

    def __init__(self, store: Store, *, url: str) -> None:
        self._store = store
        self._url = url

    # ── customers ────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_customer(self, given: Json) -> Json:
        customer = self._store.add(objects.customer(given, self._store.now()))
        self._store.tell("customer.created", customer)
        return customer

    def update_customer(self, customer: Json, given: Json) -> Json:
        known = {name: value for name, value in given.items() if name in customer and name != "metadata"}
        metadata = {**customer["metadata"], **given.get("metadata", {})}
        before = self._store.change(customer, **known, metadata=metadata)
        if before:
            self._store.tell("customer.updated", customer, before)
        return customer

    def delete_customer(self, customer: Json) -> Json:
        self._store.tell("customer.deleted", customer)
        self._store.deleted.add(customer["id"])
        return {"id": customer["id"], "object": "customer", "deleted": True}

    def create_customer_session(self, given: Json) -> Json:
        if not given.get("customer"):
            raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
        self._require_customer(given)
        return objects.customer_session(given, self._store.now())

    def _require_customer(self, given: Json) -> None:
        if given.get("customer"):
            customer = self._store.get("customer", given["customer"], param="customer")
            if customer["id"] in self._store.deleted:
                raise invalid(f"No such customer: '{customer['id']}'", code="resource_missing", param="customer")

    # ── checkout sessions ────────────────────────────────────────────────────────────────────────────────────────────

    def create_session(self, given: Json) -> Json:
        if given.get("mode", "payment") != "payment" or given.get("ui_mode", "hosted_page") != "hosted_page":
            raise invalid("This stand-in has hosted pages for payments only.", param="mode")
        if not given.get("success_url"):
            raise invalid("Missing required param: success_url.", param="success_url", code="parameter_missing")
        now = self._store.now()
        expires_at = given.get("expires_at", now + SESSION_SECONDS_MAX)
        if not SESSION_SECONDS_MIN - CLOCK_SLACK_SECONDS <= expires_at - now <= SESSION_SECONDS_MAX:
            message = (
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
            )
            raise invalid(message, param="expires_at")
        self._require_customer(given)
        items = [objects.line_item(self._priced(item, at), now) for at, item in enumerate(given.get("line_items", []))]
        if not items:
            raise invalid("You must provide at least one line item.", param="line_items", code="parameter_missing")
        if len({item["currency"] for item in items}) > 1:
            raise invalid("All prices must use the same currency.", param="line_items")
        session = objects.session(given, items, now, self._url)
        _require_amount(session["amount_total"], "line_items")
        self._store.intent_data[session["id"]] = given.get("payment_intent_data", {})
        self._store.line_items[session["id"]] = items
        return self._store.add(session)

    @staticmethod
    def _priced(item: Json, at: int) -> Json:
        price = item.get("price_data")
        if price is None or "product_data" not in price or "unit_amount" not in price:
            message = "This stand-in knows no saved prices: send `price_data` with `product_data` and `unit_amount`."
            raise invalid(message, param=f"line_items[{at}][price_data]")
        return item

    def pay_session(self, session: Json, outcome: str, *, email: str = "", name: str = "") -> Json:
        """Press a button of the hosted page as the user, and return the session.

        Raises StripeError if the session is not open.
        """
        self.expire_if_due(session)
        if session["status"] != "open":
            raise invalid(f"This Checkout Session is {session['status']}, not open.")
        email = email or session["customer_email"] or "buyer@example.com"
        intent = self._intent_of(session)
        self.attempt(intent, outcome, billing={"email": email, "name": name or None})
        if outcome == "declined":
            return session
        if session["customer_creation"] == "always" and session["customer"] is None:
            session["customer"] = intent["customer"] = self.create_customer({"email": email, "name": name or None})[
                "id"
            ]
        session.update(
            status="complete",
            payment_status="paid" if outcome == "paid" else "unpaid",
            url=None,
            customer_details={
                "address": {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": None}
                | {"state": None},
                "business_name": None,
                "email": email,
                "individual_name": None,
                "name": name or None,
                "phone": None,
                "tax_exempt": "none",
                "tax_ids": [],
            },
        )
        self._store.tell("checkout.session.completed", session)
        return session

    def settle_session(self, session: Json, *, is_paid: bool) -> Json:
        """Let the money of a session that is paid later arrive, or fail to, and return the session."""
        intent = self._store.get("payment_intent", session["payment_intent"] or "")
        self.settle(intent, is_paid=is_paid)
        session["payment_status"] = "paid" if is_paid else "unpaid"
        self._store.tell(f"checkout.session.async_payment_{'succeeded' if is_paid else 'failed'}", session)
        return session

    def expire_session(self, session: Json) -> Json:
        if session["status"] != "open":
            message = (
                f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status '
                f"of `{session['status']}`."
            )
            raise invalid(message)
        session.update(status="expired", url=None)
        intent = self._store.find(session["payment_intent"] or "")
        if intent is not None and intent["status"] in CANCELABLE:
            self.cancel_intent(intent, "expired")
        self._store.tell("checkout.session.expired", session)
        return session

    def expire_if_due(self, session: Json) -> None:
        if session["status"] == "open" and session["expires_at"] <= self._store.now():
            self.expire_session(session)

    def expire_due_sessions(self) -> None:
        for session in list(self._store.all("checkout.session")):
            self.expire_if_due(session)

    def _intent_of(self, session: Json) -> Json:
        if session["payment_intent"] is not None:
            return self._store.get("payment_intent", session["payment_intent"])
        data = self._store.intent_data[session["id"]]
        given = {**data, "amount": session["amount_total"], "currency": session["currency"]}
        intent = self.create_intent({**given, "customer": session["customer"]})
        session["payment_intent"] = intent["id"]
        self._store.link(session, "payment_intent")
        return intent

    # ── payment intents ──────────────────────────────────────────────────────────────────────────────────────────────

    def create_intent(self, given: Json) -> Json:
        _require_amount(given["amount"], "amount")
        self._require_customer(given)
        intent = self._store.add(objects.intent(given, self._store.now()))
        self._store.tell("payment_intent.created", intent)
        return intent

    def update_intent(self, intent: Json, given: Json) -> Json:
        if "amount" in given and intent["status"] in {"succeeded", "processing", "canceled"}:
            raise _unexpected(intent, "updated")
        known = {
            name: given[name]
            for name in ("amount", "currency", "customer", "description", "receipt_email")
            if name in given
        }
        self._store.change(intent, **known, metadata={**intent["metadata"], **given.get("metadata", {})})
        return intent

    def confirm_with(self, intent: Json, payment_method: str) -> Json:
        """Confirm an intent with one of Stripe's test payment methods, as the API does, and return the intent.

        Raises StripeError if the method is declined.
        """
        outcome = "declined" if payment_method in DECLINED else "later" if payment_method in LATER else "paid"
        self.attempt(intent, outcome, billing={"email": intent["receipt_email"]})
        if outcome == "declined":
            error = intent["last_payment_error"]
            more = {name: value for name, value in error.items() if name not in {"message", "type"}}
            raise StripeError(402, error["type"], error["message"], is_remembered=True, payment_intent=intent, **more)
        return intent

    def attempt(self, intent: Json, outcome: str, *, billing: Json) -> Json:
        """Try to take the money, and return the charge: paid, declined, or to come later."""
        if outcome not in OUTCOMES:
            raise invalid(f"An attempt ends {', '.join(OUTCOMES)}.")
        if intent["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
            raise _unexpected(intent, "confirmed")
        now = self._store.now()
        method = self._store.add(objects.payment_method(billing, now, intent["customer"]))
        intent["payment_method"] = method["id"]
        status = {"paid": "succeeded", "declined": "failed", "later": "pending"}[outcome]
        charge = self._store.add(objects.charge(intent, status, now, billing))
        intent["latest_charge"] = charge["id"]
        if outcome == "paid":
            self._receive(intent, charge)
        elif outcome == "declined":
            self._fail(intent, charge)
        else:
            intent["status"] = "processing"
            self._store.tell("payment_intent.processing", intent)
            self._store.tell("charge.pending", charge)
        return charge

    def settle(self, intent: Json, *, is_paid: bool) -> None:
        """Let the money of a processing intent come or fail. Raises StripeError for any other intent."""
        if intent["status"] != "processing":
            raise _unexpected(intent, "settled")
        charge = self._store.get("charge", intent["latest_charge"])
        if is_paid:
            charge.update(status="succeeded", paid=True)
            self._receive(intent, charge)
        else:
            message = "The customer's bank account could not be debited."
            charge.update(status="failed", paid=False, captured=False, amount_captured=0)
            charge.update(failure_code="payment_method_provider_decline", failure_message=message)
            self._fail(intent, charge)

    def cancel_intent(self, intent: Json, reason: str | None) -> Json:
        if intent["status"] not in CANCELABLE or intent["status"] == "processing":
            raise _unexpected(intent, "canceled")
        intent.update(status="canceled", canceled_at=self._store.now(), cancellation_reason=reason)
        self._store.tell("payment_intent.canceled", intent)
        return intent

    def _receive(self, intent: Json, charge: Json) -> None:
        fee = objects.fee_of(charge["amount"])
        moved = objects.balance_transaction("charge", charge["amount"], fee, charge, self._store.now())
        charge["balance_transaction"] = self._store.add(moved)["id"]
        name = objects.receipt_name()
        self._store.receipts[name] = charge
        charge["receipt_url"] = f"{self._url}{objects.RECEIPTS}{name}"
        intent.update(status="succeeded", amount_received=charge["amount"], last_payment_error=None)
        self._store.tell("charge.succeeded", charge)
        self._store.tell("payment_intent.succeeded", intent)

    def _fail(self, intent: Json, charge: Json) -> None:
        intent.update(
            status="requires_payment_method",
            payment_method=None,
            last_payment_error={
                "charge": charge["id"],
                "code": charge["failure_code"],
                "decline_code": "generic_decline",
                "doc_url": "https://stripe.com/docs/error-codes/card-declined",
                "message": charge["failure_message"],
                "payment_method": self._store.find(charge["payment_method"]),
                "type": "card_error",
            },
        )
        self._store.tell("charge.failed", charge)
        self._store.tell("payment_intent.payment_failed", intent)


def _require_amount(amount: int, param: str) -> None:
    if amount < AMOUNT_MIN:
        raise invalid("Amount must convert to at least 50 cents.", param=param, code="amount_too_small")
    if amount > AMOUNT_MAX:
        raise invalid("Amount must be no more than $999,999.99", param=param, code="amount_too_large")


def _unexpected(intent: Json, verb: str) -> StripeError:
    message = f"This PaymentIntent could not be {verb} because it has a status of {intent['status']}."
    return invalid(message, code="payment_intent_unexpected_state", payment_intent=intent)
