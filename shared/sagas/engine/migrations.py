"""Migrations: an operator's command moves stored documents to the present form, and can be interrupted and resumed.

A run goes through the collections in pages, in the order of document paths, and repeats this until one whole pass has
found nothing to move: that pass is the proof. Each move requires the version of the document that was read, so the
backend works on, and two runs at once do no harm. `migrations/{name}` has the place behind the last finished page.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import (
    Document,
    Documents,
    InvalidWrite,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Query,
    StoreUnavailable,
)
from shared.kernel.errors import Unavailable, code_of
from shared.kernel.schemas import RefusedData, SchemaUnknown, kind_of

COLLECTION = "migrations"
PAGE = 100
PAGE_SHRINKS = 10
"""Divisor of a page that cannot be read in time, until single documents are read: documents may have a megabyte."""
PASSES_MAX = 10
"""Most passes of a run. Documents that workers have, or that an older release writes, need another pass."""
PASS_PAUSE_SECONDS = 30.0
"""Pause behind a pass that found documents and moved none, since workers have them."""
MOVE_ATTEMPTS_MAX = 4
MOVE_PAUSE_SECONDS = 0.2
NAMED_MAX = 10
"""Most documents that a report names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Change of all documents of some kinds, such as `accounts/*/notes`.

    `is_due` says whether a document must be moved. `move` moves one document, and returns False if a worker has the
    document now. `move` raises PreconditionFailed if the document has changed since it was read. `move_together` moves
    several in one commit or none, and returns the paths of the moved ones; None if the migration cannot do that.
    """

    name: str
    kinds: frozenset[str]
    is_due: Callable[[Document], bool]
    move: Callable[[Document], bool]
    move_together: Callable[[Sequence[Document]], Collection[str]] | None = None

    @property
    def collections(self) -> list[str]:
        """Return the names of the collections that have these kinds, sorted."""
        return sorted({kind.rpartition("/")[2] for kind in self.kinds})

    def is_group(self, collection: str) -> bool:
        """Return True if collections of this name stand below documents."""
        return any(kind.endswith(f"/{collection}") for kind in self.kinds)

    def among(self, documents: Sequence[Document]) -> list[Document]:
        """Return the documents of the migration's kinds. Other kinds may have collections of the same names."""
        return [each for each in documents if kind_of(each.path) in self.kinds]

    def is_open(self, document: Document) -> bool:
        """Return True if the document must be moved, or if this release cannot read the document."""
        return isinstance(document.data, RefusedData) or self.is_due(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """Result of a run.

    `seen` and `moved` count since the run began, interruptions included; `passes` in this process. `found` documents
    were to be moved in the last pass, and `left` of them were not. `failed` names some of them, with the errors' codes.
    `is_limited`: the run stopped at its limit. `is_complete`: the last pass found every document in the present form.
    """

    seen: int
    moved: int
    passes: int
    found: int
    left: int
    failed: Mapping[str, str]
    is_limited: bool
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPreview:
    """Number of documents that a run would move, by kind, and some of them. `unknown` has documents of newer forms."""

    seen: int
    due: Mapping[str, int]
    examples: tuple[Document, ...]
    unknown: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _MigrationPlace:
    """Place of a run as stored, and its counts."""

    collection: str = ""
    after: str = ""
    seen: int = 0
    moved: int = 0
    is_over: bool = False


class Migrations:
    """Runner of migrations. `tell` takes one line of progress for each page."""

    def __init__(self, documents: Documents, clock: Clock, tell: Callable[[str], None], page: int = PAGE) -> None:
        self._documents = documents
        self._clock = clock
        self._tell = tell
        self._page = page
        self._sizes: dict[str, int] = {}

    def preview(self, migration: Migration, limit: int | None = None) -> MigrationPreview:
        """Count the documents that a run would move, up to the page in which `limit` is reached. Nothing is written."""
        place, due = _MigrationPlace(), Counter[str]()
        examples, unknown = list[Document](), list[str]()
        while (page := self._page_behind(migration, place)) and (limit is None or due.total() < limit):
            place.after = page[-1].path
            place.seen += len(migration.among(page))
            for document in filter(migration.is_open, migration.among(page)):
                if isinstance(document.data, RefusedData):
                    unknown = [*unknown, document.path][:NAMED_MAX]
                else:
                    due[kind_of(document.path)] += 1
                    examples = [*examples, document][:NAMED_MAX]
        return MigrationPreview(seen=place.seen, due=due, examples=tuple(examples), unknown=tuple(unknown))

    def run(self, migration: Migration, limit: int | None = None) -> MigrationReport:
        """Move every due document, at most `limit`, from the place where the last run was interrupted.

        Raises Unavailable if the store fails again and again; the next run continues.
        """
        place = self._place(migration)
        is_whole, passes = not place.collection, 0
        mover = _Mover(self._documents, self._clock, migration, limit)
        while True:
            passes += 1
            self._pass(migration, place, mover)
            if self._is_last(mover, passes, is_whole=is_whole):
                break
            place.collection, place.after, is_whole = "", "", True
        place.is_over = not mover.is_at_limit
        self._save(migration, place)
        return mover.report(place, passes, is_complete=is_whole and not mover.found and not mover.is_at_limit)

    def _is_last(self, mover: "_Mover", passes: int, *, is_whole: bool) -> bool:
        """Return True if another pass is not wanted or would find as much. Else wait, if workers have what is left."""
        if mover.is_at_limit or passes >= PASSES_MAX:
            return True
        if mover.has_moved or not is_whole:
            return False
        if mover.left == len(mover.failed):
            return True
        self._clock.wait(PASS_PAUSE_SECONDS)
        return False

    def _pass(self, migration: Migration, place: _MigrationPlace, mover: "_Mover") -> None:
        """Move the due documents behind the place. At the limit the pass stops, with the place before the open page."""
        mover.begin_pass()
        while page := self._page_behind(migration, place):
            before = mover.moved
            is_done = mover.move_page(migration.among(page))
            place.moved += mover.moved - before
            if not is_done:
                return
            place.seen += len(migration.among(page))
            place.after = page[-1].path
            self._save(migration, place)
            self._tell(f"{place.collection}: {place.seen} seen, {place.moved} moved")

    def _page_behind(self, migration: Migration, place: _MigrationPlace) -> list[Document]:
        """Return the documents behind the place, also of other kinds in a collection of the same name; none at the end.

        The place moves to the collection of the page.
        """
        for collection in migration.collections:
            if collection > place.collection:
                place.collection, place.after = collection, ""
            if collection == place.collection and (found := self._read(migration, place)):
                return found
        return []

    def _read(self, migration: Migration, place: _MigrationPlace) -> list[Document]:
        """Return a page or, if the store cannot read so much in time, a smaller page, now and later in this collection.

        Raises StoreUnavailable.
        """
        size = self._sizes.get(place.collection, self._page)
        is_group, after = migration.is_group(place.collection), (place.after,) if place.after else None
        try:
            return self._documents.query(Query(collection=place.collection, group=is_group, limit=size, after=after))
        except StoreUnavailable:
            if size == 1:
                raise
        self._sizes[place.collection] = max(1, size // PAGE_SHRINKS)
        return self._read(migration, place)

    def _place(self, migration: Migration) -> _MigrationPlace:
        """Return the place of the run that was interrupted, else the start of a new run."""
        document = self._documents.get(f"{COLLECTION}/{migration.name}")
        if document is None or document.data["is_over"]:
            return _MigrationPlace()
        known: Mapping[str, Any] = document.data
        return _MigrationPlace(**{each.name: known[each.name] for each in fields(_MigrationPlace)})

    def _save(self, migration: Migration, place: _MigrationPlace) -> None:
        """Store the place. Of two runs at once the last counts: each has looked at all documents before its place."""
        at = to_datetime(self._clock.now())
        self._documents.commit([Put(f"{COLLECTION}/{migration.name}", {**asdict(place), "updated_at": at})])


@dataclass(slots=True)
class _Mover:
    """Mover of documents, with counts: `moved` of this run, all others of this pass."""

    documents: Documents
    clock: Clock
    migration: Migration
    limit: int | None
    moved: int = 0
    found: int = 0
    left: int = 0
    has_moved: bool = False
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def is_at_limit(self) -> bool:
        """True if this run may move no more documents."""
        return self.limit is not None and self.moved >= self.limit

    def begin_pass(self) -> None:
        """Count from zero what a pass counts."""
        self.found, self.left, self.has_moved, self.failed = 0, 0, False, {}

    def move_page(self, page: Sequence[Document]) -> bool:
        """Move the due documents, together where possible. Return False if the limit is reached before the end.

        An error of one document holds up no other, such as a signing key that this process does not know. Raises
        StoreUnavailable, OutcomeUnknown.
        """
        due = [each for each in page if self.migration.is_open(each)]
        together = self._moved_together(due)
        self._count(len(together), 0)
        for document in due:
            if document.path in together:
                continue
            if self.is_at_limit:
                return False
            is_moved = self._is_moved(document)
            self._count(is_moved, not is_moved)
        return True

    def report(self, place: _MigrationPlace, passes: int, *, is_complete: bool) -> MigrationReport:
        """Return what came of the run."""
        return MigrationReport(
            seen=place.seen,
            moved=place.moved,
            passes=passes,
            found=self.found,
            left=self.left,
            failed=dict(list(self.failed.items())[:NAMED_MAX]),
            is_limited=self.is_at_limit,
            is_complete=is_complete,
        )

    def _count(self, moved: int, left: int) -> None:
        self.moved += moved
        self.left += left
        self.found += moved + left
        self.has_moved = self.has_moved or moved > 0

    def _moved_together(self, due: Sequence[Document]) -> Collection[str]:
        """Move documents in one commit, and return the paths of the moved ones. After any refusal nothing is moved."""
        room = len(due) if self.limit is None else max(0, self.limit - self.moved)
        readable = [each for each in due if not isinstance(each.data, RefusedData)][:room]
        if self.migration.move_together is None or not readable:
            return ()
        try:
            return frozenset(self.migration.move_together(readable))
        except (PreconditionFailed, InvalidWrite, Unavailable):
            return ()

    def _is_moved(self, document: Document) -> bool:
        """Move the document, and return True if moved. Note any error that is not the store's.

        Raises StoreUnavailable, OutcomeUnknown.
        """
        try:
            return self._attempt(document)
        except Exception as error:
            if isinstance(error, StoreUnavailable | OutcomeUnknown):
                raise
            self.failed[document.path] = code_of(error)
            return False

    def _attempt(self, document: Document) -> bool:
        """Move the document, and read it again after each refusal. Return False while a worker has it.

        Raises SchemaUnknown, PreconditionFailed, Unavailable, and the errors of the migration's own `move`.
        """
        for attempt in range(1, MOVE_ATTEMPTS_MAX + 1):
            try:
                len(document.data)  # raises SchemaUnknown for a form that this release does not know
                return self.migration.move(document)
            except (PreconditionFailed, Unavailable) as error:
                if attempt == MOVE_ATTEMPTS_MAX or isinstance(error, SchemaUnknown):
                    raise
                self.clock.wait(MOVE_PAUSE_SECONDS * attempt)
            found = self.documents.get(document.path)
            if found is None or not self.migration.is_open(found):
                return True
            document = found
        raise AssertionError("the last attempt returns or raises")
