"""Conversations stored when owner and server shared one document: read as they are, moved by their next turn."""

from dataclasses import replace

import pytest

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.chat.messages import Message, message_fields
from shared.ai.chat.paths import conversation_path, message_path, messages_path, state_path
from shared.kernel.documents import Data, Delete, Patch, Put, Query
from shared.kernel.errors import IdempotencyMismatch, InvalidValue
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from tests.support.chat import ANN, World
from tests.support.faults import Crash, FaultyDocuments
from tests.support.indexes import stored
from tests.support.live import check_live


def make_old(world: World, conversation: Conversation) -> Conversation:
    """Store the conversation in the old form, and each message in a document of its own."""
    known, _ = world.conversations.get_beside(ANN, conversation.id, ())
    state = world.documents.get(state_path(known.id))
    at, last = known.updated_at, {} if known.last is None else {"last": known.last}
    names = ("uid", "title", "model", "system_prompt", "created_at", "updated_at")
    old = {
        "v": 1,
        **{name: getattr(known, name) for name in names},
        "recency": f"{at:015d}:{known.id}",
        "fingerprint": state.data["fingerprint"],
        **last,
        **({} if known.title_cost is None else {"title_cost": known.title_cost}),
    }
    world.documents.inner.commit(
        [Put(conversation_path(known.id), old), Delete(state_path(known.id)), *singles(world, known)]
    )
    return known


def take_tail(world: World, conversation: Conversation) -> None:
    """Store the messages one by one, and the state without a tail, as the release before tails did."""
    state = world.documents.get(state_path(conversation.id)).data
    before = {name: state[name] for name in ("uid", "fingerprint", "last")}
    written = singles(world, conversation)
    pages = world.documents.query(Query(collection=messages_path(conversation.id), limit=1000))
    deleted = [Delete(page.path) for page in pages if page.path not in {write.path for write in written}]
    world.documents.inner.commit([Put(state_path(conversation.id), before), *written, *deleted])


def singles(world: World, conversation: Conversation) -> list[Put]:
    """Each message of the conversation in a document of its own."""
    said = world.conversations.export(ANN, conversation.id)
    return [Put(message_path(conversation.id, message.id), single(message)) for message in said]


def single(message: Message) -> Data:
    """The document of a message as older releases wrote it: alone, and without a count of tokens."""
    fields = {name: value for name, value in message_fields(message).items() if name != "tokens"}
    return {"uid": message.uid, "content": message.content, **fields}


@pytest.fixture
def world() -> World:
    world = World(documents=stored())
    world.user()
    return world


def test_an_old_conversation_is_read_without_being_moved(world):
    conversation = make_old(world, world.conversation(title="Tea", model="cheap"))
    before = world.documents.get(conversation_path(conversation.id))

    found = world.conversations.get(ANN, conversation.id)

    assert (found.title, found.model, found.created_at) == ("Tea", "cheap", conversation.created_at)
    assert found.is_old
    assert world.documents.get(conversation_path(conversation.id)) == before


def test_an_old_conversation_is_moved_by_its_next_turn(world):
    conversation = world.conversation()
    world.ask(conversation, "One?")
    make_old(world, conversation)

    world.ask(conversation, "Two?")
    world.ask(conversation, "Three?")

    check_live("conversations", world.documents.get(conversation_path(conversation.id)).data)
    said = world.conversations.messages(ANN, conversation.id, limit=100).items
    assert [message.content for message in said if message.role == "user"] == ["Three?", "Two?", "One?"]
    known, _ = world.conversations.get_beside(ANN, conversation.id, ())
    assert (known.last, known.is_old, known.title) == (said[0].position, False, "One?")


def test_an_old_conversation_is_moved_by_a_change(world):
    conversation = make_old(world, world.conversation(system_prompt="Be brief."))

    changed = world.conversations.patch(ANN, conversation.id, {"title": "Tea"})

    assert (changed.title, changed.system_prompt, changed.is_old) == ("Tea", "Be brief.", False)
    check_live("conversations", world.documents.get(conversation_path(conversation.id)).data)


