"""Store and message broker that count what Firestore and Pub/Sub bill, on behalf of one function."""

from collections.abc import Callable, Sequence

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Delete,
    Document,
    Query,
    Version,
    Write,
)
from shared.kernel.events import Publisher, TopicMessage
from shared.kernel.watching import Listener, Watch
from shared.platform.memory.documents import MemoryDocuments
from tests.cost.bill import POLLED, Bill, kind_of

Commit = Callable[[], list[Version]]
Committed = Callable[[Sequence[Write], Commit], list[Version]]
"""Runs a commit, and sees the writes before and after."""


class CountingDocuments:
    """Documents of `inner`. Counts a missing document and an empty query as one read, as Firestore does.

    A refused commit is one round trip, and no write.
    """

    def __init__(self, inner: MemoryDocuments, function: str, bill: Bill, committed: Committed) -> None:
        self._inner = inner
        self._function = function
        self._bill = bill
        self._committed = committed

    def get(self, path: str) -> Document | None:
        """Return the document; see `Documents.get`."""
        kind = kind_of(path)
        self._trip(kind if kind in POLLED else "get")
        self._bill.add(self._function, "read", kind)
        return self._inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents; see `Documents.get_all`."""
        self._trip("get_all")
        for path in dict.fromkeys(paths):
            self._bill.add(self._function, "read", kind_of(path))
        return self._inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents; see `Documents.query`."""
        self._trip("query")
        found = self._inner.query(query)
        kind = f"**/{query.collection}" if query.group else kind_of(f"{query.collection}/?")
        self._bill.add(self._function, "read", f"{kind} (query)", max(1, len(found)))
        return found

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none; see `Documents.commit`."""
        self._trip("commit")
        return self._committed(writes, lambda: self._commit(writes, timeout_seconds))

    def watch(self, query: Query, listener: Listener) -> Watch:
        """Report every match of `query`; see `Watches.watch`. A reported document is one read, so is an empty start."""
        kind = f"{query.collection} (watch)"
        counted = CountingListener(listener, lambda number: self._bill.add(self._function, "read", kind, number))
        return self._inner.watch(query, counted)

    def _commit(self, writes: Sequence[Write], timeout_seconds: float) -> list[Version]:
        versions = self._inner.commit(writes, timeout_seconds=timeout_seconds)
        for write in writes:
            is_deleted = isinstance(write, Delete)
            self._bill.add(self._function, "delete" if is_deleted else "write", kind_of(write.path))
        return versions

    def _trip(self, call: str) -> None:
        self._bill.add(self._function, "trip", call)


class CountingListener:
    """Listener that counts the reported documents, then passes them on."""

    def __init__(self, inner: Listener, count: Callable[[int], None]) -> None:
        self._inner = inner
        self._count = count
        self._is_empty = True

    def changed(self, documents: Sequence[Document]) -> None:
        """Pass the documents on; see `Listener.changed`."""
        self._is_empty = False
        self._count(len(documents))
        self._inner.changed(documents)

    def caught_up(self) -> None:
        """Pass the report on; see `Listener.caught_up`."""
        if self._is_empty:
            self._count(1)
        self._inner.caught_up()

    def broken(self) -> None:
        """Pass the report on; see `Listener.broken`."""
        self._inner.broken()


class CountingPublisher:
    """Publisher that counts each message by topic, then passes the messages on."""

    def __init__(self, inner: Publisher, function: str, bill: Bill, published: Callable[[TopicMessage], None]) -> None:
        self._inner = inner
        self._function = function
        self._bill = bill
        self._published = published

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        """Store every message; see `Publisher.publish`."""
        self._inner.publish(messages)
        for message in messages:
            self._bill.add(self._function, "message", message.topic)
            self._published(message)
