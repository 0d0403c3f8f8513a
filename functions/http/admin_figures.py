"""`/v1/admin/kpis` and `/v1/admin/cohorts`: figures of the whole platform, exact to the entries of the log."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Credits
from functions.http.figure_answers import FiguresQuery, PlatformFigures, asked_period, figure_period, made_of, table
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import InvalidValue
from shared.ledger.log.figure_documents import FiguresBroken
from shared.ledger.log.figure_reader import FigurePeriod
from shared.ledger.log.figure_sums import CohortSums, MoneyDaySums
from shared.ledger.log.figures import DayFigures, MoneyPlace, summed_days
from shared.ledger.series import Period, buckets
from shared.payments.fiat import decimal_of
from shared.sagas.figures.kpis import Kpis, UseMargin, kpis_of, usd_text

KPI_COLUMNS = (
    "start", "spent", "absorbed", "expired", "debt", "liability", "active", "new", "bonuses", "buyers", "spenders",
)  # fmt: skip
MONEY_COLUMNS = ("start", "provider", "currency", "payments", "came_in", "went_out", "came_back")
COHORT_COLUMNS = ("start", "cohort", "active", "purchases", "bought", "spent")

routes = Routes("admin_figures")


class UseOut(Answer):
    """Uses of a model at one version of its prices.

    `revenue_usd` is the value of `spent`, `upstream_usd` the model's price without markup for `spent` and `absorbed`
    together, `margin_usd` the difference. The model and the version are null where entries name none.
    """

    kind = fields.String(required=True)
    model = fields.String(required=True, allow_none=True)
    price_version = fields.String(required=True, allow_none=True)
    markup_percent = fields.String(required=True)
    count = fields.Integer(required=True)
    spent = Credits(required=True)
    absorbed = Credits(required=True)
    input_tokens = fields.Integer(required=True)
    output_tokens = fields.Integer(required=True)
    revenue_usd = fields.String(required=True)
    upstream_usd = fields.String(required=True)
    margin_usd = fields.String(required=True)


class MoneyOut(Answer):
    """Money of one payment provider in one currency, as decimals.

    `came_in` counts on the day on which the money became credits, `went_out` on the day on which the credits were taken
    back. `came_back` is money of won disputes and of refunds that the provider refused.
    """

    provider = fields.String(required=True)
    currency = fields.String(required=True)
    payments = fields.Integer(required=True)
    came_in = fields.String(required=True)
    went_out = fields.String(required=True)
    came_back = fields.String(required=True)


class KpiFigures(Answer):
    """Key figures of a day, a month or the whole period, in credits.

    `granted` and `refunded` are by source, `adjusted` and `reversed` by the account outside. `debt` and `liability` are
    the growth of the credits that users owe and that users have. `active` counts accounts with an entry: of the day, or
    of the month with `bucket=month`; it is null for a period that has several of them.
    """

    granted = fields.Dict(keys=fields.String(), values=Credits(), required=True)
    refunded = fields.Dict(keys=fields.String(), values=Credits(), required=True)
    adjusted = fields.Dict(keys=fields.String(), values=Credits(), required=True)
    reversed = fields.Dict(keys=fields.String(), values=Credits(), required=True)
    spent = Credits(required=True)
    absorbed = Credits(required=True)
    expired = Credits(required=True)
    debt = Credits(required=True)
    liability = Credits(required=True)
    active = fields.Integer(required=True, allow_none=True)
    new = fields.Integer(required=True)
    bonuses = fields.Integer(required=True)
    buyers = fields.Integer(required=True)
    buyers_with_bonus = fields.Integer(required=True)
    spenders = fields.Integer(required=True)
    entries = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    uses = fields.List(fields.Nested(UseOut), required=True)
    money = fields.List(fields.Nested(MoneyOut), required=True)


class KpiBucket(KpiFigures):
    """Key figures of one day or month. `made_of` is the path of the month's days, or of the day's books."""

    start = fields.String(required=True, metadata={"format": "date"})
    made_of = fields.String(required=True)


class KpisOut(PlatformFigures):
    """Key figures of each day or month of a period, oldest first, and of the whole period."""

    items = fields.List(fields.Nested(KpiBucket), required=True)
    total = fields.Nested(KpiFigures, required=True)


class MoneyBucket(MoneyOut):
    """Money of one payment provider in one currency in a day or month."""

    start = fields.String(required=True, metadata={"format": "date"})


class MoneyFiguresOut(PlatformFigures):
    """Money of each day or month of a period, oldest first."""

    items = fields.List(fields.Nested(MoneyBucket), required=True)


class CohortOut(Answer):
    """Accounts of one month of first purchase in a day or month; `cohort` is null before the first purchase."""

    start = fields.String(required=True, metadata={"format": "date"})
    cohort = fields.String(required=True, allow_none=True)
    active = fields.Integer(required=True)
    purchases = fields.Integer(required=True)
    bought = Credits(required=True)
    spent = Credits(required=True)


class CohortsOut(PlatformFigures):
    """Cohorts by month of first purchase, in each day or month of a period.

    `active` counts an account in the month of its first entry of that month, and in the month of its first purchase.
    """

    items = fields.List(fields.Nested(CohortOut), required=True)


@routes.get(
    "/admin/kpis",
    access=READ_USERS,
    query=FiguresQuery,
    answer=KpisOut,
    errors=(InvalidValue, PreconditionFailed, FiguresBroken),
    has_table=True,
)
def kpis(call: Call) -> Any:
    """Show key figures of the platform by day or month: granted, spent and absorbed credits, accounts, margin by model.

    With `format=csv`, the answer is a table without the figures by source and model.
    """
    asked, found = _asked(call)
    dates = buckets(asked, call.query["bucket"])
    parts = {
        begins: summed_days(found.days[day] for day in days if day in found.days) for begins, days in dates.items()
    }
    items = [
        {"start": begins, "made_of": made_of(call, "kpis", begins, dates[begins]), **_told(call, figures)}
        for begins, figures in parts.items()
    ]
    if call.query["format"] == "csv":
        return table("kpis.csv", KPI_COLUMNS, items)
    total = {**_told(call, summed_days(parts.values())), "active": None}
    return {**figure_period(call, asked, found), "items": items, "total": total}


@routes.get(
    "/admin/money",
    access=READ_USERS,
    query=FiguresQuery,
    answer=MoneyFiguresOut,
    errors=(InvalidValue, PreconditionFailed, FiguresBroken),
    has_table=True,
)
def money(call: Call) -> Any:
    """Show the money that came in and went out by day or month, provider and currency.

    Entries name their money since this release. `GET /v1/admin/books/{day}` compares each payment of a closed day with
    the providers' listings. With `format=csv`, the answer is a table.
    """
    asked, found = _asked(call)
    items = [
        {"start": begins, **_money(place, sums)}
        for begins, days in buckets(asked, call.query["bucket"]).items()
        for place, sums in sorted(summed_days(found.days[day] for day in days if day in found.days).money.items())
    ]
    if call.query["format"] == "csv":
        return table("money.csv", MONEY_COLUMNS, items)
    return {**figure_period(call, asked, found), "items": items}


@routes.get(
    "/admin/cohorts",
    access=READ_USERS,
    query=FiguresQuery,
    answer=CohortsOut,
    errors=(InvalidValue, PreconditionFailed, FiguresBroken),
    has_table=True,
)
def cohorts(call: Call) -> Any:
    """Show activity, purchases and spending of accounts by the month of their first purchase."""
    asked, found = _asked(call)
    items = [
        {"start": begins, **_cohort(month, sums)}
        for begins, days in buckets(asked, call.query["bucket"]).items()
        for month, sums in sorted(summed_days(found.days[day] for day in days if day in found.days).cohorts.items())
    ]
    if call.query["format"] == "csv":
        return table("cohorts.csv", COHORT_COLUMNS, items)
    return {**figure_period(call, asked, found), "items": items}


def _asked(call: Call) -> tuple[Period, FigurePeriod]:
    asked = asked_period(call)
    return asked, call.services.credits.figures.days(asked.first, asked.last)


def _told(call: Call, figures: DayFigures) -> dict[str, Any]:
    """Return the fields of the answer for the figures of a day or month."""
    found, accounts = kpis_of(figures, call.services.settings.credits_per_usd), figures.accounts
    is_month = call.query["bucket"] == "month"
    return {
        **_amounts(found),
        "active": accounts.active_in_month if is_month else accounts.active,
        "new": accounts.new,
        "bonuses": accounts.bonuses,
        "buyers": accounts.buyers,
        "buyers_with_bonus": accounts.buyers_with_bonus,
        "spenders": accounts.spenders,
        "entries": figures.entries,
        "uses": [_use(each) for each in found.uses],
        "money": [_money(*each) for each in sorted(figures.money.items())],
    }


def _amounts(found: Kpis) -> dict[str, Any]:
    names = ("granted", "refunded", "adjusted", "reversed", "spent", "absorbed", "expired", "debt", "liability")
    return {name: getattr(found, name) for name in names}


def _use(each: UseMargin) -> dict[str, Any]:
    return {
        "kind": each.use.kind,
        "model": each.use.model or None,
        "price_version": each.use.price_version or None,
        "markup_percent": each.use.markup or "0",
        "count": each.sums.count,
        "spent": each.sums.charged,
        "absorbed": each.sums.absorbed,
        "input_tokens": each.sums.input_tokens,
        "output_tokens": each.sums.output_tokens,
        "revenue_usd": usd_text(each.revenue_usd),
        "upstream_usd": usd_text(each.upstream_usd),
        "margin_usd": usd_text(each.margin_usd),
    }


def _money(place: MoneyPlace, sums: MoneyDaySums) -> dict[str, Any]:
    amounts = {name: getattr(sums, name) for name in ("came_in", "went_out", "came_back")}
    told = {name: decimal_of(minor, place.currency) for name, minor in amounts.items()}
    return {"provider": place.provider, "currency": place.currency, "payments": sums.payments, **told}


def _cohort(month: str, sums: CohortSums) -> dict[str, Any]:
    return {
        "cohort": month or None,
        "active": sums.active_in_month,
        "purchases": sums.purchases,
        "bought": sums.bought,
        "spent": sums.charged,
    }