def test_the_cost_of_a_title_survives_the_move(world):
    conversation = world.conversation()
    world.conversations.charges.commit_charge(conversation.id, Micro(17))
    make_old(world, conversation)

    world.conversations.move(ANN, conversation.id)

    assert world.conversations.get(ANN, conversation.id).title_cost == 17
    assert world.documents.get(conversation_path(conversation.id)).data["title_cost"] == "0.000017"


def test_a_request_repeated_finds_its_old_conversation(world):
    asked = {"operation": OperationId("op"), "fingerprint": "f"}
    conversation = make_old(world, world.conversations.create(ANN, **asked))

    assert world.conversations.create(ANN, **asked).id == conversation.id
    with pytest.raises(IdempotencyMismatch):
        world.conversations.create(ANN, operation=OperationId("op"), fingerprint="another")


def test_conversations_of_both_forms_are_listed_the_last_used_first(world):
    made = []
    for number in range(6):
        if number % 3:
            world.clock.advance(1_000)  # of three, two are of the same time
        made.append(world.conversation(title=str(number)))
    for conversation in made[:4]:
        make_old(world, conversation)
    expected = [each.id for each in sorted(made, key=lambda each: (each.updated_at, each.id), reverse=True)]

    found, cursor = [], None
    while True:
        page = world.conversations.list(ANN, cursor=cursor, limit=2)
        found += [conversation.id for conversation in page.items]
        if (cursor := page.next_cursor) is None:
            break

    assert found == expected


@pytest.mark.parametrize("cursor", ["", "x", ":", "1:conv_1", "2026-01-01:a", f"{1:015d}:a/b", f"{1:015d}:", "9" * 400])
def test_a_cursor_that_no_list_has_answered_is_refused(world, cursor):
    if cursor:
        with pytest.raises(InvalidValue):
            world.conversations.list(ANN, cursor=cursor)


def test_a_cursor_of_the_older_release_goes_on(world):
    older = make_old(world, world.conversation())
    world.clock.advance(1_000)
    newer = make_old(world, world.conversation())

    page = world.conversations.list(ANN, cursor=f"{newer.updated_at:015d}:{newer.id}")

    assert [conversation.id for conversation in page.items] == [older.id]


def test_a_move_that_dies_is_repeated_by_the_next_turn(world):
    conversation = make_old(world, world.conversation())
    for when in ("before", "after"):
        dying = FaultyDocuments(world.documents, at=1, when=when)
        with pytest.raises(Crash):
            world.on(dying).run(world.request(conversation)).__next__()

    assert world.ask(conversation).message.content
    assert world.conversations.get(ANN, conversation.id).is_old is False


def test_a_turn_of_the_older_release_after_the_move_is_not_lost(world):
    conversation = world.conversation()
    world.ask(conversation, "One?")
    said = world.conversations.messages(ANN, conversation.id).items
    later = replace(said[0], id="msg_later", content="Two.", position="9" * 15 + ":run:1")
    changes = {"updated_at": world.clock.now(), "recency": "r", "last": later.position}
    world.documents.inner.commit(
        [
            Patch(conversation_path(conversation.id), changes),
            Put(message_path(conversation.id, later.id), single(later)),
        ]
    )

    world.conversations.move(ANN, conversation.id)

    known, _ = world.conversations.get_beside(ANN, conversation.id, ())
    assert (known.is_old, known.last, known.last > said[0].position) == (False, later.position, True)
    assert world.conversations.messages(ANN, conversation.id).items == (later, *said)
    check_live("conversations", world.documents.get(conversation_path(conversation.id)).data)


def test_an_old_conversation_of_another_user_is_not_moved(world):
    conversation = make_old(world, world.conversation())

    with pytest.raises(ConversationNotFound):
        world.conversations.move(Uid("bob"), conversation.id)

    assert world.conversations.get(ANN, conversation.id).is_old


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("does", ["delete", "erase"])
def test_a_conversation_goes_with_all_its_documents(world, is_old, does):
    conversation = world.conversation()
    world.ask(conversation)
    if is_old:
        make_old(world, conversation)

    world.conversations.delete(ANN, conversation.id) if does == "delete" else world.conversations.erase(ANN)

    assert [path for path in world.documents.inner._documents if path.startswith("conversation")] == []
