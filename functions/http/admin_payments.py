"""`/v1/admin/payments` and `/v1/admin/packages`: operators read payments, refund and replay them, and sell packages."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from functions.http.admin import NoteToUser
from functions.http.admin_payment_views import AdminPaymentOut, for_operators, told_payment
from functions.http.errors import InvalidRequest
from functions.http.fields import (
    Amount,
    AmountOrZero,
    Answer,
    Choice,
    Credits,
    Cursor,
    Flag,
    Limit,
    Moment,
    NextCursor,
    ReadOnly,
    Request,
    Text,
    Whole,
    page_answer,
)
from functions.http.payments import (
    STATUSES,
    PackageOut,
    PaymentsOut,
    page_out,
    position_of,
)
from functions.http.routes import ACT, READ_USERS, Call, Reply, Routes, require_own_id
from shared.kernel.errors import InvalidValue
from shared.kernel.events import log
from shared.kernel.expected import VersionChanged
from shared.payments.chains.prices import PriceUnavailable
from shared.payments.chains.refund_addresses import RefundAddressMissing
from shared.payments.fiat import CURRENCY_LETTERS, MINOR_MAX, Fiat
from shared.payments.packages import (
    BONUS_DAYS_MAX,
    DESCRIPTION_CHARACTERS_MAX,
    LIMIT_MAX,
    TITLE_CHARACTERS_MAX,
    Package,
    PackageNotFound,
    version_tag,
)
from shared.payments.ports import ProviderRefused, ProviderUnavailable
from shared.payments.providers import PROVIDER_NAMES
from shared.payments.store import PaymentFilter, PaymentNotFound
from shared.payments.worth import Worth
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.payouts import CoinsNotFinal, TooManyPayouts
from shared.sagas.payments.refunds import NotRefundable
from shared.users.audit import REASON_MAX
from shared.users.looks import MANY
from shared.users.operator_acts import OwnAccount

MONEY_CHARACTERS_MAX = 16
ADDRESS_CHARACTERS_MAX = 128
UID_CHARACTERS_MAX = 1_500
PROVIDER_ID_CHARACTERS_MAX = 255
POSITION_MAX = 1_000_000

routes = Routes("admin_payments")


class AdminPaymentsOut(PaymentsOut):
    """A page of payments, newest first."""

    items = fields.List(fields.Nested(AdminPaymentOut), required=True)


class AdminPaymentsQuery(Request):
    """Filter of payments; all conditions hold at once. `from` is inclusive, `to` is exclusive."""

    limit = Limit()
    cursor = Cursor(str)
    uid = Text(length_min=1, length_max=UID_CHARACTERS_MAX, load_default=None)
    provider = Choice(*PROVIDER_NAMES, load_default=None)
    provider_id = Text(
        length_min=1,
        length_max=PROVIDER_ID_CHARACTERS_MAX,
        load_default=None,
        metadata={"description": "The provider's id of the checkout, the money, a refund or a dispute."},
    )
    status = Choice(*STATUSES, load_default=None)
    under_review = Choice("true", "false", load_default=None)
    first = Moment(data_key="from")
    last = Moment(data_key="to")


class RefundIn(Request):
    """Amount to refund, as a decimal of the payment's currency, and the reason. Without an amount, the whole rest."""

    amount = Text(length_min=1, length_max=MONEY_CHARACTERS_MAX, load_default=None)
    reason = Text(length_min=1, length_max=REASON_MAX, required=True)
    note_to_user = NoteToUser()
    address = Text(length_min=1, length_max=ADDRESS_CHARACTERS_MAX, load_default="")


class ReplayIn(Request):
    """Reason of the act."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class PackagePrice(fields.Field[Any]):
    """Price: a decimal of the body's `currency`, or `{"amount", "currency"}` as in answers."""

    def __init__(self) -> None:
        amount = {"type": "string", "minLength": 1, "maxLength": MONEY_CHARACTERS_MAX}
        both = {"amount": amount, "currency": {"type": "string", "minLength": 3, "maxLength": 3}}
        money = {"type": "object", "properties": both, "required": sorted(both), "additionalProperties": False}
        super().__init__(required=True, metadata={"oneOf": [amount, money]})

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        told = {"amount": value, "currency": None} if isinstance(value, str) else value
        if not isinstance(told, dict) or told.keys() != {"amount", "currency"}:
            raise ValidationError("Must be a decimal string, or an object of amount and currency.")
        amount, currency = told["amount"], told["currency"]
        if not isinstance(amount, str) or not 1 <= len(amount) <= MONEY_CHARACTERS_MAX:
            raise ValidationError(f"The amount must be a decimal string of 1 to {MONEY_CHARACTERS_MAX} characters.")
        if currency is not None and (not isinstance(currency, str) or len(currency) != CURRENCY_LETTERS):
            raise ValidationError("The currency must be a code of three letters.")
        return told


