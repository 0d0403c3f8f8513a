"""Holds answers of the OpenAI routes to what OpenAI publishes: its OpenAPI document where it is there, else its SDK."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.shared import ErrorObject
from pydantic import TypeAdapter, ValidationError

SPEC = Path(__file__).resolve().parents[3] / "shared" / "cases" / "specs" / "openai.json"
SDK: Mapping[str, Any] = {
    "CreateChatCompletionResponse": ChatCompletion,
    "CreateChatCompletionStreamResponse": ChatCompletionChunk,
    "Response": Response,
    "ResponseStreamEvent": ResponseStreamEvent,
    "CreateCompletionResponse": Completion,
    "CreateEmbeddingResponse": CreateEmbeddingResponse,
    "ImagesResponse": ImagesResponse,
    "Model": Model,
    "Error": ErrorObject,
}
"""The SDK's type for each schema of the document."""


class PublishedByOpenAI:
    """The schemas that answers are held to."""

    def __init__(self) -> None:
        self._spec = _nullable(json.loads(SPEC.read_text(encoding="utf-8"))) if SPEC.is_file() else None
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._adapters: dict[str, TypeAdapter[Any]] = {}
        self._known: dict[tuple[str, str], list[str]] = {}

    def faults(self, schema: str, value: Any) -> list[str]:
        """Return what the published schema, and the SDK's type, say against this answer."""
        text = schema, json.dumps(value, sort_keys=True)
        if text not in self._known:
            self._known[text] = [*self._by_sdk(schema, value), *self._by_document(schema, value)]
        return self._known[text]

    def _by_sdk(self, schema: str, value: Any) -> list[str]:
        if schema not in self._adapters:
            self._adapters[schema] = TypeAdapter(SDK[schema])
        try:
            self._adapters[schema].validate_python(value)
        except ValidationError as error:
            return [f"{'/'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return []

    def _by_document(self, schema: str, value: Any) -> list[str]:
        if self._spec is None:
            return []
        if schema not in self._validators:
            root = {"$ref": f"#/components/schemas/{schema}", "components": self._spec["components"]}
            self._validators[schema] = jsonschema_rs.Draft202012Validator(root)
        validator = self._validators[schema]
        return [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(value)]


def _nullable(schema: Any) -> Any:
    """Return OpenAPI as JSON Schema: the older word `nullable` is a type, and formats are not checked."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _nullable(each) for name, each in schema.items() if name not in {"format", "example", "examples"}}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain
