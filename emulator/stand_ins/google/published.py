"""Google's own descriptions of APIs (discovery documents), by which requests and answers are checked.

The documents come with the package google-api-python-client, a development requirement.
"""

import base64
import binascii
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from urllib.parse import unquote

from emulator.stand_ins.google.errors import GoogleRefusal, invalid
from emulator.stand_ins.wire import Json

DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
INTEGERS = {"int32": 1 << 31, "uint32": 1 << 32, "int64": 1 << 63, "uint64": 1 << 64}
PLACE = re.compile(r"\{\+?(\w+)\}")
ANYTHING = ("@type", "$.xgafv")


class ShapeMismatch(Exception):
    """Value that does not have the published shape. `path` is the place, in Google's snake case."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Published method of an API. `pattern` matches the path; `parameters` are those of the query."""

    id: str  # e.g. `pubsub.v1 projects.topics.create`
    http_method: str
    pattern: re.Pattern[str]
    literal_count: int
    parameters: Mapping[str, Json]
    request: str
    response: str
    document: "Document"

    def check_query(self, query: Mapping[str, str]) -> None:
        """Raise GoogleRefusal for a query parameter that the method does not have."""
        for name in query:
            if name not in self.parameters and name not in self.document.parameters:
                message = (
                    f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                    f"Field '{name}' could not be found in request message."
                )
                raise invalid(message, field=name)

    def check_body(self, body: Json) -> None:
        """Raise GoogleRefusal if the body does not have the published shape."""
        if not self.request:
            if body:
                raise invalid("Invalid JSON payload received. Unexpected body.")
            return
        try:
            self.document.check(self.request, body)
        except ShapeMismatch as mismatch:
            raise invalid(str(mismatch), field=mismatch.path or "body") from mismatch

    def check_answer(self, answer: Json) -> None:
        """Raise ShapeMismatch if the stand-in is about to answer with a shape that Google does not have."""
        if self.response:
            self.document.check(self.response, answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Discovery document of one version of an API."""

    name: str
    title: str
    parameters: Mapping[str, Json]
    schemas: Mapping[str, Json]
    methods: list[Method] = field(default_factory=list)

    def check(self, schema: str, value: object) -> None:
        """Raise ShapeMismatch if the value does not have the shape of the named schema."""
        self._check(self.schemas[schema], value, "")

    def _check(self, shape: Json, value: object, path: str) -> None:
        if value is None or shape.get("type") == "any":
            return
        if "$ref" in shape:
            self._check(self.schemas[shape["$ref"]], value, path)
        elif shape.get("type") == "object":
            self._check_object(shape, value, path)
        elif shape.get("type") == "array":
            self._check_array(shape, value, path)
        else:
            _check_scalar(shape, value, path)

    def _check_object(self, shape: Json, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise ShapeMismatch(path, f"Invalid value at '{path}' (type.googleapis.com/{shape.get('id', 'Struct')})")
        known, others = shape.get("properties", {}), shape.get("additionalProperties")
        for name, inner in value.items():
            if name in known:
                self._check(known[name], inner, _join(path, name))
            elif others is not None:
                self._check(others, inner, _join(path, name))
            elif name not in ANYTHING:
                at = f" at '{path}'" if path else ""
                message = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
                raise ShapeMismatch(_join(path, name), message)

    def _check_array(self, shape: Json, value: object, path: str) -> None:
        if not isinstance(value, list):
            raise ShapeMismatch(path, f"Invalid value at '{path}' (Array), {json.dumps(value)}")
        for index, inner in enumerate(value):
            self._check(shape["items"], inner, f"{path}[{index}]")


def _join(path: str, name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)
    return f"{path}.{snake}" if path else snake


def _check_scalar(shape: Json, value: object, path: str) -> None:
    kind, form = shape.get("type"), shape.get("format", "")
    fits = {
        "boolean": lambda: isinstance(value, bool),
        "integer": lambda: _is_integer(value, form),
        "number": lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
        "string": lambda: _is_integer(value, form) if form in INTEGERS else _is_text(value, form, shape),
    }
    if not fits[str(kind)]():
        told = "TYPE_STRING" if kind == "string" else f"TYPE_{(form or str(kind)).upper()}"
        name = f"type.googleapis.com/{path.rpartition('.')[2]}" if "enum" in shape else told
        raise ShapeMismatch(path, f"Invalid value at '{path}' ({name}), {json.dumps(value)}")


def _is_integer(value: object, form: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return False
    try:
        return abs(int(value)) <= INTEGERS.get(form, 1 << 64)
    except ValueError:
        return False


def _is_text(value: object, form: str, shape: Json) -> bool:
    if not isinstance(value, str):
        return False
    if "enum" in shape:
        return value in shape["enum"]
    if form == "google-duration":
        return DURATION.fullmatch(value) is not None
    if form in {"google-datetime", "date-time"}:
        return TIMESTAMP.fullmatch(value) is not None
    return _is_base64(value) if form == "byte" else True


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


# ── reading the documents ────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def document(name: str) -> Document:
    """Return the discovery document of e.g. `pubsub.v1`."""
    place = resources.files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    read: Json = json.loads(place.read_text())
    made = Document(name=name, title=read["title"], parameters=read.get("parameters", {}), schemas=read["schemas"])
    made.methods.extend(_methods(read, read.get("servicePath", ""), made))
    made.methods.sort(key=lambda each: -each.literal_count)
    return made


def _methods(part: Json, service_path: str, into: Document) -> Iterator[Method]:
    for each in part.get("methods", {}).values():
        path = service_path + (each.get("flatPath") or each["path"])
        parameters = {name: told for name, told in each.get("parameters", {}).items() if told["location"] == "query"}
        yield Method(
            id=f"{into.name} {each['id'].partition('.')[2]}",
            http_method=each["httpMethod"],
            pattern=_pattern(path),
            literal_count=len(PLACE.sub("", path)),
            parameters=parameters,
            request=each.get("request", {}).get("$ref", ""),
            response=each.get("response", {}).get("$ref", ""),
            document=into,
        )
    for inner in part.get("resources", {}).values():
        yield from _methods(inner, service_path, into)


def _pattern(path: str) -> re.Pattern[str]:
    """Return the expression of a published path. A segment ends at a slash, the last one also before a `:verb`."""
    parts = PLACE.split(path)
    made = "".join(
        f"(?P<{part}>{'.+' if f'{{+{part}}}' in path else '[^/]+?'})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
    return re.compile(f"/{made}")


def find_method(names: tuple[str, ...], http_method: str, path: str) -> tuple[Method, dict[str, str]] | None:
    """Return the published method for this request, with the values of the path's places."""
    for name in names:
        for method in document(name).methods:
            found = method.pattern.fullmatch(path) if method.http_method == http_method else None
            if found is not None:
                return method, {place: unquote(value) for place, value in found.groupdict().items()}
    return None


def unknown_path(path: str) -> GoogleRefusal:
    return GoogleRefusal("NOT_FOUND", f"The requested URL {path} was not found on this server.")


def titles(names: tuple[str, ...]) -> str:
    return document(names[0]).title


def query_of(pairs: Mapping[str, Any]) -> dict[str, str]:
    """Return the query without the parameters that every method has."""
    return {name: value for name, value in pairs.items() if name not in {"alt", "key", "prettyPrint", "fields"}}
