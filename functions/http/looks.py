"""Looks of operators: a route that shows users' data names whose, and the look is on record before the answer."""

from typing import Any
from urllib.parse import unquote

from flask import Request

from functions.http.errors import InvalidRequest
from functions.http.routes import Call, Route
from shared.users.audit import REASON_MAX

REASON_HEADER = "X-Reason"


def reason_of(request: Request) -> str | None:
    """Return the operator's reason for a look, None without one. Raises InvalidRequest for one that cannot be kept.

    Percent-encoded UTF-8 is decoded, since headers carry no other letters than Latin ones.
    """
    text = unquote(request.headers.get(REASON_HEADER, "")).strip()
    if len(text) > REASON_MAX or not text.isprintable():
        raise InvalidRequest({REASON_HEADER: [f"Must be at most {REASON_MAX} printable characters."]})
    return text or None


def record(call: Call, route: Route, answer: Any, reason: str | None) -> None:
    """Record whose data the answer shows, if it shows somebody's. Raises Unavailable if that is impossible.

    The handler has answered before. So a name that names nobody, perhaps a secret in the wrong place, is not recorded.
    """
    assert route.looks_at is not None, "only some routes show users' data"
    target = route.looks_at(call, answer)
    if target is not None:
        call.services.users.looks.record(call.uid, target, f"{route.method} {route.path}", reason)
