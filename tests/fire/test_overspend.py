"""Check that more callers than credits never spend more than the account has.

Method: callers race on one cold instance and on several instances, and the served calls are counted.
"""

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.ai.models.expectation import DOCUMENT_VOTES
from shared.ai.ports import TextDelta
from shared.ai.tokens import Usage, prompt_expected
from shared.kernel.clock import SystemClock
from shared.kernel.errors import DomainError
from shared.kernel.ids import Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.errors import InsufficientCredits
from shared.platform.memory.chat_model import Scripted, says
from shared.sagas.chat.turn import ChatTurn, ModelAnswer
from tests.support.chat import ANN, CHEAP, World, answer_of

TOKENS = 40
INPUT = prompt_expected(["Hello?"])
COST = 100 * INPUT + 200 * TOKENS
TEACHERS = 3 * DOCUMENT_VOTES
BALANCE = 13
"""So many such calls the balance pays for."""


def slow(words: Sequence[str], seconds: float) -> list[Scripted]:
    """An answer that takes its time, so that all callers are there before the first has finished."""
    script: list[Scripted] = []
    for event in says(*words, usage=Usage(input_tokens=INPUT, output_tokens=len(words))):
        script += [seconds, event] if isinstance(event, TextDelta) else [event]
    return script


def world_of(expected: int, *, credits_for: int = BALANCE, chunk_seconds: float = 0.002) -> World:
    """Ann with credits for so many answers of forty tokens, and a model that claims to answer with `expected`."""
    script = slow([" word"] * TOKENS, chunk_seconds)
    world = World(scripts=[script], clock=SystemClock(), prices={"expected_output_tokens": expected})
    world.user(credits_for * COST)
    return world


def taught(world: World) -> World:
    """After a short learning, which others paid for: enough users to outvote the model's document."""
    for number in range(TEACHERS):
        world.ask(world.conversation(world.user(10**9, uid=Uid(f"teacher{number}"))))
    return world


def outcome(turn: ChatTurn, world: World) -> ModelAnswer | DomainError:
    try:
        return answer_of(turn.run(world.request(world.conversation())))
    except DomainError as error:
        return error


def instances(world: World, count: int) -> list[ChatTurn]:
    """Instances that know nothing but what is stored."""
    return [world.on(world.documents) for _ in range(count)]


def at_once(world: World, calls: int, *, width: int, count: int = 1) -> list[ModelAnswer | DomainError]:
    """So many calls, so many of them at a time, over so many instances."""
    turns = instances(world, count)
    with ThreadPoolExecutor(width) as pool:
        return list(pool.map(lambda number: outcome(turns[number % count], world), range(calls)))


def completed(outcomes: Sequence[ModelAnswer | DomainError]) -> int:
    return sum(isinstance(each, ModelAnswer) and each.message.finish_reason == "stop" for each in outcomes)


def fragments(outcomes: Sequence[ModelAnswer | DomainError]) -> int:
    return sum(isinstance(each, ModelAnswer) and each.message.finish_reason != "stop" for each in outcomes)


def check_books(world: World) -> None:
    """The chain is whole, nothing is held, and no balance on the way was below zero."""
    assert world.ledger.verify(ANN) == []
    assert world.ledger.balance(ANN).held == 0
    entries = world.ledger.entries(ANN, 1, world.ledger.balance(ANN).seq)
    assert min(entry.balance_after for entry in entries) >= 0
    assert min(entry.held_after for entry in entries) >= 0


EXPECTED = {"right": 40, "ten times too high": 400, "half": 20}


@pytest.mark.parametrize("count", [1, 3], ids=["one instance", "three instances"])
@pytest.mark.parametrize("expected", EXPECTED.values(), ids=EXPECTED)
def test_four_at_a_time_are_served_what_the_balance_pays_for(expected, count):
    world = taught(world_of(expected))

    outcomes = at_once(world, BALANCE, width=4, count=count)

    assert completed(outcomes) >= 12
    check_books(world)


@pytest.mark.parametrize("count", [1, 3], ids=["one instance", "three instances"])
@pytest.mark.parametrize("expected", EXPECTED.values(), ids=EXPECTED)
def test_of_forty_at_once_as_many_complete_as_the_balance_pays_for(expected, count):
    world = taught(world_of(expected))

    outcomes = at_once(world, 40, width=40, count=count)

    assert completed(outcomes) >= 0.8 * BALANCE
    assert fragments(outcomes) == 0
    check_books(world)


@pytest.mark.parametrize("expected", EXPECTED.values(), ids=EXPECTED)
def test_so_it_is_with_a_model_that_nobody_has_used_yet(expected):
    world = world_of(expected)

    outcomes = at_once(world, 40, width=40)

    assert completed(outcomes) >= 0.8 * BALANCE
    check_books(world)


