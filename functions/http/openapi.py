"""OpenAPI 3.1 document, made from the routes and their schemas. apispec is imported at the first request."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from marshmallow import fields

from functions.http.descriptions import PARAMETERS, description_of
from functions.http.errors import InvalidRequest, MalformedRequest, NoSuchPath, ScopeMissing, TooManyRequests
from functions.http.examples import bodies_of, parameter_of
from functions.http.fields import Answer, Nothing
from functions.http.looks import REASON_HEADER
from functions.http.openai_errors import openai_code, openai_status
from functions.http.problems import CODE_BY_STATUS, PROBLEM_JSON, TYPE_PREFIX, status_of
from functions.http.root import NAME, VERSION
from functions.http.routes import Route
from functions.http.uploads import BodyTooSlow, InstanceBusy
from shared.kernel.documents import OutcomeUnknown, StoreUnavailable
from shared.kernel.errors import DomainError, Forbidden, IdempotencyMismatch, StillRunning
from shared.ledger.errors import AccountClosed, Contended, IntegrityFailed, UnknownKey
from shared.users import ports
from shared.users.key_lookup import ApiKeyExpired, ApiKeyInvalid
from shared.users.logins import LoginDisabled

SERVER = "../.."
"""Address relative to this document, so that the address is right under any prefix (RFC 3986, 5.2)."""

BY_TOKEN: tuple[type[DomainError], ...] = (
    ports.Unauthenticated,
    ports.TokenInvalid,
    ports.TokenExpired,
    ports.TokenRevoked,
    ports.AppCheckFailed,
    ports.IdentityUnavailable,
    Forbidden,
    AccountClosed,
    LoginDisabled,
)
BY_KEY: tuple[type[DomainError], ...] = (ApiKeyInvalid, ApiKeyExpired, ScopeMissing)
BY_STORE: tuple[type[DomainError], ...] = (StoreUnavailable, OutcomeUnknown, Contended, UnknownKey, IntegrityFailed)
BY_BODY = (413, 415)


class Problem(Answer):
    """Problem (RFC 9457). `code` is stable; `params` fill the message that an app shows for the code."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    params = fields.Dict(keys=fields.String(), required=True)
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "What is wrong, by field; with status 422."},
    )


class OpenAIErrorDetail(Answer):
    """Cause of the failure, in the words that OpenAI's clients know. `params` are an addition of this API."""

    message = fields.String(required=True)
    type = fields.String(required=True)
    param = fields.String(required=True, allow_none=True)
    code = fields.String(required=True)
    params = fields.Dict(keys=fields.String(), required=True)


