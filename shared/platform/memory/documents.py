"""Documents in memory, with Firestore's rules for commits, preconditions, values and queries."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    DOCUMENT_BYTES_MAX,
    Create,
    Data,
    Delete,
    Document,
    InvalidWrite,
    Order,
    Patch,
    PreconditionFailed,
    Query,
    Upsert,
    Value,
    Version,
    Where,
    Write,
    check_writes,
)
from shared.kernel.listings import ListedPage
from shared.kernel.watching import Listener

INT64_MAX = 2**63 - 1
WATCHED_MAX = 1_000_000
"""Limit of a watch's query. Watches have no limit, but queries here need one."""


class MemoryDocuments:
    """Database in memory. A commit is atomic, a read sees whole commits only. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, Document] = {}
        self._ids: dict[str, list[str]] = {}
        self._ticks = 0
        self._watches: list[MemoryWatch] = []

    def get(self, path: str) -> Document | None:
        """Return the document, strongly consistent, or None; see `Documents.get`."""
        with self._lock:
            return self._copy(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents in the order of `paths`, None for each that is missing; see `Documents.get_all`."""
        with self._lock:
            return [self._copy(path) for path in paths]

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents, at most `query.limit`; see `Documents.query`."""
        with self._lock:
            found = (document for document in self._candidates(query) if _matches(document, query))
            behind = (document for document in _ordered(found, query.order_by) if _is_after(document, query))
            return [
                replace(document, data={}) if query.is_paths_only else _copied(document)
                for document in islice(behind, query.limit)
            ]

    def listed(self, collection: str, limit: int, token: str = "") -> ListedPage:
        """Return the next page of a collection with its missing documents; see `Listings.listed`."""
        with self._lock:
            there = set(self._ids.get(collection, []))
            page = [each for each in sorted(there | self._owners(collection)) if each > token][: limit + 1]
            paths = [f"{collection}/{each}" for each in page[:limit]]
            found = [self._copy(path) for path in paths]
        return ListedPage(
            documents=[each for each in found if each is not None],
            missing=[path for path, each in zip(paths, found, strict=True) if each is None],
            token=page[limit - 1] if len(page) > limit else "",
        )

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none, and return the new version of each, in order; see `Documents.commit`."""
        del timeout_seconds
        check_writes(writes)
        _check_sizes(writes)
        with self._lock:
            for write in writes:
                self._check_precondition(write)
            self._ticks += 1
            versions = [self._apply(write) for write in writes]
            watches, written = tuple(self._watches), {write.path for write in writes}
        for watch in watches:
            if any(_collection(path) == watch.query.collection for path in written):
                watch.tell([document for document in self.query(watch.query) if document.path in written])
        return versions

    def watch(self, query: Query, listener: Listener) -> "MemoryWatch":
        """Start to report every match of `query`, without its limit, to `listener`; see `Watches.watch`.

        The listener is called on the thread that commits.
        """
        watch = MemoryWatch(replace(query, limit=WATCHED_MAX), listener, self._watches)
        with self._lock:
            self._watches.append(watch)
        watch.tell(self.query(watch.query))
        listener.caught_up()
        return watch

    def _owners(self, collection: str) -> set[str]:
        """Return the ids that have documents below, whether these ids have documents or not."""
        below = [name for name, ids in self._ids.items() if ids and name.startswith(f"{collection}/")]
        return {name[len(collection) + 1 :].split("/")[0] for name in below}

    def _copy(self, path: str) -> Document | None:
        document = self._documents.get(path)
        return None if document is None else _copied(document)

    def _check_precondition(self, write: Write) -> None:
        current = self._documents.get(write.path)
        if isinstance(write, Create):
            if current is not None:
                raise PreconditionFailed(f"{write.path} exists already.")
        elif isinstance(write, Upsert):
            return
        elif write.version is not None:
            if current is None or current.version != write.version:
                raise PreconditionFailed(f"{write.path} has changed.")
        elif isinstance(write, Patch) and current is None:
            raise PreconditionFailed(f"{write.path} does not exist.")

    def _apply(self, write: Write) -> Version:
        """Apply one write and return the document's new version.

        A write that changes nothing leaves the version as it was.
        """
        current = self._documents.get(write.path)
        if isinstance(write, Delete):
            if current is not None:
                del self._documents[write.path]
                self._ids[_collection(write.path)].remove(current.id)
            return self._ticks
        data = _data_of(write.data)
        if isinstance(write, Patch | Upsert) and current is not None:
            data = {**current.data, **data}
        if isinstance(write, Upsert):
            data = {**data, **{name: _least(data.get(name), least) for name, least in write.minima.items()}}
        if current is not None and current.data == data:
            return current.version
        if current is None:
            insort(self._ids.setdefault(_collection(write.path), []), write.path.rpartition("/")[2])
        self._documents[write.path] = Document(path=write.path, data=data, version=self._ticks)
        return self._ticks

    def _candidates(self, query: Query) -> Iterator[Document]:
        """Yield the documents that may match, by path, newest first if the query asks so.

        Those before `after` are left out where paths alone tell.
        """
        if query.group:
            groups = [name for name in self._ids if name.rpartition("/")[2] == query.collection]
            return map(
                self._documents.__getitem__, sorted(f"{name}/{id_}" for name in groups for id_ in self._ids[name])
            )
        ids, bounds = self._ids.get(query.collection, []), [query.id_from or ""]
        if query.after is not None and not query.order_by and _collection(str(query.after[0])) == query.collection:
            bounds.append(str(query.after[0]).rpartition("/")[2])
        first = bisect_left(ids, max(bounds))
        last = len(ids) if query.id_to is None else bisect_right(ids, query.id_to)
        among = ids[first:last][::-1] if query.is_newest_first else ids[first:last]
        return (self._documents[f"{query.collection}/{id_}"] for id_ in among)


