"""Documents with schema versions: each write says its form, each read is in the form that this release works with."""

from collections.abc import Sequence
from dataclasses import replace

from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Document, Documents, Query, Version, Write
from shared.kernel.listings import ListedPage, list_page
from shared.kernel.schemas import RefusedData, Schemas, numbered, opened
from shared.kernel.watching import BrokenWatch, Listener, Watch, Watches


class VersionedDocuments:
    """Database `inner` with the schema versions of `schemas`. Safe to share between threads if `inner` is."""

    def __init__(self, inner: Documents, schemas: Schemas) -> None:
        self.inner = inner
        self._schemas = schemas

    def get(self, path: str) -> Document | None:
        """Return the document in the form of this release, or None; see `Documents.get`."""
        return self._opened(self.inner.get(path))

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents in the order of `paths`, None for each that is missing; see `Documents.get_all`."""
        return [self._opened(each) for each in self.inner.get_all(paths)]

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents; see `Documents.query`. Conditions are compared with the stored forms."""
        found = self.inner.query(query)
        return found if query.is_paths_only else [opened(each, self._schemas) for each in found]

    def listed(self, collection: str, limit: int, token: str = "") -> ListedPage:
        """Return the next page of a collection in the form of this release; see `Listings.listed`."""
        page = list_page(self.inner, collection, limit, token)
        return replace(page, documents=[opened(each, self._schemas) for each in page.documents])

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none, each document with its schema version; see `Documents.commit`."""
        told = [numbered(each, self._schemas) for each in writes]
        return self.inner.commit(told, timeout_seconds=timeout_seconds)

    def watch(self, query: Query, listener: Listener) -> Watch:
        """Start to report every match of `query`; see `Watches.watch`. Broken from the start over a store without
        watches.
        """
        inner = self.inner if isinstance(self.inner, Watches) else BrokenWatch()
        return inner.watch(query, VersionedListener(listener, self._schemas))

    def _opened(self, document: Document | None) -> Document | None:
        return None if document is None else opened(document, self._schemas)


class VersionedListener:
    """Listener that passes documents on in the form of this release."""

    def __init__(self, listener: Listener, schemas: Schemas) -> None:
        self._listener = listener
        self._schemas = schemas

    def changed(self, documents: Sequence[Document]) -> None:
        """Pass the documents on; see `Listener.changed`. A document of an unknown version is left out."""
        told = [opened(each, self._schemas) for each in documents]
        readable = [each for each in told if not isinstance(each.data, RefusedData)]
        if readable:
            self._listener.changed(readable)

    def caught_up(self) -> None:
        """Pass the report on; see `Listener.caught_up`."""
        self._listener.caught_up()

    def broken(self) -> None:
        """Pass the report on; see `Listener.broken`."""
        self._listener.broken()
