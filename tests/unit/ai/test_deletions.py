"""Large conversations are deleted in pages: at once for the owner, over several runs, through any crash."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.ai.chat.conversations import DELETE_BATCH, DELETE_SECONDS, ConversationNotFound, ConversationStore
from shared.ai.chat.deletions import COLLECTION, LEASE, ConversationBeingDeleted
from shared.ai.chat.paths import message_path
from shared.kernel.clock import SECOND
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Create, Document, Documents, Query
from shared.kernel.erasing import ERASE_PAGE
from shared.kernel.ids import OperationId, Uid
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.faults import Crash
from tests.support.timed_documents import TimedDocuments

ANN = Uid("ann")
MANY = 4 * ERASE_PAGE


class Place:
    """A user's conversation with many message documents."""

    def __init__(self, messages: int = MANY, size: int = 10) -> None:
        self.clock = ManualClock()
        self.documents = MemoryDocuments()
        self.id = self.create(self.documents)
        for first in range(0, messages, 500):
            paths = [message_path(self.id, f"m{number:06d}") for number in range(first, min(first + 500, messages))]
            self.documents.commit([Create(path, {"uid": ANN, "content": "x" * size}) for path in paths])

    def store(self, documents: Documents) -> ConversationStore:
        return ConversationStore(documents, self.clock)

    def create(self, documents: Documents) -> str:
        return self.store(documents).create(ANN, operation=OperationId("op"), fingerprint="f").id

    def left(self) -> int:
        return sum(
            len(self.documents.query(Query(collection=name, group=True, limit=10**6)))
            for name in ("messages", "conversations", "conversation_states", COLLECTION)
        )

    def run(self, documents: Documents, deadline: Deadline = NEVER) -> None:
        """What the periodic job does in one run."""
        deletions = self.store(documents).deletions
        for each in deletions.due(50):
            deletions.resume(each, deadline)


@pytest.mark.parametrize("messages", [DELETE_BATCH - 1, DELETE_BATCH, 100, 10_000])
def test_a_deletion_takes_few_round_trips_for_each_document(messages):
    place = Place(messages)
    documents = TimedDocuments(place.documents, place.clock, millis=1)

    place.store(documents).delete(ANN, place.id)

    assert place.left() == 0
    assert documents.trips <= 10 + messages * 0.02


def test_a_deletion_needs_little_memory_however_large_the_messages():
    place = Place(400, size=100_000)
    store = place.store(place.documents)
    tracemalloc.start()

    store.delete(ANN, place.id)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert place.left() == 0
    assert peak < 5_000_000


def test_a_request_stops_in_time_and_the_job_deletes_the_rest():
    place = Place()
    documents = TimedDocuments(place.documents, place.clock, millis=int(DELETE_SECONDS * SECOND) // 4)
    store = place.store(documents)

    store.delete(ANN, place.id)
    left = place.left()
    for _ in range(3):
        place.run(documents, Deadline.within(place.clock, DELETE_SECONDS))

    with pytest.raises(ConversationNotFound):
        store.get(ANN, place.id)
    assert 0 < left <= MANY
    assert place.left() == 0


@pytest.mark.parametrize("at", range(1, 8))
def test_a_deletion_killed_at_any_page_is_finished_by_the_job(at):
    place = Place()
    with suppress(Crash):
        place.store(TimedDocuments(place.documents, place.clock, dies_after=at)).delete(ANN, place.id)

    place.clock.advance(LEASE)
    with suppress(Crash):
        place.run(TimedDocuments(place.documents, place.clock, dies_after=at))
    place.clock.advance(LEASE)
    place.run(place.documents)

    assert place.left() == 0


def test_a_conversation_of_the_same_key_waits_until_the_messages_are_gone():
    place = Place()
    slow = TimedDocuments(place.documents, place.clock, millis=int(DELETE_SECONDS * SECOND))
    place.store(slow).delete(ANN, place.id)

    with pytest.raises(ConversationBeingDeleted):
        place.create(place.documents)
    place.clock.advance(LEASE)
    place.run(place.documents)

    assert place.create(place.documents) == place.id
    assert place.left() == 2


class OvertakenDocuments(TimedDocuments):
    """Documents whose worker is paused before one query of messages, while `others` work."""

    def __init__(self, inner: Documents, clock: ManualClock, at: int, others: Callable[[], None]) -> None:
        super().__init__(inner, clock)
        self._pauses_at = at
        self._others = others

    def query(self, query: Query) -> list[Document]:
        if query.collection.endswith("/messages"):
            self._pauses_at -= 1
            if self._pauses_at == 0:
                self._others()
        return super().query(query)


@pytest.mark.parametrize("at", range(1, 6))
def test_a_worker_overtaken_in_a_deletion_deletes_no_new_conversation(at):
    place = Place()

    def finish_and_begin_again() -> None:
        place.clock.advance(LEASE)
        place.run(place.documents)
        assert place.left() == 0
        place.create(place.documents)
        place.documents.commit([Create(message_path(place.id, "new"), {"uid": ANN})])

    with suppress(Crash):
        place.store(TimedDocuments(place.documents, place.clock, dies_after=1)).delete(ANN, place.id)
    place.clock.advance(LEASE)
    place.run(OvertakenDocuments(place.documents, place.clock, at, finish_and_begin_again))

    assert place.documents.get(message_path(place.id, "new")) is not None
    assert place.left() == 3
