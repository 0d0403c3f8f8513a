"""A document that one worker at a time may change: claimed with a token, and fenced by the document's version.

The lease only keeps two workers from doing the same work. Correctness comes from the version: every `save` requires the
version that this worker wrote last. So a worker that was paused and overtaken writes nothing any more. `fence` counts
the claims; a worker that acts outside can name the fence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, cast

from shared.kernel.clock import SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import (
    Create,
    Data,
    Document,
    Documents,
    OutcomeUnknown,
    Patch,
    PreconditionFailed,
    StoreUnavailable,
    Value,
    Version,
    Write,
)
from shared.kernel.errors import Conflict
from shared.kernel.ids import random_token

SAVE_ATTEMPTS_MAX = 4
SAVE_PAUSE_SECONDS = 0.05
T = TypeVar("T")
ENGINE_FIELDS = frozenset({"lease", "saga", "due_at"})
"""Fields that the engine keeps in a leased document. The other fields are the document's content."""
FREE: Mapping[str, Value] = {"token": "", "until": to_datetime(0), "fence": 0}
"""Value of the field `lease` of a document that nobody has claimed yet."""


def is_leased(data: Data, now: Millis) -> bool:
    """Return True if a worker has the document with these data at `now`. Documents without a lease have no worker."""
    has_lease = isinstance(data.get("lease"), Mapping) or isinstance(data.get("lease_until"), datetime)
    return has_lease and _lease_of(data).until > to_datetime(now)


class LeaseLost(Conflict):
    """Another worker has taken over; nothing was written."""

    code = "lease_lost"

    def __init__(self, path: str) -> None:
        super().__init__("Another worker has taken this over.", path=path)


