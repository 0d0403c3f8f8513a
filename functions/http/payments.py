"""`/v1/payments`: packages on sale, purchases, and the state of payments."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlsplit

from flask import Response, request
from marshmallow import fields

from functions.http.cors import Origins
from functions.http.crypto_schemas import CryptoNetworkOut
from functions.http.docs import return_path
from functions.http.errors import InvalidRequest
from functions.http.fields import Answer, Choice, Credits, Cursor, Limit, NextCursor, Request, Text, Time, encode_cursor
from functions.http.money import Money
from functions.http.routes import ANYBODY, MEMBER, Call, Routes
from shared.kernel.clock import from_datetime, to_datetime
from shared.kernel.documents import Value
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import ID_CHARACTERS_MAX
from shared.ledger.errors import AccountFrozen
from shared.payments.chains.options import NetworkOption, crypto_options
from shared.payments.chains.report import ChainState, LineStatus
from shared.payments.packages import PackageNotFound
from shared.payments.payment import Status, status_of
from shared.payments.ports import ProviderRefused, ProviderUnavailable
from shared.payments.providers import PROVIDER_NAMES, PROVIDERS
from shared.payments.store import PaymentNotFound, PaymentPage
from shared.sagas.payments.checkout import AppCustomer, PackageOrder
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.purchase_places import PackageLimitReached, TooManyCheckouts
from shared.sagas.payments.settlement import ProviderNotConfigured

URL_CHARACTERS_MAX = 2_000
STATUSES: tuple[str, ...] = get_args(Status)
UNSETTLED = frozenset({"created", "pending", "confirming"})
SEE_OTHER = 303

NO_RETURN = "Must be an address of this API, of a configured origin (CORS_ORIGINS) or app (APP_RETURN_URLS)."

routes = Routes("payments")


class PackageOut(Answer):
    """Package on sale."""

    id = fields.String(required=True)
    title = fields.String(required=True)
    description = fields.String(required=True)
    price = Money(required=True)
    credits = Credits(required=True)
    bonus = Credits(required=True)
    bonus_days = fields.Integer(required=True, allow_none=True)
    per_user_limit = fields.Integer(required=True, allow_none=True)


class MethodOut(Answer):
    """A way of paying that is set up here."""

    provider = Choice(*PROVIDERS, required=True)
    flows = fields.List(Choice("redirect", "intent"), required=True)
    is_test = fields.Boolean(required=True)


class OptionsBase(Answer):
    """Packages on sale, and the ways of paying.

    An app shows the provider's form with the publishable key or client id.
    """

    packages = fields.List(fields.Nested(PackageOut), required=True)
    methods = fields.List(fields.Nested(MethodOut), required=True)
    crypto = fields.List(
        fields.Nested(CryptoNetworkOut),
        required=True,
        metadata={"description": "Networks on which coins are taken, and why some of their assets do not work now."},
    )


Options = OptionsBase.from_dict(
    {record.app_key: fields.String(required=True, allow_none=True) for record in PROVIDERS.values()}, name="Options"
)


class PayIn(Request):
    """Package to buy, and the way of paying.

    Addresses must be of this API, of a configured origin, or of a configured app.
    """

    package_id = Text(length_min=1, length_max=ID_CHARACTERS_MAX, required=True)
    provider = Choice(*PROVIDERS, required=True)
    flow = Choice("redirect", "intent", load_default="redirect")
    success_url = Text(length_min=1, length_max=URL_CHARACTERS_MAX, load_default=None)
    cancel_url = Text(length_min=1, length_max=URL_CHARACTERS_MAX, load_default=None)


class PayOut(Answer):
    """Place to pay: an address for a browser, or the secret for an app's own form, valid for this one payment."""

    payment_id = fields.String(required=True)
    status = Choice(*STATUSES, required=True)
    provider = Choice(*PROVIDERS, required=True)
    package_id = fields.String(required=True)
    price = Money(required=True)
    credits = Credits(required=True)
    bonus = Credits(required=True)
    checkout_url = fields.String(required=True, allow_none=True)
    client_secret = fields.String(required=True, allow_none=True)
    customer_id = fields.String(required=True, allow_none=True)
    customer_session_client_secret = fields.String(required=True, allow_none=True)
    expires_at = Time(required=True)


