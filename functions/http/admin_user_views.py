"""`/v1/admin/users/{uid}/…`: views of one user, without what was said to a model."""

from typing import Any

from marshmallow import fields

from functions.http.admin import Audit
from functions.http.agent_tasks import AgentTasksQuery
from functions.http.analytics import AnalyticsQuery, CreditsAnalytics, credits_analytics
from functions.http.api_keys import KeysOut, shown_keys
from functions.http.credit_history import RefOut
from functions.http.fields import Answer, Choice, Credits, Cursor, Limit, NextCursor, Request, Time, page_answer
from functions.http.routes import READ_AUDIT, READ_USERS, Call, Routes
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.users.audit import AuditFilter
from shared.users.ports import UserNotFound

routes = Routes("admin_user_views")


class UserHoldOut(Answer):
    """Credits of a user that are set aside now, without the user's own words."""

    id = fields.String(required=True)
    amount = Credits(required=True, attribute="held")
    captured = Credits(required=True)
    purpose = fields.String(required=True, attribute="about.purpose")
    model = fields.String(required=True, allow_none=True, attribute="about.model")
    key_id = fields.String(required=True, allow_none=True, attribute="about.key_id")
    ref = fields.Nested(RefOut, required=True, allow_none=True, attribute="about.ref")
    placed_at = Time(required=True)
    expires_at = Time(required=True, allow_none=True, attribute="ends_at")


class UserHoldsOut(Answer):
    """Open holds of a user, the last placed first."""

    items = fields.List(fields.Nested(UserHoldOut), required=True)
    next_cursor = NextCursor()


class UserTaskOut(Answer):
    """Agent task of a user, without goal, plan, files and result."""

    id = fields.String(required=True)
    model = fields.String(required=True)
    tools = fields.List(fields.String(), required=True)
    status = Choice("queued", "running", "paused", "completed", "failed", "cancelled", required=True)
    reason = fields.String(required=True, allow_none=True)
    is_cancel_asked = fields.Boolean(required=True)
    budget = Credits(required=True)
    spent = Credits(required=True, attribute="spent_or_due")
    max_steps = fields.Integer(required=True)
    thoughts = fields.Integer(required=True)
    steps = fields.Integer(required=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class UserTasksOut(Answer):
    """A page of a user's agent tasks, newest first."""

    items = fields.List(fields.Nested(UserTaskOut), required=True)
    next_cursor = NextCursor()


class SignInsOut(Answer):
    """Sign-ins of a user as the identity service knows them."""

    providers = fields.List(fields.String(), required=True, attribute="sign_in_ways")
    email_verified = fields.Boolean(required=True, attribute="is_email_verified")
    disabled = fields.Boolean(required=True, attribute="is_disabled")
    created_at = Time(required=True, allow_none=True)
    signed_in_at = Time(required=True, allow_none=True)
    tokens_valid_after = Time(required=True, allow_none=True)


class UserAuditQuery(Request):
    """Page of the acts and looks at one user."""

    limit = Limit()
    cursor = Cursor(str)


@routes.get("/admin/users/{uid}/holds", access=READ_USERS, answer=UserHoldsOut, errors=(UserNotFound,))
def holds(call: Call) -> Any:
    """List a user's open holds, the last placed first."""
    found = call.services.credits.ledger.open_holds(_known(call)).holds
    return page_answer(sorted(found, key=lambda hold: hold.placed_at, reverse=True))


@routes.get("/admin/users/{uid}/keys", access=READ_USERS, answer=KeysOut, errors=(UserNotFound,))
def keys(call: Call) -> Any:
    """List a user's API keys, newest first, with the used part of each cap. The keys themselves are not stored."""
    return page_answer(shown_keys(call, _known(call)))


@routes.get(
    "/admin/users/{uid}/tasks", access=READ_USERS, query=AgentTasksQuery, answer=UserTasksOut, errors=(UserNotFound,)
)
def tasks(call: Call) -> Any:
    """List a user's agent tasks, newest first."""
    page = call.services.agents.tasks.page(_known(call), cursor=call.query["cursor"], limit=call.query["limit"])
    return page_answer(page.items, page.next_cursor)


@routes.get(
    "/admin/users/{uid}/usage",
    access=READ_USERS,
    query=AnalyticsQuery,
    answer=CreditsAnalytics,
    errors=(UserNotFound, InvalidValue, PreconditionFailed),
)
def usage(call: Call) -> Any:
    """Show a user's spent and received credits by day or month, kind of use and API key, exact to the journal."""
    return credits_analytics(call, _known(call))


@routes.get("/admin/users/{uid}/sign-ins", access=READ_USERS, answer=SignInsOut, errors=(UserNotFound,))
def sign_ins(call: Call) -> Any:
    """Show how a user signs in, and when last. The identity service does not tell devices apart."""
    return call.services.ports.identity().get_user(Uid(call.path["uid"]))


@routes.get(
    "/admin/users/{uid}/audit",
    access=READ_AUDIT,
    query=UserAuditQuery,
    answer=Audit,
    errors=(UserNotFound, InvalidValue),
)
def audit(call: Call) -> Any:
    """List operators' acts on a user and looks at the user, newest first."""
    wanted = AuditFilter(target=_known(call))
    page = call.services.operators.audit(call.query["cursor"], call.query["limit"], wanted)
    return page_answer(page.items, page.next_cursor)


def _known(call: Call) -> Uid:
    """Return the user in the path, also one who has left. Raises UserNotFound."""
    return call.services.operators.user(Uid(call.path["uid"])).uid
