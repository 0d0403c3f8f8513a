"""Holds what listeners read to its published schema, `docs/live/{collection}.schema.json`, at every write of a test."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "live"
TYPES: Mapping[str, type] = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
KNOWN = frozenset({"type", "pattern", "enum", "description"})


@cache
def schema_of(collection: str) -> Mapping[str, Any] | None:
    """Return the schema of a collection that listeners read, None if none is published."""
    path = SCHEMAS / f"{collection}.schema.json"
    return json.loads(path.read_text()) if "/" not in collection and path.exists() else None


def check_live(collection: str, data: Mapping[str, Any]) -> None:
    """Assert that a document says what its schema says: every field, of its type, and no other."""
    schema = schema_of(collection)
    if schema is None:
        return
    assert data.keys() <= schema["properties"].keys(), f"{collection} has more than its schema: {sorted(data)}"
    assert set(schema["required"]) <= data.keys(), f"{collection} lacks fields of its schema: {sorted(data)}"
    for name, value in data.items():
        rule = schema["properties"][name]
        assert rule.keys() <= KNOWN, "the test knows every keyword of the schema"
        assert type(value) is TYPES[rule["type"]], f"{collection}.{name} is {value!r}"
        assert re.search(rule.get("pattern", ""), str(value)), f"{collection}.{name} is {value!r}"
        assert value in rule.get("enum", [value]), f"{collection}.{name} is {value!r}"
