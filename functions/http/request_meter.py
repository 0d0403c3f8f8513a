"""Requests, refusals and failed sign-ins of this instance, counted for operators."""

from http import HTTPStatus

from flask import has_request_context, request

from functions.http.errors import TooManyRequests
from shared.kernel.measured import (
    FAILED_SIGN_INS,
    LIMITED,
    REFUSALS,
    REQUEST_TIMES,
    REQUESTS,
    SPENDING_CALLS,
)
from shared.kernel.meters import OTHER
from shared.ledger.errors import RateLimited

CODE = "credits.code"
"""Key of the WSGI environment under which the code of a refusal stands."""


def count_refusal(error: Exception, code: str) -> None:
    """Count a refusal or failure with this code, and leave the code for the request's log line."""
    REFUSALS.add(code)
    if has_request_context():
        request.environ[CODE] = code
    if isinstance(error, TooManyRequests | RateLimited):
        LIMITED.add("spending" if isinstance(error, RateLimited) else "calls")


def count_answer(route: str, status: int, seconds: float, *, is_spending: bool) -> None:
    """Count an answered request. `route` is the pattern of the route, OTHER for a path without a route."""
    kind = f"{status // 100}xx"
    REQUESTS.add(route, kind)
    REQUEST_TIMES.note(seconds, route if is_spending and kind in {"2xx", "5xx"} else OTHER, kind)
    if is_spending:
        SPENDING_CALLS.add(_outcome(status))
    if status == HTTPStatus.UNAUTHORIZED:
        FAILED_SIGN_INS.add()


def _outcome(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "answered" if status < HTTPStatus.BAD_REQUEST else "refused"
