"""Whether production would take what we ask: the emulators serve every query, Firestore only what an index covers.

The rules are Firestore's (native mode, Standard edition), kept on the strict side where its planner may be kinder:
https://firebase.google.com/docs/firestore/query-data/index-overview and …/firestore/query-data/queries.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Patch,
    Put,
    Query,
    Upsert,
    Version,
    Write,
)
from shared.kernel.listings import ListedPage, list_page
from shared.kernel.schemas import SCHEMA_VERSION
from shared.kernel.watching import Listener, Watch, Watches
from shared.platform.memory.documents import MemoryDocuments
from tests.support.live import check_live, check_live_changes, collection_of, is_live, schema_of

INDEXES_FILE = Path(__file__).resolve().parents[2] / "firestore.indexes.json"
NAME = "__name__"
DISJUNCTIONS_MAX = 30
OVERRIDES_MAX = 1_000
COMPOSITES_MAX = 1_000
"""Limits of a project with billing, without which no function can be deployed; 200 each without billing:
https://firebase.google.com/docs/firestore/quotas#indexes.
"""

Mode: TypeAlias = Literal["ASCENDING", "DESCENDING", "CONTAINS"]
Scope: TypeAlias = Literal["COLLECTION", "COLLECTION_GROUP"]
Column: TypeAlias = tuple[str, Mode]

AUTOMATIC: frozenset[tuple[Scope, Mode]] = frozenset(
    {
        ("COLLECTION", "ASCENDING"),
        ("COLLECTION", "DESCENDING"),
        ("COLLECTION", "CONTAINS"),
    }
)
RANGES = frozenset({"<", "<=", ">", ">="})


class MissingIndex(AssertionError):
    """Production would answer FAILED_PRECONDITION: The query requires an index."""


class UnservedShape(AssertionError):
    """No index could serve this query as it is written."""


@dataclass(frozen=True, slots=True)
class Composite:
    """One composite index, its trailing document name left out."""

    collection: str
    scope: Scope
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A query without its values: what an index has to offer for it."""

    collection: str
    scope: Scope
    equal: frozenset[str]
    contains: frozenset[str]
    sort: tuple[Column, ...]

    @property
    def filtered(self) -> frozenset[tuple[str, bool]]:
        """The fields an index must lead with, each with whether it is searched as an array."""
        return frozenset({(name, False) for name in self.equal} | {(name, True) for name in self.contains})

    def proposal(self) -> str:
        """The composite index that would serve it, ready for firestore.indexes.json."""
        fields = [{"fieldPath": name, "arrayConfig": "CONTAINS"} for name in sorted(self.contains)]
        fields += [{"fieldPath": name, "order": "ASCENDING"} for name in sorted(self.equal)]
        fields += [{"fieldPath": name, "order": mode} for name, mode in self.sort]
        return json.dumps({"collectionGroup": self.collection, "queryScope": self.scope, "fields": fields})


def shape_of(query: Query) -> Shape:
    """What the query asks of an index. Raises UnservedShape for what no index of ours could serve."""
    operators = {operator: {w.field for w in query.where if w.operator == operator} for operator in ("==", "in")}
    ranged = {w.field for w in query.where if w.operator in RANGES}
    contains = [w.field for w in query.where if w.operator == "array_contains"]
    _require(len(ranged) <= 1, query, "it has range conditions on several fields")
    _require(len(contains) <= 1, query, "it has several array_contains conditions")
    _require(_disjunctions(query) <= DISJUNCTIONS_MAX, query, f"its `in` lists expand to more than {DISJUNCTIONS_MAX}")
    _require(not (query.id_from or query.id_to) or not (ranged or query.order_by), query, "it bounds ids and a field")
    is_equal = bool(operators["=="] | operators["in"])
    _require(not query.is_newest_first or (is_equal and not query.order_by), query, "a key scan is never descending")
    sort = _sort(query, ranged, fixed=operators["=="])
    return Shape(
        collection=query.collection.rpartition("/")[2],
        scope="COLLECTION_GROUP" if query.group else "COLLECTION",
        equal=frozenset(operators["=="] | operators["in"]) - {name for name, _ in sort},
        contains=frozenset(contains),
        sort=sort,
    )