class Leases:
    """The claims on documents whose field `lease` is `FREE` or set by an earlier claim.

    Safe to share between threads.
    """

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def claim(self, path: str, seconds: int) -> "LeasedDocument | None":
        """Claim the document for `seconds`. Return None if there is no document or another worker holds the lease."""
        document = self._documents.get(path)
        return None if document is None else self.claim_read(document, seconds)

    def claim_read(
        self, document: Document, seconds: int, changes: Data | None = None, *also: Write
    ) -> "LeasedDocument | None":
        """Claim a document just read, and write `changes` and `also` in the same commit.

        Return None if another worker holds the lease; see `claim`.
        """
        lease = _lease_of(document.data)
        if lease.until > to_datetime(self._clock.now()):
            return None
        leased = LeasedDocument(
            documents=self._documents,
            clock=self._clock,
            document=document,
            seconds=seconds,
            fence=lease.fence + 1,
            heir=changes or {},
        )
        try:
            leased.save(changes or {}, *also)
        except LeaseLost:
            return None
        return leased

    def begin_claim(self, document: Document, seconds: int, changes: Data) -> "LeasedDocument | None":
        """Begin to claim a document just read: the first save is the claim, and writes `changes` as well.

        Work that turns out to change nothing writes nothing. Until the first save, others may begin too: the first to
        save wins, and the others' save raises LeaseLost. Return None if another worker holds the lease.
        """
        lease = _lease_of(document.data)
        if lease.until > to_datetime(self._clock.now()):
            return None
        return LeasedDocument(
            documents=self._documents,
            clock=self._clock,
            document=document,
            seconds=seconds,
            fence=lease.fence + 1,
            heir=changes,
            claiming=changes,
        )

    def create(self, path: str, data: Data, seconds: int, *also: Write) -> "LeasedDocument":
        """Create the document, and return the document claimed for `seconds`.

        Raises PreconditionFailed if the document (or a document that `also` creates) exists.
        """
        leased = LeasedDocument(
            documents=self._documents,
            clock=self._clock,
            document=Document(path=path, data={}, version=None),
            seconds=seconds,
            fence=1,
        )
        leased.open(data, also)
        return leased


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class LeasedDocument:
    """A claimed document in the hands of a worker: the content, and the only way to change the content."""

    documents: Documents
    clock: Clock
    document: Document
    seconds: int
    fence: int
    token: str = field(default_factory=random_token)
    noted: dict[str, Value] = field(default_factory=dict)
    noted_also: dict[str, Write] = field(default_factory=dict)
    parsed: object | None = None
    """The content as a value: from `content`, or from the last change. None if the content was not parsed yet."""
    heir: Data = field(default_factory=dict)
    """Changes that a claim writes, such as the time after which another worker takes over."""
    claiming: Data | None = None
    """Changes to write with the claim, which the first save makes. None: the document is claimed."""

    @property
    def is_claimed(self) -> bool:
        """True if this worker has claimed the document. Before the first save of a begun claim, others may as well."""
        return self.claiming is None

    @property
    def is_untouched(self) -> bool:
        """True if nothing was claimed or noted, so that nothing has to be written."""
        return not (self.is_claimed or self.noted or self.noted_also)

    @property
    def path(self) -> str:
        """The path of the document."""
        return self.document.path

    @property
    def data(self) -> Data:
        """The document's content, as this worker wrote, noted or read the content last."""
        return self.document.data

    @property
    def is_over(self) -> bool:
        """True if the lease has ended, so that another worker may take over."""
        return _lease_of(self.data).until <= to_datetime(self.clock.now())

    def content(self, parse: Callable[[Document], T]) -> T:
        """Return the content as `parse` reads it. A document has one kind of content, so always use the same `parse`.

        The content is parsed once per lease, and again only after a change that came without the new content.
        """
        if self.parsed is None:
            self.parsed = parse(self.document)
        return cast("T", self.parsed)

    def save(self, changes: Data, *also: Write) -> None:
        """Replace these fields, with `also` in the same commit, and renew the lease from now.

        Raises LeaseLost if another worker has claimed the document, or if a precondition in `also` fails. Then nothing
        was written. After OutcomeUnknown or StoreUnavailable the next worker that claims the document continues.
        """
        self._write({**changes, "lease": self._lease(held=True)}, also)

    def note(self, changes: Data, *also: Write, content: object | None = None) -> None:
        """Change these fields in memory. The next save writes them; a crash before then loses them.

        Of two writes to one path the last counts. `content`: the content after the change, so that nobody parses it
        again; None if the caller has no such value.
        """
        self.noted |= changes
        self.noted_also |= {write.path: write for write in also}
        self.document = replace(self.document, data={**self.data, **changes})
        self._follow(changes, content)

    def flush(self) -> None:
        """Save the noted changes, if there are any, and claim the document unless that was done.

        Raises the errors of `save`.
        """
        if self.noted or self.noted_also or not self.is_claimed:
            self.save({})

    def rejoin(self) -> bool:
        """Read the document again, since others may change fields without a claim. True if the lease is still ours."""
        found = self.documents.get(self.path)
        if found is None or _lease_of(found.data).holder != (self.token, self.fence):
            return False
        self.document, self.parsed = found, None
        return True

    def free(self, changes: Data, *also: Write) -> None:
        """Save for the last time, and free the lease, so that the next worker can claim at once."""
        self._write({**changes, "lease": self._lease(held=False)}, also)

    def last_writes(self, changes: Data, *also: Write) -> list[Write]:
        """Return the writes of a last save, see `free`, for a commit of another that writes more.

        The caller tells the outcome by `was_freed`, or by nothing if the commit has failed.
        """
        fields = self._fields({**changes, "lease": self._lease(held=False)})
        return [Patch(self.path, fields, self.document.version), *self._beside(also).values()]

    def was_freed(self, version: Version | None, changes: Data, content: object | None = None) -> None:
        """Go on from the version that a commit with `last_writes` has left; None if the version is not known.

        The document is free then. The next save claims the document again.
        """
        fields = {**self._fields(changes), "lease": self._lease(held=False)}
        known = Document(path=self.path, data={**self.data, **fields}, version=version)
        found = known if version is not None else self.documents.get(self.path)
        if found is None or (found is not known and is_leased(found.data, self.clock.now())):
            raise LeaseLost(self.path)
        self.document, self.parsed = found, content if found is known else None
        self.noted, self.noted_also, self.claiming = {}, {}, self.heir
        self.fence += 1

    def open(self, data: Data, also: Sequence[Write]) -> None:
        """Create the document, claimed by this worker; see `Leases.create`."""
        lease = self._lease(held=True)
        version = self._committed([Create(self.path, {**data, "lease": lease}), *also], lease)
        if version is None:
            raise PreconditionFailed(f"{self.path} exists already.")
        self.document = Document(path=self.path, data={**data, "lease": lease}, version=version)

    def _write(self, changes: Mapping[str, Value], also: Sequence[Write]) -> None:
        lease = cast("Mapping[str, Value]", changes["lease"])
        fields, beside = self._fields(changes), self._beside(also)
        self.noted, self.noted_also = {}, {}
        version = self._committed([Patch(self.path, fields, self.document.version), *beside.values()], lease)
        if version is None:
            raise LeaseLost(self.path)
        self.document, self.claiming = Document(path=self.path, data={**self.data, **fields}, version=version), None
        self._follow(changes, None)

    def _fields(self, changes: Mapping[str, Value]) -> dict[str, Value]:
        return {**(self.claiming or {}), **self.noted, **changes}

    def _beside(self, also: Sequence[Write]) -> dict[str, Write]:
        return {**self.noted_also, **{write.path: write for write in also}}

    def _follow(self, changes: Data, content: object | None) -> None:
        """Keep the parsed content in step with these changes. Without the new content, forget the parsed content."""
        if content is not None or changes.keys() - ENGINE_FIELDS:
            self.parsed = content

    def _committed(self, writes: Sequence[Write], lease: Mapping[str, Value]) -> Version | None:
        """Commit, and return the new version, or None if another commit has won.

        After an unclear answer, commit again. Both commits have the same precondition, so at most one of them is
        applied. The stamp says whether the applied commit was ours.
        """
        for attempt in range(1, SAVE_ATTEMPTS_MAX + 1):
            try:
                return self.documents.commit(writes)[0]
            except PreconditionFailed:
                found = self.documents.get(self.path)
                is_ours = found is not None and _lease_of(found.data).stamp == lease["stamp"]
                return found.version if found is not None and is_ours else None
            except (OutcomeUnknown, StoreUnavailable):
                if attempt == SAVE_ATTEMPTS_MAX:
                    raise
                self.clock.wait(SAVE_PAUSE_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _lease(self, *, held: bool) -> dict[str, Value]:
        """Return the lease field. `stamp` is new with every commit, so that the commit can be recognised later."""
        until = self.clock.now() + self.seconds * SECOND if held else 0
        return {"token": self.token, "until": to_datetime(until), "fence": self.fence, "stamp": random_token()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    until: datetime
    fence: int
    stamp: str
    holder: tuple[str, int]


def _lease_of(data: Data) -> _Lease:
    """Return the lease of a document. A document of a periodic job in the old form has `lease_until` only."""
    lease = cast("Mapping[str, Value]", data.get("lease") or {**FREE, "until": data.get("lease_until", FREE["until"])})
    return _Lease(
        until=cast("datetime", lease["until"]),
        fence=cast("int", lease["fence"]),
        stamp=str(lease.get("stamp", "")),
        holder=(str(lease["token"]), cast("int", lease["fence"])),
    )
