"""A turn takes title, model and system prompt from the state's copy, and never from a copy that is out of date."""

import pytest

from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.chat.settings_copy import SETTINGS_BYTES_MAX
from shared.kernel.documents import Delete, Patch
from shared.kernel.ids import Uid, operation_id
from tests.support.chat import ANN, CHEAP, World, answer_of, text_of
from tests.support.indexes import stored
from tests.unit.sagas.test_chat_tail import Billed

LONG = "Answer in the words of a poet. " * (SETTINGS_BYTES_MAX // 20)


def told(world: World) -> list[str]:
    """What the model was told last."""
    return [message.content for message in world.upstream.requests[-1].messages]


@pytest.mark.parametrize("prompt", ["Be brief.", LONG, "\x01" * 1_000])
def test_a_system_prompt_of_any_length_reaches_the_model_on_every_instance(prompt):
    world = World(documents=Billed(stored()))
    conversation = world.conversation(world.user(), system_prompt=prompt)

    for turn in (world.turn, world.turn, world.on(world.documents)):
        answer_of(turn.run(world.request(conversation, "Hello?")))

        assert told(world)[0] == prompt


def test_turns_of_a_conversation_with_a_long_system_prompt_take_one_round_trip_again():
    world = World(documents=Billed(stored()))
    conversation = world.conversation(world.user(), system_prompt=LONG)
    world.ask(conversation, model="cheap")
    world.documents.calls.clear()

    world.ask(conversation, model="cheap")

    gets = [call for call in world.documents.calls.elements() if call[0] == "get"]
    assert gets == [("get", "conversations", "conversation_states")]


@pytest.mark.parametrize("changes", [{"system_prompt": "Be brief."}, {"model": "other"}, {"title": "Tea"}])
def test_a_change_by_another_instance_counts_in_the_next_turn(changes):
    world = World()
    world.catalogue.put("other", CHEAP)
    conversation = world.conversation(world.user(), model="cheap", system_prompt="Be wordy.")
    world.ask(conversation)
    other = world.on(world.documents)
    answer_of(other.run(world.request(conversation, "Hello?")))

    world.conversations.patch(ANN, conversation.id, changes)
    answer = answer_of(other.run(world.request(conversation, "Hello?")))

    now = world.conversations.get(ANN, conversation.id)
    assert told(world)[0] == now.system_prompt
    assert answer.message.model == now.model == changes.get("model", "cheap")
    assert now.title == changes.get("title", "Hello?")


def test_a_change_between_the_reads_of_a_turn_is_not_undone():
    world = World()
    conversation = world.conversation(world.user(), system_prompt="Be wordy.")
    world.conversations.patch(ANN, conversation.id, {"title": "Tea"})

    class Late(Billed):
        """Lets another instance change the conversation between the reads of its two documents, once."""

        is_over = False

        def get_all(self, paths):
            if len(paths) == 1 or self.is_over or not paths[0].startswith("conversations/"):
                return super().get_all(paths)
            self.is_over = True
            first = super().get_all(paths[:1])
            world.conversations.patch(ANN, conversation.id, {"system_prompt": "Be brief."})
            return [*first, *super().get_all(paths[1:])]

    answer_of(world.on(Late(world.documents)).run(world.request(conversation, "Hello?")))
    world.ask(conversation, "And now?")

    assert told(world)[0] == "Be brief."
    assert [text for text in told(world) if text.endswith("?")] == ["Hello?", "And now?"]


def test_a_change_past_the_state_is_noticed_by_the_end_of_the_turn():
    world = World(documents=Billed(stored()))
    conversation = world.conversation(world.user(), title="Tea", system_prompt="Be wordy.")
    world.ask(conversation, "Hello?", model="cheap")
    world.documents.commit([Patch(f"conversations/{conversation.id}", {"system_prompt": "Be brief."})])

    world.ask(conversation, "And?", model="cheap")
    world.ask(conversation, "And now?", model="cheap")

    assert told(world)[0] == "Be brief."
    assert [text for text in told(world) if text.endswith("?")] == ["Hello?", "And?", "And now?"]


def test_a_title_that_a_model_makes_meanwhile_is_kept_by_the_turn():
    world = World()
    conversation = world.conversation(world.user())
    world.ask(conversation, "Hello?")
    turn = world.run(conversation, "And?")
    next(turn)
    made = world.turn.memory.title(ANN, conversation.id, operation=operation_id("test", "title"))

    assert text_of([*turn])
    world.ask(conversation, "Still?")

    assert world.conversations.get(ANN, conversation.id).title == made.title


def test_the_state_of_another_users_conversation_answers_nobody():
    world = World()
    conversation = world.conversation(world.user())

    with pytest.raises(ConversationNotFound):
        world.conversations.get_to_continue(Uid("bob"), conversation.id, ())


def test_a_turn_in_a_conversation_whose_shown_document_is_gone_stores_nothing():
    world = World()
    conversation = world.conversation(world.user())
    world.ask(conversation)
    world.documents.commit([Delete(f"conversations/{conversation.id}")])

    answer = world.ask(conversation)

    assert answer.cost > 0
    assert not world.conversations.exists(conversation.id)
