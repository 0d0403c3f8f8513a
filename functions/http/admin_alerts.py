"""`/v1/admin/alerts`: troubles that operators were alerted of, and the acts that end them."""

from typing import Any

from marshmallow import fields

from functions.http.errors import InvalidRequest
from functions.http.fields import Answer, Choice, Cursor, Limit, NextCursor, Request, Text, Time, page_answer
from functions.http.routes import ACT, READ_USERS, Call, Routes
from shared.kernel.alert_records import STATES
from shared.kernel.clock import Millis
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import is_safe_id
from shared.users.alert_desk import AlertIsOver, AlertNotFound
from shared.users.audit import REASON_MAX

MILLIS_CHARS_MAX = 15

routes = Routes("admin_alerts")


class AlertsQuery(Request):
    """Filter and page of the alerts."""

    state = Choice(*STATES, load_default=None)
    limit = Limit()
    cursor = Cursor(str)


class AlertActIn(Request):
    """Reason of an act, which stands in the alert and in the audit trail."""

    reason = Text(length_min=1, length_max=REASON_MAX, required=True)


class AlertOut(Answer):
    """Trouble that operators were alerted of: one alert, however often the trouble was reported."""

    id = fields.String(required=True)
    event = fields.String(required=True)
    subject = fields.String(required=True)
    state = Choice(*STATES, required=True)
    count = fields.Integer(required=True)
    first_seen = Time(required=True)
    last_seen = Time(required=True)
    opening = fields.Integer(required=True)
    opened_at = Time(required=True)
    changed_at = Time(required=True, allow_none=True)
    changed_by = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    details = fields.Dict(data_key="fields", attribute="fields", required=True)


class AlertsOut(Answer):
    """A page of alerts, those seen last first."""

    items = fields.List(fields.Nested(AlertOut), required=True)
    next_cursor = NextCursor()


@routes.get("/admin/alerts", access=READ_USERS, query=AlertsQuery, answer=AlertsOut)
def alerts(call: Call) -> Any:
    """List alerts, those seen last first."""
    query = call.query
    found, place = call.services.alert_desk.page(query["state"], limit=query["limit"], after=_place(query["cursor"]))
    return page_answer(found, None if place is None else f"{place[0]}~{place[1]}")


@routes.get("/admin/alerts/{id}", access=READ_USERS, answer=AlertOut, errors=(AlertNotFound,))
def alert(call: Call) -> Any:
    """Show one alert."""
    return call.services.alert_desk.read(call.path["id"])


@routes.post(
    "/admin/alerts/{id}/acknowledge",
    status=200,
    access=ACT,
    body=AlertActIn,
    answer=AlertOut,
    errors=(AlertNotFound, AlertIsOver, InvalidValue),
)
def acknowledge(call: Call) -> Any:
    """Say that somebody looks after an alert. Further reports raise the count, and the alert stays acknowledged."""
    return call.services.alert_desk.acknowledge(call.principal, call.path["id"], call.body["reason"])


@routes.post(
    "/admin/alerts/{id}/resolve",
    status=200,
    access=ACT,
    body=AlertActIn,
    answer=AlertOut,
    errors=(AlertNotFound, InvalidValue),
)
def resolve(call: Call) -> Any:
    """Say that a trouble is over. If the trouble is reported again, the alert opens again."""
    return call.services.alert_desk.resolve(call.principal, call.path["id"], call.body["reason"])


def _place(cursor: str | None) -> tuple[Millis, str] | None:
    """Return the place that a cursor names. Raises InvalidRequest for a cursor that no page gave."""
    if cursor is None:
        return None
    at, _, name = cursor.partition("~")
    if not (at.isascii() and at.isdigit() and len(at) < MILLIS_CHARS_MAX and is_safe_id(name)):
        raise InvalidRequest({"cursor": ["Not a cursor of this list."]})
    return int(at), name
