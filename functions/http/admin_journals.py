"""`/v1/admin/users/{uid}/entries` and `…/export`: a user's journal, for support and auditors."""

from typing import Any

from flask import Response

from functions.http.credit_history import NDJSON, History, HistoryQuery, history_page, journal_file
from functions.http.routes import READ_USERS, Call, Routes
from shared.kernel.ids import Uid
from shared.users.ports import UserNotFound

routes = Routes("admin_journals")


@routes.get("/admin/users/{uid}/entries", access=READ_USERS, query=HistoryQuery, answer=History, errors=(UserNotFound,))
def entries(call: Call) -> Any:
    """List a user's entries, newest first, in the user's own view."""
    uid = Uid(call.path["uid"])
    call.services.operators.user(uid)
    return history_page(call, uid)


@routes.get("/admin/users/{uid}/export", access=READ_USERS, answer=NDJSON, errors=(UserNotFound,))
def export(call: Call) -> Response:
    """Export a user's whole journal as NDJSON, like `/v1/credits/export`. The export is recorded."""
    return journal_file(call.services.operators.export(call.principal, Uid(call.path["uid"])))
