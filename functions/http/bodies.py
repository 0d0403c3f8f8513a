"""Strict reading of bodies: one JSON text. Of a wrong body, the first errors are reported."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from flask import Request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from functions.http.errors import FieldErrors, InvalidRequest, MalformedRequest
from functions.http.fields import ERRORS_MAX
from functions.http.json_text import JSON_VALUES_MAX, parse_json

MAX_BODY_BYTES = 1024 * 1024
QUERY_BYTES_MAX = 16 * 1024
WHOLE_BODY = "body"
"""The name under which an error stands that is about no single field."""
NAME_CHARACTERS_MAX = 100
MESSAGE_CHARACTERS_MAX = 200
"""Most characters of a name or message in an error, since both may quote the client."""


def read_json(request: Request, raw: bytes, values_max: int = JSON_VALUES_MAX) -> tuple[Any, str]:
    """Return the JSON value of a body, and the canonical text of the value. An empty body is an empty object.

    Raises MalformedRequest, UnsupportedMediaType.
    """
    if not raw:
        return {}, "{}"
    check_media_type(request)
    try:
        return parse_json(raw, values_max=values_max)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.") from error


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body is declared as JSON in UTF-8, without compression."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"} or encoding != "identity":
        raise UnsupportedMediaType("Send the body as 'Content-Type: application/json' in UTF-8, unencoded.")


def load(schema: Schema, value: Any) -> dict[str, Any]:
    """Return the value as the schema reads it. Raises InvalidRequest with the first wrong fields."""
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        messages = error.messages if isinstance(error.messages, Mapping) else {WHOLE_BODY: error.messages}
        raise InvalidRequest(flat(messages)) from error
    return loaded


def load_query(schema: Schema, request: Request) -> dict[str, Any]:
    """Return the query string as the schema reads it. Raises InvalidRequest with the first wrong fields.

    The query string must be short, and no name may stand twice.
    """
    if len(request.query_string) > QUERY_BYTES_MAX:
        raise InvalidRequest({"query": [f"Must be at most {QUERY_BYTES_MAX} bytes."]})
    twice = {name: ["Given more than once."] for name, values in request.args.lists() if len(values) > 1}
    if twice:
        raise InvalidRequest(flat(twice))
    return load(schema, request.args.to_dict())


def flat(messages: Mapping[Any, Any]) -> FieldErrors:
    """Return the first `ERRORS_MAX` messages by field, nested fields by their path: `roles.0`."""
    found: dict[str, list[str]] = {}
    for path, text in islice(_messages(messages, ""), ERRORS_MAX):
        found.setdefault(_short(path, NAME_CHARACTERS_MAX), []).append(_short(text, MESSAGE_CHARACTERS_MAX))
    return found


def _messages(messages: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in messages.items():
        path = prefix.rstrip(".") if name == "_schema" else f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _messages(value, f"{path}.")
        else:
            yield from ((path or WHOLE_BODY, str(text)) for text in value)


def _short(text: str, characters_max: int) -> str:
    return text if len(text) <= characters_max else f"{text[:characters_max]}…"
