"""Documents whose archived entries are read from the bucket, so that each reader of a journal finds all entries."""

import re
from collections.abc import Callable, Collection, Sequence
from itertools import chain

from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Document, Documents, Query, Version, Where, Write
from shared.kernel.ids import Uid
from shared.kernel.listings import ListedPage, list_page
from shared.kernel.objects import Objects
from shared.kernel.schemas import Schemas
from shared.kernel.watching import BrokenWatch, Listener, Watch, Watches
from shared.ledger.archive_reader import ArchivedEntries
from shared.ledger.archives import ArchiveObject, JournalArchive
from shared.ledger.document_paths import SEQ_MAX

ENTRIES = re.compile(r"accounts/([^/]+)/entries", re.ASCII)
ENTRY = re.compile(r"accounts/([^/]+)/entries/(\d{12})", re.ASCII)


class ArchivedDocuments:
    """Database `inner` with the entries that were archived. Safe to share between threads if `inner` is.

    A database without the document of an entry is asked for the account's archive, one read more. A journal that has
    all its entries costs nothing more, except a page of it that has fewer entries than were asked for.
    """

    def __init__(self, inner: Documents, objects: Callable[[], Objects], ledger: str, schemas: Schemas) -> None:
        self.inner = inner
        self.archives = ArchivedEntries(inner, objects, ledger, schemas)

    def get(self, path: str) -> Document | None:
        """Return the document, archived or not, or None; see `Documents.get`. Raises StorageUnavailable, too."""
        return self.inner.get(path) or self._archived([path]).get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents, archived or not; see `Documents.get_all`. Raises StorageUnavailable, too."""
        found = self.inner.get_all(paths)
        missing = [path for path, document in zip(paths, found, strict=True) if document is None]
        archived = self._archived(missing)
        return [document or archived.get(path) for path, document in zip(paths, found, strict=True)]

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents, archived or not; see `Documents.query`. Raises StorageUnavailable, too.

        Archived entries are found by a query with bounds of the ids on both sides.
        """
        found = self.inner.query(query)
        collection = ENTRIES.fullmatch(query.collection)
        if collection is None or query.group or query.id_from is None or query.id_to is None:
            return found
        first, last = max(1, int(query.id_from)), min(SEQ_MAX, int(query.id_to))
        is_whole = len(found) >= query.limit if query.is_newest_first else bool(found) and int(found[0].id) <= first
        return found if is_whole or first > last else self._with_archived(Uid(collection[1]), query, found, first, last)

    def listed(self, collection: str, limit: int, token: str = "") -> ListedPage:
        """Return the next page of a collection, without archived entries; see `Listings.listed`."""
        return list_page(self.inner, collection, limit, token)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none; see `Documents.commit`. No write on an archived document's version succeeds."""
        return self.inner.commit(writes, timeout_seconds=timeout_seconds)

    def watch(self, query: Query, listener: Listener) -> Watch:
        """Start to report every match of `query` but archived entries; see `Watches.watch`."""
        return (self.inner if isinstance(self.inner, Watches) else BrokenWatch()).watch(query, listener)

    def _archived(self, paths: Sequence[str]) -> dict[str, Document]:
        """Return the archived documents among these paths by path."""
        wanted: dict[Uid, set[str]] = {}
        for path in paths:
            if (entry := ENTRY.fullmatch(path)) is not None:
                wanted.setdefault(Uid(entry[1]), set()).add(path)
        found: dict[str, Document] = {}
        for uid, of_account in wanted.items():
            found.update(self._of_account(uid, of_account))
        return found

    def _of_account(self, uid: Uid, paths: Collection[str]) -> dict[str, Document]:
        """Return the documents at these paths of one account that were missing in the database.

        If some are still missing, the journal may have come back meanwhile, so the database is read again.
        """
        was_archived, archive = self.archives.find(uid)
        seqs = sorted(int(path[-12:]) for path in paths)
        parts = [] if archive is None else [each for each in archive.of(seqs[0], seqs[-1]) if _has(each, seqs)]
        contents = (self.archives.content(uid, each) for each in parts)
        found = {each.path: each for each in chain.from_iterable(contents) if each.path in paths}
        left = sorted(set(paths) - found.keys()) if was_archived else []
        again = self.inner.get_all(left) if left else []
        return {**found, **{each.path: each for each in again if each is not None}}

    def _with_archived(
        self, uid: Uid, query: Query, found: Sequence[Document], first: int, last: int
    ) -> list[Document]:
        was_archived, archive = self.archives.find(uid)
        if not was_archived:
            return list(found)
        archived, is_whole = self._content(uid, archive, query, first, last)
        stored = found if is_whole else self.inner.query(query)
        whole = {each.id: each for each in (*archived, *stored)}
        return sorted(whole.values(), key=lambda each: each.id, reverse=query.is_newest_first)[: query.limit]

    def _content(
        self, uid: Uid, archive: JournalArchive | None, query: Query, first: int, last: int
    ) -> tuple[list[Document], bool]:
        """Return the archived documents that match, at least `query.limit` if there are as many.

        The second value is False if an object is gone: the journal may have come back meanwhile.
        """
        if archive is None:
            return [], False
        archived = list[Document]()
        objects = archive.of(first, last)
        for each in reversed(objects) if query.is_newest_first else objects:
            content = self.archives.content(uid, each)
            if not content:
                return archived, False
            within = (document for document in content if first <= int(document.id) <= last)
            archived.extend(document for document in within if _fits(document, query.where))
            if len(archived) >= query.limit:
                break
        return archived, True


def _has(part: ArchiveObject, seqs: Sequence[int]) -> bool:
    return any(part.first <= seq <= part.last for seq in seqs)


def _fits(document: Document, conditions: Sequence[Where]) -> bool:
    """Return True if the document has the values that a query of entries asks for."""
    return all(_is_met(document, each) for each in conditions)


def _is_met(document: Document, condition: Where) -> bool:
    value, wanted = document.data.get(condition.field), condition.value
    if condition.field not in document.data:
        return False
    if condition.operator == "==":
        return value == wanted
    assert condition.operator == "in", "entries are asked for by equality alone"
    assert isinstance(wanted, Sequence), "`in` has a list of values"
    return value in wanted