class PackageIn(Request):
    """Complete package.

    `price` is a decimal of `currency`. `bonus` is a gift that ends after `bonus_days`. The answer of GET may be sent
    back unchanged: the currency stands in its `price`.
    """

    title = Text(length_min=1, length_max=TITLE_CHARACTERS_MAX, required=True)
    description = Text(length_max=DESCRIPTION_CHARACTERS_MAX, load_default="")
    price = PackagePrice()
    currency = Text(length_min=CURRENCY_LETTERS, length_max=CURRENCY_LETTERS, load_default=None)
    credits = Amount(required=True)
    bonus = AmountOrZero(load_default=0)
    bonus_days = Whole(1, BONUS_DAYS_MAX, load_default=None, allow_none=True)
    per_user_limit = Whole(1, LIMIT_MAX, load_default=None, allow_none=True)
    position = Whole(0, POSITION_MAX, load_default=0)
    enabled = Flag(load_default=True)
    reason = Text(length_max=REASON_MAX, load_default=None)
    id = ReadOnly()
    version = ReadOnly()
    cost_usd = ReadOnly()
    warning = ReadOnly()
    etag = ReadOnly()


class AdminPackageOut(PackageOut):
    """Package as operators see it, also a disabled package.

    `cost_usd` is the sum that model providers charge if all credits of the package are spent, bonus included. `warning`
    says that a price in dollars is below that sum. The fees of payment providers come on top.
    """

    cost_usd = fields.String(required=True)
    warning = fields.String(required=True, allow_none=True)
    position = fields.Integer(required=True)
    enabled = fields.Boolean(required=True, attribute="is_enabled")
    version = fields.Integer(required=True)
    credits = Credits(required=True)
    etag = fields.String(required=True, metadata={"description": "The name of this version, for `If-Match`."})


class AdminPackagesOut(Answer):
    """Packages in the order of their places, also disabled packages."""

    items = fields.List(fields.Nested(AdminPackageOut), required=True)
    next_cursor = NextCursor()


def asked_user(call: Call, _: Any) -> str:
    """Return the user whose data a list is limited to, or MANY."""
    return call.query["uid"] or MANY


def _owner(_: Call, payment: Any) -> str:
    return str(payment["uid"])


@routes.get(
    "/admin/payments", access=READ_USERS, query=AdminPaymentsQuery, answer=AdminPaymentsOut, looks_at=asked_user
)
def payments(call: Call) -> Any:
    """List all users' payments, newest first."""
    query, stored = call.query, call.services.payments.store
    names = ("uid", "provider", "status", "first", "last")
    is_under_review = None if query["under_review"] is None else query["under_review"] == "true"
    wanted = PaymentFilter(is_under_review=is_under_review, **{name: query[name] for name in names})
    if query["provider_id"] is not None:
        page = stored.with_provider_id(query["provider_id"], wanted)
    else:
        page = stored.listed(wanted, limit=query["limit"], after=position_of(query["cursor"]))
    known = stored.among([document.id for document in page.items])
    told = page_out(page)
    return {**told, "items": [{**item, **for_operators(call, known[item["id"]])} for item in told["items"]]}


@routes.get(
    "/admin/payments/{id}", access=READ_USERS, answer=AdminPaymentOut, errors=(PaymentNotFound,), looks_at=_owner
)
def payment(call: Call) -> Any:
    """Show one payment, with the received money, the movements since, and the problem."""
    return told_payment(call, call.path["id"])