class OpenAIError(Answer):
    """A failure under `/v1/openai`."""

    error = fields.Nested(OpenAIErrorDetail, required=True)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the whole OpenAPI document of these routes, as JSON values."""
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin

    spec = APISpec(
        title=NAME,
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin(schema_name_resolver=_schema_name)],
        info={"description": "Credits, payments and model calls, on a ledger that anybody can check."},
        servers=[{"url": SERVER}],
    )
    spec.components.schema("Problem", schema=Problem)
    spec.components.schema("OpenAIError", schema=OpenAIError)
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    operations: dict[str, dict[str, Any]] = {}
    for route in (route for route in routes if not route.is_hidden):
        operations.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for path, methods in operations.items():
        spec.path(path=path, operations=methods)
    built: dict[str, Any] = spec.to_dict()
    _describe(built)
    return built


def _describe(built: dict[str, Any]) -> None:
    """Give every field a description, and every parameter a description and an example."""
    for schema, each in built["components"]["schemas"].items():
        for name, told in each.get("properties", {}).items():
            if (text := description_of(schema, name)) is not None:
                told.setdefault("description", text)
    for path in built["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                _exemplify(operation["operationId"], parameter)


def _exemplify(operation: str, parameter: dict[str, Any]) -> None:
    name = parameter["name"]
    text = parameter["schema"].pop("description", None) or PARAMETERS.get(name) or description_of("", name)
    if text is not None:
        parameter.setdefault("description", text)
    example = parameter_of(operation, name)
    if example is not None:
        parameter["example"] = example


def errors_of(route: Route) -> tuple[type[DomainError], ...]:
    """Return all errors that a call of this route can end in.

    Some follow from the route's kind, the others are named by the route.
    """
    found = [*route.errors, TooManyRequests]
    if not route.access.is_public:
        found += [*BY_TOKEN, *BY_KEY, *BY_STORE]
    if route.path_names:
        found.append(NoSuchPath)
    if route.body is not None:
        found += [MalformedRequest, InvalidRequest, BodyTooSlow, InstanceBusy]
    if route.query is not None:
        found.append(InvalidRequest)
    if route.is_remembered:
        found += [MalformedRequest, IdempotencyMismatch, StillRunning]
    return tuple(dict.fromkeys(found))


KEY_PATTERN = r"^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$"
"""Printable ASCII that is not all blank."""

SECURITY_SCHEMES: Mapping[str, dict[str, str]] = {
    "firebase": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A Firebase ID token of this project.",
    },
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ics_…",
        "description": "An API key with one of the scopes that the call names.",
    },
}
ERROR_HEADERS: Mapping[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}},
    429: {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "required": True}},
    503: {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "required": True}},
}
SPENDING_HEADERS: Mapping[str, Any] = {
    "X-Credits-Cost": {"schema": {"type": "string"}, "description": "What this call cost, in credits."},
    "X-Credits-Available": {"schema": {"type": "string"}, "description": "What is left to spend, in credits."},
}
DROPPING_HEADERS: Mapping[str, Any] = {
    "X-Dropped-Fields": {
        "schema": {"type": "string"},
        "description": "Fields of the request that were taken and not sent to the provider.",
    },
}


VERSION_HEADERS: Mapping[str, Any] = {
    "ETag": {"schema": {"type": "string"}, "description": "The name of this version, for `If-Match`.", "required": True}
}


def _operation(route: Route) -> dict[str, Any]:
    """Return the OpenAPI operation of a route. Roles and scopes stand in the description."""
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": {**_successes(route), **_failures(route)},
        "security": _security(route),
    }
    notes = [route.description, _roles(route), _scopes(route)]
    if any(notes):
        operation["description"] = " ".join(note for note in notes if note)
    if route.body is not None:
        is_optional = not any(field.required for field in route.body().fields.values())
        content: dict[str, Any] = {"schema": route.body}
        if (examples := bodies_of(route.name)) is not None:
            content["examples"] = {form: {"value": value} for form, value in examples.items()}
        operation["requestBody"] = {"required": not is_optional, "content": {"application/json": content}}
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    """Return the ways to sign in to a route; none if anybody may call the route.

    A route that anybody reaches, and that checks the token by itself, says so by its error.
    """
    by_key: list[dict[str, list[str]]] = [{"api_key": [*sorted(route.scopes)]}] if route.scopes else []
    return [] if route.access.is_public and ports.Unauthenticated not in route.errors else [{"firebase": []}, *by_key]


def _parameters(route: Route) -> list[Any]:
    """Return the parameters of path and query, and the headers that the route understands."""
    found: list[Any] = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in route.path_names
    ]
    if route.query is not None and route.query is not Nothing:
        found.append({"in": "query", "schema": route.query})
    if route.is_remembered:
        key = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY_PATTERN}
        text = "Your name for this one intention; the same key and body have one effect and one answer."
        found.append({"in": "header", "name": "Idempotency-Key", "schema": key, "description": text})
    if route.is_versioned and route.method == "PUT":
        text = "The `ETag` of the version that you change; another one answers 412, and nothing is changed."
        found.append({"in": "header", "name": "If-Match", "schema": {"type": "string"}, "description": text})
    if route.looks_at is not None:
        text = "Why you look, for the record of this look. Percent-encode letters outside ASCII."
        found.append({"in": "header", "name": REASON_HEADER, "schema": {"type": "string"}, "description": text})
    return found


def _successes(route: Route) -> dict[str, Any]:
    """Return the successful responses of a route by HTTP status, with their headers.

    A streaming route has an event stream beside JSON at status 200.
    """
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}, "required": True}}
    headers |= SPENDING_HEADERS if route.is_spending else {}
    headers |= DROPPING_HEADERS if route.is_spending and route.is_openai else {}
    headers |= VERSION_HEADERS if route.is_versioned else {}
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase, "headers": headers}
    if isinstance(route.answer, str):
        kind = "object" if route.answer == "application/json" else "string"
        success["content"] = {route.answer: {"schema": {"type": kind}}}
    elif route.answer is not None:
        success["content"] = {"application/json": {"schema": route.answer}}
    if route.has_table:
        success["content"] |= {"text/csv": {"schema": {"type": "string"}}}
    found = {str(route.status): success}
    if route.is_streaming:
        text = 'With `stream`: `data: {"delta"}` as it comes, `event: error` with a problem, last `event: done`.'
        whole = found.get("200", {})
        content = {**whole.get("content", {}), "text/event-stream": {"schema": SERVER_SENT_EVENT}}
        found["200"] = {**whole, "description": text, "content": content}
    return found


SERVER_SENT_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "id": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
"""Event of a stream. A stream is described by its events, and each event must fit."""


def _failures(route: Route) -> dict[str, Any]:
    codes: dict[int, set[str]] = {500: {"internal_error"}}
    told_as = openai_status if route.is_openai else int
    for error in errors_of(route):
        codes.setdefault(told_as(status_of(error)), set()).add(error.code)
    for status in BY_BODY if route.body is not None else ():
        codes.setdefault(status, set()).add(CODE_BY_STATUS[status])
    return {str(status): _failure(status, sorted(named), route) for status, named in sorted(codes.items())}


def _failure(status: int, codes: list[str], route: Route) -> dict[str, Any]:
    narrowed = {"properties": {"code": {"enum": codes}, "type": {"enum": [TYPE_PREFIX + code for code in codes]}}}
    schema: dict[str, Any] = {"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]}
    content = {PROBLEM_JSON: {"schema": schema}}
    if route.is_openai:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}}
    told = sorted(set(map(openai_code, codes))) if route.is_openai else codes
    response: dict[str, Any] = {"description": f"{HTTPStatus(status).phrase}: {', '.join(told)}", "content": content}
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        response["description"] += f" (more than {route.body_bytes_max} bytes)"
    if status in ERROR_HEADERS:
        response["headers"] = ERROR_HEADERS[status]
    return response


def _roles(route: Route) -> str:
    if route.access.roles:
        return f"For {' or '.join(sorted(route.access.roles))}."
    if not route.access.is_public and not route.access.is_anonymous_welcome:
        return "Not for anonymous users."
    return ""


def _scopes(route: Route) -> str:
    return f"API keys: scope {' or '.join(sorted(route.scopes))}." if route.scopes else ""


def _schema_name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__
