"""Holds what listeners read to its published schema, `docs/live/{collection}.schema.json`, at every write of a test.

The schema of a collection inside documents, `agent_tasks/*/steps`, is `agent_tasks.steps.schema.json`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from shared.kernel.documents import Document, Documents, Query, Version

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "live"
PAGE = 300
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


def live_collections() -> set[str]:
    """Return the collections that have a schema."""
    return {path.name.removesuffix(".schema.json").replace(".", "/*/") for path in SCHEMAS.glob("*.schema.json")}


def collection_of(path: str) -> str:
    """The collection of a document, its parents' ids left out: `accounts/u1/entries/1` is in `accounts/*/entries`."""
    return "/*/".join(path.split("/")[::2])


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


@dataclass(slots=True)
class LiveDocuments:
    """Every document of a store that listeners read. A document is checked once per version."""

    documents: Documents
    checked: set[tuple[str, Version]] = field(default_factory=set)

    def check_new(self) -> list[str]:
        """Assert that each document not checked before is as published. Return the paths of these documents."""
        found = [each for each in self._all() if (each.path, each.version) not in self.checked]
        for each in found:
            check_live(collection_of(each.path), each.data)
        self.checked.update((each.path, each.version) for each in found)
        return [each.path for each in found]

    def _all(self) -> Iterator[Document]:
        for collection in sorted(live_collections()):
            *above, name = collection.split("/*/")
            for document in self._in(name, is_group=bool(above)):
                if collection_of(document.path) == collection:
                    yield document

    def _in(self, name: str, *, is_group: bool) -> Iterator[Document]:
        after: tuple[str] | None = None
        while page := self.documents.query(Query(collection=name, group=is_group, limit=PAGE, after=after)):
            yield from page
            after = (page[-1].path,)