class CryptoTransactionOut(Answer):
    """Transaction that brought coins."""

    hash = fields.String(required=True, metadata={"description": "The hash of the transaction."})
    url = fields.String(required=True, metadata={"description": "The transaction at an explorer; empty if unknown."})


class CryptoLineOut(Answer):
    """Payment for a part of the coins that came to the address: the package, or a deposit."""

    payment_id = fields.String(required=True)
    package_id = fields.String(required=True)
    network = fields.String(required=True, metadata={"description": "The network on which the coins came."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins."})
    amount = fields.String(required=True, metadata={"description": "The coins, as a decimal."})
    price = Money(required=True)
    credits = Credits(required=True)
    status = Choice(*get_args(LineStatus), required=True)


class CryptoOut(Answer):
    """Payment on a chain, as the payer sees it. Amounts are decimals of whole coins, and `…_atomic` the least units."""

    network = fields.String(required=True, metadata={"description": "The network to pay on."})
    network_title = fields.String(required=True, metadata={"description": "The network's name for people."})
    asset = fields.String(required=True, metadata={"description": "The symbol of the coins to send."})
    address = fields.String(required=True, metadata={"description": "The address to send the coins to."})
    uri = fields.String(required=True, metadata={"description": "A link that opens a wallet; empty if there is none."})
    amount = fields.String(required=True, metadata={"description": "The coins that are due."})
    amount_atomic = fields.String(
        required=True, metadata={"description": "The coins that are due, in the least units."}
    )
    decimals = fields.Integer(required=True, metadata={"description": "Decimal digits of one whole coin."})
    rate = fields.String(required=True, metadata={"description": "USD that one whole coin is worth in this quote."})
    locked_until = fields.String(required=True, metadata={"description": "The rate counts for coins that come before."})
    received = fields.String(required=True, metadata={"description": "The coins that came, deep enough or not."})
    received_atomic = fields.String(required=True, metadata={"description": "The coins that came, in the least units."})
    missing = fields.String(required=True, metadata={"description": "The coins that are still to come."})
    missing_atomic = fields.String(
        required=True, metadata={"description": "The coins that are still to come, in the least units."}
    )
    state = Choice(*get_args(ChainState), required=True, metadata={"description": "The state for the payer."})
    confirmations = fields.Integer(required=True, metadata={"description": "Blocks since the last coins came."})
    confirmations_needed = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Blocks after which the coins count; null if the network itself tells."},
    )
    wait_seconds = fields.Integer(required=True, metadata={"description": "The usual time until the coins count."})
    transactions = fields.List(
        fields.Nested(CryptoTransactionOut),
        required=True,
        metadata={"description": "The transactions that brought coins, as far as the chain tells."},
    )
    lines = fields.List(
        fields.Nested(CryptoLineOut),
        required=True,
        metadata={"description": "The payments for the coins that came to this address."},
    )
    sentence = fields.String(required=True, metadata={"description": "The state, and what to do, for the payer."})
    unavailable = fields.Boolean(
        required=True, metadata={"description": "True while the network cannot be asked. Nothing is lost."}
    )


class PaymentOut(Answer):
    """Payment and its receipt.

    `under_review`: the payment waits for an operator, who was alerted. `receipt_url` is Stripe's page; PayPal has no
    page, and writes to the payer. `transaction_id` is the name of the money in the provider's list and, with PayPal, in
    the payer's own account. `status` is `cancelled` if the user turned back. The user can still pay at `checkout_url`
    until that is null. `crypto` is null for a payment that is not on a chain.
    """

    id = fields.String(required=True)
    status = Choice(*STATUSES, required=True)
    under_review = fields.Boolean(required=True)
    provider = Choice(*PROVIDER_NAMES, required=True)
    package_id = fields.String(required=True)
    title = fields.String(required=True)
    price = Money(required=True)
    refunded = Money(required=True)
    credits = Credits(required=True)
    bonus = Credits(required=True)
    failure = fields.String(required=True, allow_none=True)
    checkout_url = fields.String(required=True, allow_none=True)
    receipt_url = fields.String(required=True, allow_none=True)
    transaction_id = fields.String(required=True, allow_none=True)
    created_at = Time(required=True)
    expires_at = Time(required=True)
    settled_at = Time(required=True, allow_none=True)
    updated_at = Time(required=True)
    crypto = fields.Nested(
        CryptoOut,
        required=True,
        allow_none=True,
        metadata={"description": "The payment on its chain; null if the payment is not on a chain."},
    )


class PaymentsOut(Answer):
    """A page of payments, newest first."""

    items = fields.List(fields.Nested(PaymentOut), required=True)
    next_cursor = NextCursor()


class PaymentsQuery(Request):
    """Page of the caller's payments."""

    limit = Limit()
    cursor = Cursor(str)


@routes.get("/payments/options", answer=Options)
def options(call: Call) -> Any:
    """List the packages on sale, and the ways of paying that are set up here."""
    providers, settings = call.services.ports.payment_providers(), call.services.settings
    methods = [
        {"provider": name, "flows": ["redirect", "intent"], "is_test": not provider.is_live}
        for name, provider in providers.items()
    ]
    return {
        "packages": call.services.payments.packages.on_offer(),
        "methods": methods,
        "crypto": _crypto_options(call),
        **{
            record.app_key: (getattr(settings, record.app_key) or None) if record.name in providers else None
            for record in PROVIDERS.values()
        },
    }


@routes.post(
    "/payments/traditional",
    access=MEMBER,
    body=PayIn,
    answer=PayOut,
    errors=(
        AccountFrozen,
        PackageNotFound,
        PackageLimitReached,
        TooManyCheckouts,
        ProviderNotConfigured,
        ProviderRefused,
        ProviderUnavailable,
        PaymentBusy,
    ),
)
def pay(call: Call) -> Any:
    """Buy a package with a payment provider: on the provider's page, or with `flow: intent` inside an app."""
    wanted = PackageOrder(
        uid=call.uid,
        package=call.body["package_id"],
        provider=call.body["provider"],
        flow=call.body["flow"],
        success_url=return_address(call, "success_url"),
        cancel_url=return_address(call, "cancel_url"),
    )
    asked = call.asked
    payment = call.services.payments.checkouts.begin_checkout(
        wanted, asked.operation, asked.fingerprint, has_key=asked.has_key
    )
    is_in_app = payment.flow == "intent"
    customer = call.services.payments.checkouts.app_customer(payment) if is_in_app else AppCustomer()
    return {
        "payment_id": payment.id,
        "status": status_of(payment),
        "provider": payment.provider,
        "package_id": payment.terms.package,
        "price": payment.terms.price,
        "credits": payment.terms.credits,
        "bonus": payment.terms.bonus,
        "checkout_url": payment.checkout_url,
        "client_secret": payment.client_secret,
        "customer_id": customer.id,
        "customer_session_client_secret": customer.session_secret,
        "expires_at": payment.expires_at,
    }


@routes.get(
    "/payments/status/{id}",
    access=MEMBER,
    answer=PaymentOut,
    errors=(PaymentNotFound,),
)
def status(call: Call) -> Any:
    """Show a payment and its receipt. If the payment is not settled, its provider or network is asked first.

    All callers share one look at a network in a few seconds.
    The page that a user returns to calls this route. `payments/{id}` shows the same to a listener.
    """
    services, payment = call.services, call.path["id"]
    view = services.payments.store.view(payment, call.uid)
    if view["status"] in UNSETTLED or view["checkout_url"] is not None:
        if view.get("crypto") is None:
            services.payments.settlement.look(payment)
        else:
            services.crypto.look(services.payments.store.get(payment))
        view = services.payments.store.view(payment, call.uid)
    return view


@routes.get("/payments/{id}/cancelled/{key}", access=ANYBODY, answer="*/*", query=None, is_hidden=True)
def turned_back(call: Call) -> Response:
    """Note that a user left the provider's page without paying, and lead on to the app's page.

    The address is known to nobody but the provider and this user's browser, which shows no other credential here.
    """
    payment, cancellations = call.path["id"], call.services.payments.cancellations
    back = cancellations.way_back(payment, call.path["key"])
    if request.method == "GET":
        try:
            cancellations.cancel(payment)
        except DomainError as error:
            log("checkout_not_cancelled", "WARNING", payment=payment, code=error.code)
    return Response(status=SEE_OTHER, headers={"Location": back, "Referrer-Policy": "no-referrer"})


@routes.get("/payments/history", access=MEMBER, query=PaymentsQuery, answer=PaymentsOut)
def history(call: Call) -> Any:
    """List the caller's payments, newest first."""
    after = position_of(call.query["cursor"])
    return page_out(call.services.payments.store.history(call.uid, limit=call.query["limit"], after=after))


def page_out(page: PaymentPage) -> Mapping[str, Any]:
    """Return a page of stored payments in the form of the answer."""
    return {"items": [document.data for document in page.items], "next_cursor": _cursor(page.after)}


def position_of(cursor: str | None) -> tuple[Value, ...] | None:
    """Return the position in a list of payments that a cursor names; None without a cursor.

    Raises InvalidRequest for a cursor that we never gave.
    """
    if cursor is None:
        return None
    at, _, payment = cursor.partition(":")
    if not (at.isascii() and at.isdigit() and payment) or len(at) > len("9999999999999"):
        raise InvalidRequest({"cursor": ["Not a cursor of this list."]})
    return (to_datetime(int(at)), payment)


def _cursor(after: tuple[Value, ...] | None) -> str | None:
    if after is None:
        return None
    at, payment = after
    return encode_cursor(f"{from_datetime(at)}:{payment!s}")  # type: ignore[arg-type]  # a time


def _crypto_options(call: Call) -> Sequence[NetworkOption]:
    """Return the networks in use. Without networks nothing of coins is loaded or asked."""
    crypto = call.services.crypto
    return crypto_options(crypto.networks, crypto.availability.current()) if crypto.networks else ()


def return_address(call: Call, name: str) -> str:
    """Return the address to which the user returns: a configured origin or app; by default, our own page.

    Raises InvalidRequest for any other address.
    """
    own = call.services.settings.public_url
    wanted = call.body[name]
    if wanted is None:
        return f"{own}/v1{return_path()}"
    parts = urlsplit(wanted)
    is_ours = wanted == own or wanted.startswith(f"{own}/")
    is_plain = parts.username is None and parts.password is None and wanted.isascii() and wanted.isprintable()
    origin = f"{parts.scheme}://{parts.netloc}"
    settings = call.services.settings
    is_welcome = (
        is_ours or _is_app(wanted, settings.app_return_urls) or Origins(settings.cors_origins).is_welcome(origin)
    )
    if not is_plain or not is_welcome:
        raise InvalidRequest({name: [NO_RETURN]})
    return str(wanted)


def _is_app(wanted: str, app_urls: Sequence[str]) -> bool:
    """Return True for an address of an app, or for an address below it: with more path, a query or a fragment."""
    return any(wanted == url or wanted.startswith((f"{url}/", f"{url}?", f"{url}#")) for url in app_urls)
