"""Every failure as `application/problem+json` (RFC 9457): one table from kinds and codes to statuses."""

import json
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException

from functions.http.errors import InvalidRequest
from functions.http.request_meter import count_refusal
from shared.kernel.errors import Conflict, DomainError, Forbidden, NotFound, Param, Rejected, Unavailable
from shared.kernel.events import log_error
from shared.kernel.money import format_credits
from shared.users.ports import Unauthenticated

TEXT_CHARACTERS_MAX = 2_000
"""Most characters of a failure's detail, and of each of its params."""
PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:ics:problem:"
MILLIS_PER_SECOND = 1_000
RETRY_AFTER_SECONDS = 1
"""Seconds to wait if no better time is known."""

STATUS_BY_KIND: tuple[tuple[type[DomainError], int], ...] = (
    (Unauthenticated, 401),
    (NotFound, 404),
    (Conflict, 409),
    (Forbidden, 403),
    (Rejected, 422),
    (Unavailable, 503),
)
STATUS_BY_CODE = {
    "malformed_request": 400,
    "webhook_refused": 400,
    "insufficient_credits": 402,
    "budget_exceeded": 402,
    "payment_required": 402,
    "top_up_cap_reached": 402,
    "payment_invalid": 402,
    "top_up_failed": 402,
    "payment_malformed": 400,
    "account_frozen": 403,
    "account_closed": 403,
    "rate_limited": 429,
    "body_too_slow": 408,
    "too_many_checkouts": 429,
    "too_many_crypto_payments": 429,
    "bonus_cap_reached": 429,
    "too_many_tasks_today": 429,
    "upstream_unavailable": 502,
    "upstream_rejected": 502,
    "upstream_busy": 429,
    "request_refused": 400,
    "no_picture": 502,
    "provider_refused": 502,
    "provider_unavailable": 502,
    "range_not_satisfiable": 416,
    "version_changed": 412,
}
CODE_BY_STATUS = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
"""Codes of requests that the web framework refuses by itself."""

DETAIL_BY_STATUS = {
    404: "There is nothing at this path.",
    405: "This path does not take this method.",
    413: "The body is too large.",
}
"""Said instead of the framework's own words, which tell of browsers and spelling."""

TOP_LEVEL = {"insufficient_credits": ("available", "held", "required")}
"""Params that clients find beside `code` as well."""


def status_of(error: type[DomainError]) -> int:
    """Return the HTTP status for an error of this class."""
    if error.code in STATUS_BY_CODE:
        return STATUS_BY_CODE[error.code]
    return next((status for kind, status in STATUS_BY_KIND if issubclass(error, kind)), 500)


def problem_of(error: Exception, request_id: str) -> dict[str, Any]:
    """Return the problem document of any failure, without its internals. An unexpected failure is logged."""
    problem = _told(error, request_id)
    count_refusal(error, problem["code"])
    return problem


def _told(error: Exception, request_id: str) -> dict[str, Any]:
    if isinstance(error, DomainError):
        return _domain_problem(error, request_id)
    if isinstance(error, HTTPException) and error.code in CODE_BY_STATUS:
        detail = DETAIL_BY_STATUS.get(error.code, error.description or "")
        return _problem(error.code, CODE_BY_STATUS[error.code], detail, {})
    if isinstance(error, HTTPException) and error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _problem(error.code, "malformed_request", error.description or "", {})
    log_unexpected(error, request_id)
    return _problem(500, "internal_error", "Something went wrong on our side; it was reported.", {})


def problem_response(error: Exception, request_id: str) -> Response:
    """Return the response for this failure, with the headers that the status needs."""
    problem = problem_of(error, request_id)
    return Response(json.dumps(problem), problem["status"], headers_of(error, problem), mimetype=PROBLEM_JSON)


def headers_of(error: Exception, problem: dict[str, Any]) -> dict[str, str]:
    """Return the headers that belong to a failure's status."""
    headers: dict[str, str] = {}
    if problem["status"] == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="credits"'
    is_to_wait = problem["status"] in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    if is_to_wait or "retry_after_ms" in problem["params"]:
        headers["Retry-After"] = str(_retry_after_seconds(problem["params"]))
    if isinstance(error, HTTPException) and (allow := dict(error.get_headers()).get("Allow")):
        headers["Allow"] = allow
    return headers


def log_unexpected(error: BaseException, request_id: str) -> None:
    """Log an unexpected failure: its class and the place in the code, never its message."""
    log_error("request_failed", error, request_id=request_id)


def _domain_problem(error: DomainError, request_id: str) -> dict[str, Any]:
    params = {name: _param(error, name, value) for name, value in error.params.items()}
    problem = _problem(status_of(type(error)), error.code, error.detail, params)
    problem |= {name: params[name] for name in TOP_LEVEL.get(error.code, ())}
    if problem["status"] == HTTPStatus.INTERNAL_SERVER_ERROR:
        log_unexpected(error, request_id)
    if isinstance(error, InvalidRequest):
        problem["errors"] = {field: list(messages) for field, messages in error.errors.items()}
    elif error.code == "invalid_value":
        problem["errors"] = {str(error.params["field"]): [str(error.params["problem"])]}
    return problem


def _problem(status: int, code: str, detail: str, params: dict[str, Param]) -> dict[str, Any]:
    title = code.replace("_", " ").capitalize()
    params = {name: _short(value) for name, value in params.items()}
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": _short(detail),
        "code": code,
        "params": params,
    }


def _short(value: Param) -> Param:
    """Cut a text, which may quote the client at any length."""
    return value if not isinstance(value, str) or len(value) <= TEXT_CHARACTERS_MAX else value[:TEXT_CHARACTERS_MAX]


def _param(error: DomainError, name: str, value: Param) -> Param:
    return format_credits(int(value)) if name in error.amounts else value


def _retry_after_seconds(params: dict[str, Param]) -> int:
    wait = int(params.get("retry_after_ms", 0))
    return max(RETRY_AFTER_SECONDS, -(-wait // MILLIS_PER_SECOND))
