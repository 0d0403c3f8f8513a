"""A turn reads one document for all that was said, and counts new texts alone, however long the conversation is."""

from dataclasses import replace

import pytest

from shared.ai.chat.appending import page_writes
from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.conversations import ConversationStore
from shared.ai.chat.messages import Message, position
from shared.ai.chat.paths import COLLECTION, STATES, messages_path, state_path
from shared.ai.tokens import Usage
from shared.kernel.documents import Delete, Document, OutcomeUnknown, Query
from shared.kernel.money import Micro
from shared.platform.memory.clock import ManualClock
from tests.support.chat import ANN, World, answer_of, change_message
from tests.support.counted_texts import counted_texts
from tests.support.faults import FaultyDocuments
from tests.support.indexes import stored
from tests.unit.sagas.test_chat_round_trips import Counted
from tests.unit.sagas.test_old_conversations import take_tail

LARGE = {"context_window": 2_000_000, "max_output_tokens": 1_000}
WORDS = "many words about tea and cake. "


class Billed(Counted):
    """Also counts the documents that are read and written in conversations."""

    def __init__(self, inner):
        super().__init__(inner)
        self.read, self.written, self.deleted = 0, 0, 0

    def get_all(self, paths):
        self.read += sum(map(is_of_chat, paths))
        return super().get_all(paths)

    def get(self, path):
        self.read += is_of_chat(path)
        return super().get(path)

    def query(self, query):
        found = super().query(query)
        self.read += max(1, len(found)) if is_of_chat(query.collection) else 0
        return found

    def commit(self, writes, **options):
        self.deleted += sum(isinstance(write, Delete) and is_of_chat(write.path) for write in writes)
        self.written += sum(not isinstance(write, Delete) and is_of_chat(write.path) for write in writes)
        return super().commit(writes, **options)

    @property
    def bill(self):
        return self.read, self.written, self.deleted


def is_of_chat(path: str) -> bool:
    return path.partition("/")[0] in {COLLECTION, STATES}