@pytest.mark.parametrize("calls", [40, 200])
def test_with_a_limit_exactly_as_many_are_answered_as_there_are_ceilings(calls):
    world = world_of(40, credits_for=0)
    ceiling = world.turn.estimate(ANN, content="Hello?", max_output_tokens=TOKENS).ceiling
    world.user(4 * ceiling)
    turns, gate = instances(world, 3), threading.Barrier(calls)

    def call(number: int) -> ModelAnswer | DomainError:
        """Whoever is admitted waits until all have asked."""
        events = turns[number % 3].run(world.request(world.conversation(), max_output_tokens=TOKENS))
        try:
            next(events)
        except DomainError as refusal:
            gate.wait(60)
            return refusal
        gate.wait(60)
        return answer_of(events)

    with ThreadPoolExecutor(calls) as pool:
        outcomes = list(pool.map(call, range(calls)))

    assert (completed(outcomes), len(world.upstream.requests)) == (4, 4)
    assert {type(each) for each in outcomes if not isinstance(each, ModelAnswer)} == {InsufficientCredits}
    assert world.ledger.balance(ANN).total == 4 * ceiling - sum(world.charges())
    check_books(world)


def test_a_refusal_waits_for_nobody_who_could_not_help():
    world = world_of(40, credits_for=1)
    events = world.run(world.conversation())
    next(events)
    clock, waits = world.clock, list[float]()
    counted: Callable[[float], None] = waits.append
    world.clock = type("Counting", (SystemClock,), {"wait": lambda self, seconds: counted(seconds)})()

    with pytest.raises(InsufficientCredits):
        next(world.on(world.documents).run(world.request(world.conversation(), "Hello? " * 40)))

    world.clock = clock
    assert waits == []
    assert answer_of(events).message.finish_reason == "stop"


def test_a_stream_that_needs_more_waits_for_what_others_give_back():
    world = world_of(40, credits_for=0, chunk_seconds=0.05)
    world.user(2 * COST + 100)
    short = world.on(world.documents)
    first = short.run(world.request(world.conversation()))
    next(first)
    script = slow([" word"] * (TOKENS + 10), 0.001)
    world.upstream.scripts = [script]
    second = world.on(world.documents).run(world.request(world.conversation()))

    with ThreadPoolExecutor(1) as pool:
        longer = pool.submit(answer_of, second)
        threading.Event().wait(0.3)
        first.close()

        assert longer.result().message.finish_reason == "stop"
    check_books(world)


# Beyond the hold ---------------------------------------------------------------------------------------------------


def test_a_capture_beyond_its_hold_takes_what_is_available_and_the_rest_is_ours(capsys):
    """The provider reports an input far beyond what was counted, and the balance is not enough for it."""
    world = World(scripts=[says("Hi", usage=Usage(input_tokens=1_000, output_tokens=1))])
    balance = 100 * INPUT + 200 * 50 + 7
    world.user(balance)

    answer = world.ask(world.conversation())

    (absorbed,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "capture_absorbed" in line]
    assert (answer.cost, world.spent(balance), world.charges()) == (balance, balance, [balance])
    assert absorbed["absorbed"] == 100 * 1_000 + 200 - balance
    check_books(world)


def test_reasoning_that_nobody_sees_cannot_cost_more_than_the_hold():
    world = World(
        scripts=[says("Hm", usage=Usage(input_tokens=INPUT, output_tokens=50_000))],
        prices={"capabilities": ["reasoning"]},
    )
    ceiling = world.turn.estimate(ANN, content="Hello?", max_output_tokens=100).ceiling
    world.user(10 * ceiling)

    outcomes = [world.ask(world.conversation(), max_output_tokens=100) for _ in range(5)]

    assert {answer.cost for answer in outcomes} == {100 * INPUT + 200 * 100}
    assert max(answer.cost for answer in outcomes) <= ceiling
    assert {request.max_output_tokens for request in world.upstream.requests} == {100}
    check_books(world)


# Growth ------------------------------------------------------------------------------------------------------------


def test_an_answer_as_long_as_expected_is_two_entries():
    world = taught(world_of(40, chunk_seconds=0.0))

    world.ask(world.conversation())

    kinds = [entry.kind for entry in world.ledger.entries(ANN, 1, world.ledger.balance(ANN).seq)]
    assert kinds == ["grant", "hold", "charge"]


def test_an_answer_fifty_times_as_long_grows_a_few_times():
    world = taught(world_of(40, credits_for=100, chunk_seconds=0.0))
    world.catalogue.put("cheap", {**CHEAP, "max_output_tokens": 4_000})
    world.upstream.scripts = [says(*[" word"] * 2_000, usage=Usage(input_tokens=INPUT, output_tokens=2_000))]

    answer = answer_of(world.on(world.documents).run(world.request(world.conversation())))

    kinds = [entry.kind for entry in world.ledger.entries(ANN, 1, world.ledger.balance(ANN).seq)]
    assert (answer.message.finish_reason, kinds.count("extension") <= 10) == ("stop", True)


def test_an_extension_that_the_capture_overtakes_is_quiet(capsys):
    later: list[Callable[[], None]] = []
    world = World()
    world.user()
    hold = world.ledger.holding(ANN, Micro(100), operation=operation_id("fire", "quiet"), expected_step=Micro(10))
    hold._spawn = later.append
    hold._used = 95
    hold._begin_extension()

    hold.capture(Micro(95))
    for work in later:
        work()

    assert "hold_ended_early" not in capsys.readouterr().out
    check_books(world)
