"""Every request field that OpenAI publishes, as paths such as `messages[]<user>.content[]<text>.text`.

`<kind>` is the value of the field that tells what an object is: `role` for messages, else `type`.
"""

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typing_extensions
from openai.types import embedding_create_params, image_generate_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

TELLS_KIND = ("type", "role")
SDK: Mapping[str, tuple[Any, ...]] = {
    "/chat/completions": (
        completion_create_params.CompletionCreateParamsNonStreaming,
        completion_create_params.CompletionCreateParamsStreaming,
    ),
    "/responses": (
        response_create_params.ResponseCreateParamsNonStreaming,
        response_create_params.ResponseCreateParamsStreaming,
    ),
    "/embeddings": (embedding_create_params.EmbeddingCreateParams,),
    "/images/generations": (
        image_generate_params.ImageGenerateParamsNonStreaming,
        image_generate_params.ImageGenerateParamsStreaming,
    ),
}
"""The types of request bodies in OpenAI's Python SDK, by endpoint."""


def sdk_fields(endpoint: str) -> set[str]:
    """Return the fields that the installed SDK knows."""
    return {path for each in SDK[endpoint] for path in _typed(each, "", ())}


def spec_fields(spec: Mapping[str, Any], endpoint: str) -> set[str]:
    """Return the fields that OpenAI's OpenAPI document knows."""
    body = spec["paths"][endpoint]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return set(_published(spec["components"]["schemas"], body, "", ()))


def body_with(path: str) -> tuple[dict[str, Any], str]:
    """Return a body with this field, and the field's place in it as an error names it."""
    body: dict[str, Any] = {}
    inside, place = body, ""
    *parents, last = path.split(".")
    for parent in parents:
        name, is_list, kind = _read(parent)
        within = {("role" if name == "messages" else "type"): kind} if kind else {}
        inside[name] = [within] if is_list else within
        inside, place = within, f"{place}{name}.0." if is_list else f"{place}{name}."
    inside[last] = inside.get(last, "x")
    return body, place + last


def _read(part: str) -> tuple[str, bool, str]:
    found = re.fullmatch(r"(\w+)(\[\])*(?:<(.+)>)?", part)
    assert found is not None, part
    return found[1], bool(found[2]), found[3] or ""


def _object(names: Mapping[str, Any], words: Callable[[Any], list[str]], path: str) -> list[str]:
    """Return the places of an object of these fields: one for each kind that it may be."""
    if not path:
        return [""]
    kinds = next((found for name in TELLS_KIND if name in names and (found := words(names[name]))), [])
    return [f"{path}<{kind}>." for kind in kinds] or [f"{path}."]


def _typed(hint: Any, path: str, seen: tuple[Any, ...]) -> Iterator[str]:
    if typing_extensions.is_typeddict(hint):
        if hint in seen:
            return
        fields = typing_extensions.get_type_hints(hint)
        for place in _object(fields, _literals, path):
            for name, inner in fields.items():
                yield place + name
                yield from _typed(inner, place + name, (*seen, hint))
        return
    is_list = typing.get_origin(hint) is not None and not _is_union(hint) and typing.get_origin(hint) is not dict
    for inner in typing.get_args(hint):
        yield from _typed(inner, f"{path}[]" if is_list and not _is_wrapper(hint) else path, seen)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in {typing.Union, type(int | str)}


def _is_wrapper(hint: Any) -> bool:
    return typing.get_origin(hint) in {typing.Required, typing.NotRequired, typing.Annotated, typing.Literal}


def _literals(hint: Any) -> list[str]:
    if typing.get_origin(hint) is typing.Literal:
        return [str(each) for each in typing.get_args(hint)]
    return [word for each in typing.get_args(hint) for word in _literals(each)]


def _alternatives(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas that a value may have, without references; parts of one object are one schema."""
    if "$ref" in schema:
        return _alternatives(schemas, schemas[schema["$ref"].rsplit("/", 1)[1]])
    if "allOf" in schema:
        fields = dict(schema.get("properties", {}))
        for part in schema["allOf"]:
            for each in _alternatives(schemas, part):
                fields |= each.get("properties", {})
        return [{"properties": fields}]
    either = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [found for each in either for found in _alternatives(schemas, each)] if either else [schema]


def _published(
    schemas: Mapping[str, Any], schema: Mapping[str, Any], path: str, seen: tuple[Any, ...]
) -> Iterator[str]:
    for each in _alternatives(schemas, schema):
        if "items" in each:
            yield from _published(schemas, each["items"], f"{path}[]", seen)
        fields = each.get("properties", {})
        if not fields or fields in seen:
            continue
        for place in _object(fields, lambda told: _words(schemas, told), path):
            for name, inner in fields.items():
                yield place + name
                yield from _published(schemas, inner, place + name, (*seen, fields))


def _words(schemas: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    found = [*_alternatives(schemas, schema)]
    return [str(word) for each in found for word in each.get("enum", [each["const"]] if "const" in each else [])]