@routes.post(
    "/admin/payments/{id}/refund",
    access=ACT,
    body=RefundIn,
    answer=AdminPaymentOut,
    errors=(
        PaymentNotFound,
        OwnAccount,
        NotRefundable,
        RefundAddressMissing,
        CoinsNotFinal,
        TooManyPayouts,
        PriceUnavailable,
        ProviderRefused,
        ProviderUnavailable,
        PaymentBusy,
        InvalidValue,
    ),
)
def refund(call: Call) -> Any:
    """Refund a payment of another user. The credits are withdrawn first, and return if the provider refuses.

    Coins go back from the operator's own wallet: the answer's `payouts` say how many, where to, and show the unsigned
    transaction. They go to the address that the user named; without one, nothing happens. While
    the network has not made the received coins final, nothing goes back.
    """
    payment_id, services = call.path["id"], call.services
    reason, note, operation = call.body["reason"], call.body["note_to_user"], call.asked.operation
    services.payments.operators.refund(
        call.principal,
        payment_id,
        call.body["amount"],
        reason,
        operation,
        note_to_user=note,
        address=call.body["address"],
    )
    return told_payment(call, payment_id)


@routes.post(
    "/admin/payments/{id}/replay",
    status=200,
    access=ACT,
    body=ReplayIn,
    answer=AdminPaymentOut,
    errors=(PaymentNotFound, PaymentBusy, ProviderUnavailable),
)
def replay(call: Call) -> Any:
    """Settle a payment again that stuck or waits for a look."""
    call.services.payments.operators.replay(call.principal, call.path["id"], call.body["reason"])
    return told_payment(call, call.path["id"])


@routes.get("/admin/packages", access=READ_USERS, answer=AdminPackagesOut)
def packages(call: Call) -> Any:
    """List all packages in the order of their places, also disabled packages."""
    return page_answer([_weighed(call, each) for each in call.services.payments.packages.everything()])


@routes.get(
    "/admin/packages/{id}",
    access=READ_USERS,
    answer=AdminPackageOut,
    errors=(PackageNotFound,),
    is_versioned=True,
)
def package(call: Call) -> Any:
    """Show one package, also a disabled package."""
    found = call.services.payments.packages.look(call.path["id"])
    return Reply(value=_weighed(call, found), tag=version_tag(found))


@routes.put(
    "/admin/packages/{id}",
    access=ACT,
    body=PackageIn,
    answer=AdminPackageOut,
    errors=(InvalidValue, VersionChanged),
    is_versioned=True,
)
def put_package(call: Call) -> Any:
    """Put a package on sale, or change a package. Earlier purchases keep their own terms.

    The answer of GET may be sent back unchanged. With `If-Match`, only that version is replaced.
    """
    require_own_id(call)
    body = call.body
    currency = _currency(body["currency"], body["price"]["currency"])
    price = _price(body["price"]["amount"], currency)
    wanted = {name: body[name] for name in ("title", "description", "credits", "bonus", "bonus_days", "per_user_limit")}
    wanted |= {"position": body["position"], "is_enabled": body["enabled"]}
    wanted |= {"price_minor": price.minor, "currency": currency}
    stored = call.services.payments.operators.put_package(
        call.principal, call.path["id"], wanted, body["reason"], call.expected
    )
    weighed = _weighed(call, stored)
    if weighed["warning"] is not None and stored.is_enabled:
        told = f"{stored.price.decimal} {stored.price.currency}"
        log("package_below_cost", "WARNING", package=stored.id, price=told, cost_usd=weighed["cost_usd"])
    return Reply(value=weighed, tag=version_tag(stored))


def _price(amount: str, currency: str) -> Fiat:
    """Return the price. Raises InvalidValue for `price` if the currency has no such amount, or the price is nothing."""
    try:
        price = Fiat.parse(amount, currency)
    except InvalidValue as error:
        field = "price" if error.params["field"] == "amount" else str(error.params["field"])
        raise InvalidValue(field, str(error.params["problem"])) from None
    if not 0 < price.minor <= MINOR_MAX:
        raise InvalidValue("price", "must be more than nothing")
    return price


def _currency(named: str | None, of_price: str | None) -> str:
    """Return the currency that a body names, once or twice. Raises InvalidRequest for no or for two currencies."""
    codes = {code.upper() for code in (named, of_price) if code is not None}
    if len(codes) != 1:
        raise InvalidRequest({"currency": ["Must be named once: here, or in `price`."]})
    return codes.pop()


def _weighed(call: Call, package: Package) -> dict[str, Any]:
    """Return a package with the cost of the package's credits."""
    settings = call.services.settings
    worth = Worth(credits_per_usd=settings.credits_per_usd, markup_percent=settings.markup_percent)
    told = {field.name: getattr(package, field.name) for field in dataclasses.fields(package)}
    return {
        **told,
        "cost_usd": worth.cost_text(package),
        "warning": worth.warning(package),
        "etag": version_tag(package),
    }