def talk(world: World, turns: int, size: int, **fields) -> Conversation:
    """A conversation of so many turns with texts of this size, as turns store them."""
    conversation = world.conversation(world.user(10**15), **fields)
    content = (WORDS * (size // len(WORDS) + 1))[:size]
    for number in range(turns):
        pass_time(world)
        known, _ = world.conversations.get_beside(ANN, conversation.id, [])
        at = max(world.clock.now(), known.updated_at + 1)
        messages = pair(known, at, f"{number} {content}")
        world.documents.commit(world.conversations.writes_to_continue(known, (), messages))
    pass_time(world)
    return conversation


def pass_time(world: World) -> None:
    if isinstance(world.clock, ManualClock):
        world.clock.advance(1_000)


def pair(conversation: Conversation, at: int, content: str) -> list[Message]:
    question = Message(
        id=f"msg_{at}_0",
        uid=ANN,
        conversation_id=conversation.id,
        role="user",
        content=content,
        position=position(at, f"run{at}", 0),
        created_at=at,
        tokens=len(content) // 4,
    )
    answer = replace(
        question,
        id=f"msg_{at}_1",
        role="assistant",
        position=position(at, f"run{at}", 1),
        model="cheap",
        finish_reason="stop",
        usage=Usage(input_tokens=3, output_tokens=1),
        cost=Micro(17),
        price={"version": "1"},
    )
    return [question, answer]


def everything(world: World, conversation: Conversation) -> list[Message]:
    return list(world.conversations.export(ANN, conversation.id))


def contents(messages) -> list[str]:
    return [message.content.partition(" ")[0] for message in messages]


def pages_of(world: World, conversation: Conversation) -> list[Document]:
    return world.documents.query(Query(collection=messages_path(conversation.id), limit=1_000))


@pytest.mark.parametrize("turns", [1, 40, 1_000])
def test_a_turn_of_another_instance_reads_one_document_and_writes_two(turns):
    world = World(documents=Billed(stored()), prices=LARGE)
    conversation = talk(world, min(turns, 44) if turns < 1_000 else turns, 100 if turns < 1_000 else 2)
    if turns == 1_000:
        world.ask(conversation, model="cheap")  # summarises, as so many messages need it
    other = world.on(world.documents)
    before = world.documents.bill

    answer_of(other.run(world.request(conversation, "And?", model="cheap")))

    after = world.documents.bill
    assert tuple(now - then for now, then in zip(after, before, strict=True)) == (1, 2, 0)


def test_a_turn_counts_the_tokens_of_new_texts_alone():
    world = World(prices=LARGE)
    conversation = talk(world, 40, 5_000, system_prompt="You answer briefly. " * 500)
    answer_of(world.on(world.documents).run(world.request(conversation, "First?")))
    other = world.on(world.documents)

    with counted_texts() as counted:
        answer_of(other.run(world.request(conversation, "What is a lot?")))

    assert counted.characters == len("What is a lot?")
    assert counted.texts == 1


def test_a_window_of_a_million_tokens_is_told_whole_and_counted_never():
    world = World(documents=Billed(stored()), prices=LARGE)
    conversation = talk(world, 42, 50_000)
    other = world.on(world.documents)
    before = world.documents.calls.copy()

    with counted_texts() as counted:
        answer_of(other.run(world.request(conversation, "And?", model="cheap")))

    told = world.upstream.requests[-1].messages
    assert sum(len(message.content) for message in told) > 4_000_000
    assert contents(told[:-1]) == [str(number) for number in range(42) for _ in range(2)]
    assert counted.characters == len("And?")
    reads = world.documents.calls - before
    assert sum(times for call, times in reads.items() if call[0] == "get" and call[1] == COLLECTION) <= 1 + 8


def test_a_summary_of_a_million_tokens_counts_the_summary_alone():
    world = World(prices=LARGE)
    conversation = talk(world, 45, 46_000)

    with counted_texts() as counted:
        world.ask(conversation, "And?")

    assert any(message.covers is not None for message in everything(world, conversation))
    assert counted.characters < 2_000


@pytest.mark.parametrize("size", [10, 3_000, 60_000])
def test_a_long_conversation_is_listed_and_exported_in_order(size):
    world = World()
    conversation = talk(world, 60, size)
    other = ConversationStore(world.documents, world.clock)
    expected = [str(number) for number in range(60) for _ in range(2)]

    for limit in (1, 7, 100):
        listed: list[Message] = []
        cursor = None
        while True:
            page = other.messages(ANN, conversation.id, cursor=cursor, limit=limit)
            listed += page.items
            if (cursor := page.next_cursor) is None:
                break
        assert contents(listed) == expected[::-1]

    said = everything(world, conversation)
    assert contents(said) == expected
    assert [other.message(ANN, conversation.id, each.id) for each in said] == said
    assert contents(other.first_messages(conversation.id)) == ["0", "0"]
    assert contents(other.history(conversation.id)) == expected[::-1][:100]


def test_turns_at_once_are_kept_in_order_and_the_next_turn_collects_them():
    world = World(documents=Billed(stored()))
    conversation = talk(world, 3, 10)
    turns = [world.on(world.documents).run(world.request(conversation, f"at once {n}")) for n in range(5)]
    for turn in turns:
        next(turn)

    for turn in turns:
        answer_of(turn)
    world.clock.advance(1_000)
    world.ask(conversation, "after")

    said = everything(world, conversation)
    assert len({message.id for message in said}) == len(said) == 18
    assert [message.position for message in said] == sorted(message.position for message in said)
    told = [message.content for message in world.upstream.requests[-1].messages]
    assert {text for text in told if text.startswith("at once")} == {f"at once {n}" for n in range(5)}
    assert not world.conversations.get_beside(ANN, conversation.id, [])[0].is_behind


def test_messages_that_the_tail_does_not_know_are_listed_told_and_collected():
    world = World()
    conversation = talk(world, 30, 10_000)
    known, _ = world.conversations.get_beside(ANN, conversation.id, [])
    late = pair(known, world.clock.now(), "late")
    earlier = pair(known, world.clock.now() - 5_500, "between")
    for messages in (late, earlier):
        world.documents.commit(page_writes(known, messages))
    expected = [str(n) for n in range(25) for _ in "qa"] + ["between"] * 2
    expected += [str(n) for n in range(25, 30) for _ in "qa"] + ["late"] * 2

    for _ in range(2):
        assert contents(everything(world, conversation)) == expected
        assert contents(world.conversations.history(conversation.id)) == expected[::-1]
        first = world.conversations.messages(ANN, conversation.id, limit=12)
        then = world.conversations.messages(ANN, conversation.id, limit=100, cursor=first.next_cursor)
        assert contents([*first.items, *then.items]) == expected[::-1]
        world.conversations.move(ANN, conversation.id)

    assert not world.conversations.get_beside(ANN, conversation.id, [])[0].is_behind


def test_an_append_whose_outcome_was_unknown_is_stored_once():
    world = World()
    conversation = talk(world, 2, 10)
    for at in range(1, 6):
        faulty = FaultyDocuments(world.documents, at=at, when="after", error=OutcomeUnknown())
        answer_of(world.on(faulty).run(world.request(conversation, f"try {at}")))
        world.clock.advance(1_000)

    said = everything(world, conversation)

    assert [message.content for message in said if message.content.startswith("try")] == [
        f"try {at}" for at in range(1, 6)
    ]
    assert len(said) == 14


@pytest.mark.parametrize("place", ["tail", "page", "single"])
def test_a_cost_is_corrected_wherever_the_message_is(place):
    world = World()
    conversation = talk(world, 12, 20_000 if place == "page" else 10)
    if place == "single":
        take_tail(world, conversation)
    message = everything(world, conversation)[1]

    world.conversations.charges.commit_actual_cost(message, Micro(3))

    said = everything(world, conversation)
    assert (said[1].cost, said[3].cost, len(said)) == (3, 17, 24)
    assert bool(pages_of(world, conversation)) == (place != "tail")


def test_a_report_after_the_answer_corrects_the_message_in_the_same_commit():
    world = World()
    conversation = talk(world, 2, 10)
    message = everything(world, conversation)[-1]
    change_message(world.documents, message, settles_by=world.clock.now() + 9)

    writes = world.conversations.charges.writes_of_final_cost(
        message, Micro(5), Usage(input_tokens=7, output_tokens=8), is_estimated=False
    )
    world.documents.commit(writes)

    said = everything(world, conversation)[-1]
    assert (said.cost, said.usage, said.settles_by) == (5, Usage(input_tokens=7, output_tokens=8), None)


@pytest.mark.parametrize("turns", [3, 70])
def test_a_conversation_without_a_tail_gets_one_by_its_next_turn(turns):
    world = World(prices=LARGE)
    conversation = talk(world, turns, 3_000)
    take_tail(world, conversation)
    before = [message.id for message in everything(world, conversation)]

    world.ask(conversation, "And?", model="cheap")

    said = everything(world, conversation)
    assert [message.id for message in said if message.covers is None][: len(before)] == before
    billed = Billed(world.documents)
    answer_of(world.on(billed).run(world.request(conversation, "Then?", model="cheap")))
    assert (billed.written, billed.deleted) == (2, 0)


def test_a_tail_that_fills_up_becomes_a_page_and_stays_within_its_bound():
    world = World(documents=Billed(stored()), prices={**LARGE, "max_output_tokens": 300_000})
    conversation = talk(world, 3, 39_000)
    before = world.documents.bill

    world.ask(conversation, WORDS * 600)

    assert world.documents.bill[1] - before[1] == 3
    assert len(pages_of(world, conversation)) == 1
    assert len(repr(world.documents.get(state_path(conversation.id)).data)) < 256_000
    assert len(everything(world, conversation)) == 8


def test_an_estimate_for_a_conversation_without_counts_counts_a_sample():
    world = World(prices=LARGE)
    conversation = talk(world, 40, 20_000)
    take_tail(world, conversation)

    with counted_texts() as counted:
        world.turn.estimate(ANN, content="And?", conversation_id=conversation.id)

    assert counted.characters < 130_000


def test_turns_at_once_on_a_full_tail_are_all_kept():
    world = World(prices={**LARGE, "max_output_tokens": 300_000})
    conversation = talk(world, 3, 38_900)
    turns = [world.on(world.documents).run(world.request(conversation, f"at once {n} {WORDS * 200}")) for n in range(4)]
    for turn in turns:
        next(turn)

    for turn in turns:
        answer_of(turn)

    said = [message.content[:9] for message in everything(world, conversation) if message.role == "user"]
    assert sorted(said[3:]) == [f"at once {n}" for n in range(4)]
    assert len(everything(world, conversation)) == 14
