"""Markers and typed leaves that wait for the log, in one query, and the accounts that no marker tells of.

Unlike the relay, the log has one reader. So one query over all shards, page behind page, finds each account once in a
pass; no shard is asked for itself.
"""

from collections.abc import Container, Sequence
from math import ceil

from shared.kernel.clock import Millis
from shared.kernel.documents import Document, Documents, Order, OutcomeUnknown, Patch, PreconditionFailed, Query, Where
from shared.kernel.ids import Uid
from shared.kernel.schemas import RefusedData, stored_fields
from shared.ledger.account_documents import uid_of
from shared.ledger.log.position import position_path
from shared.ledger.log.rounds import Visit
from shared.ledger.log.typed_leaves import is_typed_leaf
from shared.ledger.markers import LOG, SHARD_SPAN, clearing

LOGGED = "logged"
"""Field of a marker: the last entry that the log had when the log cleared the marker. No position is behind it."""
PLACE_MAX = 2**63 - 1
Place = tuple[int, str]
"""Place in the order of waiting documents: the number of the reader's field, and the path."""


def waiting_documents(documents: Documents, after: Place | None, limit: int) -> list[Document]:
    """Return up to `limit` markers and typed leaves that wait for the log, from behind `after` on."""
    query = Query(
        collection="outbox", group=True, where=(Where(LOG, ">=", 0),), order_by=(Order(LOG),), limit=limit, after=after
    )
    return documents.query(query)


def place_of(document: Document) -> Place:
    """Return the place of a waiting document. A number that is no integer, which no ledger wrote, is rounded up."""
    number = stored_fields(document)[LOG]
    return number if isinstance(number, int) else _rounded_up(str(number)), document.path


def is_older(document: Document, before: Millis) -> bool:
    """Return True if the document has waited since before `before`."""
    return place_of(document)[0] % SHARD_SPAN < before


def leaf_paths(found: Sequence[Document]) -> list[str]:
    """Return the paths of the typed leaves."""
    return [document.path for document in found if is_typed_leaf(document.path)]


def visits_of(found: Sequence[Document]) -> list[Visit]:
    """Return the visits of the accounts whose markers these are. Markers that nobody can read are left out."""
    markers = (document for document in found if not is_typed_leaf(document.path))
    return [
        Visit(uid=uid_of(marker.path), seq=_number(marker, "seq"), logged=_number(marker, LOGGED))
        for marker in markers
        if not isinstance(marker.data, RefusedData)
    ]


def clear_markers(documents: Documents, markers: Sequence[Document], parked: Container[Uid] = ()) -> int:
    """Clear the log's field in markers that tell no news, and return how many were cleared.

    A marker then tells in `logged` which entries the log has, except those of `parked` accounts. Each is cleared on the
    version that was read. If some have changed since, the commit is halved until the others are cleared; a changed
    marker stays for later.
    """
    if not markers:
        return 0
    try:
        documents.commit([_cleared(marker, parked) for marker in markers])
    except (PreconditionFailed, OutcomeUnknown):
        half = len(markers) // 2
        parts = (markers[:half], markers[half:]) if half else ()
        return sum(clear_markers(documents, part, parked) for part in parts)
    return len(markers)


def _cleared(marker: Document, parked: Container[Uid]) -> Patch:
    is_parked = uid_of(marker.path) in parked
    return clearing(marker, LOG) if is_parked else clearing(marker, LOG, **{LOGGED: _number(marker, "seq")})


def accounts_behind(documents: Documents, after: str, limit: int) -> list[Document]:
    """Return the next accounts in the order of their paths, from behind the path `after` on; "" for the first."""
    return documents.query(Query(collection="accounts", limit=limit, after=(after,) if after else None))


def positions_behind(documents: Documents, after: str, limit: int) -> list[Document]:
    """Return the next positions and pages of all accounts, from behind the path `after` on; "" for the first."""
    return documents.query(Query(collection="log", group=True, limit=limit, after=(after,) if after else None))


def account_visits(accounts: Sequence[Document]) -> list[Visit]:
    """Return the visits of these accounts, up to the number of entries that each account shows."""
    readable = (account for account in accounts if not isinstance(account.data, RefusedData))
    return [Visit(uid=Uid(account.id), seq=_number(account, "seq")) for account in readable]


def is_position(document: Document) -> bool:
    """Return True for a position, False for a page of older runs."""
    return document.path == position_path(uid_of(document.path))


def _rounded_up(number: str) -> int:
    """Return the integer for a stored float, which the store's adapter gives as text."""
    try:
        return min(ceil(float(number)), PLACE_MAX)
    except (OverflowError, ValueError):
        return PLACE_MAX


def _number(document: Document, name: str) -> int:
    """Return the number in a field of the document; 0 if there is none, so that the visit checks the log."""
    number = document.data.get(name)
    return number if isinstance(number, int) and not isinstance(number, bool) else 0
