"""`/v1/admin/sign-ups`: the way of users from sign-up to bonus, first purchase and first use, by month of sign-up."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer
from functions.http.figure_answers import FiguresQuery, PlatformFigures, asked_period, figure_period, table
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import InvalidValue
from shared.ledger.log.figure_documents import FiguresBroken
from shared.ledger.log.figure_sums import WaySums
from shared.ledger.log.figures import MONTH_CHARACTERS, summed_days
from shared.ledger.series import buckets
from shared.users.sign_ups import SignUpSums

COLUMNS = ("start", "month", "signed_up", "signed_up_anonymous", "bonuses", "buyers", "spenders")

routes = Routes("admin_sign_ups")


class SignUpsOut(Answer):
    """Users of one month of sign-up, and their steps in a day or month.

    `month` is null where it is not known. A user counts as `signed_up` on the day of sign-up, and once for each step on
    the day of that step.
    """

    start = fields.String(required=True, metadata={"format": "date"})
    month = fields.String(required=True, allow_none=True)
    signed_up = fields.Integer(required=True)
    signed_up_anonymous = fields.Integer(required=True)
    bonuses = fields.Integer(required=True)
    buyers = fields.Integer(required=True)
    spenders = fields.Integer(required=True)


class SignUpFiguresOut(PlatformFigures):
    """Steps of users in each day or month of a period by month of sign-up, oldest first."""

    items = fields.List(fields.Nested(SignUpsOut), required=True)


@routes.get(
    "/admin/sign-ups",
    access=READ_USERS,
    query=FiguresQuery,
    answer=SignUpFiguresOut,
    errors=(InvalidValue, PreconditionFailed, FiguresBroken),
    has_table=True,
)
def sign_ups(call: Call) -> Any:
    """Show how many users signed up, took the welcome bonus, first bought and first spent, by month of sign-up.

    Sign-ups are counted since this release. With `format=csv`, the answer is a table.
    """
    asked, credits_ = asked_period(call), call.services.credits
    found, signed_up = credits_.figures.days(asked.first, asked.last), credits_.sign_ups.days(asked.first, asked.last)
    items: list[dict[str, Any]] = []
    for begins, days in buckets(asked, call.query["bucket"]).items():
        way = summed_days(found.days[day] for day in days if day in found.days).way
        users = {day[:MONTH_CHARACTERS]: SignUpSums() for day in days if day in signed_up}
        for day in (day for day in days if day in signed_up):
            users[day[:MONTH_CHARACTERS]] += signed_up[day]
        items += [
            {"start": begins, **_told(month, users.get(month, SignUpSums()), way.get(month, WaySums()))}
            for month in sorted({*users, *way})
        ]
    if call.query["format"] == "csv":
        return table("sign-ups.csv", COLUMNS, items)
    return {**figure_period(call, asked, found), "items": items}


def _told(month: str, users: SignUpSums, way: WaySums) -> dict[str, Any]:
    return {
        "month": month or None,
        "signed_up": users.users,
        "signed_up_anonymous": users.anonymous,
        "bonuses": way.bonuses,
        "buyers": way.buyers,
        "spenders": way.spenders,
    }
