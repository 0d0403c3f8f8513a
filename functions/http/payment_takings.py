"""`/v1/payments/analytics`: the money that payments brought, by day, provider and currency, for operators."""

from typing import Any

from marshmallow import ValidationError, fields

from functions.http.fields import Answer, Credits, Request
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.clock import DAY, Millis
from shared.kernel.documents import Value
from shared.payments.analytics import takings
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment

ANALYTICS_DAYS_MAX = 92
ANALYTICS_DAYS_DEFAULT = 30
ANALYTICS_PAYMENTS_MAX = 20_000
ANALYTICS_PAGE = 500

routes = Routes("payments")


class TakingsOut(Answer):
    """Payments of one day through one provider in one currency."""

    day = fields.String(required=True)
    provider = fields.String(required=True)
    currency = fields.String(required=True)
    begun = fields.Integer(required=True)
    paid = fields.Integer(required=True)
    paid_amount = fields.String(required=True)
    refunded_amount = fields.String(required=True)
    credits = Credits(required=True)


class AnalyticsOut(Answer):
    """Takings, the latest day first. Not `complete`: there were more payments than one answer counts."""

    items = fields.List(fields.Nested(TakingsOut), required=True)
    complete = fields.Boolean(required=True)


class PaymentAnalyticsQuery(Request):
    """Number of days to report."""

    days = fields.Integer(
        load_default=ANALYTICS_DAYS_DEFAULT, validate=lambda days: _between(days, 1, ANALYTICS_DAYS_MAX)
    )


@routes.get("/payments/analytics", access=READ_USERS, query=PaymentAnalyticsQuery, answer=AnalyticsOut)
def analytics(call: Call) -> Any:
    """Show the money received and returned, by day, provider and currency."""
    first = call.services.clock.now() - call.query["days"] * DAY
    found, is_complete = _since(call, first)
    items = [
        {
            "day": one.day,
            "provider": one.provider,
            "currency": one.currency,
            "begun": one.begun,
            "paid": one.paid,
            "paid_amount": Fiat(one.paid_minor, one.currency).decimal,
            "refunded_amount": Fiat(one.refunded_minor, one.currency).decimal,
            "credits": one.credits,
        }
        for one in takings(found)
    ]
    return {"items": items, "complete": is_complete}


def _since(call: Call, first: Millis) -> tuple[list[Payment], bool]:
    found: list[Payment] = []
    after: tuple[Value, ...] | None = None
    while len(found) < ANALYTICS_PAYMENTS_MAX:
        page, after = call.services.payments.store.since(first, limit=ANALYTICS_PAGE, after=after)
        found += page
        if after is None:
            return found, True
    return found, False


def _between(value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValidationError(f"Must be from {low} to {high}.")
