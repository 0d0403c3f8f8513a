"""Port to the database: documents by path, atomic commits with preconditions, bounded queries.

The semantics are Firestore's (native mode). All stored data goes through this port. So the same repositories run on
Firestore and on the memory adapter, and one contract test holds both to the same rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from shared.kernel.errors import Conflict, Rejected, Unavailable

Value: TypeAlias = "bool | int | str | bytes | datetime | Sequence[Value] | Mapping[str, Value] | None"
Data: TypeAlias = Mapping[str, Value]
Version: TypeAlias = object
"""Moment of a document's last change. Opaque: pass the value as a precondition, and compare for equality only."""

COMMIT_WRITES_MAX = 2_500
"""Most writes in a commit. Firestore only limits a commit's bytes (10 MiB).

An account whose holds and lots all end at once needs 2 100.
"""
DOCUMENT_BYTES_MAX = 1_000_000
READ_TIMEOUT_SECONDS = 10.0
COMMIT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Stored document, as read.

    `schema_version` is the number of the document's form in the store (`shared.kernel.schemas`); None if the document
    has none.
    """

    path: str
    data: Data
    version: Version
    schema_version: Value = None

    @property
    def id(self) -> str:
        """Return the last segment of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Create:
    """Write of a document that must not exist yet."""

    path: str
    data: Data


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Put:
    """Write of a whole document; with `version`, only if the document has not changed since."""

    path: str
    data: Data
    version: Version | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Patch:
    """Write of some top-level fields. The document must exist and, with `version`, must not have changed since."""

    path: str
    data: Data
    version: Version | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Delete:
    """Removal of a document, existing or not; with `version`, only if the document has not changed since."""

    path: str
    version: Version | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Upsert:
    """Write of some top-level fields of a document, which is created if it does not exist.

    A field of `minima` keeps the smaller of its number and the given one. A field that is missing or holds no number
    becomes the given one. `data` and `minima` name different fields.
    """

    path: str
    data: Data
    minima: Mapping[str, int]


Write: TypeAlias = Create | Put | Patch | Upsert | Delete
Operator: TypeAlias = Literal["==", "<", "<=", ">", ">=", "in", "array_contains"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Where:
    """Condition of a query."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Order:
    """Sort field of a query."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Bounded query over one collection (`accounts/u1/entries`) or, with `group`, all collections of that name.

    Without `order_by` documents come by path, ascending. `after` continues behind the given values of the `order_by`
    fields and, as one value more, the path of a document among those of equal values; or, without `order_by`, behind
    the given document path. `id_from` and `id_to` bound document ids, inclusive,
    and cannot be combined with `order_by` or `group`. `is_newest_first`: documents come by path, descending; needs
    an equality in `where`, and no `order_by` or `after`. `is_paths_only`: the documents come without data, so that many
    large documents fit into one answer.
    """

    collection: str
    limit: int
    group: bool = False
    where: tuple[Where, ...] = ()
    order_by: tuple[Order, ...] = ()
    after: tuple[Value, ...] | None = None
    id_from: str | None = None
    id_to: str | None = None
    is_newest_first: bool = False
    is_paths_only: bool = False


class Documents(Protocol):
    """Database of documents. Every call has its own timeout. No call repeats a commit unknown to the caller."""

    def get(self, path: str) -> Document | None:
        """Return the document, strongly consistent, or None. Raises StoreUnavailable."""
        ...

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        """Return the documents in the order of `paths`, in one round trip. Raises StoreUnavailable.

        A missing document is None. Each document is strongly consistent, but they are not one snapshot: a commit may
        fall between two of them.
        """
        ...

    def query(self, query: Query) -> list[Document]:
        """Return the matching documents, at most `query.limit`. Raises StoreUnavailable."""
        ...

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        """Apply all writes or none, and return the new version of each, in order. A path may occur in one write only.

        Raises PreconditionFailed (nothing applied; read again), OutcomeUnknown (perhaps applied, perhaps later),
        StoreUnavailable (nothing applied), InvalidWrite (nothing applied, and never will be).
        """
        ...


class PreconditionFailed(Conflict):
    """Error for a document that existed already, was gone, or had changed. Nothing was applied."""

    code = "contention"

    def __init__(self, detail: str = "The documents changed in the meantime.") -> None:
        super().__init__(detail)


class OutcomeUnknown(Unavailable):
    """Error for a commit without a clear answer from the store. Repeat the call with the same idempotency key."""

    code = "outcome_unknown"

    def __init__(self, detail: str = "The store did not say whether the change was applied.") -> None:
        super().__init__(detail)


class StoreUnavailable(Unavailable):
    """Error for a store that could not be reached or refused for now. Nothing was applied."""

    code = "store_unavailable"

    def __init__(self, detail: str = "The store is unavailable.") -> None:
        super().__init__(detail)


class InvalidWrite(Rejected):
    """Error for a write that the store will never accept: too large, a wrong type, or a path used twice."""

    code = "invalid_write"


def check_writes(writes: Sequence[Write]) -> None:
    """Raise InvalidWrite for a commit that no store accepts: too many writes, a path twice, an invalid path, a field
    that an Upsert names twice.
    """
    if len(writes) > COMMIT_WRITES_MAX:
        raise InvalidWrite(f"A commit holds at most {COMMIT_WRITES_MAX} writes.")
    if len({write.path for write in writes}) != len(writes):
        raise InvalidWrite("A path may stand in one write of a commit only.")
    for write in writes:
        if not is_document_path(write.path):
            raise InvalidWrite(f"{write.path!r} is not the path of a document.")
        if isinstance(write, Upsert) and not write.data.keys().isdisjoint(write.minima):
            raise InvalidWrite("A field of an upsert is either set or a minimum.")


def is_document_path(path: str) -> bool:
    """Return True if `path` alternates collections and ids, and ends with an id."""
    parts = path.split("/")
    return len(parts) % 2 == 0 and all(part and part not in {".", ".."} for part in parts)
