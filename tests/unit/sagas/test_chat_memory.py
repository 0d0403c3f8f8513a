"""Long conversations are summarised, not cut; titles are made; each is an ordinary charge, once."""

import threading

import pytest

from shared.ai.ports import UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.clock import SystemClock
from shared.kernel.ids import operation_id
from shared.kernel.money import Micro
from shared.platform.memory.chat_model import HELLO, says
from shared.sagas.chat.summaries import TitleOutcome
from tests.support.chat import ANN, CREDIT, World, answer_of
from tests.support.faults import Crash, Dying
from tests.unit.sagas.test_chat_idempotency import PAST_THE_LEASE

SMALL = {"context_window": 400, "max_output_tokens": 100}
LONG = "many words about tea and cake " * 20
SUMMARY = says("They spoke", " of tea.", usage=Usage(input_tokens=200, output_tokens=10))


def world_with(*scripts):
    """A model with a small window."""
    return World(scripts=scripts, prices=SMALL)


def talk(world, times=3):
    conversation = world.conversation(world.user())
    for _ in range(times):
        world.ask(conversation, LONG)
    return conversation


def summaries(world, conversation):
    said = world.conversations.messages(ANN, conversation.id, limit=100).items
    return [message for message in said if message.covers is not None]


def test_what_no_longer_fits_is_summarised_stored_and_paid():
    world = world_with(HELLO, HELLO, SUMMARY, HELLO)

    conversation = talk(world)

    (summary,) = summaries(world, conversation)
    assert (summary.role, summary.content, summary.model) == ("system", "They spoke of tea.", "cheap")
    assert summary.cost == 200 * 100 + 10 * 200
    assert summary.cost in world.charges()
    assert len(world.charges()) == 4
    asked, answered = world.upstream.requests[-2:]
    assert "many words about tea" in asked.messages[-1].content
    assert answered.messages[0].content == "Summary of the conversation so far:\nThey spoke of tea."
    assert answered.messages[-1].content == LONG
    assert world.ledger.verify(ANN) == []


def test_a_summary_is_told_again_without_being_made_again():
    world = world_with(HELLO, HELLO, SUMMARY, HELLO)
    conversation = talk(world)

    world.ask(conversation, "And?")

    assert len(summaries(world, conversation)) == 1
    assert "They spoke of tea." in world.upstream.requests[-1].messages[0].content


def test_the_conversation_keeps_its_title_and_the_model_its_expectations():
    world = world_with(HELLO, HELLO, SUMMARY, HELLO)

    conversation = talk(world)

    assert world.conversations.get(ANN, conversation.id).title == LONG.strip()[:79].rstrip() + "…"
    stored = world.documents.get("expectations/cheap")
    assert stored is not None
    assert 10 not in stored.data["lengths"][::2]


def test_when_the_summary_cannot_be_made_nothing_is_charged_and_the_next_try_makes_it():
    world = world_with(HELLO, HELLO, (UpstreamUnavailable(),), SUMMARY, HELLO)
    conversation = talk(world, 2)
    before = world.ledger.balance(ANN).total

    with pytest.raises(UpstreamUnavailable):
        world.ask(conversation, LONG)
    assert (world.spent(before), world.ledger.balance(ANN).held) == (0, 0)

    world.ask(conversation, LONG)
    assert len(summaries(world, conversation)) == 1


def test_an_empty_summary_does_not_lose_what_was_said():
    world = world_with(HELLO, HELLO, says(usage=Usage(input_tokens=9, output_tokens=0)), HELLO)

    conversation = talk(world)

    (summary,) = summaries(world, conversation)
    assert summary.content.startswith("[user]\nmany words about tea")


def test_two_turns_that_need_the_same_summary_at_once_share_it():
    world = World(scripts=[HELLO, HELLO, SUMMARY, HELLO], prices=SMALL, clock=SystemClock())
    conversation = talk(world, 2)
    turns = [threading.Thread(target=lambda: world.ask(conversation, LONG)) for _ in range(2)]

    for turn in turns:
        turn.start()
    for turn in turns:
        turn.join()

    covered = [summary.covers for summary in summaries(world, conversation)]
    assert len(covered) == len(set(covered)) >= 1
    assert world.ledger.verify(ANN) == []


@pytest.mark.parametrize(("at", "when"), [(at, when) for at in range(1, 9) for when in ("before", "after")])
@pytest.mark.parametrize("minutes", [0, 16])
def test_a_crash_anywhere_makes_one_summary_and_one_charge_for_it(at, when, minutes):
    world = world_with(HELLO, HELLO, SUMMARY)
    conversation = talk(world, 2)
    before = world.ledger.balance(ANN).total
    request = world.request(conversation, LONG, key="k")
    with pytest.raises(Crash):
        list(world.on(Dying(world.documents, at=at, when=when)).run(request))

    world.clock.advance(max(PAST_THE_LEASE, minutes * 60_000))
    world.ledger.expire_due(ANN)
    answer = answer_of(world.on(world.documents).run(request))

    (summary,) = summaries(world, conversation)
    assert summary.is_settled
    assert world.spent(before) == (summary.cost or 0) + answer.cost
    assert world.ledger.balance(ANN).held == 0
    assert world.ledger.verify(ANN) == []


# Titles ----------------------------------------------------------------------------------------------------------

TITLE = says('"Tea', ' and cake"\n', usage=Usage(input_tokens=40, output_tokens=4))


def title(world, conversation, key="t"):
    return world.turn.memory.title(ANN, conversation.id, operation=operation_id("test", key))


def test_a_title_is_made_by_the_cheapest_model_and_paid_for_once():
    world = World(scripts=[HELLO, TITLE])
    conversation = world.conversation(world.user())
    world.ask(conversation, "Tell me about tea and cake, please")

    first, again = title(world, conversation), title(world, conversation)

    cost = Micro(40 * 100 + 4 * 200)
    assert first == again == TitleOutcome(title="Tea and cake", cost=cost, is_local=False)
    now = world.conversations.get(ANN, conversation.id)
    assert (now.title, now.title_cost) == ("Tea and cake", cost)
    assert world.charges()[1:] == [cost]
    assert world.upstream.requests[-1].max_output_tokens == 24


def test_where_a_title_cannot_be_paid_for_it_is_the_first_line_and_costs_nothing():
    world = World(scripts=[HELLO])
    conversation = world.conversation(world.user(12_000))
    world.ask(conversation, "Hi")
    left = world.ledger.balance(ANN).total

    assert title(world, conversation) == TitleOutcome(title="Hi", cost=Micro(0), is_local=True)
    assert world.ledger.balance(ANN).total == left


def test_where_no_model_answers_it_is_the_first_line_too():
    world = World(scripts=[HELLO, (UpstreamUnavailable(),)])
    conversation = world.conversation(world.user())
    world.ask(conversation, "Hi")

    assert title(world, conversation) == TitleOutcome(title="Hi", cost=Micro(0), is_local=True)
    assert len(world.charges()) == 1


def test_a_conversation_without_a_word_has_nothing_to_be_named_after():
    world = World()

    assert title(world, world.conversation(world.user(CREDIT))).is_local
