"""`/v1/admin/users`: lists of users by address, role, status, debt and date. Each list is a recorded look."""

from typing import Any

from marshmallow import fields

from functions.http.admin import UserOut, told
from functions.http.fields import (
    Amount,
    Answer,
    Choice,
    Credits,
    Cursor,
    Limit,
    Moment,
    NextCursor,
    Request,
    Text,
    page_answer,
)
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.errors import InvalidValue
from shared.users.looks import MANY
from shared.users.roles import ROLES
from shared.users.user_queries import UserFilter

EMAIL_CHARS_MAX = 320
UID_CHARS_MAX = 128

routes = Routes("admin_users")


class ShownBalanceOut(Answer):
    """Balance of a user in a list. `/v1/admin/users/{uid}` shows the verified balance."""

    available = Credits(required=True)
    held = Credits(required=True)
    total = Credits(required=True)
    debt = Credits(required=True)


class UserRowOut(UserOut):
    """User in a list."""

    balance = fields.Nested(ShownBalanceOut, required=True)


class UserRowsOut(Answer):
    """A page of users. A page may have fewer users than asked for, or none, and a next page."""

    items = fields.List(fields.Nested(UserRowOut), required=True)
    next_cursor = NextCursor()


class UserRowsQuery(Request):
    """Filter of users; all conditions hold at once. `from` is inclusive, `to` is exclusive, of the first call."""

    limit = Limit()
    cursor = Cursor(str)
    email = Text(
        length_min=1, length_max=EMAIL_CHARS_MAX, load_default=None, metadata=told("The beginning of an address.")
    )
    uid = Text(length_min=1, length_max=UID_CHARS_MAX, load_default=None)
    role = Choice(*sorted(ROLES), load_default=None, metadata=told("Only users who hold this role."))
    status = Choice("open", "frozen", "closed", load_default=None, metadata=told("Only users of this status."))
    debt = Choice("true", "false", load_default=None, metadata=told("Only users who owe credits, or who owe none."))
    debt_min = Amount(load_default=None, metadata=told("Only users who owe at least these credits."))
    first = Moment(data_key="from")
    last = Moment(data_key="to")


def _shown_users(_: Call, page: Any) -> str | None:
    """Return the only user of a page, MANY for several users, None for an empty page."""
    uids = [user.uid for user in page["items"]]
    if len(uids) == 1:
        return str(uids[0])
    return MANY if uids else None


@routes.get(
    "/admin/users",
    access=READ_USERS,
    query=UserRowsQuery,
    answer=UserRowsOut,
    errors=(InvalidValue,),
    looks_at=_shown_users,
)
def users(call: Call) -> Any:
    """List users: those who called last for the first time come first.

    An address is searched by its beginning; a whole address also finds a user who never called. Lists by debt begin
    with the smallest, lists by address are in alphabetical order, lists by role or status in the order of uids.
    """
    query = call.query
    names = ("email", "uid", "role", "status", "debt_min", "first", "last")
    is_in_debt = None if query["debt"] is None else query["debt"] == "true"
    wanted = UserFilter(is_in_debt=is_in_debt, **{name: query[name] for name in names})
    page = call.services.user_list.page(wanted, cursor=query["cursor"], limit=query["limit"])
    return page_answer(page.items, page.next_cursor)
