"""Migrations: an operator's command moves stored documents to the present form, one commit each, and can be resumed.

A run goes through the collections in pages, in the order of document paths, and repeats this until one whole pass has
found nothing to move: that pass is the proof. Each move requires the version of the document that was read, so the
backend works on, and two runs at once do no harm. `migrations/{name}` has the place of the last finished page.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import Document, Documents, PreconditionFailed, Put, Query
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.schemas import RefusedData, SchemaUnknown, kind_of

COLLECTION = "migrations"
PAGE = 100
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
    document now. `move` raises PreconditionFailed if the document has changed since it was read.
    """

    name: str
    kinds: frozenset[str]
    is_due: Callable[[Document], bool]
    move: Callable[[Document], bool]

    @property
    def collections(self) -> list[str]:
        """Return the names of the collections that have these kinds, sorted."""
        return sorted({kind.rpartition("/")[2] for kind in self.kinds})

    def is_group(self, collection: str) -> bool:
        """Return True if collections of this name stand below documents."""
        return any(kind.endswith(f"/{collection}") for kind in self.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """Result of a run, with counts since the run began, interruptions included.

    `left` documents were due in the last pass and were not moved. `failed` names some of them, with the errors' codes.
    `is_limited`: the run stopped at its limit.
    """

    looked_at: int
    moved: int
    left: int
    passes: int
    is_limited: bool
    failed: Mapping[str, str]

    @property
    def is_complete(self) -> bool:
        """True if the last pass found every document in the present form."""
        return not self.left and not self.is_limited


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPreview:
    """Number of documents that a run would move, by kind, and some of them. `unknown` has documents of newer forms."""

    looked_at: int
    due: Mapping[str, int]
    examples: tuple[Document, ...]
    unknown: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Place:
    """Place and counts of a run, as stored. `found` counts the due documents of this pass, `left` those not moved."""

    collection: str = ""
    after: str = ""
    passes: int = 1
    looked_at: int = 0
    moved: int = 0
    found: int = 0
    left: int = 0
    is_over: bool = False

    def begin_next_pass(self) -> None:
        """Go back to the first document."""
        self.collection, self.after, self.found, self.left = "", "", 0, 0
        self.passes += 1


class Migrations:
    """Runner of migrations. `tell` takes one line of progress for each page."""

    def __init__(self, documents: Documents, clock: Clock, tell: Callable[[str], None], page: int = PAGE) -> None:
        self._documents = documents
        self._clock = clock
        self._tell = tell
        self._page = page

    def preview(self, migration: Migration, limit: int | None = None) -> MigrationPreview:
        """Count the documents that a run would move, until `limit` of them are found. Nothing is written."""
        progress, due = _Place(), Counter[str]()
        examples, unknown = list[Document](), list[str]()
        for document in self._all(migration, progress):
            progress.looked_at += 1
            if isinstance(document.data, RefusedData):
                unknown.append(document.path)
            elif migration.is_due(document):
                due[kind_of(document.path)] += 1
                examples.append(document)
            if limit is not None and due.total() >= limit:
                break
        return MigrationPreview(
            looked_at=progress.looked_at,
            due=due,
            examples=tuple(examples[:NAMED_MAX]),
            unknown=tuple(unknown[:NAMED_MAX]),
        )

    def run(self, migration: Migration, limit: int | None = None) -> MigrationReport:
        """Move every due document, at most `limit`, from the place where the last run was interrupted.

        Raises Unavailable if the store fails again and again; the next run continues.
        """
        run = _MigrationRun(self._documents, self._clock, migration, self._progress(migration), limit)
        while self._pass(migration, run):
            run.progress.begin_next_pass()
        run.progress.is_over = not run.is_at_limit
        self._save(migration, run.progress)
        return run.report()

    def _pass(self, migration: Migration, run: "_MigrationRun") -> bool:
        """Look at every document behind the progress, and return True if another pass is needed.

        At the limit the pass stops, with the place before the open page.
        """
        progress, moved_before = run.progress, run.moved
        while page := self._page_of(migration, progress):
            for document in page:
                if run.is_at_limit:
                    return False
                run.look_at(document)
            progress.after = page[-1].path
            self._save(migration, progress)
            self._tell(f"pass {progress.passes}, {progress.after}: {progress.looked_at} seen, {progress.moved} moved")
        if progress.found == 0 or progress.passes >= PASSES_MAX:
            return False
        if run.moved > moved_before:
            return True
        is_hopeless = progress.left == len(run.failed)
        if not is_hopeless:
            self._clock.wait(PASS_PAUSE_SECONDS)
        return not is_hopeless

    def _all(self, migration: Migration, progress: _Place) -> Iterator[Document]:
        while page := self._page_of(migration, progress):
            yield from (each for each in page if kind_of(each.path) in migration.kinds)
            progress.after = page[-1].path

    def _page_of(self, migration: Migration, progress: _Place) -> list[Document]:
        """Return the next documents behind the progress, also of other kinds in a collection of the same name.

        An empty page is the end. The progress moves to the collection of the page.
        """
        for collection in migration.collections:
            if collection > progress.collection:
                progress.collection, progress.after = collection, ""
            if collection == progress.collection and (found := self._found(migration, progress)):
                return found
        return []

    def _found(self, migration: Migration, progress: _Place) -> list[Document]:
        return self._documents.query(
            Query(
                collection=progress.collection,
                group=migration.is_group(progress.collection),
                limit=self._page,
                after=(progress.after,) if progress.after else None,
            )
        )

    def _progress(self, migration: Migration) -> _Place:
        """Return the progress of the run that was interrupted, else the start of a new run."""
        document = self._documents.get(f"{COLLECTION}/{migration.name}")
        if document is None or document.data["is_over"]:
            return _Place()
        known: Mapping[str, Any] = document.data
        return _Place(**{each.name: known[each.name] for each in fields(_Place)})

    def _save(self, migration: Migration, progress: _Place) -> None:
        """Store the progress. Of two runs at once the last counts: both have looked at all documents before theirs."""
        at = to_datetime(self._clock.now())
        self._documents.commit([Put(f"{COLLECTION}/{migration.name}", {**asdict(progress), "updated_at": at})])


@dataclass(slots=True)
class _MigrationRun:
    """Run in this process: the stored progress, the documents moved here, and the errors of this pass by path."""

    documents: Documents
    clock: Clock
    migration: Migration
    progress: _Place
    limit: int | None
    moved: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def is_at_limit(self) -> bool:
        """True if this run may move no more documents."""
        return self.limit is not None and self.moved >= self.limit

    def look_at(self, document: Document) -> None:
        """Move the document if due, and count. An error of one document holds up no other. Raises Unavailable."""
        if kind_of(document.path) not in self.migration.kinds:
            return
        self.progress.looked_at += 1
        if not isinstance(document.data, RefusedData) and not self.migration.is_due(document):
            self.failed.pop(document.path, None)
            return
        self.progress.found += 1
        is_moved = self._attempt(document)
        self.moved += is_moved
        self.progress.moved += is_moved
        self.progress.left += not is_moved

    def report(self) -> MigrationReport:
        """Return what came of the run."""
        progress = self.progress
        return MigrationReport(
            looked_at=progress.looked_at,
            moved=progress.moved,
            left=progress.left,
            passes=progress.passes,
            is_limited=self.is_at_limit,
            failed=dict(list(self.failed.items())[:NAMED_MAX]),
        )

    def _attempt(self, document: Document) -> bool:
        """Move the document. Note the code of any error but Unavailable, which ends the run."""
        try:
            is_moved = self._move(document)
        except Exception as error:
            if isinstance(error, Unavailable) and not isinstance(error, SchemaUnknown):
                raise
            self.failed[document.path] = error.code if isinstance(error, DomainError) else type(error).__name__
            return False
        self.failed.pop(document.path, None)
        return is_moved

    def _move(self, document: Document) -> bool:
        """Move the document, and read it again after each conflict. Return False while a worker has it.

        Raises SchemaUnknown, PreconditionFailed, Unavailable, and the errors of the migration's own `move`.
        """
        len(document.data)  # raises SchemaUnknown for a form that this release does not know
        for attempt in range(1, MOVE_ATTEMPTS_MAX + 1):
            try:
                return self.migration.move(document)
            except SchemaUnknown:
                raise
            except (PreconditionFailed, Unavailable):
                if attempt == MOVE_ATTEMPTS_MAX:
                    raise
                self.clock.wait(MOVE_PAUSE_SECONDS * attempt)
            found = self.documents.get(document.path)
            if found is None or not self.migration.is_due(found):
                return True
            document = found
        raise AssertionError("the last attempt returns or raises")
