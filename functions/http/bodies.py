"""Reading what a client sent, strictly: one JSON text, valid Unicode, no key twice, nothing that is not a value."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Request
from marshmallow import Schema, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from functions.http.errors import FieldErrors, InvalidRequest, MalformedRequest

MAX_BODY_BYTES = 1024 * 1024
JSON_DEPTH_MAX = 64
"""A tool's schema may have ten levels (OpenAI's limit), each of which is up to five of JSON."""
WHOLE_BODY = "body"
"""The name under which an error stands that is about no single field."""


def read_json(request: Request, bytes_max: int) -> tuple[Any, str]:
    """The body's JSON value, and its canonical text. An empty body is an empty object.

    Raises MalformedRequest, RequestEntityTooLarge, UnsupportedMediaType.
    """
    # One more than a body may have: a chunked one is cut there, and seen to be too large.
    request.max_content_length = bytes_max + 1
    raw = request.get_data(cache=False)
    if not raw:
        return {}, "{}"
    if len(raw) > bytes_max:
        raise RequestEntityTooLarge
    check_media_type(request)
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite)
        canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        canonical.encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {_reason(error)}") from error
    if _is_deeper(value, JSON_DEPTH_MAX):
        raise MalformedRequest(f"The body is nested deeper than {JSON_DEPTH_MAX} levels.")
    return value, canonical


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body says that it is JSON, in UTF-8, as it is."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"} or encoding != "identity":
        raise UnsupportedMediaType("Send the body as 'Content-Type: application/json' in UTF-8, unencoded.")


def load(schema: Schema, value: Any) -> dict[str, Any]:
    """What the schema makes of this value. Raises InvalidRequest naming each field that is wrong."""
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        messages = error.messages if isinstance(error.messages, Mapping) else {WHOLE_BODY: error.messages}
        raise InvalidRequest(flat(messages)) from error
    return loaded


def load_query(schema: Schema, query: "MultiDict[str, str]") -> dict[str, Any]:
    """The same for a query string, where no name may stand twice."""
    twice = {name: ["Given more than once."] for name, values in query.lists() if len(values) > 1}
    if twice:
        raise InvalidRequest(twice)
    return load(schema, query.to_dict())


def flat(messages: Mapping[Any, Any], prefix: str = "") -> FieldErrors:
    """Messages by field, nested fields by their path: `roles.0`."""
    found: dict[str, list[str]] = {}
    for name, value in messages.items():
        path = prefix.rstrip(".") if name == "_schema" else f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= {key: list(texts) for key, texts in flat(value, f"{path}.").items()}
        else:
            found[path or WHOLE_BODY] = [str(text) for text in value]
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return built


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("a number is too large")
    return number


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    if isinstance(error, UnicodeError):
        return "it is not valid Unicode."
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (line {error.lineno}, column {error.colno})."
    return f"{error}." if "digits" not in str(error) else "a number is too large."
