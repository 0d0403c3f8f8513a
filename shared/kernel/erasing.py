"""Erasure of many documents in pages, until a deadline."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Delete, Document, Documents, InvalidWrite, OutcomeUnknown, Query, Write

ERASE_PAGE = 250
"""Documents of a page: those of one query without data, and of one commit."""
PAGE_SHRINKS = 5
"""Divisor of a page that the store does not delete in one commit, as documents may have a megabyte."""


def _itself(document: Document) -> Sequence[str]:
    return (document.path,)


def delete_matching(
    documents: Documents,
    query: Query,
    deadline: Deadline,
    paths_of: Callable[[Document], Sequence[str]] = _itself,
    commit: Callable[[Sequence[Write]], object] | None = None,
) -> bool:
    """Delete the documents that match, page by page. Return True if none is left, False if the deadline is over.

    Each page begins behind the last one, since the store passes deleted documents one by one for a while. The last
    query begins at the start again, and finds documents that were added meanwhile. The query has no order of its own.
    One page is deleted in any case, so that repeated calls come to an end. The query's limit is replaced. `paths_of`
    names the documents to delete for each match, the match included. `commit` commits the deletes of a page, such as
    with a write that fails if another worker has taken over; None: they are committed alone. Raises StoreUnavailable,
    and OutcomeUnknown or InvalidWrite if the store does not delete a single match.
    """
    page = replace(query, limit=ERASE_PAGE, is_paths_only=True)
    while True:
        found = documents.query(page)
        paths = dict.fromkeys(path for document in found for path in paths_of(document))
        try:
            if paths:
                (commit or documents.commit)([Delete(path) for path in paths])
        except (OutcomeUnknown, InvalidWrite):
            if page.limit == 1:
                raise
            page = replace(page, limit=max(1, page.limit // PAGE_SHRINKS))
        else:
            if len(found) < page.limit and page.after is None:
                return True
            page = replace(page, after=(found[-1].path,) if len(found) == page.limit else None)
        if deadline.is_over():
            return False
