"""`/v1/admin/payments` and `/v1/admin/packages`: what operators see of payments, refund, replay, and put on sale."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Amount, Choice, Credits, Cursor, Flag, Limit, Request, Text, Whole
from functions.http.payments import (
    STATUSES,
    PackageOut,
    PaymentOut,
    PaymentsOut,
    page_out,
    payment_out,
    position_of,
)
from functions.http.routes import ACT, READ_USERS, Call, Routes
from shared.kernel.errors import InvalidValue
from shared.payments.fiat import MINOR_MAX, Fiat
from shared.payments.packages import (
    BONUS_DAYS_MAX,
    DESCRIPTION_CHARACTERS_MAX,
    LIMIT_MAX,
    TITLE_CHARACTERS_MAX,
    PackageNotFound,
)
from shared.payments.ports import ProviderRefused, ProviderUnavailable
from shared.payments.store import PaymentNotFound
from shared.sagas.operators import OwnAccount
from shared.sagas.refunds import NotRefundable
from shared.sagas.settlement import PaymentBusy
from shared.users.audit import REASON_MAX

MONEY_CHARACTERS_MAX = 16
POSITION_MAX = 1_000_000

routes = Routes("admin_payments")


class AdminPaymentOut(PaymentOut):
    """A payment as operators see it."""

    uid = fields.String(required=True)


class AdminPaymentsOut(PaymentsOut):
    """A page of payments, newest first."""

    items = fields.List(fields.Nested(AdminPaymentOut), required=True)


class AdminPaymentsQuery(Request):
    """Which payments: of one status, or those that wait for a look."""

    limit = Limit()
    cursor = Cursor(str)
    status = Choice(*STATUSES, load_default=None)
    under_review = Choice("true", load_default=None)


class RefundIn(Request):
    """How much money to give back, as a decimal of the payment's currency (all that is left, if not said), and why."""

    amount = Text(length_min=1, length_max=MONEY_CHARACTERS_MAX, load_default=None)
    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class ReplayIn(Request):
    """Why."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class PackageIn(Request):
    """The whole package. `price` is a decimal of `currency`; `bonus` is a gift that ends after `bonus_days`."""

    title = Text(length_min=1, length_max=TITLE_CHARACTERS_MAX, required=True)
    description = Text(length_max=DESCRIPTION_CHARACTERS_MAX, load_default="")
    price = Text(length_min=1, length_max=MONEY_CHARACTERS_MAX, required=True)
    currency = Text(length_min=3, length_max=3, required=True)
    credits = Amount(required=True)
    bonus = Amount(load_default=0)
    bonus_days = Whole(1, BONUS_DAYS_MAX, load_default=None, allow_none=True)
    per_user_limit = Whole(1, LIMIT_MAX, load_default=None, allow_none=True)
    position = Whole(0, POSITION_MAX, load_default=0)
    enabled = Flag(load_default=True)
    reason = Text(length_max=REASON_MAX, load_default=None)


class AdminPackageOut(PackageOut):
    """A package as operators see it, disabled ones too."""

    position = fields.Integer(required=True)
    enabled = fields.Boolean(required=True, attribute="is_enabled")
    version = fields.Integer(required=True)
    credits = Credits(required=True)


@routes.get("/admin/payments", access=READ_USERS, query=AdminPaymentsQuery, answer=AdminPaymentsOut)
def payments(call: Call) -> Any:
    """Everybody's payments, newest first."""
    query, stored = call.query, call.services.payments
    limit, after = query["limit"], position_of(query["cursor"])
    if query["under_review"]:
        return page_out(stored.under_review(limit=limit, after=after))
    return page_out(stored.listed(query["status"], limit=limit, after=after))


@routes.post(
    "/admin/payments/{id}/refund",
    access=ACT,
    body=RefundIn,
    answer=AdminPaymentOut,
    errors=(
        PaymentNotFound,
        OwnAccount,
        NotRefundable,
        ProviderRefused,
        ProviderUnavailable,
        PaymentBusy,
        InvalidValue,
    ),
)
def refund(call: Call) -> Any:
    """Give money back to another user: the credits are withdrawn first, and return if the provider will not pay."""
    payment, services = call.path["id"], call.services
    minor = None
    if call.body["amount"] is not None:
        minor = Fiat.parse(call.body["amount"], services.payments.get(payment).terms.price.currency).minor
    services.payment_operators.refund(call.principal, payment, minor, call.body["reason"], call.asked.operation)
    return payment_out(payment, services.payments.view(payment, None))


@routes.post(
    "/admin/payments/{id}/replay",
    status=200,
    access=ACT,
    body=ReplayIn,
    answer=AdminPaymentOut,
    errors=(PaymentNotFound, PaymentBusy, ProviderUnavailable),
)
def replay(call: Call) -> Any:
    """Let a payment that stuck, or waits for a look, be settled anew."""
    call.services.payment_operators.replay(call.principal, call.path["id"], call.body["reason"])
    return payment_out(call.path["id"], call.services.payments.view(call.path["id"], None))


@routes.get("/admin/packages/{id}", access=READ_USERS, answer=AdminPackageOut, errors=(PackageNotFound,))
def package(call: Call) -> Any:
    """One package, disabled ones too."""
    return call.services.packages.look(call.path["id"])


@routes.put("/admin/packages/{id}", access=ACT, body=PackageIn, answer=AdminPackageOut, errors=(InvalidValue,))
def put_package(call: Call) -> Any:
    """Put a package on sale, or change one; what was bought before keeps its own terms."""
    body = call.body
    currency = body["currency"].upper()
    price = Fiat.parse(body["price"], currency)
    if not 0 < price.minor <= MINOR_MAX:
        raise InvalidValue("price", "must be more than nothing")
    wanted = {name: body[name] for name in ("title", "description", "credits", "bonus", "bonus_days", "per_user_limit")}
    wanted |= {"position": body["position"], "is_enabled": body["enabled"]}
    wanted |= {"price_minor": price.minor, "currency": currency}
    return call.services.payment_operators.put_package(call.principal, call.path["id"], wanted, body["reason"])
