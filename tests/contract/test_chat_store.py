"""A turn on Firestore does what it does in memory."""

import threading

import pytest

from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.chat.paths import messages_path
from shared.ai.tokens import Usage
from shared.kernel.clock import SystemClock
from shared.kernel.documents import OutcomeUnknown, Query
from shared.kernel.ids import operation_id
from shared.kernel.money import Micro
from shared.platform.firestore.documents import connect
from shared.platform.memory.chat_model import says
from tests.support.chat import ANN, CREDIT, World, answer_of, change_message
from tests.support.faults import Crash, FaultyDocuments
from tests.unit.sagas.test_chat_tail import pair, talk

WORDS = (" one", " two", " three")
COST = 100 * 12 + 200 * 3


class ShiftedClock(SystemClock):
    """The machine's clock, set forward where a test cannot wait."""

    shift = 0

    def now(self):
        return super().now() + self.shift


@pytest.fixture
def world(firestore_emulator, project):
    scripts = [says(*WORDS, usage=Usage(input_tokens=12, output_tokens=3))]
    return World(documents=connect(project), clock=ShiftedClock(), scripts=scripts)


def check_one_effect(world, conversation):
    balance = world.ledger.balance(ANN)
    assert (balance.available, balance.held, world.charges()) == (CREDIT - COST, 0, [COST])
    kept = world.conversations.messages(ANN, conversation.id).items
    assert [(message.role, message.content) for message in kept] == [
        ("assistant", " one two three"),
        ("user", "Hello?"),
    ]
    assert world.ledger.verify(ANN) == []


def test_a_turn_and_its_replay(world):
    conversation = world.conversation(world.user())

    answers = [world.ask(conversation, key="k") for _ in range(2)]

    assert answers[0] == answers[1]
    assert len(world.upstream.requests) == 1
    check_one_effect(world, conversation)


def test_fifty_at_once_with_one_key_are_one(world):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    gate, answers = threading.Barrier(50), list[object]()

    def call():
        gate.wait(60)
        answers.append(answer_of(world.turn.run(request)))

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)

    assert (len(answers), len(world.upstream.requests)) == (50, 1)
    assert all(answer == answers[0] for answer in answers)
    check_one_effect(world, conversation)


def test_many_at_once_in_one_conversation_are_all_kept(world):
    conversation = world.conversation(world.user())

    threads = [threading.Thread(target=world.ask, args=(conversation,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)

    assert len(world.conversations.messages(ANN, conversation.id, limit=100).items) == 24
    assert world.charges() == [COST] * 12


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("error", [Crash, OutcomeUnknown])
def test_whatever_happens_to_a_commit_the_next_call_with_the_key_makes_it_good(world, at, when, error):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    faulty = FaultyDocuments(world.documents, at=at, when=when, error=error())
    try:
        answer_of(world.on(faulty).run(request))
    except (Crash, OutcomeUnknown):
        world.clock.shift = 31_000

    answer = answer_of(world.on(world.documents).run(request))

    assert answer.cost == COST
    check_one_effect(world, conversation)


def test_conversations_page_and_go(world):
    made = [world.conversation(world.user()).id for _ in range(3)]
    world.ask(world.conversations.get(ANN, made[0]))

    first = world.conversations.list(ANN, limit=2)
    second = world.conversations.list(ANN, limit=2, cursor=first.next_cursor)
    world.conversations.delete(ANN, made[0])

    listed = [conversation.id for conversation in (*first.items, *second.items)]
    assert (listed[0], sorted(listed), second.next_cursor) == (made[0], sorted(made), None)
    with pytest.raises(ConversationNotFound):
        world.conversations.get(ANN, made[0])
    world.conversations.erase(ANN)
    assert world.conversations.list(ANN).items == ()
    assert world.documents.query(Query(collection="messages", group=True, limit=5)) == []


def test_pages_of_a_conversation_are_found_by_position_and_by_message(world):
    world.user()
    conversation = talk(world, 14, 40_000)
    known, _ = world.conversations.get_beside(ANN, conversation.id, [])
    late = pair(known, world.clock.now() + 1, "late")
    world.documents.commit(world.conversations.writes_to_append(known, late))
    said = list(world.conversations.export(ANN, conversation.id))

    change_message(world.documents, said[1], cost=Micro(3))
    world.conversations.move(ANN, conversation.id)

    assert [message.content.partition(" ")[0] for message in said[::2]] == [*map(str, range(14)), "late"]
    pages = world.documents.query(Query(collection=messages_path(conversation.id), limit=99))
    assert 1 <= len(pages) < 14
    for message in said[2:]:
        assert world.conversations.message(ANN, conversation.id, message.id) == message
    assert world.conversations.message(ANN, conversation.id, said[1].id).cost == 3
    before = world.conversations.messages(ANN, conversation.id, limit=100, cursor=said[7].position)
    assert before.items[:5] == tuple(said[6:1:-1])
    answer_of(world.on(world.documents).run(world.request(conversation, "And?")))
    assert not world.conversations.get_beside(ANN, conversation.id, [])[0].is_behind


def test_a_turn_that_has_read_the_state_alone_commits_at_once(world):
    world.user()
    conversation = talk(world, 1, 100)
    late = pair(conversation, world.clock.now() + 9, "late")
    known, _ = world.conversations.get_to_continue(ANN, conversation.id, ())

    world.documents.commit(world.conversations.writes_to_continue(known, (), late))

    assert known.version == known.state.version
    assert len(world.conversations.messages(ANN, conversation.id).items) == 4


def test_a_long_conversation_is_summarised_named_and_taken_away(firestore_emulator, project):
    small = {"context_window": 400, "max_output_tokens": 100}
    world = World(documents=connect(project), clock=SystemClock(), prices=small)
    conversation = world.conversation(world.user())
    for _ in range(3):
        world.ask(conversation, "many words about tea and cake " * 20)

    made = world.turn.memory.title(ANN, conversation.id, operation=operation_id("test", "title"))

    said = list(world.conversations.export(ANN, conversation.id))
    assert [message.role for message in said] == ["user", "assistant"] * 2 + ["system", "user", "assistant"]
    assert world.conversations.get(ANN, conversation.id).title == made.title == "Hello there."
    costs = [message.cost for message in said if message.cost is not None]
    assert sorted(world.charges()) == sorted([*costs, made.cost])
    assert world.ledger.verify(ANN) == []
