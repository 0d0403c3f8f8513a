"""`/v1/admin/search`: anything by its name, for operators. Each search is recorded."""

from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, NextCursor, Request, Text, page_answer
from functions.http.routes import READ_USERS, Call, Routes

NAME_CHARS_MAX = 320

routes = Routes("admin_search")


class SearchQuery(Request):
    """Name: an e-mail address, a uid, the id of an object or transaction, or the last four characters of an API key."""

    q = Text(length_min=1, length_max=NAME_CHARS_MAX, required=True)


class FindingOut(Answer):
    """Object with the searched name."""

    kind = fields.String(required=True)
    id = fields.String(required=True)
    uid = fields.String(required=True, allow_none=True)
    path = fields.String(required=True, allow_none=True)


class FindingsOut(Answer):
    """Objects with the searched name, of any kind."""

    items = fields.List(fields.Nested(FindingOut), required=True)
    next_cursor = NextCursor()


@routes.get("/admin/search", access=READ_USERS, query=SearchQuery, answer=FindingsOut)
def search(call: Call) -> Any:
    """Find anything by its name, and say what it is.

    Names are e-mail addresses, uids, ids of payments, providers' transactions and events, API keys (also by their last
    four characters), conversations, tasks, images, responses, crypto addresses, models and packages.
    """
    return page_answer(call.services.lookup.find(call.principal, call.query["q"].strip()))
