"""Markers and typed leaves that wait for the log, in one query, and the accounts that no marker tells of.

Unlike the relay, the log has one reader. So one query over all shards, page behind page, finds each account once in a
pass; no shard is asked for itself.
"""

from collections.abc import Sequence

from shared.kernel.clock import Millis
from shared.kernel.documents import Document, Documents, Order, OutcomeUnknown, PreconditionFailed, Query, Where
from shared.kernel.ids import Uid
from shared.kernel.schemas import RefusedData, stored_fields
from shared.ledger.account_documents import uid_of
from shared.ledger.log.position import position_path
from shared.ledger.log.rounds import Visit
from shared.ledger.log.typed_leaves import is_typed_leaf
from shared.ledger.markers import LOG, SHARD_SPAN, clearing

Place = tuple[int, str]
"""Place in the order of waiting documents: the number of the reader's field, and the path."""


def waiting_documents(documents: Documents, after: Place | None, limit: int) -> list[Document]:
    """Return up to `limit` markers and typed leaves that wait for the log, from behind `after` on."""
    query = Query(
        collection="outbox", group=True, where=(Where(LOG, ">=", 0),), order_by=(Order(LOG),), limit=limit, after=after
    )
    return documents.query(query)


def place_of(document: Document) -> Place:
    """Return the place of a waiting document."""
    number = stored_fields(document)[LOG]
    assert isinstance(number, int), "the query finds numbers only"
    return number, document.path


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
        Visit(uid=uid_of(marker.path), seq=_seq(marker))
        for marker in markers
        if not isinstance(marker.data, RefusedData)
    ]


def clear_markers(documents: Documents, markers: Sequence[Document]) -> int:
    """Clear the log's field in markers that tell no news, and return how many were cleared.

    Each is cleared on the version that was read. If some have changed since, the commit is halved until the others are
    cleared; a changed marker stays for later.
    """
    if not markers:
        return 0
    try:
        documents.commit([clearing(marker, LOG) for marker in markers])
    except (PreconditionFailed, OutcomeUnknown):
        half = len(markers) // 2
        return clear_markers(documents, markers[:half]) + clear_markers(documents, markers[half:]) if half else 0
    return len(markers)


def accounts_behind(documents: Documents, after: str, limit: int) -> list[Document]:
    """Return the next accounts in the order of their paths, from behind the path `after` on; "" for the first."""
    return documents.query(Query(collection="accounts", limit=limit, after=(after,) if after else None))


def positions_behind(documents: Documents, after: str, limit: int) -> list[Document]:
    """Return the next positions and pages of all accounts, from behind the path `after` on; "" for the first."""
    return documents.query(Query(collection="log", group=True, limit=limit, after=(after,) if after else None))


def account_visits(accounts: Sequence[Document]) -> list[Visit]:
    """Return the visits of these accounts, up to the number of entries that each account shows."""
    readable = (account for account in accounts if not isinstance(account.data, RefusedData))
    return [Visit(uid=Uid(account.id), seq=_seq(account)) for account in readable]


def is_position(document: Document) -> bool:
    """Return True for a position, False for a page of older runs."""
    return document.path == position_path(uid_of(document.path))


def _seq(document: Document) -> int:
    """Return the number of entries that the document tells; 0 if it tells none, so that the visit checks the log."""
    seq = document.data.get("seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) else 0
