"""`/v1/admin/books/{day}`: the books of the whole ledger as a day was closed."""

from typing import Any

from marshmallow import fields

from functions.http.fields import DATE, Answer, Credits
from functions.http.provider_books import ProviderDayOut, provider_days
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.errors import NotFound
from shared.ledger.entries import ABSORBED, BREAKAGE
from shared.ledger.log.day_store import ClosedDay, DayBroken
from shared.ledger.log.days import DayRecord
from shared.payments.provider_days import ProviderBooksBroken

LATEST = "latest"

routes = Routes("admin_books")


class DayNotClosed(NotFound):
    """Day that was not closed: a day that has not ended, or on which the jobs did not run."""

    code = "day_not_closed"

    def __init__(self) -> None:
        super().__init__("This day was not closed.")


class BooksOut(Answer):
    """Books of the whole ledger at the close of a day, in credits, summed from the first entry.

    `flows` has, for each source and destination of postings, the credits that came in less those that left. `liability`
    is the credits that users have, `debt` the credits that users owe, `breakage` the expired credits, `absorbed` the
    credits that the platform bore. `accounts_posted` is the sum over all accounts as they were read for the close, some
    minutes after the books. `differences` names sums that do not agree; no name stands there if the books balance.
    `providers` compares the day with the listings of payment providers. `record` is the signed text, `hash` the SHA-256
    of that text, which the next day's record names as `previous`.
    """

    day = fields.String(required=True)
    accounts = fields.Integer(required=True)
    size = fields.Integer(required=True)
    liability = Credits(required=True)
    held = Credits(required=True)
    debt = Credits(required=True)
    breakage = Credits(required=True)
    absorbed = Credits(required=True)
    accounts_posted = Credits(required=True)
    flows = fields.Dict(keys=fields.String(), values=Credits(), required=True)
    differences = fields.List(fields.String(), required=True)
    providers = fields.List(fields.Nested(ProviderDayOut), required=True)
    root = fields.String(required=True)
    previous = fields.String(required=True)
    hash = fields.String(required=True)
    record = fields.String(required=True)


@routes.get(
    "/admin/books/{day}", access=READ_USERS, answer=BooksOut, errors=(DayNotClosed, DayBroken, ProviderBooksBroken)
)
def books(call: Call) -> Any:
    """Show the books at the close of a day, `2026-11-30`, or at the last close: `latest`."""
    record = _closed(call, call.path["day"]).record
    return {**_told(record), "providers": provider_days(call.services, record)}


def _closed(call: Call, day: str) -> ClosedDay:
    days = call.services.credits.days
    wanted = days.state().last if day == LATEST else day
    found = days.find(wanted) if DATE.fullmatch(wanted) else None
    if found is None:
        raise DayNotClosed
    return found


def _told(record: DayRecord) -> dict[str, Any]:
    """Return the fields of the answer for the record of a day."""
    flows, balances = record.books.flows, record.books.balances
    return {
        "day": record.day,
        "accounts": record.totals.accounts,
        "size": record.size,
        "liability": balances.posted,
        "held": balances.held,
        "debt": balances.debt,
        "breakage": flows.get(BREAKAGE, 0),
        "absorbed": -flows.get(ABSORBED, 0),
        "accounts_posted": record.totals.posted,
        "flows": flows,
        "differences": record.books.differences,
        "root": record.root,
        "previous": record.previous,
        "hash": record.hash,
        "record": record.text,
    }
