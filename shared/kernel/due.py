"""Due work: documents that carry `due_at`, found in pages, the most overdue first."""

import math
from dataclasses import dataclass
from datetime import datetime

from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import Document, Documents, Order, Query, Value, Where
from shared.kernel.schemas import stored_fields

MILLIS_MAX: Millis = 2**53
"""Largest time that a list of milliseconds tells apart."""


@dataclass(frozen=True, slots=True)
class DuePlace:
    """Place in a list, behind the document at `path` that is due at `at`."""

    at: Millis
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueList:
    """Collection of documents with `due_at`, which is null or missing in documents that are not due at any time.

    `shards`: the documents carry `due_shard`, a number below `shards`, so that growing times spread over the index.
    None if the documents carry no shard. `is_group`: the collection stands below many documents. `is_in_millis`:
    `due_at` is stored as a number of milliseconds.
    """

    collection: str
    shards: int | None = None
    is_group: bool = False
    is_in_millis: bool = False

    def page(self, documents: Documents, now: Millis, limit: int, after: DuePlace | None = None) -> list[Document]:
        """Return at most `limit` documents that are due at `now` and stand behind `after`. Raises StoreUnavailable."""
        where = [Where("due_at", "<=", self._stored(now))]
        if self.shards is not None:
            where.append(Where("due_shard", "in", list(range(self.shards))))
        query = Query(
            collection=self.collection,
            group=self.is_group,
            where=tuple(where),
            order_by=(Order("due_at"),),
            after=None if after is None else (self._stored(after.at), after.path),
            limit=limit,
        )
        return documents.query(query)

    def _stored(self, at: Millis) -> Value:
        return at if self.is_in_millis else to_datetime(at)


def due_place(document: Document) -> DuePlace:
    """Return the place behind a due document, also behind one that this release cannot read.

    A stranger may have stored a fraction: then the place is behind that millisecond, so that no document comes again.
    """
    at = stored_fields(document)["due_at"]
    if isinstance(at, datetime):
        return DuePlace(from_datetime(at) + (at.microsecond % 1_000 > 0), document.path)
    if isinstance(at, int):
        return DuePlace(at, document.path)
    return DuePlace(_behind(str(at)), document.path)


def _behind(fraction: str) -> Millis:
    """Return the first millisecond at or behind a number that the store tells as text."""
    try:
        return math.ceil(min(max(float(fraction), -MILLIS_MAX), MILLIS_MAX))
    except ValueError:
        return -MILLIS_MAX
