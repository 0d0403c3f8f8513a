"""PayPal as our payment provider: Orders v2, approved by the payer and then captured by us.

`refs` holds `order`, and `capture` once a capture exists. The capture's id names the money. Orders, captures and
refunds carry our payment id as `custom_id`. An app's SDK needs the order's id to let the payer approve.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from paypalrestsdk import exceptions

from shared.kernel.clock import DAY, HOUR, Clock, Millis, rfc3339
from shared.kernel.events import Alerts
from shared.kernel.ids import derived_id
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListingForbidden, MoneyPage, readable_money
from shared.payments.lockout import Lockout, Reminder
from shared.payments.ports import (
    CaptureInProgress,
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
from shared.platform.paypal.addresses import is_live_address
from shared.platform.paypal.api import PayPalApi, calling, issue_of
from shared.platform.paypal.events import above, notice_of, payment_in, refs_of
from shared.platform.paypal.reading import Thing, best_capture, payments_in, refund_of, truth_of, written
from shared.platform.paypal.transactions import PAGE as TRANSACTIONS_PAGE
from shared.platform.paypal.transactions import TOO_LARGE, SearchPlace, money_of, refreshed_in

ORDERS = "/v2/checkout/orders"
CAPTURES = "/v2/payments/captures"
REFUNDS = "/v2/payments/refunds"
DISPUTES = "/v1/customer/disputes"
EVENTS = "/v1/notifications/webhooks-events"
TRANSACTIONS = "/v1/reporting/transactions"
EVENTS_KEPT = 29 * DAY
EVENTS_PAGE = 100
DISPUTES_PAGE = 50
DISPUTES_PAGES_MAX = 20
DESCRIPTION_MAX = 127
WHOLE = {"Prefer": "return=representation"}
CAPTURED = "order_already_captured"
IN_PROGRESS = frozenset({"previous_request_in_progress", "resource_conflict", "duplicate_request_id"})
"""Issues of a capture whose key another request uses right now."""


class UnexpectedLink(ValueError):
    """Link `next` that leads to another path than the listing's, or has no query."""


