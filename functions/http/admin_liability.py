"""`/v1/admin/liability`: the credits that all accounts hold at the end of each day, paid and promotional apart."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Credits
from functions.http.figure_answers import FiguresQuery, PlatformFigures, asked_period, figure_period, made_of, table
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import InvalidValue
from shared.ledger.log.figure_documents import FiguresBroken
from shared.ledger.log.figure_reader import BalancePeriod
from shared.ledger.log.figure_sums import BalanceSums
from shared.ledger.log.figures import summed_days
from shared.ledger.series import Period, buckets

COLUMNS = ("start", "paid", "promotional", "total", "debt")

routes = Routes("admin_liability")


class AccountBalances(Answer):
    """Credits of all accounts together, available and held, and the credits that users owe."""

    paid = Credits(required=True)
    promotional = Credits(required=True)
    total = Credits(required=True)
    debt = Credits(required=True)


class LiabilityBucket(AccountBalances):
    """Balances at the end of a day or month. `grown` is the growth since the one before, by kind of entry.

    `made_of` is the path of the month's days, or of the day's books.
    """

    start = fields.String(required=True, metadata={"format": "date"})
    made_of = fields.String(required=True)
    grown = fields.Dict(keys=fields.String(), values=fields.Nested(AccountBalances), required=True)


class LiabilityOut(PlatformFigures):
    """Balances at the end of each day or month of a period, oldest first. `opening` are those before the period."""

    opening = fields.Nested(AccountBalances, required=True)
    items = fields.List(fields.Nested(LiabilityBucket), required=True)


@routes.get(
    "/admin/liability",
    access=READ_USERS,
    query=FiguresQuery,
    answer=LiabilityOut,
    errors=(InvalidValue, PreconditionFailed, FiguresBroken),
    has_table=True,
)
def liability(call: Call) -> Any:
    """Show the credits that all accounts hold at the end of each day or month, bought and promotional ones apart.

    The credits of a lot are paid if the lot was bought. With `format=csv`, the answer is a table of the balances.
    """
    asked = asked_period(call)
    found = call.services.credits.figures.balances(asked.first, asked.last)
    items = _items(call, asked, found)
    if call.query["format"] == "csv":
        return table("liability.csv", COLUMNS, items)
    return {**figure_period(call, asked, found.figures), "opening": _told(found.opening), "items": items}


def _items(call: Call, asked: Period, found: BalancePeriod) -> list[dict[str, Any]]:
    """Return the balances at the end of each bucket, the oldest first."""
    items, balances, days = [], found.opening, found.figures.days
    for begins, dates in buckets(asked, call.query["bucket"]).items():
        figures = summed_days(days[day] for day in dates if day in days)
        balances += figures.balances
        grown = {kind: _told(sums) for kind, sums in sorted(figures.growth.items())}
        items.append(
            {"start": begins, "made_of": made_of(call, "liability", begins, dates), **_told(balances), "grown": grown}
        )
    return items


def _told(sums: BalanceSums) -> dict[str, Any]:
    return {"paid": sums.paid, "promotional": sums.promotional, "total": sums.liability, "debt": sums.debt}
