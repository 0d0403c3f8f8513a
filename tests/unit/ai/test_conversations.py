from dataclasses import replace

import pytest

from shared.ai.chat.conversations import ConversationNotFound, ConversationStore
from shared.ai.chat.messages import Message, position, title_of
from shared.ai.tokens import Usage
from shared.kernel.documents import Create, Delete, OutcomeUnknown, PreconditionFailed, Query, StoreUnavailable
from shared.kernel.errors import IdempotencyMismatch, InvalidValue
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.faults import FaultyDocuments

ANN, BOB = Uid("ann"), Uid("bob")


@pytest.fixture
def documents():
    return MemoryDocuments()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def conversations(documents, clock):
    return ConversationStore(documents, clock)


def create(conversations, uid=ANN, operation="op1", said="f", **fields):
    return conversations.create(uid, operation=OperationId(operation), fingerprint=said, **fields)


def pair(conversation, at, content="Hi"):
    question = Message(
        id=f"msg_{at}_0",
        uid=conversation.uid,
        conversation_id=conversation.id,
        role="user",
        content=content,
        position=position(at, "run", 0),
        created_at=at,
    )
    answer = replace(
        question,
        id=f"msg_{at}_1",
        role="assistant",
        content="Hello",
        position=position(at, "run", 1),
        model="m",
        finish_reason="stop",
        usage=Usage(input_tokens=3, output_tokens=1),
        is_estimated=True,
        cost=Micro(17),
        price={"version": "1"},
    )
    return [question, answer]


def append(documents, conversations, conversation, at, content="Hi"):
    messages = pair(conversation, at, content)
    documents.commit(conversations.writes_to_append(conversation, messages))
    return messages


def test_what_was_created_is_found(conversations):
    made = create(conversations, title="T", model="m", system_prompt="s")

    assert conversations.get(ANN, made.id) == made


def test_the_same_operation_creates_once(conversations):
    assert create(conversations, title="T") == create(conversations, title="T")
    assert len(conversations.list(ANN).items) == 1


def test_the_same_operation_with_another_request_is_a_mismatch(conversations):
    create(conversations)

    with pytest.raises(IdempotencyMismatch):
        create(conversations, said="other")


@pytest.mark.parametrize(
    ("when", "error"),
    [("before", OutcomeUnknown()), ("after", OutcomeUnknown()), ("before", StoreUnavailable())],
)
def test_an_unclear_or_refused_creation_is_settled(documents, clock, when, error):
    faulty = FaultyDocuments(documents, at=1, when=when, error=error)

    made = create(ConversationStore(faulty, clock))

    assert ConversationStore(documents, clock).get(ANN, made.id) == made


def test_creation_that_commits_between_two_reads_is_found(documents, conversations, clock):
    class Late(FaultyDocuments):
        """Reads the second document before the creation and the first behind the creation, once."""

        reads = 0

        def get_all(self, paths):
            self.reads += 1
            first, second = self.inner.get_all(paths)
            return [first, None if self.reads == 1 else second]

    made = create(conversations)

    assert create(ConversationStore(Late(documents), clock)) == made


@pytest.mark.parametrize("error", [OutcomeUnknown, StoreUnavailable])
def test_a_store_that_never_says_yes_is_told(clock, error):
    class Failing(MemoryDocuments):
        def commit(self, writes, *, timeout_seconds=1.0):
            raise error

    with pytest.raises(error):
        create(ConversationStore(Failing(), clock))


def test_others_conversations_are_not_found(documents, conversations):
    made = create(conversations)
    messages = append(documents, conversations, made, 1)

    for ask in (
        lambda: conversations.get(BOB, made.id),
        lambda: conversations.patch(BOB, made.id, {"title": "x"}),
        lambda: conversations.delete(BOB, made.id),
        lambda: conversations.messages(BOB, made.id),
        lambda: conversations.message(BOB, made.id, messages[0].id),
        lambda: conversations.get(ANN, "conv_none"),
        lambda: conversations.get(ANN, "../accounts/ann"),
    ):
        with pytest.raises(ConversationNotFound):
            ask()


def test_lists_come_newest_first_and_page_by_page(conversations, clock):
    made = []
    for number in range(5):
        clock.advance(10)
        made.append(create(conversations, operation=f"op{number}").id)
    create(conversations, uid=BOB, operation="bob")
    conversations.patch(ANN, made[0], {"title": "Now the newest"})

    pages, cursor = [], None
    while True:
        page = conversations.list(ANN, cursor=cursor, limit=2)
        pages.append([conversation.id for conversation in page.items])
        if (cursor := page.next_cursor) is None:
            break

    assert pages == [[made[4], made[0]], [made[3], made[2]], [made[1]]]


def test_a_full_last_page_has_no_cursor(conversations):
    create(conversations)

    assert conversations.list(ANN, limit=1).next_cursor is None


def test_messages_are_kept_as_they_were(documents, conversations):
    made = create(conversations)
    messages = append(documents, conversations, made, 5)

    assert conversations.messages(ANN, made.id).items == tuple(messages[::-1])
    assert conversations.message(ANN, made.id, messages[1].id) == messages[1]


def test_messages_page_newest_first(documents, conversations):
    made = create(conversations)
    messages = [message for at in (1, 2) for message in append(documents, conversations, made, at)]

    first = conversations.messages(ANN, made.id, limit=3)
    second = conversations.messages(ANN, made.id, limit=3, cursor=first.next_cursor)

    assert [*first.items, *second.items] == messages[::-1]
    assert second.next_cursor is None