class PayPalProvider:
    """PayPal as a provider of payments; see `PaymentProvider`. Safe to share between threads."""

    def __init__(self, *, api_base: str, client_id: str, client_secret: str, clock: Clock, alerts: Alerts) -> None:
        self._is_live = is_live_address(api_base)
        self._api = PayPalApi(api_base=api_base, client_id=client_id, client_secret=client_secret)
        self._clock = clock
        self._lockout = Lockout("paypal", alerts, clock)
        self._unfollowed = Reminder("provider_listing_not_followed", alerts, clock, HOUR)

    @property
    def name(self) -> ProviderName:
        """Return the provider's name; see `PaymentProvider.name`."""
        return "paypal"

    @property
    def is_live(self) -> bool:
        """Return True for real money; see `PaymentProvider.is_live`."""
        return self._is_live

    # ── open ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, checkout: Checkout) -> OpenedCheckout:
        """Open a checkout, and return the checkout: always the same one for the same payment and end.

        Every parameter is derived from the checkout, so that the key fits each repetition. See `PaymentProvider.open`.
        """
        key = derived_id("order", checkout.payment, checkout.flow, str(checkout.expires_at))
        with calling("open", self._lockout):
            order = self._api.call("POST", ORDERS, _order(checkout), {**WHOLE, "PayPal-Request-Id": key})
            refs = {"order": str(order["id"])}
            if checkout.flow == "intent":
                return OpenedCheckout(refs=refs, client_secret=refs["order"])
            links = {link["rel"]: str(link["href"]) for link in order["links"]}
            return OpenedCheckout(refs=refs, checkout_url=links.get("payer-action") or links["approve"])

    # ── ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def truth(self, refs: Refs, disputes: Sequence[str] = ()) -> Truth:
        """Return the present state of the payment that `refs` belong to; see `PaymentProvider.truth`.

        A change during the call causes another event, and the next call reads the change.
        """
        with calling("truth", self._lockout):
            order, capture = self._find(refs)
            listed = [] if capture is None else self._disputes(str(capture["id"]))
            known = {each["dispute_id"] for each in listed}
            vanished = [gone for each in disputes if each not in known and (gone := self._dispute(each))]
            return truth_of(order, capture, [*listed, *vanished], is_live=self._is_live)

    def locate(self, refs: Refs) -> str | None:
        """Return our payment id that the provider stores with these objects; None if they belong to another system.

        See `PaymentProvider.locate`.
        """
        with calling("locate", self._lockout):
            order, capture = self._find(refs)
            return payment_in(capture or {}) or payment_in(order or {})

    def notices(self, since: Millis, cursor: str | None, until: Millis | None = None) -> Notices:
        """Return events from `since` until `until` (ms), newest first; see `PaymentProvider.notices`.

        PayPal keeps thirty days. A cursor is the next page's query.
        """
        now = self._clock.now()
        first, last = max(since, now - EVENTS_KEPT), now if until is None else min(until, now)
        if first > last:
            return Notices(items=(), cursor=None)
        asked = {
            "start_time": rfc3339(first),
            "end_time": rfc3339(last),
            "page_size": EVENTS_PAGE,
        }
        with calling("notices", self._lockout):
            page = self._api.call("GET", f"{EVENTS}?{cursor or urlencode(asked)}")
            items = readable("paypal", page["events"], partial(notice_of, is_live=self._is_live))
            return Notices(items=items, cursor=self._next_query(page, EVENTS))

    def listed_money(self, since: Millis, until: Millis, cursor: str | None) -> MoneyPage:
        """Return the next page of the transaction search; see `ListsMoney.listed_money`.

        A period with more results than PayPal lists is halved.
        """
        place = SearchPlace.parsed(cursor, since)
        asked = {
            "start_date": rfc3339(place.since),
            "end_date": rfc3339(Millis(place.end(until) - 1)),
            "fields": "transaction_info",
            "page_size": TRANSACTIONS_PAGE,
            "page": place.page,
        }
        with calling("listed_money", self._lockout):
            try:
                page = self._api.call("GET", f"{TRANSACTIONS}?{urlencode(asked)}")
            except exceptions.ForbiddenAccess:
                raise ListingForbidden("PayPal", "Transaction Search") from None
            except exceptions.ClientError as error:
                if issue_of(error) != TOO_LARGE or (halved := place.halved()) is None:
                    raise
                return MoneyPage(lines=(), cursor=halved)
            lines, unreadable = readable_money("paypal", page.get("transaction_details") or [], money_of)
            onward = place.following(int(page.get("total_pages") or 1), until)
            return MoneyPage(lines=lines, cursor=onward, unreadable=unreadable, complete_to=refreshed_in(page))

    def _find(self, refs: Refs) -> tuple[Thing | None, Thing | None]:
        """Find a payment's order and its best capture by the id of any of its objects. At least one is not None."""
        if "order" in refs:
            try:
                order = self._get(ORDERS, refs["order"])
            except exceptions.ResourceNotFound:
                if "capture" not in refs:
                    raise
                return None, self._get(CAPTURES, refs["capture"])
            return order, best_capture(order)
        capture = self._get(CAPTURES, self._capture_named_by(refs))
        named = refs_of("capture", capture).get("order")
        if named is None:
            return None, capture
        order = self._get(ORDERS, named)
        return order, best_capture(order)

    def _capture_named_by(self, refs: Refs) -> str:
        if "capture" in refs:
            return refs["capture"]
        found: Mapping[str, str] = {}
        if "refund" in refs:
            found = above(self._get(REFUNDS, refs["refund"]))
        elif "dispute" in refs:
            found = refs_of("dispute", self._get(DISPUTES, refs["dispute"]))
        if "capture" not in found:
            raise UnknownAtProvider("paypal")
        return found["capture"]

    def _get(self, collection: str, thing: str) -> Thing:
        """Return the object with this id. Raises ValueError if PayPal answers with another object."""
        found = self._api.call("GET", f"{collection}/{quote(thing, safe='')}")
        if found["dispute_id" if collection == DISPUTES else "id"] != thing:
            raise ValueError("PayPal answered something else than it was asked")
        return found

    def _disputes(self, capture: str) -> list[Thing]:
        """Return all disputes of a capture in full, since lists omit the outcomes.

        Raises ValueError for an endless list.
        """
        query = urlencode({"disputed_transaction_id": capture, "page_size": DISPUTES_PAGE})
        found: list[Thing] = []
        for _ in range(DISPUTES_PAGES_MAX):
            page = self._api.call("GET", f"{DISPUTES}?{query}")
            found += [self._get(DISPUTES, str(each["dispute_id"])) for each in page.get("items") or []]
            following = self._next_query(page, DISPUTES)
            if following is None:
                return found
            query = following
        raise ValueError("PayPal lists without an end")

    def _dispute(self, dispute: str) -> Thing | None:
        """Return the dispute with this id, since lists end after 180 days; None if PayPal no longer knows the id."""
        try:
            return self._get(DISPUTES, dispute)
        except exceptions.ResourceNotFound:
            return None

    def _next_query(self, page: Thing, path: str) -> str | None:
        """See `next_query`. If the link cannot be followed, pages are missed, so operators are alerted."""
        try:
            return next_query(page, path)
        except UnexpectedLink:
            self._unfollowed.tell(provider="paypal", listing=path)
            raise

    # ── act ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def capture(self, refs: Refs, key: str) -> None:
        """Capture the approved money once; a repeated call changes nothing.

        Reads the order first: PayPal forgets keys, but remembers captures. See `PaymentProvider.capture`.
        """
        with calling("capture", self._lockout):
            order, capture = self._find(refs)
            stage = truth_of(order, capture, [], is_live=self._is_live).stage
            if stage in {"paid", "pending", "failed"} or order is None:
                return  # it was tried, and the truth tells how that ended
            if stage != "approved":
                raise ProviderRefused("paypal", "order_not_approved")
            path = f"{ORDERS}/{quote(str(order['id']), safe='')}/capture"
            try:
                self._api.call("POST", path, {}, {**WHOLE, "PayPal-Request-Id": _attempt(key, order)})
            except exceptions.ClientError as error:
                if issue_of(error) in IN_PROGRESS:
                    raise CaptureInProgress("paypal") from None
                if issue_of(error) != CAPTURED:
                    raise

    def refund(self, refs: Refs, amount: Fiat, key: str) -> Refund:
        """Give money back, and return the refund; the same `key` gives the same refund.

        A refund carries `key` as its invoice id, so that a repetition finds the refund. See `PaymentProvider.refund`.
        """
        with calling("refund", self._lockout):
            order, capture = self._find(refs)
            if capture is None:
                raise ProviderRefused("paypal", "not_paid")
            if order is None:
                raise ValueError("whether it was made already is listed with an order that is not there")
            made = next((each for each in payments_in(order, "refunds") if each.get("invoice_id") == key), None)
            if made is None:
                made = self._refund(capture, amount, key)
            refund = refund_of(made)
            if refund.amount != amount:
                raise ProviderRefused("paypal", "duplicate_request_id")
            return refund

    def _refund(self, capture: Thing, amount: Fiat, key: str) -> Thing:
        body = {"amount": written(amount), "invoice_id": key}
        if payment := payment_in(capture):
            body["custom_id"] = payment
        path = f"{CAPTURES}/{quote(str(capture['id']), safe='')}/refund"
        return self._api.call("POST", path, body, {**WHOLE, "PayPal-Request-Id": key})

    def cancel(self, refs: Refs) -> None:
        """Do nothing; see `PaymentProvider.cancel`.

        PayPal has no such call, and an order that we do not capture is not paid.
        """

    def customer_session(self, customer: str) -> str | None:
        """Return None, since PayPal's payers have accounts of their own; see `PaymentProvider.customer_session`."""
        return None

    def forget_customer(self, customer: str) -> None:
        """Do nothing, since we store no customers at PayPal; see `PaymentProvider.forget_customer`."""


def _order(checkout: Checkout) -> dict[str, Any]:
    """Return the body that creates PayPal's order of a checkout. A redirect flow also names the pages to return to."""
    order: dict[str, Any] = {
        "intent": "CAPTURE",
        "purchase_units": [
            {
                "custom_id": checkout.payment,
                "invoice_id": checkout.payment,
                "description": checkout.title[:DESCRIPTION_MAX],
                "amount": written(checkout.amount),
            }
        ],
    }
    if checkout.flow == "redirect":
        context = {
            "return_url": checkout.success_url,
            "cancel_url": checkout.cancel_url,
            "user_action": "PAY_NOW",
            "shipping_preference": "NO_SHIPPING",
        }
        order["payment_source"] = {"paypal": {"experience_context": context}}
    return order


def next_query(page: Thing, path: str) -> str | None:
    """Return the query of the next page, or None on the last page.

    The host is ours to choose, not the link's. Raises UnexpectedLink for a `next` link that leads elsewhere.
    """
    found = [str(link.get("href")) for link in page.get("links") or [] if link.get("rel") == "next"]
    if not found:
        return None
    parts = urlsplit(found[0])
    if parts.path.rstrip("/") != path or not parts.query:
        raise UnexpectedLink(found[0])
    return parts.query


def _attempt(key: str, order: Thing) -> str:
    """Return the id of the request that captures an order as its payer approved it.

    PayPal repeats an answer to the same request id, also a refusal of the instrument. So a second approval, with
    another instrument, needs another id. PayPal takes the money of an order once under any id.
    """
    approval = json.dumps([order.get(name) for name in ("update_time", "payer", "payment_source")], sort_keys=True)
    return derived_id("capture", key, approval)
