"""Messages that move into the tail while somebody reads, at any moment between two reads: nobody misses one."""

from collections.abc import Callable

import pytest

from shared.ai.chat.appending import page_writes
from shared.ai.chat.conversations import ConversationStore
from shared.ai.chat.messages import Message
from shared.kernel.documents import Document, Query
from shared.kernel.money import Micro
from tests.support.chat import ANN, World
from tests.support.faults import FaultyDocuments
from tests.unit.sagas.test_chat_tail import contents, pair, talk
from tests.unit.sagas.test_old_conversations import take_tail

READS = range(1, 9)


class MovedBetween(FaultyDocuments):
    """Reads the documents of one request one by one, and lets something happen after the given read."""

    def __init__(self, inner, at: int, event: Callable[[], None]) -> None:
        super().__init__(inner)
        self.event, self.reads, self.place = event, 0, at

    def get(self, path: str) -> Document | None:
        return self._then(super().get(path))

    def get_all(self, paths):
        return [self.get(path) for path in paths]

    def query(self, query: Query) -> list[Document]:
        return self._then(super().query(query))

    def _then(self, found):
        self.reads += 1
        if self.reads == self.place:
            self.event()
        return found


def single_messages(world: World):
    """A conversation of the release before tails: a document for each message."""
    conversation = talk(world, 12, 10)
    take_tail(world, conversation)
    return conversation


def late_page(world: World):
    """A conversation whose last turn was stored as a page, behind a tail and older pages."""
    conversation = talk(world, 12, 20_000)
    known, _ = world.conversations.get_beside(ANN, conversation.id, [])
    world.documents.commit(page_writes(known, pair(known, world.clock.now(), "late")))
    return conversation


def listed(store: ConversationStore, conversation_id: str) -> list[Message]:
    found: list[Message] = []
    cursor = None
    while True:
        page = store.messages(ANN, conversation_id, cursor=cursor, limit=5)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found[::-1]


def exported(store: ConversationStore, conversation_id: str) -> list[Message]:
    return list(store.export(ANN, conversation_id))


@pytest.mark.parametrize("at", READS)
@pytest.mark.parametrize("read", [listed, exported])
@pytest.mark.parametrize("form", [single_messages, late_page])
def test_a_reader_finds_all_messages_though_they_move(form, read, at):
    world = World()
    conversation = form(world)
    said = exported(world.conversations, conversation.id)

    moved = MovedBetween(world.documents, at, lambda: world.conversations.move(ANN, conversation.id))
    found = read(ConversationStore(moved, world.clock), conversation.id)

    assert contents(found) == contents(said)


@pytest.mark.parametrize("at", READS)
@pytest.mark.parametrize("form", [single_messages, late_page])
def test_a_replay_and_a_correction_find_the_message_though_it_moves(form, at):
    world = World()
    conversation = form(world)
    last = exported(world.conversations, conversation.id)[-1]

    moved = MovedBetween(world.documents, at, lambda: world.conversations.move(ANN, conversation.id))
    store = ConversationStore(moved, world.clock)

    assert store.message(ANN, conversation.id, last.id).content == last.content
    store.charges.commit_actual_cost(last, Micro(7))
    assert world.conversations.message(ANN, conversation.id, last.id).cost == 7
