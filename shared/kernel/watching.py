"""Documents as they change: a standing query that tells a listener, for stores that can do that."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from shared.kernel.documents import Document, Query


class Listener(Protocol):
    """Hears a watch, on a thread of the watch. No method may block or raise."""

    def changed(self, documents: Sequence[Document]) -> None:
        """Take documents that match the query, as they are now. A document may come twice."""
        ...

    def caught_up(self) -> None:
        """Note that every document that matched when the watch began has been told."""
        ...

    def broken(self) -> None:
        """Note that the watch ended, and not by `close`. Nothing more is told."""
        ...


class Watch(Protocol):
    """A standing query."""

    def close(self) -> None:
        """End it. Closing twice is fine."""
        ...


@runtime_checkable
class Watches(Protocol):
    """A store that tells of changes. Documents that stop matching, or are deleted, are not told."""

    def watch(self, query: Query, listener: Listener) -> Watch:
        """Begin to tell `listener` of every match of `query`, without its limit. Never blocks or raises."""
        ...


class Unwatched:
    """The watch of a store that tells nothing: broken from the start, so that its listener looks for itself."""

    def watch(self, query: Query, listener: Listener) -> "Unwatched":
        """See `Watches.watch`."""
        listener.broken()
        return self

    def close(self) -> None:
        """See `Watch.close`."""