def _sort(query: Query, ranged: set[str], *, fixed: set[str]) -> tuple[Column, ...]:
    """The order an index must bring; sorting by a field that is held to one value sorts nothing."""
    columns: list[Column] = [
        (order.field, "DESCENDING" if order.descending else "ASCENDING")
        for order in query.order_by
        if order.field not in fixed - ranged
    ]
    if query.is_newest_first:
        columns.append((NAME, "DESCENDING"))
    if not ranged:
        return tuple(columns)
    (bounded,) = ranged
    _require(not columns or columns[0][0] == bounded, query, f"it must sort by {bounded} first, which it bounds")
    return tuple(columns) or ((bounded, "ASCENDING"),)


def _disjunctions(query: Query) -> int:
    lists = [w.value for w in query.where if w.operator == "in"]
    return prod(len(values) for values in lists if isinstance(values, Sequence))


def _require(is_so: bool, query: Query, reason: str) -> None:
    if not is_so:
        raise UnservedShape(f"No index can serve {query}: {reason}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """The indexes a project has: the automatic ones, less what is exempt, and the composite ones."""

    composites: tuple[Composite, ...] = ()
    overrides: Mapping[tuple[str, str], frozenset[tuple[Scope, Mode]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, definition: Mapping) -> "Indexes":
        """Read what stands in a firestore.indexes.json. Raises ValueError for what Firestore would refuse."""
        composites = [_composite(item) for item in definition["indexes"]]
        overrides = {
            (item["collectionGroup"], item["fieldPath"]): frozenset(
                (index.get("queryScope", "COLLECTION"), _mode(index)) for index in item["indexes"]
            )
            for item in definition["fieldOverrides"]
        }
        _refuse(len(set(composites)) != len(composites), "a composite index is named twice")
        _refuse(len(overrides) != len(definition["fieldOverrides"]), "a field is overridden twice")
        _refuse(len(composites) > COMPOSITES_MAX, f"there are more than {COMPOSITES_MAX} composite indexes")
        _refuse(len(overrides) > OVERRIDES_MAX, f"there are more than {OVERRIDES_MAX} overrides")
        return cls(composites=tuple(composites), overrides=overrides)

    @classmethod
    def load(cls, file: Path = INDEXES_FILE) -> "Indexes":
        """The project's own."""
        return cls.parse(json.loads(file.read_text(encoding="utf-8")))

    def check(self, query: Query) -> Shape:
        """Its shape, if it is served. Raises MissingIndex, naming the index to add, or UnservedShape."""
        shape = shape_of(query)
        if not self.serves(shape):
            raise MissingIndex(f"The query requires an index: {shape.proposal()} for {query}")
        return shape

    def serves(self, shape: Shape) -> bool:
        """True when one index, or several merged, give the filtered documents in the order asked for."""
        if not shape.filtered and not shape.sort:
            return True  # by document name: the primary key
        prefixes = (_prefix(index, shape.sort) for index in self._of(shape))
        covered = [prefix for prefix in prefixes if prefix is not None and prefix <= shape.filtered]
        return bool(covered) and frozenset[tuple[str, bool]]().union(*covered) == shape.filtered

    def single(self, collection: str, path: str) -> frozenset[tuple[Scope, Mode]]:
        """The single-field indexes of a field: its own override, that of the map it is in, or the automatic ones."""
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            if (own := self.overrides.get((collection, ".".join(parts[:length])))) is not None:
                return own
        return AUTOMATIC

    def _of(self, shape: Shape) -> Iterator[tuple[Column, ...]]:
        for index in self.composites:
            if (index.collection, index.scope) == (shape.collection, shape.scope):
                yield index.columns
        for name in shape.equal | shape.contains | {name for name, _ in shape.sort}:
            for scope, mode in self.single(shape.collection, name):
                if scope == shape.scope:
                    yield ((name, mode),)


def _prefix(columns: tuple[Column, ...], sort: tuple[Column, ...]) -> frozenset[tuple[str, bool]] | None:
    """What an index filters by, if behind that it is sorted exactly as asked; else None."""
    head, tail = columns[: len(columns) - len(sort)], columns[len(columns) - len(sort) :]
    if len(columns) < len(sort) or tail != sort:
        return None
    return frozenset((name, mode == "CONTAINS") for name, mode in head)


def _composite(item: Mapping) -> Composite:
    columns = [(each["fieldPath"], _mode(each)) for each in item["fields"]]
    if len(columns) > 1 and columns[-1] == (NAME, columns[-2][1]):
        columns.pop()
    _refuse(len(columns) < 2, f"{item['collectionGroup']}: one field is a fieldOverride, not a composite index")
    return Composite(item["collectionGroup"], item["queryScope"], tuple(columns))


def _mode(item: Mapping) -> Mode:
    return item.get("arrayConfig") or item["order"]


def _refuse(is_wrong: bool, reason: str) -> None:
    if is_wrong:
        raise ValueError(f"firestore.indexes.json: {reason}.")


class UnknownCollection(AssertionError):
    """Nobody decided who may read this collection: it has no row in tests/rules/table.py."""


@dataclass(slots=True)
class IndexCheckedDocuments:
    """A store that refuses, like production, what no index serves; and remembers what it was asked and told to keep.

    With `collections` (`accounts/*/entries`), it also refuses to write into any other. With `is_numbered`, it refuses a
    document without a schema version.
    """

    inner: Documents
    indexes: Indexes = field(default_factory=Indexes.load)
    collections: Container[str] | None = None
    shapes: set[Shape] = field(default_factory=set)
    fields: dict[str, set[str]] = field(default_factory=dict)
    is_numbered: bool = False

    def get(self, path: str) -> Document | None:
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        self.shapes.add(self.indexes.check(query))
        return self.inner.query(query)

    def listed(self, collection: str, limit: int, token: str = "") -> ListedPage:
        return list_page(self.inner, collection, limit, token)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        for write in writes:
            if not isinstance(write, Delete):
                minima = write.minima if isinstance(write, Upsert) else {}
                self._remember(collection_of(write.path), {**write.data, **minima})
            if isinstance(write, Create | Put | Upsert):
                assert not self.is_numbered or SCHEMA_VERSION in write.data, f"{write.path} has no schema version"
                check_live(collection_of(write.path), write.data)
            if isinstance(write, Patch) and self._is_live(write.path):
                check_live_changes(collection_of(write.path), write.data)
        return self.inner.commit(writes, timeout_seconds=timeout_seconds)

    def watch(self, query: Query, listener: Listener) -> Watch:
        self.shapes.add(self.indexes.check(query))
        assert isinstance(self.inner, Watches), "the store inside tells of changes"
        return self.inner.watch(query, listener)

    def _is_live(self, path: str) -> bool:
        """True for a document that listeners read as its schema says; False for one of an older form."""
        if schema_of(collection_of(path)) is None:
            return False
        found = self.inner.get(path)
        return found is not None and is_live(collection_of(path), found.data)

    def _remember(self, collection: str, data: Data) -> None:
        if self.collections is not None and collection not in self.collections:
            raise UnknownCollection(f"{collection} has no row in tests/rules/table.py")
        self.fields.setdefault(collection, set()).update(data)


def unused(composites: Iterable[Composite], shapes: Iterable[Shape]) -> list[Composite]:
    """The composite indexes that no shape needs: each costs a write per document."""
    asked = list(shapes)
    return [
        index
        for index in composites
        if not any(
            (index.collection, index.scope) == (shape.collection, shape.scope)
            and (prefix := _prefix(index.columns, shape.sort)) is not None
            and prefix <= shape.filtered
            for shape in asked
        )
    ]


def stored() -> IndexCheckedDocuments:
    """A memory store that answers no query that production would not."""
    return IndexCheckedDocuments(MemoryDocuments())