class MemoryWatch:
    """Standing query of this process; see `Watch`."""

    def __init__(self, query: Query, listener: Listener, watches: "list[MemoryWatch]") -> None:
        self.query = query
        self._listener = listener
        self._watches = watches

    def tell(self, documents: Sequence[Document]) -> None:
        """Pass the documents to the listener, if there are any."""
        if documents:
            self._listener.changed(documents)

    def close(self) -> None:
        """End the watch; see `Watch.close`."""
        with suppress(ValueError):
            self._watches.remove(self)


def _check_sizes(writes: Sequence[Write]) -> None:
    for write in writes:
        minima = write.minima if isinstance(write, Upsert) else {}
        if not isinstance(write, Delete) and _size({**write.data, **minima}) > DOCUMENT_BYTES_MAX:
            raise InvalidWrite(f"{write.path} is larger than {DOCUMENT_BYTES_MAX} bytes.")


def _least(value: Value, given: int) -> int:
    """Return the smaller number; `given` if `value` is no number."""
    return min(value, given) if isinstance(value, int) and not isinstance(value, bool) else given


def _collection(path: str) -> str:
    return path.rpartition("/")[0]


def _copied(document: Document) -> Document:
    """Copy a document, so that a caller cannot change the stored data."""
    return Document(path=document.path, data=_data_of(document.data), version=document.version)


def _data_of(data: Data) -> Data:
    return {name: _value_of(value) for name, value in data.items()}


def _value_of(value: Value) -> Value:
    if isinstance(value, Mapping):
        return _data_of(value)
    return [_value_of(item) for item in value] if isinstance(value, list | tuple) else value


def _size(value: object) -> int:
    """Return the approximate size that Firestore counts, in bytes.

    Raises InvalidWrite for a value that must not be stored: a float, or an integer beyond 64 bits.
    """
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int):
        if abs(value) > INT64_MAX:
            raise InvalidWrite("An integer does not fit 64 bits.")
        return 8
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidWrite("A time needs its zone.")
        return 8
    return _size_of_many(value)


def _size_of_many(value: object) -> int:
    if isinstance(value, str):
        try:
            return len(value.encode()) + 1
        except UnicodeEncodeError as error:
            raise InvalidWrite("A string is not valid Unicode.") from error
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size(key) + _size(item) for key, item in value.items()) + 32
    if isinstance(value, list | tuple):
        if any(isinstance(item, list | tuple) for item in value):
            raise InvalidWrite("A list cannot directly hold a list.")
        return sum(_size(item) for item in value)
    raise InvalidWrite(f"A {type(value).__name__} cannot be stored.")


def _matches(document: Document, query: Query) -> bool:
    ordered = all(order.field in document.data for order in query.order_by)
    return ordered and all(_holds(where, document.data) for where in query.where)


OPERATORS: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": lambda value, wanted: value == wanted,
    "<": lambda value, wanted: _rank(value) == _rank(wanted) and _compare(value, wanted) < 0,
    "<=": lambda value, wanted: _rank(value) == _rank(wanted) and _compare(value, wanted) <= 0,
    ">": lambda value, wanted: _rank(value) == _rank(wanted) and _compare(value, wanted) > 0,
    ">=": lambda value, wanted: _rank(value) == _rank(wanted) and _compare(value, wanted) >= 0,
    "in": lambda value, wanted: isinstance(wanted, list | tuple) and value in wanted,
    "array_contains": lambda value, wanted: isinstance(value, list | tuple) and wanted in value,
}


def _holds(where: Where, data: Data) -> bool:
    return where.field in data and OPERATORS[where.operator](data[where.field], where.value)


def _rank(value: Value) -> int:
    """Return the rank of a value's type in Firestore's order between types."""
    kinds: tuple[type, ...] = (type(None), bool, int, datetime, str, bytes, list, dict)
    return next(rank for rank, kind in enumerate(kinds) if isinstance(value, kind))


def _compare(a: Value, b: Value) -> int:
    if _rank(a) != _rank(b):
        return _rank(a) - _rank(b)
    left, right = (value.encode() if isinstance(value, str) else value for value in (a, b))
    if left == right:
        return 0
    return -1 if left < right else 1  # type: ignore[operator]  # the ranks say that these compare


def _ordered(documents: Iterable[Document], order_by: tuple[Order, ...]) -> Iterable[Document]:
    """Return documents that come by path in the order of a query."""
    if not order_by:
        return documents
    found = list(documents)
    if order_by[-1].descending:
        found.reverse()
    for order in reversed(order_by):
        found.sort(key=partial(_sort_key, order.field), reverse=order.descending)
    return found


def _sort_key(field: str, document: Document) -> tuple[int, Value]:
    value = document.data[field]
    return _rank(value), value.encode() if isinstance(value, str) else value


def _is_after(document: Document, query: Query) -> bool:
    if query.after is None:
        return True
    if not query.order_by:
        return document.path > str(query.after[0])
    bounds = query.after[: len(query.order_by)]
    for order, bound in zip(query.order_by, bounds, strict=True):
        result = _compare(document.data[order.field], bound)
        if result:
            return (result < 0) == order.descending
    paths = query.after[len(bounds) :]
    return bool(paths) and document.path != paths[0] and (document.path < str(paths[0])) == order.descending
