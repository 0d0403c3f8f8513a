"""Try to break a turn by acts of a user, an operator or an upstream while the model is speaking.

Method: the act runs between two chunks of a scripted model; then the books are checked.
"""

from contextlib import suppress

import pytest

from shared.ai.ports import AnswerEnd, TextDelta, UsageReport
from shared.ai.tokens import Usage
from shared.kernel.errors import DomainError
from shared.kernel.ids import OperationId
from shared.sagas.chat.turn import TurnEnded
from tests.support.chat import ANN, CREDIT, World
from tests.support.interruptions import INTERRUPTIONS, settled

WORDS = [" word"] * 30
SPOKEN = [*map(TextDelta, WORDS), AnswerEnd("stop"), UsageReport(Usage(input_tokens=5, output_tokens=30))]


def spoken(world: World, events) -> int:
    """How many words reached the client, and never another error than one of ours."""
    words = 0
    with suppress(DomainError):
        for event in events:
            words += 0 if isinstance(event, TurnEnded) else 1
    return words


@pytest.mark.parametrize("heard", [1, 7, 29])
@pytest.mark.parametrize("act", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
def test_whatever_happens_meanwhile_the_books_are_right_in_the_end(act, heard):
    world = World(scripts=[SPOKEN])
    world.user(CREDIT)
    events = world.run(world.conversation())
    for _ in range(heard):
        next(events)

    act(world)
    words = heard + spoken(world, events)

    assert 0 <= sum(world.charges()) <= CREDIT
    assert words <= len(WORDS)
    settled(world)


@pytest.mark.parametrize("leave_after", [0, 1, 15])
@pytest.mark.parametrize("act", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
def test_so_they_are_when_the_client_leaves_on_top_of_it(act, leave_after):
    world = World(scripts=[SPOKEN])
    world.user(CREDIT)
    events = world.run(world.conversation())
    for _ in range(leave_after):
        next(events)

    act(world)
    events.close()

    settled(world)


UPSTREAMS = {
    "says nothing": [],
    "finishes without a word": [AnswerEnd("stop")],
    "only reports": [UsageReport(Usage(input_tokens=5, output_tokens=5)), AnswerEnd("stop")],
    "reports less and less": [
        TextDelta("a"),
        *(UsageReport(Usage(input_tokens=n, output_tokens=n)) for n in (900, 10, 1)),
        AnswerEnd("stop"),
    ],
    "reports more than was asked for": [
        TextDelta("a"),
        UsageReport(Usage(input_tokens=5, output_tokens=10**9)),
        AnswerEnd("stop"),
    ],
    "reports an endless input": [
        TextDelta("a"),
        UsageReport(Usage(input_tokens=10**9, output_tokens=1)),
        AnswerEnd("stop"),
    ],
    "reports before it speaks": [UsageReport(Usage(input_tokens=0, output_tokens=0)), *SPOKEN[:-1]],
    "finishes and goes on": [TextDelta("a"), AnswerEnd("stop"), *map(TextDelta, WORDS), AnswerEnd("stop")],
    "speaks in empty pieces": [*[TextDelta("")] * 500, TextDelta("a"), AnswerEnd("stop")],
    "speaks in one piece without end": [TextDelta("x" * 2_000_000), AnswerEnd("stop")],
    "speaks more than it was asked": [*[TextDelta(" word")] * 3_000, AnswerEnd("stop")],
    "breaks in the first word": [RuntimeError("a bug of somebody's")],
    "breaks in the middle": [TextDelta("a"), TextDelta("b"), RuntimeError("a bug of somebody's")],
    "says what is no text": [TextDelta("\ud800"), TextDelta("\x00"), AnswerEnd("stop")],
}


@pytest.mark.parametrize("balance", [1_500, 12_000, CREDIT])
@pytest.mark.parametrize("script", UPSTREAMS.values(), ids=UPSTREAMS)
def test_whatever_an_upstream_does_nobody_pays_more_than_they_have_nor_twice(script, balance):
    world = World(scripts=[script])
    world.user(balance)
    conversation = world.conversation()

    for _ in range(3):
        try:
            spoken(world, world.run(conversation, max_output_tokens=20, key="the same"))
        except RuntimeError:
            continue

    assert len(world.charges()) <= 3
    assert world.ledger.balance(ANN).total == balance - sum(world.charges())
    settled(world)


def test_a_key_used_again_in_another_conversation_answers_nothing_of_the_first():
    world = World(scripts=[SPOKEN])
    world.user(CREDIT)
    first, second = world.conversation(), world.conversation()
    world.ask(first, key="same")

    request = world.request(second, "Something else", key="same")
    with pytest.raises(DomainError):
        list(world.turn.run(request))

    assert len(world.upstream.requests) == 1
    settled(world)


def test_operations_of_a_turn_are_nobody_s_to_guess():
    """An id that a client chooses never names a hold of a turn: its key is hashed with whose it is."""
    world = World(scripts=[SPOKEN])
    world.user(CREDIT)
    world.ask(world.conversation(), key="same")

    entries = world.ledger.entries(ANN, 1, world.ledger.balance(ANN).seq)

    assert "same" not in {entry.operation for entry in entries} | {entry.hold for entry in entries}
    assert OperationId("same") not in {entry.operation for entry in entries}
