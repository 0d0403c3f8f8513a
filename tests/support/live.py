"""Holds what listeners read to its published schema, `docs/live/{collection}.schema.json`, at every write of a test.

The schema of a collection inside documents, `agent_tasks/*/steps`, is `agent_tasks.steps.schema.json`.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "live"
Validator = jsonschema_rs.Draft202012Validator


@cache
def schema_of(collection: str) -> Mapping[str, Any] | None:
    """Return the schema of a collection that listeners read, None if none is published."""
    path = SCHEMAS / f"{collection.replace('/*/', '.')}.schema.json"
    return json.loads(path.read_text()) if path.exists() else None


@cache
def _validator(collection: str) -> Validator:
    return Validator(dict(schema_of(collection) or {}))


@cache
def _validator_of_changes(collection: str) -> Validator:
    return Validator({**(schema_of(collection) or {}), "required": []})


def check_live(collection: str, data: Mapping[str, Any]) -> None:
    """Assert that a document says what its schema says: every field, of its type, and no other."""
    if schema_of(collection) is not None:
        _check(_validator(collection), collection, data)


def check_live_changes(collection: str, data: Mapping[str, Any]) -> None:
    """Assert that the changed fields of a document are what its schema says; the others are left as they were."""
    if schema_of(collection) is not None:
        _check(_validator_of_changes(collection), collection, data)


def is_live(collection: str, data: Mapping[str, Any]) -> bool:
    """Return False for a document of an older form, which the server alone still changes."""
    try:
        check_live(collection, data)
    except AssertionError:
        return False
    return True


def _check(validator: Validator, collection: str, data: Mapping[str, Any]) -> None:
    try:
        told = json.loads(json.dumps(data))
    except TypeError as error:
        raise AssertionError(f"{collection} holds what is no JSON: {data}") from error
    for fault in validator.iter_errors(told):
        raise AssertionError(f"{collection} is not what its schema says: {fault}")