def test_the_first_message_gives_a_title_once(documents, conversations, clock):
    made = create(conversations)
    append(documents, conversations, made, clock.now() + 1, "\n  What is a lot?  \nTell me.")
    titled = conversations.get(ANN, made.id)
    append(documents, conversations, titled, clock.now() + 2, "Another")

    assert titled.title == conversations.get(ANN, made.id).title == "What is a lot?"


def test_a_title_that_was_given_stays(documents, conversations):
    made = create(conversations, title="Mine")
    append(documents, conversations, made, 1)

    assert conversations.get(ANN, made.id).title == "Mine"


def test_titles_are_trimmed():
    assert title_of("x" * 80) == "x" * 80
    assert title_of("x" * 81) == "x" * 79 + "…"
    assert title_of(" \n ") == ""


def test_patching_changes_what_it_names(conversations, clock):
    made = create(conversations, title="T", model="m", system_prompt="s")
    clock.advance(7)

    patched = conversations.patch(ANN, made.id, {"model": None, "system_prompt": "new"})

    assert patched == conversations.get(ANN, made.id)
    assert (patched.title, patched.model, patched.system_prompt) == ("T", None, "new")
    assert patched.updated_at == made.created_at + 7


def test_only_what_is_editable_can_be_patched(conversations):
    made = create(conversations)

    with pytest.raises(InvalidValue):
        conversations.patch(ANN, made.id, {"uid": "bob"})


def test_deleting_removes_the_messages_too(documents, conversations):
    made = create(conversations)
    append(documents, conversations, made, 1)

    conversations.delete(ANN, made.id)

    assert documents.query(Query(collection="messages", group=True, limit=10)) == []
    with pytest.raises(ConversationNotFound):
        conversations.get(ANN, made.id)


def test_a_very_long_conversation_is_deleted_in_batches(documents, conversations):
    made = create(conversations)
    for at in range(300):
        append(documents, conversations, made, at)

    conversations.delete(ANN, made.id)

    assert documents.query(Query(collection="messages", group=True, limit=10)) == []


def test_nothing_can_be_appended_to_what_was_deleted(documents, conversations):
    made = create(conversations)
    conversations.delete(ANN, made.id)

    with pytest.raises(PreconditionFailed):
        append(documents, conversations, made, 1)

    assert not conversations.exists(made.id)


def test_a_conversation_deleted_while_it_is_patched_is_not_found(documents, conversations, clock):
    made = create(conversations)

    class Deleting(FaultyDocuments):
        def commit(self, writes, *, timeout_seconds=1.0):
            conversations.delete(ANN, made.id)
            return self.inner.commit(writes, timeout_seconds=timeout_seconds)

    with pytest.raises(ConversationNotFound):
        ConversationStore(Deleting(documents), clock).patch(ANN, made.id, {"title": "T"})


def test_a_corrected_cost_is_kept_and_a_gone_message_stays_gone(documents, conversations):
    made = create(conversations)
    message = append(documents, conversations, made, 1)[1]

    conversations.charges.commit_actual_cost(message, 3)
    corrected = conversations.message(ANN, made.id, message.id)
    conversations.delete(ANN, made.id)
    conversations.charges.commit_actual_cost(message, 4)

    assert corrected.cost == 3
    assert documents.query(Query(collection="messages", group=True, limit=10)) == []


def test_leaving_takes_everything_of_ones_own_and_nothing_else(documents, conversations):
    for number in range(60):
        append(documents, conversations, create(conversations, operation=f"op{number}"), 1)
    theirs = create(conversations, uid=BOB, operation="bob")
    documents.commit([Create("turns/a", {"uid": ANN}), Create("turns/b", {"uid": BOB})])

    conversations.erase(ANN)
    conversations.erase(ANN)

    assert conversations.list(ANN).items == ()
    assert conversations.get(BOB, theirs.id) == theirs
    assert documents.query(Query(collection="messages", group=True, limit=10)) == []
    assert [document.id for document in documents.query(Query(collection="turns", limit=10))] == ["b"]


class Interrupted(MemoryDocuments):
    """Lets a turn end behind the first list of messages, or before the first commit that deletes."""

    def __init__(self, moment):
        super().__init__()
        self.moment, self.turn = moment, None

    def query(self, query):
        found = super().query(query)
        self._interrupt("listed")
        return found

    def commit(self, writes, **options):
        if any(isinstance(write, Delete) for write in writes):
            self._interrupt("deleting")
        return super().commit(writes, **options)

    def _interrupt(self, moment):
        if moment == self.moment and self.turn is not None:
            turn, self.turn = self.turn, None
            turn()


@pytest.mark.parametrize("moment", ["listed", "deleting"])
def test_conversation_in_which_a_turn_ends_meanwhile_is_not_discarded(moment, clock):
    documents = Interrupted(moment)
    conversations = ConversationStore(documents, clock)
    conversation = create(conversations)
    documents.turn = lambda: documents.commit(conversations.writes_to_append(conversation, pair(conversation, 7)))

    conversations.discard_empty(ANN, conversation.id)

    assert conversations.get(ANN, conversation.id).title == "Hi"
    assert [message.content for message in conversations.history(conversation.id)] == ["Hello", "Hi"]


@pytest.mark.parametrize("moment", ["listed", "deleting"])
def test_conversation_in_which_a_turn_ends_meanwhile_is_deleted_whole(moment, clock):
    documents = Interrupted(moment)
    conversations = ConversationStore(documents, clock)
    conversation = create(conversations)
    documents.turn = lambda: documents.commit(conversations.writes_to_append(conversation, pair(conversation, 7)))

    conversations.delete(ANN, conversation.id)

    assert conversations.history(conversation.id) == []
    with pytest.raises(ConversationNotFound):
        conversations.get(ANN, conversation.id)
