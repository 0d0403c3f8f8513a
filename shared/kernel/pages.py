"""Pages of stored lists: a part of the items, and the cursor that starts the next part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.kernel.documents import Order, Query, Where
from shared.kernel.ids import Uid

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Part of a list, newest first. `next_cursor` starts the next page; None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


def owner_query(collection: str, uid: Uid, field: str, *, cursor: str | None, limit: int) -> Query:
    """Return the query of a user's documents behind `cursor`, those with the largest `field` first.

    The query reads one document more than `limit`, which tells `page_of` if there is another page.
    """
    return Query(
        collection=collection,
        where=(Where("uid", "==", uid),),
        order_by=(Order(field, descending=True),),
        after=(cursor,) if cursor else None,
        limit=limit + 1,
    )


def page_of(found: Sequence[T], limit: int, cursor: Callable[[T], str]) -> Page[T]:
    """Return the first `limit` items. If one item more was found, the last item's `cursor` starts the next page."""
    items = tuple(found[:limit])
    return Page(items=items, next_cursor=cursor(items[-1]) if len(found) > limit else None)
