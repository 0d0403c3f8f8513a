"""Watches of documents: a standing query that reports changes to a listener, for stores that support this."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from shared.kernel.documents import Document, Query


class Listener(Protocol):
    """Receiver of a watch's reports, on a thread of the watch. No method may block or raise."""

    def changed(self, documents: Sequence[Document]) -> None:
        """Take documents that match the query, in their present state. A document may come twice."""
        ...

    def caught_up(self) -> None:
        """Note that every document that matched when the watch began has been reported."""
        ...

    def broken(self) -> None:
        """Note that the watch ended without `close`. No more reports follow."""
        ...


class Watch(Protocol):
    """Standing query that reports to a listener."""

    def close(self) -> None:
        """End the watch. Closing twice is fine."""
        ...


@runtime_checkable
class Watches(Protocol):
    """Store that reports changes. Documents that stop matching, or are deleted, are not reported."""

    def watch(self, query: Query, listener: Listener) -> Watch:
        """Start to report every match of `query`, without its limit, to `listener`. Never blocks or raises."""
        ...


class BrokenWatch:
    """Watch of a store that reports nothing: broken from the start, so that the listener reads for itself."""

    def watch(self, query: Query, listener: Listener) -> "BrokenWatch":
        """Tell `listener` that the watch is broken, and return this watch; see `Watches.watch`."""
        listener.broken()
        return self

    def close(self) -> None:
        """Do nothing, since nothing is watched; see `Watch.close`."""
