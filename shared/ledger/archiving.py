"""Archiving of a journal: its first entries move to the bucket, once the log names what was moved.

Each call does the next step, and may run twice, in two instances or after a crash anywhere. Each commit also changes
the archive's document on the version that was read, so that no two calls move entries at once.

1. *Begin*: verify and fold the journal up to the entry, write the objects, read them back, and store the sealed
   statement with its leaf in one commit.
2. *Delete*: once the served checkpoint has the leaf, delete the documents of the entries, oldest first, each on the
   version that was compared with its object.

Bringing a journal back goes the other way: the documents are created again, then the archive ends, then the objects go.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from shared.kernel.clock import Clock, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import (
    DOCUMENT_BYTES_MAX,
    Create,
    Delete,
    Document,
    Documents,
    Patch,
    PreconditionFailed,
    Put,
    Query,
    Version,
)
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.objects import Objects, StorageUnavailable
from shared.ledger.account_documents import account_path
from shared.ledger.archive_reader import ArchivedEntries
from shared.ledger.archive_store import Archives
from shared.ledger.archives import (
    CONTENT_TYPE,
    ENDED,
    OBJECT_BYTES_MAX,
    OBJECT_ENTRIES_MAX,
    OBJECTS_MAX,
    RULE,
    ArchiveObject,
    JournalArchive,
    archive_data,
    archive_path,
    entry_line,
    leaf_body,
    leaf_name,
    object_of,
    statement_of,
)
from shared.ledger.document_paths import entry_id, entry_path
from shared.ledger.errors import (
    EntryNotFound,
    IntegrityFailed,
    JournalTooLong,
    LimitReached,
    NothingToArchive,
)
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ARCHIVE_CONTEXT
from shared.ledger.log.typed_leaves import queue_leaf
from shared.ledger.redacting import EntryRedactor
from shared.ledger.redactions import digest_of
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import stored_entry

KEPT = 1
"""Newest entries of an account that are never archived: the log and the day's close read the last one each time."""
COMMIT_ENTRIES = 200
"""Documents that one commit deletes or creates."""
SNAPSHOT_BYTES_MAX = DOCUMENT_BYTES_MAX - 200_000
"""Largest snapshot: the archive's document has the list of objects, too."""

ArchiveProgress = Literal["waiting", "deleting", "archived"]
"""`waiting`: the log gets the statement in the next minutes, and all entries are still there. `deleting`: some are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveStep:
    """Outcome of one call: the progress, and the number of the last entry that is archived or will be."""

    progress: ArchiveProgress
    last: int


class JournalArchiver:
    """Archiver of journals. `documents` must show archived entries, too; `stored` has stored documents alone."""

    def __init__(  # the two views of the documents, and what an archive is made with
        self,
        documents: Documents,
        stored: Documents,
        reader: ArchivedEntries,
        objects: Callable[[], Objects],
        keys: KeyRing,
        ledger: str,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._stored = stored
        self._reader = reader
        self._archives = Archives(stored, keys, ledger)
        self._objects = objects
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._redactor = EntryRedactor(documents, keys, ledger, clock)
        self._store = AccountStore(documents, keys, ledger)

    def archive(self, uid: Uid, deadline: Deadline) -> ArchiveStep:
        """Do the next step of archiving all entries of the account but the newest, and return the progress.

        Raises NothingToArchive; NotLoggedYet, NotPublishedYet and JournalTooLong, with nothing done; LimitReached for
        a state or a list of objects that no document holds; IntegrityFailed if the ledger did not write an entry, the
        archive or an object; UnknownKey, StoreUnavailable, StorageUnavailable, OutcomeUnknown. Raises
        PreconditionFailed if another call was faster.
        """
        archive = self._archives.find(uid)
        if archive is not None and archive.is_ending:
            if not self.bring_back(uid, deadline):
                raise JournalTooLong
            archive = None
        if archive is not None and self._stored_entries(uid, archive.last, 1):
            return self._delete(uid, archive, deadline)
        last = self._store.read(uid).head.account.seq - KEPT
        if last < 1 or (archive is not None and last <= archive.last):
            if archive is None:
                raise NothingToArchive
            return ArchiveStep(progress="archived", last=archive.last)
        self._begin(uid, last, archive, deadline)
        return ArchiveStep(progress="waiting", last=last)

    def bring_back(self, uid: Uid, deadline: Deadline) -> bool:
        """Store the archived entries as documents again, and end the archive. Return False if time is up before.

        Raises NothingToArchive if nothing is archived; IntegrityFailed if an object is gone or changed; and the errors
        of the store and the bucket.
        """
        archive = self._archives.find(uid)
        if archive is None:
            raise NothingToArchive
        self._reader.forget()
        version = archive.version
        for each in archive.objects:  # also if the archive is ending: a stranger may say so
            for part in _parts(self._missing(uid, each)):
                creates = [Create(document.path, document.data) for document in part]
                version = self._stored.commit([self._fence(uid, version), *creates])[0]
            if deadline.is_over():
                return False
        if not archive.is_ending:
            [version] = self._stored.commit([Patch(archive_path(uid), {"is_ending": True}, version)])
        self._end(uid, replace(archive, version=version))
        return True

    def _end(self, uid: Uid, archive: JournalArchive) -> None:
        """Delete the objects of an archive whose entries are all back, and leave a mark that there was an archive.

        A reader that found a gap before sees the mark, and reads the database again.
        """
        for each in archive.objects:
            self._objects().delete(each.name(self._ledger, uid))
        self._stored.commit([Put(archive_path(uid), ENDED, archive.version)])

    def is_rightful(self, uid: Uid, seq: int) -> bool:
        """Return True if the ledger deleted this entry's document: an archive that the log names has the entry.

        Raises StoreUnavailable, StorageUnavailable, UnknownKey.
        """
        archive = self._archives.find(uid)
        if archive is None or not 1 <= seq <= archive.last or self._archives.entry_problem(uid, seq) is not None:
            return False
        [part] = archive.of(seq, seq)
        return any(document.id == entry_id(seq) for document in self._reader.content(uid, part))

    # ── begin ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, uid: Uid, last: int, former: JournalArchive | None, deadline: Deadline) -> None:
        """Write the objects, and store the archive with its leaf. Raises the errors of `archive`."""
        if former is not None and (problem := self._archives.problem(uid, former)) is not None:
            log("archive_broken", "ERROR", uid=uid, problem=problem)
            raise IntegrityFailed(uid=uid, seq=1, rule=RULE)
        document = self._documents.get(entry_path(uid, last))
        if document is None:
            raise EntryNotFound
        self._redactor.require_settled(uid, last)
        entry = stored_entry(document)
        snapshot = self._redactor.snapshot(uid, entry, deadline).snapshot.text
        if len(snapshot.encode()) > SNAPSHOT_BYTES_MAX:
            raise LimitReached("bytes in a snapshot", SNAPSHOT_BYTES_MAX)
        begun = () if former is None else former.objects
        objects = (*begun, *self._write_objects(uid, (former.last if former else 0) + 1, last, deadline))
        if len(objects) > OBJECTS_MAX:
            raise LimitReached("archived objects", OBJECTS_MAX)
        now = self._clock.now()
        statement = statement_of(
            ledger=self._ledger,
            uid=uid,
            last=last,
            head=entry.hash,
            objects=objects,
            snapshot=digest_of(snapshot),
            now=now,
        )
        kid = self._keys.kid_at(now)
        seal = f"{kid}:{self._keys.sign(ARCHIVE_CONTEXT, statement.encode(), kid)}"
        made = JournalArchive(objects=objects, statement=statement, seal=seal, former=former)
        leaf = queue_leaf("archive", leaf_name(statement), leaf_body(statement, seal), now)
        data, path = archive_data(made, snapshot), archive_path(uid)
        known = self._stored.get(path)
        if former is not None and (known is None or known.version != former.version):
            raise PreconditionFailed
        self._stored.commit([Create(path, data) if known is None else Put(path, data, known.version), leaf])

    def _write_objects(self, uid: Uid, first: int, last: int, deadline: Deadline) -> Iterator[ArchiveObject]:
        """Write the entries as objects, and yield each once it is read back. Raises JournalTooLong."""
        lines, start, size = list[bytes](), first, 0
        for document in self._entries(uid, first, last):
            line = entry_line(document)
            if lines and (len(lines) >= OBJECT_ENTRIES_MAX or size + len(line) > OBJECT_BYTES_MAX):
                yield self._written(uid, start, lines)
                start, lines, size = start + len(lines), [], 0
                if deadline.is_over():
                    raise JournalTooLong
            lines.append(line)
            size += len(line)
        yield self._written(uid, start, lines)

    def _entries(self, uid: Uid, first: int, last: int) -> Iterator[Document]:
        """Yield the stored documents of entries in order. Raises IntegrityFailed for one that is missing."""
        expected = first
        while expected <= last:
            page = self._page(uid, expected, last, COMMIT_ENTRIES)
            for document in page:
                if document.id != entry_id(expected):
                    break
                yield document
                expected += 1
            if not page or page[-1].id != entry_id(expected - 1):
                raise IntegrityFailed(uid=uid, seq=expected, rule="sequence")

    def _written(self, uid: Uid, first: int, lines: Sequence[bytes]) -> ArchiveObject:
        part, content = object_of(first, lines)
        name = part.name(self._ledger, uid)
        self._objects().put(name, content, CONTENT_TYPE)
        found = self._objects().find(name)
        if found is None or found.sha256 != part.sha256:
            raise StorageUnavailable
        return part

    # ── delete ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _delete(self, uid: Uid, archive: JournalArchive, deadline: Deadline) -> ArchiveStep:
        """Delete the archived documents that are left, oldest first, if the log names the archive."""
        problem = self._archives.seal_problem(uid, archive)
        if problem is not None:
            log("archive_broken", "ERROR", uid=uid, problem=problem)
            raise IntegrityFailed(uid=uid, seq=1, rule=RULE)
        if not self._archives.is_named(archive):
            return ArchiveStep(progress="waiting", last=archive.last)
        self._reader.forget()
        version = archive.version
        while page := self._stored_entries(uid, archive.last, COMMIT_ENTRIES):
            known = self._archived(uid, archive, page)
            for document in page:
                if known.get(document.id) != entry_line(document):
                    raise IntegrityFailed(uid=uid, seq=int(document.id), rule=RULE)
            deletes = [Delete(document.path, document.version) for document in page]
            version = self._stored.commit([self._fence(uid, version), *deletes])[0]
            if deadline.is_over():
                return ArchiveStep(progress="deleting", last=archive.last)
        return ArchiveStep(progress="archived", last=archive.last)

    def _missing(self, uid: Uid, part: ArchiveObject) -> list[Document]:
        """Return the entries of an object that have no document. An object whose entries all have one is not read."""
        paths = [entry_path(uid, seq) for seq in range(part.first, part.last + 1)]
        stored = {path for path, found in zip(paths, self._stored.get_all(paths), strict=True) if found is not None}
        if len(stored) == len(paths):
            return []
        return [document for document in self._content(uid, part) if document.path not in stored]

    def _fence(self, uid: Uid, version: Version | None) -> Patch:
        """Return the write that lets a commit fail if another call has moved entries since."""
        return Patch(archive_path(uid), {"moved_at": to_datetime(self._clock.now())}, version)

    def _archived(self, uid: Uid, archive: JournalArchive, page: Sequence[Document]) -> dict[str, bytes]:
        """Return the archived lines of the documents of a page by id. The bytes come from the bucket."""
        first, last = int(page[0].id), int(page[-1].id)
        contents = (self._content(uid, each) for each in archive.of(first, last))
        return {document.id: entry_line(document) for content in contents for document in content}

    def _content(self, uid: Uid, part: ArchiveObject) -> Sequence[Document]:
        documents = self._reader.content(uid, part)
        if not documents:
            raise IntegrityFailed(uid=uid, seq=part.first, rule=RULE)
        return documents

    def _stored_entries(self, uid: Uid, last: int, limit: int) -> list[Document]:
        """Return the first stored documents of entries up to `last`, at most `limit`."""
        return self._page(uid, 1, last, limit)

    def _page(self, uid: Uid, first: int, last: int, limit: int) -> list[Document]:
        collection = f"{account_path(uid)}/entries"
        query = Query(collection=collection, limit=limit, id_from=entry_id(first), id_to=entry_id(last))
        return self._stored.query(query)


def _parts(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    for start in range(0, len(documents), COMMIT_ENTRIES):
        yield documents[start : start + COMMIT_ENTRIES]
