"""Failures under `/v1/openai` in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`.

The statuses are those that OpenAI's clients understand: a wrong request is 400, and only a failure that may be tried
again is 429 or 5xx. Beside these, 402 is for missing credits; no client tries 402 again.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from functions.http.errors import TooManyRequests
from functions.http.problems import RETRY_AFTER_SECONDS, headers_of, problem_of
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.pictures import NoPicture
from shared.ai.ports import UpstreamMisconfigured, UpstreamTimedOut
from shared.kernel.errors import DomainError, StillRunning, Unavailable

OPENAI_PREFIX = "/v1/openai/"
JSON = "application/json"
WORD_CHARACTERS_MAX = 200
"""Of a field's name or a code that a provider says."""
CODES = {
    "unauthenticated": "invalid_api_key",
    "api_key_invalid": "invalid_api_key",
    "api_key_expired": "invalid_api_key",
    "token_invalid": "invalid_api_key",
    "context_too_long": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "upstream_busy": "rate_limit_exceeded",
}
"""Codes for which OpenAI's clients have words of their own; all others are ours."""
STATUSES = {422: 400}
STATUSES_BY_CODE = {"no_picture": HTTPStatus.BAD_REQUEST.value}
"""Codes with another status than elsewhere: clients ask again after any 5xx, and each try is painted and billed."""
SHOULD_RETRY = "X-Should-Retry"
"""OpenAI's header. With `false`, OpenAI's SDKs do not try again, at any status."""
HELPLESS: tuple[type[Exception], ...] = (NoPicture, UpstreamTimedOut, UpstreamMisconfigured)
"""Failures of a provider that the next try meets again, or pays for again."""
PASSING: tuple[type[Exception], ...] = (Unavailable, StillRunning, TooManyRequests)
"""Failures that pass with time."""
TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}


def error_of(error: Exception, problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return OpenAI's error object for a failure. A provider's refusal keeps the provider's own words."""
    status = openai_status(problem["status"], problem["code"])
    kind = TYPES.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error")
    told: dict[str, Any] = {
        "message": _message(problem),
        "type": kind,
        "param": next(iter(problem.get("errors", ())), None),
        "code": openai_code(problem["code"]),
        "params": problem["params"],
    }
    if isinstance(error, RequestRefused):
        told |= {name: error.told.get(name) for name in ("param", "code") if _is_word(error.told.get(name))}
    return told


def openai_status(status: int, code: str = "") -> int:
    """Return the HTTP status that OpenAI's clients expect, for the status that other routes would answer."""
    return STATUSES_BY_CODE.get(code, STATUSES.get(status, status))


def is_worth_another_try(error: Exception, status: int) -> bool:
    """Return True if the same request may succeed later."""
    if isinstance(error, HELPLESS):
        return False
    is_ours = not isinstance(error, DomainError) and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_ours or isinstance(error, PASSING) or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


def retry_headers(error: Exception, status: int) -> dict[str, str]:
    """Return the headers that say when to ask again, or that asking again is of no use."""
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if is_worth_another_try(error, status) else {SHOULD_RETRY: "false"}


def openai_code(code: str) -> str:
    """Return the error code that OpenAI's clients know, for a code of this API; the same code if they know none."""
    return CODES.get(code, code)


def error_response(error: Exception, request_id: str) -> Response:
    """Return the response for this failure in OpenAI's shape."""
    problem = problem_of(error, request_id)
    told = json.dumps({"error": error_of(error, problem)})
    status = openai_status(problem["status"], problem["code"])
    headers = {**retry_headers(error, status), **headers_of(error, problem)}
    return Response(told, status, headers, mimetype=JSON)


def _message(problem: Mapping[str, Any]) -> str:
    wrong = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in problem.get("errors", {}).items())
    return f"{problem['detail']} {wrong}".strip() if problem["code"] == "invalid_request" else str(problem["detail"])


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= WORD_CHARACTERS_MAX
