"""What one user's answers do to another user's calls: nothing to a charge, and next to nothing to a hold."""

import json
from pathlib import Path

import pytest

from shared.ai.models.expectation import Expectation
from shared.ai.ports import AnswerEnd, TextDelta, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.ids import Uid
from shared.sagas.metering.plan import GUESS_CAUTION
from tests.support.chat import ANN, CREDIT, World, end_of

MALLORY = Uid("mallory")
LONG = {"context_window": 200_000, "max_output_tokens": 100_000}
WORDS = ("The ", "answer ", "is ", "short ", "and ", "plain.")
TEXTS = {
    each["kind"]: each
    for each in json.loads((Path(__file__).parents[2] / "data" / "token_counts.json").read_text(encoding="utf-8"))
}
TEMPLATE_TOKENS = 7
"""What a chat template puts around one message."""


def answers(*words, output=None, input_tokens=10):
    reported = len(words) if output is None else output
    usage = Usage(input_tokens=input_tokens, output_tokens=reported)
    return (*map(TextDelta, words), AnswerEnd("stop"), UsageReport(usage))


def world_after(odd):
    """A world in which one user has had 33 answers of `odd` reported tokens; None: no answer at all."""
    world = World(
        scripts=[*([answers("Odd.", output=odd)] * 33 if odd is not None else []), answers(*WORDS)], prices=LONG
    )
    if odd is not None:
        world.user(amount=1_000 * CREDIT, uid=MALLORY)
        conversation = world.conversation(MALLORY)
        for _ in range(33):
            world.ask(conversation)
    return world


def stopped_call_cost(world):
    """The charge of a call that its user leaves after three pieces."""
    before = 5 * CREDIT
    events = world.run(world.conversation(world.user(amount=before)))
    for _ in range(3):
        next(events)
    events.close()
    return world.spent(before)


@pytest.mark.parametrize("odd", [0, 1, 500, 100_000])
def test_a_stopped_call_costs_the_same_after_33_odd_answers_of_another(odd):
    assert stopped_call_cost(world_after(odd)) == stopped_call_cost(world_after(None)) > 0


@pytest.mark.parametrize("odd", [0, 100_000])
def test_a_small_question_is_served_after_33_odd_answers_of_another(odd):
    world = world_after(odd)

    answer = world.ask(world.conversation(world.user(amount=5 * CREDIT)))

    assert answer.cost == world.spent(5 * CREDIT) == 10 * 100 + len(WORDS) * 200


def test_a_hold_is_the_same_after_33_odd_answers_of_another():
    holds = []
    for world in (world_after(100_000), world_after(None)):
        events = world.run(world.conversation(world.user(amount=5 * CREDIT)))
        next(events)
        holds.append(world.ledger.balance(ANN).held)
        events.close()

    assert holds[0] == holds[1] < CREDIT


def test_a_users_own_long_answers_raise_what_they_hold_themselves():
    world = World(scripts=[answers("Long.", output=600)])
    conversation = world.conversation(world.user(amount=50 * CREDIT))
    for _ in range(4):
        world.ask(conversation)

    known = Expectation(world.documents, world.clock)

    assert known.output_tokens(world.catalogue.chat("cheap"), ANN) == 600
    assert known.output_tokens(world.catalogue.chat("cheap"), MALLORY) == 50


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind.endswith("prose")])
def test_a_prompt_holds_at_first_what_it_costs_within_a_quarter(kind):
    text, real = TEXTS[kind]["text"] * 10, TEXTS[kind]["tokens"] * 10 + TEMPLATE_TOKENS
    world = World(scripts=[answers("Yes.", output=0, input_tokens=real)], prices=LONG)
    events = world.run(world.conversation(world.user(amount=5 * CREDIT)), text)

    next(events)
    held = world.ledger.balance(ANN).held - GUESS_CAUTION * 50 * 200
    *_, done = events

    assert end_of([done]).cost == world.spent(5 * CREDIT) == real * 100
    assert 0.75 * real * 100 <= held <= 1.25 * real * 100
