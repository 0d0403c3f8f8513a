"""A turn that recalls what was said tells the model just what one tells it that reads, whatever others do meanwhile."""

from shared.ai.chat.conversations import ConversationStore
from shared.ai.chat.memory import recalled
from shared.ai.chat.tail import WINDOW_MESSAGES_MAX
from tests.support.chat import ANN, World, answer_of


def told(world):
    """What the model was told last."""
    return [message.content for message in world.upstream.requests[-1].messages]


def talked(*contents, **fields):
    """A conversation of these turns, all by one instance."""
    world = World(**fields)
    world.user()
    conversation = world.conversation()
    for content in contents:
        world.ask(conversation, content)
    return world, conversation


def ask(world, turn, conversation, content):
    return answer_of(turn.run(world.request(conversation, content)))


class Closing:
    """A store that can be asked for messages until `is_closed`."""

    def __init__(self, inner):
        self._inner = inner
        self.is_closed = False

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def query(self, query):
        assert not self.is_closed or not query.collection.startswith("conversations/"), "what was said is recalled"
        return self._inner.query(query)


def test_an_instance_that_recalls_tells_the_model_what_another_reads():
    world, conversation = talked("one", "two", "three")
    world.ask(conversation, "four")
    recalled = told(world)

    ask(world, world.on(world.documents), conversation, "five")

    assert told(world)[: len(recalled)] == recalled


def test_what_was_said_is_not_read_again():
    world, conversation = talked("one")
    turn = world.on(documents := Closing(world.documents))
    ask(world, turn, conversation, "two")
    documents.is_closed = True

    ask(world, turn, conversation, "three")

    assert [text for text in told(world) if text in {"one", "two", "three"}] == ["one", "two", "three"]


def test_what_another_instance_added_is_heard_of():
    world, conversation = talked("one")
    other = world.on(world.documents)

    ask(world, other, conversation, "two")
    world.ask(conversation, "three")
    ask(world, other, conversation, "four")

    assert [text for text in told(world) if text in {"one", "two", "three", "four"}] == ["one", "two", "three", "four"]


def test_two_turns_at_once_are_both_kept_and_both_heard_of():
    world, conversation = talked("one")
    slow = world.run(conversation, "slow")
    next(slow)
    ask(world, world.on(world.documents), conversation, "fast")

    answer_of(slow)
    world.ask(conversation, "after")

    said = [text for text in told(world) if text in {"one", "slow", "fast", "after"}]
    assert sorted(said[:-1]) == ["fast", "one", "slow"]
    assert said[-1] == "after"


def test_two_turns_at_once_on_one_instance_are_both_heard_of():
    world, conversation = talked("one")
    slow = world.run(conversation, "slow")
    next(slow)
    world.ask(conversation, "fast")

    answer_of(slow)
    world.ask(conversation, "after")

    assert sorted(text for text in told(world) if text in {"one", "slow", "fast"}) == ["fast", "one", "slow"]


def test_a_conversation_that_is_renamed_meanwhile_keeps_the_answer_and_the_name():
    world, conversation = talked("one")
    turn = world.run(conversation, "two")
    next(turn)
    world.conversations.patch(ANN, conversation.id, {"title": "Tea"})

    answer = answer_of(turn)

    assert world.conversations.message(ANN, conversation.id, answer.message.id) == answer.message
    assert world.conversations.get(ANN, conversation.id).title == "Tea"


def test_a_conversation_deleted_elsewhere_is_not_recalled():
    world, conversation = talked("one")
    turn = world.run(conversation, "two")
    next(turn)
    ConversationStore(world.documents, world.clock).delete(ANN, conversation.id)

    answer_of(turn)

    assert not world.conversations.exists(conversation.id)
    assert world.conversations.history(conversation.id) == []


def test_messages_read_before_an_append_that_the_conversation_tells_of_are_not_taken_for_all():
    world, conversation = talked("one")
    conversations = ConversationStore(world.documents, world.clock)
    before = conversations.history(conversation.id)
    world.ask(conversation, "two")
    since = conversations.get(ANN, conversation.id)

    writes = conversations.writes_to_continue(since, before, before)

    assert [getattr(write, "version", None) for write in writes] == [None] * len(writes)
    assert conversations.remembered(since) is None


def test_as_much_is_recalled_as_is_read():
    world, conversation = talked(*map(str, range(WINDOW_MESSAGES_MAX // 2 + 3)))
    conversations = world.turn.kind.conversations
    now, _ = conversations.get_beside(ANN, conversation.id, [])

    known = conversations.remembered(now)

    assert known is not None
    assert recalled(known) == recalled(conversations.history(conversation.id))
    assert recalled(known) == recalled(ConversationStore(world.documents, world.clock).recall(now))
