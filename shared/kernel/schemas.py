"""Schema versions of stored documents: the number in each document, and the numbers that a release can read.

The form of a kind changes in three releases, so that two neighbouring releases can work on one database at any time:

1. expand: writes version 1, and also reads version 2;
2. migrate: writes version 2, and also reads version 1; an operator migrates the stored documents;
3. contract: knows version 2 alone.

Documents of any other version are refused with SchemaUnknown and stay unchanged. A new field with a default is no new
form.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from shared.kernel.documents import Create, Data, Document, Patch, Put, Upsert, Value, Write
from shared.kernel.errors import Unavailable

SCHEMA_VERSION = "schema_version"
"""Field of every stored document with the document's schema version."""
FIRST = 1
"""Version of a document that was stored without a version."""

Convert: TypeAlias = Callable[[str, Data], Data]
"""Pure function from a document's path and data to the data in the form that this release works with."""


class SchemaUnknown(Unavailable):
    """Error for a document of a version that this release cannot read. Nothing was read or changed."""

    code = "schema_unknown"

    def __init__(self, kind: str, found: Value) -> None:
        super().__init__(
            "A newer release stored these data in a form that this one cannot read. Nothing was changed; try again.",
            kind=kind,
            schema_version=found if isinstance(found, int | str) else str(found),
        )


def as_stored(path: str, data: Data) -> Data:
    """Return the data unchanged, for a form that the domain's code reads without help."""
    del path
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Versions of one kind of document, such as `accounts/*/entries`.

    `reads` has each other version that may be stored, with the function to the form of `version`. `told_by` returns the
    version of data by their fields; None: data without a number have version 1. Documents of an `is_sealed` kind must
    never change.
    """

    version: int = FIRST
    reads: Mapping[int, Convert] = field(default_factory=dict)
    told_by: Callable[[Data], int] | None = None
    is_sealed: bool = False

    def knows(self, version: int) -> bool:
        """Return True if this release reads documents of the version."""
        return version == self.version or version in self.reads

    def unnumbered(self, data: Data) -> int:
        """Return the version of stored data that have no number."""
        return FIRST if self.told_by is None else self.told_by(data)

    def written(self, data: Data) -> int:
        """Return the version of data that this release writes."""
        return self.version if self.told_by is None else self.told_by(data)


Schemas: TypeAlias = Mapping[str, Schema]
"""Schemas by kind. A kind that is missing has version 1."""
PLAIN = Schema()


def kind_of(path: str) -> str:
    """Return the kind of the document at `path`, which is the path without ids: `accounts/*/entries`."""
    return "/*/".join(path.split("/")[::2])


def numbered(write: Write, schemas: Schemas) -> Write:
    """Return the write with the schema version in the document.

    An Upsert may create the document, and has the fields that tell its version. A Patch changes some fields of a form
    and a Delete none: both are returned unchanged.
    """
    if not isinstance(write, Create | Put | Upsert):
        return write
    schema = schemas.get(kind_of(write.path), PLAIN)
    return replace(write, data={**write.data, SCHEMA_VERSION: schema.written(write.data)})


def opened(document: Document, schemas: Schemas) -> Document:
    """Return the stored document in the form that this release works with, and without the number among its fields.

    A document of an unknown version is found like any other, but every look at the data raises SchemaUnknown. So is a
    document whose data cannot be converted: a query must not fail because of one broken document.
    """
    kind = kind_of(document.path)
    schema = schemas.get(kind, PLAIN)
    data = {name: value for name, value in document.data.items() if name != SCHEMA_VERSION}
    number = document.data.get(SCHEMA_VERSION)
    version = schema.unnumbered(data) if number is None else number
    if not isinstance(version, int) or isinstance(version, bool) or not schema.knows(version):
        return replace(document, data=RefusedData(kind, version, data), schema_version=version)
    try:
        told = data if version == schema.version else dict(schema.reads[version](document.path, data))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return replace(document, data=RefusedData(kind, version, data), schema_version=number)
    return replace(document, data=told, schema_version=number)


def is_behind(document: Document, schemas: Schemas) -> bool:
    """Return True if an opened document has no number in the store, or is converted at every read."""
    schema, number = schemas.get(kind_of(document.path), PLAIN), document.schema_version
    if not isinstance(number, int):
        return number is None
    return number != schema.version and schema.reads.get(number) is not as_stored


def brought_up(document: Document, schemas: Schemas) -> Write:
    """Return the write that stores an opened document with the number, and in the form of this release if converted.

    The commit fails if the document has changed since the read. Where nothing is converted, only the number is written.
    """
    schema = schemas.get(kind_of(document.path), PLAIN)
    if all(convert is as_stored for convert in schema.reads.values()):
        return Patch(document.path, {SCHEMA_VERSION: schema.written(document.data)}, document.version)
    return Put(document.path, document.data, document.version)


def stored_fields(document: Document) -> Data:
    """Return the fields of an opened document, those of an unknown version as stored. For places in a query alone."""
    return document.data.stored if isinstance(document.data, RefusedData) else document.data


class RefusedData(Mapping[str, Value]):
    """Data of a document whose version is unknown. Every use raises SchemaUnknown.

    `stored` has the fields as stored, which only the place in a query's order may be read from.
    """

    def __init__(self, kind: str, found: Value, stored: Data) -> None:
        self._kind = kind
        self._found = found
        self.stored = stored

    def __getitem__(self, name: str) -> Value:
        """Raise SchemaUnknown."""
        raise SchemaUnknown(self._kind, self._found)

    def __iter__(self) -> Iterator[str]:
        """Raise SchemaUnknown."""
        raise SchemaUnknown(self._kind, self._found)

    def __len__(self) -> int:
        """Raise SchemaUnknown."""
        raise SchemaUnknown(self._kind, self._found)
