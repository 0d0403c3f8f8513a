"""Wrong values for every field of every document of an account: a dozen for each field, and whole documents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.kernel.documents import Delete, Put, Value
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION
from shared.platform.memory.documents import MemoryDocuments
from tests.tamper.accounts import data_of, paths_of

HUGE = 300_000
DEPTH = 18
"""Depth of a nested map. Firestore stores 20 levels."""


def _nested(depth: int) -> Value:
    return {"a": 1} if depth == 1 else {"a": _nested(depth - 1)}


VALUES: Mapping[str, Value] = {
    "null": None,
    "true": True,
    "negative": -1,
    "zero": 0,
    "huge number": 2**40,
    "largest number": 2**63 - 1,
    "empty text": "",
    "other text": "k-9:c29tZWJvZHk=",
    "not a number": "nan",
    "huge text": "9" * HUGE,
    "brackets": "[" * HUGE,
    "bytes": b"\x00\xff" * 50,
    "list": [1, {"a": 2}],
    "map": {"a": 1},
    "nested map": _nested(DEPTH),
    "first time": datetime(1, 1, 1, tzinfo=UTC),
    "last time": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
}
"""Values of every kind. A float or a reference that others store is read as text."""
MISSING, ANOTHERS, EMPTY, GONE = "missing", "another account's", "empty", "gone"
"""Edits that are no value: a field that is missing, the same of another account, an empty document, no document."""
HARMLESS = frozenset({MISSING, "null"})
"""Edits of the schema version that say nothing: a document without a version has the first, or the fields tell."""


@dataclass(frozen=True, slots=True)
class Poison:
    """One edit of one account: the document below the account, the field ("" for the whole document), the value."""

    document: str
    field: str
    value: str

    def write(self, documents: MemoryDocuments, uid: Uid, other: Uid) -> Put | Delete:
        """Return the write of the edit in account `uid`. `other` is an account with the same documents."""
        path = _path(uid, self.document)
        if self.value == GONE:
            return Delete(path)
        theirs = documents.get(_path(other, self.document))
        if not self.field:
            return Put(path, {} if self.value == EMPTY or theirs is None else theirs.data)
        data = dict(data_of(documents, path))
        if self.value == MISSING:
            del data[self.field]
        elif self.value == ANOTHERS:
            data[self.field] = None if theirs is None else theirs.data.get(self.field)
        else:
            data[self.field] = VALUES[self.value]
        return Put(path, data)


def poisons(documents: MemoryDocuments, uid: Uid, other: Uid) -> Iterator[Poison]:
    """Yield every edit of every field and document of the account that changes anything."""
    for path in paths_of(documents, uid):
        document = path.removeprefix(f"accounts/{uid}")
        fields = data_of(documents, path)
        edits = [Poison(document, "", value) for value in (GONE, EMPTY, ANOTHERS)]
        edits += [Poison(document, field, name) for field in fields for name in (*VALUES, MISSING, ANOTHERS)]
        for edit in edits:
            write = edit.write(documents, uid, other)
            is_harmless = edit.field == SCHEMA_VERSION and edit.value in HARMLESS
            if not is_harmless and (isinstance(write, Delete) or write.data != fields):
                yield edit


def _path(uid: Uid, document: str) -> str:
    return f"accounts/{uid}{document}"
