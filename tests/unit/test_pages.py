"""Pages of stored lists: what is on a page, and whether there is another."""

import pytest

from shared.kernel.documents import Create
from shared.kernel.ids import Uid
from shared.kernel.pages import owner_query, page_of
from shared.platform.memory.documents import MemoryDocuments

ANN, EVE = Uid("ann"), Uid("eve")


@pytest.mark.parametrize(("count", "more"), [(0, None), (2, None), (3, "2")])
def test_a_page_names_a_cursor_only_if_there_is_more(count, more):
    page = page_of(range(1, count + 1), 2, str)

    assert (page.items, page.next_cursor) == (tuple(range(1, min(count, 2) + 1)), more)


def test_pages_of_an_owner_hold_each_document_once_newest_first():
    documents = MemoryDocuments()
    for number in range(5):
        owner = EVE if number == 3 else ANN
        documents.commit([Create(f"conversations/{number}", {"uid": owner, "recency": str(number)})])

    pages = list[tuple[str, ...]]()
    cursor: str | None = None
    while not pages or cursor is not None:
        found = documents.query(owner_query("conversations", ANN, "recency", cursor=cursor, limit=2))
        page = page_of([each.id for each in found], 2, str)
        pages.append(page.items)
        cursor = page.next_cursor

    assert pages == [("4", "2"), ("1", "0")]
