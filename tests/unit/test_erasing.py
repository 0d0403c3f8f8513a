import pytest

from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Create, InvalidWrite, OutcomeUnknown, Query
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments

EVERYTHING = Query(collection="things", limit=1)


class Picky(MemoryDocuments):
    """Store that deletes at most `most` documents in one commit."""

    def __init__(self, most: int, refusal: Exception) -> None:
        super().__init__()
        self.most, self.refusal = most, refusal

    def commit(self, writes, *, timeout_seconds=1.0):
        if not isinstance(writes[0], Create) and len(writes) > self.most:
            raise self.refusal
        return super().commit(writes, timeout_seconds=timeout_seconds)


def fill(documents: MemoryDocuments, number: int) -> None:
    documents.commit([Create(f"things/{each:04d}", {}) for each in range(number)])


@pytest.mark.parametrize("refusal", [InvalidWrite("too large"), OutcomeUnknown()])
def test_pages_shrink_until_the_store_deletes_them(refusal):
    documents = Picky(3, refusal)
    fill(documents, 40)

    assert delete_matching(documents, EVERYTHING, NEVER)
    assert documents.query(EVERYTHING) == []


def test_a_document_that_cannot_be_deleted_is_an_error():
    documents = Picky(0, InvalidWrite("locked"))
    fill(documents, 1)

    with pytest.raises(InvalidWrite):
        delete_matching(documents, EVERYTHING, NEVER)


def test_each_call_after_the_deadline_deletes_one_page():
    documents, over = MemoryDocuments(), Deadline.within(ManualClock(), 0)
    fill(documents, 2 * ERASE_PAGE + 1)

    assert [delete_matching(documents, EVERYTHING, over) for _ in range(3)] == [False, False, True]


class Watched(MemoryDocuments):
    """Store that notes where each query begins, and gets another document in front at the second query."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[object] = []

    def query(self, query):
        self.starts.append(query.after and query.after[-1])
        if len(self.starts) == 2:
            self.commit([Create("things/-", {})])
        return super().query(query)


def test_pages_begin_behind_deleted_documents_and_the_last_at_the_start():
    documents = Watched()
    fill(documents, 2 * ERASE_PAGE)

    assert delete_matching(documents, EVERYTHING, NEVER)
    assert documents.starts == [None, f"things/{ERASE_PAGE - 1:04d}", f"things/{2 * ERASE_PAGE - 1:04d}", None]
    assert MemoryDocuments.query(documents, EVERYTHING) == []
