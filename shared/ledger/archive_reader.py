"""Reader of archived entries: the documents of an account's first entries, from the objects in the bucket."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from shared.kernel.documents import Document, Documents
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.objects import ObjectNotFound, Objects
from shared.kernel.schemas import Schemas
from shared.ledger.archives import ArchiveObject, JournalArchive, archive_in, archive_path, entries_in

OBJECTS_KEPT = 2
"""Objects that an instance keeps: a listing reads neighbouring pages of one object."""


class ArchivedEntries:
    """Reader of archived entries of one ledger. Safe to share between threads.

    The entries are as verified as documents are: not at all. An object that is missing or changed counts as missing
    documents, with a log line, so that each reader finds the gap by its own laws.
    """

    def __init__(self, documents: Documents, objects: Callable[[], Objects], ledger: str, schemas: Schemas) -> None:
        self._documents = documents
        self._objects = objects
        self._ledger = ledger
        self._schemas = schemas
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, list[Document]] = OrderedDict()

    def find(self, uid: Uid) -> tuple[bool, JournalArchive | None]:
        """Return whether the account ever had an archive, and the archive, None if nothing is archived now.

        Reads one document. Raises StoreUnavailable, SchemaUnknown.
        """
        found = self._documents.get(archive_path(uid))
        return found is not None, None if found is None else archive_in(found)

    def entries(self, uid: Uid, archive: JournalArchive, first: int, last: int, limit: int) -> list[Document]:
        """Return at most `limit` archived documents of `first` to `last`, in order. Raises StorageUnavailable."""
        found = list[Document]()
        for each in archive.of(first, last):
            found.extend(document for document in self.content(uid, each) if first <= int(document.id) <= last)
            if len(found) >= limit:
                break
        return found[:limit]

    def content(self, uid: Uid, wanted: ArchiveObject) -> Sequence[Document]:
        """Return the documents of one object in order; none if the object is missing or changed."""
        name = wanted.name(self._ledger, uid)
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        documents = self._read(uid, wanted, name)
        if documents is None:
            log("archive_object_broken", "ERROR", uid=uid, seq=wanted.first, object=name)
            return ()
        with self._lock:
            self._kept[name] = documents
            while len(self._kept) > OBJECTS_KEPT:
                self._kept.popitem(last=False)
        return documents

    def forget(self) -> None:
        """Forget all kept objects."""
        with self._lock:
            self._kept.clear()

    def _read(self, uid: Uid, wanted: ArchiveObject, name: str) -> list[Document] | None:
        try:
            content = self._objects().read(name)
        except ObjectNotFound:
            return None
        return entries_in(content, wanted, uid, self._schemas)
