"""Parts of the answers with figures of the platform: the asked period, its fields, and tables for spreadsheets."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.analytics import AnalyticsQuery
from functions.http.fields import Answer, Choice
from functions.http.routes import Call
from shared.kernel.clock import to_datetime
from shared.kernel.money import format_credits
from shared.ledger.log.figure_reader import FigurePeriod
from shared.ledger.series import BUCKETS, Period, period

CREDIT_COLUMNS = frozenset(
    {"spent", "absorbed", "expired", "debt", "liability", "bought", "paid", "promotional", "total"}
)


class FiguresQuery(AnalyticsQuery):
    """Days (UTC), both included, and the form of the answer: JSON, or a table for spreadsheets with `format=csv`."""

    format = Choice("json", "csv", load_default="json")


class PlatformFigures(Answer):
    """Figures of a period. They count the entries of a log with `size` leaves; all of them, if `is_whole`."""

    start = fields.String(data_key="from", required=True, metadata={"format": "date"})
    end = fields.String(data_key="to", required=True, metadata={"format": "date"})
    bucket = Choice(*BUCKETS, required=True)
    size = fields.Integer(required=True)
    is_whole = fields.Boolean(required=True)


def asked_period(call: Call) -> Period:
    """Return the days that the query asks for. Raises InvalidValue."""
    return period(call.query["first"], call.query["last"], to_datetime(call.services.clock.now()).date())


def figure_period(call: Call, asked: Period, found: FigurePeriod) -> dict[str, Any]:
    """Return the fields of `PlatformFigures`."""
    return {
        "start": asked.first.isoformat(),
        "end": asked.last.isoformat(),
        "bucket": call.query["bucket"],
        "size": found.size,
        "is_whole": found.is_whole,
    }


def made_of(call: Call, route: str, begins: str, days: Sequence[str]) -> str:
    """Return the path of the parts of a bucket: the days of a month, or the books of a day."""
    if call.query["bucket"] == "day":
        return f"/v1/admin/books/{begins}"
    return f"/v1/admin/{route}?from={days[0]}&to={days[-1]}&bucket=day"


def table(name: str, columns: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Response:
    """Return the items as CSV, with names in the first line and credits as decimals."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(columns)
    for item in items:
        table.writerow([_cell(column, item[column]) for column in columns])
    answer = Response(text.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    return format_credits(value) if column in CREDIT_COLUMNS else str(value)
