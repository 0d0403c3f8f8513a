"""What a turn costs that its provider did not end: at least what the provider can have billed, at most the hold."""

import threading
from typing import Any, cast

import pytest

from shared.ai.ports import AnswerEnd, TextDelta, UpstreamTimedOut, UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage, expected_tokens, prompt_expected
from shared.kernel.clock import SystemClock
from shared.kernel.errors import StillRunning
from shared.kernel.ids import OperationId
from shared.ledger.commands import Freeze
from shared.ledger.losses import SECOND_LIMITS
from shared.platform.memory.chat_model import says
from shared.platform.openai.network import READ_SECONDS
from shared.sagas.chat.turn import ChatTurn, Delta, Ping, TurnEnded
from shared.sagas.metering.delivery import TURN_SECONDS_MAX
from shared.sagas.metering.reading_on import ReadingOn
from tests.support.chat import ANN, CREDIT, World, answer_of, cautious, end_of
from tests.support.processes import wait_for

INPUT = prompt_expected(["Hello?"])
WORDS = [" one", " two", " three", " four", " five"]
HIDDEN = 300
REPORT = UsageReport(Usage(input_tokens=12, output_tokens=HIDDEN))
REASONING = {"capabilities": ["reasoning"]}
PAST_THE_LEASE = 31_000


def price(tokens_in: int, tokens_out: int) -> int:
    return 100 * tokens_in + 200 * tokens_out


REPORTED = price(12, HIDDEN)


class Gate:
    """A script that says one word, waits until it is opened, and says the rest."""

    def __init__(self, *rest: Any) -> None:
        self.opened = threading.Event()
        self._items = [TextDelta(" one"), self, *rest]

    def __iter__(self):
        for item in self._items:
            if item is self:
                self.opened.wait(60)
            else:
                yield item

    def open(self) -> None:
        self.opened.set()


REST = (*map(TextDelta, WORDS[1:]), AnswerEnd("stop"), REPORT)


def begun(gate: Gate, *, profile: str = "auto", **fields: Any) -> tuple[World, Any, Any]:
    """A turn whose first word was delivered."""
    world = World(scripts=[cast("Any", gate)], profile=profile, ping_seconds=0.02, prices=fields.pop("prices", {}))
    conversation = world.conversation(world.user())
    events = world.run(conversation, **fields)
    assert next(event for event in events if event != Ping()) == Delta(" one")
    return world, conversation, events


def settled(world: World) -> None:
    wait_for(lambda: world.ledger.balance(ANN).held == 0, what="the end of the hold")


def last(world: World, conversation: Any) -> Any:
    return world.conversations.messages(ANN, conversation.id).items[0]


def kept(world: World, conversation: Any) -> bool:
    return bool(world.conversations.messages(ANN, conversation.id).items)


# Leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"max_output_tokens": 400}, {"prices": REASONING}], ids=str)
@pytest.mark.parametrize("profile", ["auto", "google", "laptop"])
def test_who_leaves_pays_the_report_and_finds_the_whole_answer(fields, profile):
    gate = Gate(*REST)
    world, conversation, events = begun(gate, profile=profile, **fields)

    events.close()
    gate.open()
    wait_for(lambda: kept(world, conversation))

    message = last(world, conversation)
    assert (message.content, message.finish_reason, message.is_estimated) == ("".join(WORDS), "stop", False)
    assert world.spent(CREDIT) == message.cost == REPORTED
    assert world.charges() == [REPORTED]
    assert world.ledger.verify(ANN) == []


def test_hidden_reasoning_is_read_to_its_report_also_where_an_abort_ends_the_bill():
    gate = Gate(*REST)
    world, conversation, events = begun(gate, profile="openai", prices=REASONING)

    events.close()
    gate.open()
    wait_for(lambda: kept(world, conversation))

    assert world.charges() == [REPORTED]


def test_who_leaves_where_an_abort_ends_the_bill_pays_what_was_generated():
    world, _, events = begun(Gate(*REST), profile="openai")

    events.close()

    assert world.charges() == [price(cautious(INPUT), cautious(expected_tokens(" one")))]
    assert world.upstream.streams[0].is_aborted


def test_who_leaves_pays_also_for_what_came_and_was_not_delivered():
    script = [*map(TextDelta, WORDS), 600.0]
    world = World(scripts=[script], ping_seconds=0.02)
    events = world.run(world.conversation(world.user()))
    next(events)
    wait_for(lambda: next(events) == Delta(" four"))

    events.close()

    assert world.charges() == [price(cautious(INPUT), cautious(expected_tokens("".join(WORDS))))]


def test_the_key_of_who_left_replays_the_whole_answer():
    gate = Gate(*REST)
    world, _, events = begun(gate, key="k")
    conversation = world.conversations.list(ANN).items[0]

    events.close()
    gate.open()
    settled(world)
    answer = world.ask(conversation, key="k")

    assert (answer.message.content, answer.cost) == ("".join(WORDS), REPORTED)
    assert world.charges() == [REPORTED]
    assert len(world.upstream.requests) == 1


def test_the_bound_is_written_down_before_a_call_is_read_on():
    gate = Gate(*REST)
    world, _, events = begun(gate, max_output_tokens=400)

    events.close()
    held = world.ledger.balance(ANN).held
    world.clock.advance(16 * 60_000)
    world.ledger.expire_due(ANN)

    assert world.spent(CREDIT) == held > REPORTED
    gate.open()
    settled(world)
    assert world.charges() == [held]


def test_a_frozen_account_pays_a_call_that_it_left_by_the_report():
    gate = Gate(*REST)
    world, conversation, events = begun(gate)
    world.ledger.execute(ANN, Freeze(operation=OperationId("f")))

    events.close()
    gate.open()
    wait_for(lambda: kept(world, conversation))

    assert world.ledger.balance(ANN).held == 0
    assert world.spent(CREDIT) == min(REPORTED, last(world, conversation).cost) > 0


def test_a_stream_without_a_report_that_breaks_while_read_on_costs_the_bound():
    gate = Gate(UpstreamUnavailable())
    world, _, events = begun(gate, max_output_tokens=400)
    held = world.ledger.balance(ANN).held

    events.close()
    gate.open()
    settled(world)

    assert world.charges() == [held]


def test_a_call_beyond_the_room_for_reading_on_is_aborted_and_charged_its_bound():
    world = World(scripts=[cast("Any", Gate(*REST))], profile="auto", ping_seconds=0.02)
    world.turn = crowded(world)
    events = world.run(world.conversation(world.user()), max_output_tokens=400)
    next(event for event in events if event != Ping())
    held = world.ledger.balance(ANN).held

    events.close()

    assert world.charges() == [held]
    assert world.upstream.streams[0].is_aborted


def test_calls_beyond_the_room_cost_all_of_their_bound_once_there_are_too_many():
    world = World(scripts=[cast("Any", Gate(*REST))], profile="auto", ping_seconds=0.02, clock=SystemClock())
    world.turn = crowded(world)
    world.user(1_000 * CREDIT)
    free = SECOND_LIMITS["not_read_on"].count + 1

    for _ in range(free + 2):
        events = world.run(world.conversation())
        next(event for event in events if event != Ping())
        events.close()

    charges, borne = world.charges(), world.losses.window(ANN).of("not_read_on")
    assert (borne.count, len(set(charges[:free])), len(set(charges[free:]))) == (free, 1, 1)
    assert charges[-1] == charges[0] + borne.amount // free


def crowded(world: World) -> ChatTurn:
    return world.instance(world.documents, reading_on=ReadingOn(most=0)).chat.turn


# The same key while a call is read on ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_paused_call_that_was_left_is_paid_beside_the_next_one_with_its_key(is_frozen):
    gate = Gate(*REST)
    world = World(
        scripts=[cast("Any", gate), says(*WORDS, usage=Usage(input_tokens=12, output_tokens=5))], profile="auto"
    )
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k", max_output_tokens=400)
    events = world.turn.run(request)
    next(events)
    held = world.ledger.balance(ANN).held
    events.close()

    world.clock.advance(PAST_THE_LEASE + 9_000)
    if is_frozen:
        world.ledger.execute(ANN, Freeze(operation=OperationId("f")))
        with pytest.raises(Exception, match="frozen"):
            answer_of(world.on(world.documents).run(request))
        assert world.charges() == [held]
    else:
        answer = answer_of(world.on(world.documents).run(request))
        assert answer.cost == price(12, 5)
        assert world.charges() == [held, price(12, 5)]
    gate.open()
    world.read_on()
    assert world.charges()[0] == held
    assert world.ledger.balance(ANN).held == 0
    assert world.ledger.verify(ANN) == []


def test_a_call_that_lost_its_instance_counts_as_one_that_nobody_captured():
    gate = Gate(*REST)
    world = World(scripts=[cast("Any", gate), says(*WORDS, usage=REPORT.usage)], profile="auto", ping_seconds=0.02)
    request = world.request(world.conversation(world.user()), key="k")
    lost = world.turn.run(request)
    next(event for event in lost if event != Ping())

    world.clock.advance(PAST_THE_LEASE)
    answer_of(world.on(world.documents).run(request))

    entries = world.ledger.entries(ANN, 1, world.ledger.balance(ANN).seq)
    assert [entry.end for entry in entries if entry.end] == ["expired", "captured"]
    assert world.charges() == [REPORTED]
    world.losses.see(ANN, entries)
    assert world.losses.window(ANN).of("crashed").count == 1
    gate.open()
    with pytest.raises(StillRunning):
        list(lost)


# A stop, and our time limit --------------------------------------------------------------------------------------


def test_a_stop_tells_the_bound_at_once_and_the_report_later():
    gate = Gate(*REST)
    world = World(scripts=[cast("Any", gate)], profile="auto", ping_seconds=5.0)
    conversation = world.conversation(world.user())
    request = world.request(conversation, max_output_tokens=400)
    events = world.turn.run(request)
    assert next(events) == Delta(" one")
    held = world.ledger.balance(ANN).held

    request.stop.give()
    answer = end_of(list(events))

    told = answer.as_wire()
    message = last(world, conversation)
    assert (told["status"], told["at_most"], told["cost"]) == ("settling", "0.0878", "0.0878")
    assert (answer.cost, message.cost, message.content, message.finish_reason) == (held, held, " one", "stopped")
    assert message.settles_by is not None
    gate.open()
    wait_for(lambda: last(world, conversation).settles_by is None)
    message = last(world, conversation)
    assert world.charges() == [message.cost] == [REPORTED]
    assert (message.content, message.usage) == (" one", Usage(input_tokens=12, output_tokens=HIDDEN))


def test_a_stop_without_a_limit_tells_what_the_report_does_not_exceed():
    gate = Gate(*REST)
    world = World(scripts=[cast("Any", gate)], profile="auto", ping_seconds=5.0)
    conversation = world.conversation(world.user())
    request = world.request(conversation)
    events = world.turn.run(request)
    next(events)
    held = world.ledger.balance(ANN).held

    request.stop.give()
    answer = end_of(list(events))

    gate.open()
    wait_for(lambda: last(world, conversation).settles_by is None)
    (charge,) = world.charges()
    assert held < charge == last(world, conversation).cost
    assert answer.at_most is not None
    assert charge <= answer.at_most <= CREDIT


def test_a_stop_where_an_abort_ends_the_bill_is_final_at_once():
    world = World(scripts=[cast("Any", Gate(*REST))], profile="openai", ping_seconds=5.0)
    request = world.request(world.conversation(world.user()))
    events = world.turn.run(request)
    next(events)

    request.stop.give()
    answer = end_of(list(events))

    cost = price(cautious(INPUT), cautious(expected_tokens(" one")))
    assert (answer.cost, answer.at_most, answer.message.finish_reason) == (cost, None, "stopped")
    assert world.charges() == [cost]


def test_a_call_that_was_stopped_before_it_began_asks_nobody_and_costs_nothing():
    world = World(scripts=[cast("Any", Gate(*REST))], profile="auto")
    request = world.request(world.conversation(world.user()))
    request.stop.give()

    answer = answer_of(world.turn.run(request))

    assert (answer.cost, answer.message.finish_reason, world.upstream.streams[0:]) == (0, "stopped", [])
    assert world.ledger.balance(ANN).held == 0


def test_a_turn_beyond_its_time_is_read_on_and_its_cost_corrected():
    gate = Gate(*REST)
    world, conversation, events = begun(gate, max_output_tokens=400)
    held = world.ledger.balance(ANN).held

    world.clock.advance(500_000)
    answer = end_of([event for event in events if isinstance(event, TurnEnded)])

    assert (answer.message.finish_reason, answer.cost, answer.at_most) == ("timeout", held, held)
    gate.open()
    wait_for(lambda: last(world, conversation).settles_by is None)
    assert world.charges() == [last(world, conversation).cost] == [REPORTED]


def test_a_settling_message_whose_reader_died_costs_what_it_told():
    gate = Gate(*REST)
    world, conversation, events = begun(gate, max_output_tokens=400)
    world.clock.advance(500_000)
    answer = end_of([event for event in events if isinstance(event, TurnEnded)])

    world.clock.advance(16 * 60_000)
    world.ledger.expire_due(ANN)

    assert world.charges() == [answer.cost] == [last(world, conversation).cost]
    gate.open()


def test_a_paused_reader_keeps_its_stopped_turn_when_asked_again():
    gate = Gate(*REST)
    world = World(scripts=[cast("Any", gate)], profile="auto", ping_seconds=5.0, prices=REASONING)
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    events = world.turn.run(request)
    assert next(events) == Delta(" one")
    request.stop.give()
    told = end_of(list(events))

    world.clock.advance(PAST_THE_LEASE)
    again = answer_of(world.on(world.documents).run(world.request(conversation, key="k")))

    assert (again.cost, again.at_most, world.charges()) == (told.cost, told.at_most, [])
    assert again.as_wire()["status"] == "settling"
    gate.open()
    wait_for(lambda: last(world, conversation).settles_by is None)
    world.read_on()
    final = answer_of(world.on(world.documents).run(world.request(conversation, key="k")))
    assert (final.cost, final.at_most) == (REPORTED, None)
    assert world.charges() == [last(world, conversation).cost] == [REPORTED]
    assert world.ledger.verify(ANN) == []


def test_the_time_of_a_turn_is_up_before_a_read_is_given_up():
    assert READ_SECONDS > TURN_SECONDS_MAX


@pytest.mark.parametrize(("prices", "is_thinking"), [({}, False), (REASONING, True)])
def test_a_silent_provider_has_failed_unless_its_model_may_think(prices, is_thinking):
    gate = threading.Event()

    class Silent:
        def __iter__(self):
            gate.wait(60)
            yield from REST

    world = World(scripts=[cast("Any", Silent())], profile="auto", ping_seconds=0.02, prices=prices)
    conversation = world.conversation(world.user())
    events = world.run(conversation, max_output_tokens=400)
    assert next(events) == Ping()

    world.clock.advance(301_000)

    if is_thinking:
        assert next(events) == Ping()
        gate.set()
        assert end_of(list(events)).cost == REPORTED
    else:
        with pytest.raises(UpstreamUnavailable):
            list(events)
        gate.set()
        assert (world.charges(), world.losses.window(ANN).of("provider_failed").count) == ([], 1)


@pytest.mark.parametrize("minutes", [16, 30])
def test_a_stopped_turn_is_taken_over_once_its_reader_is_given_up(minutes):
    gate = Gate(*REST)
    world = World(scripts=[cast("Any", gate)], profile="auto", ping_seconds=5.0)
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k", max_output_tokens=400)
    events = world.turn.run(request)
    next(events)
    request.stop.give()
    told = end_of(list(events))

    world.clock.advance(minutes * 60_000)
    again = answer_of(world.on(world.documents).run(world.request(conversation, key="k", max_output_tokens=400)))

    assert (again.cost, again.at_most, world.charges()) == (told.cost, None, [told.cost])
    gate.open()
    world.read_on()
    assert world.charges() == [told.cost]


# Providers that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "is_held_whole"), [("auto", True), ("openai", False)])
def test_a_stream_that_breaks_after_a_word_costs_what_may_be_billed(profile, is_held_whole):
    world = World(scripts=[[TextDelta(" one"), UpstreamUnavailable()]], profile=profile)
    conversation = world.conversation(world.user())
    events = world.run(conversation, max_output_tokens=400)
    next(events)
    held = world.ledger.balance(ANN).held

    with pytest.raises(UpstreamUnavailable):
        list(events)

    counted = price(cautious(INPUT), cautious(expected_tokens(" one")))
    assert world.charges() == [held if is_held_whole else counted] == [last(world, conversation).cost]


@pytest.mark.parametrize("prices", [REASONING, {}], ids=["reasoning", "plain"])
def test_an_end_without_a_report_costs_what_was_seen_or_else_the_bound(prices):
    world = World(scripts=[says(*WORDS)], profile="openai", prices=prices)
    conversation = world.conversation(world.user())
    ceiling = world.turn.estimate(ANN, content="Hello?", max_output_tokens=400).ceiling

    answer = world.ask(conversation, max_output_tokens=400)

    counted = price(cautious(INPUT), cautious(expected_tokens("".join(WORDS))))
    assert answer.cost == (ceiling if prices else counted)
    assert world.charges() == [answer.cost]


def test_our_own_time_limit_is_charged_where_a_providers_failure_is_not():
    world = World(scripts=[[UpstreamTimedOut()]], profile="openai")
    conversation = world.conversation(world.user())
    ceiling = world.turn.estimate(ANN, content="Hello?", max_output_tokens=400).ceiling

    with pytest.raises(UpstreamUnavailable):
        world.ask(conversation, max_output_tokens=400, is_streamed=False)

    assert world.charges() == [ceiling]


def test_failures_with_nothing_delivered_are_counted_and_charged_beyond_the_second_limit():
    world = World(scripts=[[TextDelta(" one"), UpstreamUnavailable()]], profile="openai", clock=SystemClock())
    conversation = world.conversation(world.user(100 * CREDIT))
    free = SECOND_LIMITS["provider_failed"].count + 1

    for _ in range(free + 2):
        with pytest.raises(UpstreamUnavailable):
            world.ask(conversation, is_streamed=False)

    counted = price(cautious(INPUT), cautious(expected_tokens(" one")))
    assert world.charges() == [counted, counted]
    assert [alert.event for alert in world.alerts.raised].count("loss_limit_passed") == 2


def test_a_provider_that_was_never_reached_is_no_loss_and_never_charged():
    world = World(scripts=[[UpstreamUnavailable()]], profile="auto")
    conversation = world.conversation(world.user())

    for _ in range(3):
        with pytest.raises(UpstreamUnavailable):
            world.ask(conversation)

    assert world.charges() == []
    assert not world.losses.window(ANN).rows


# Honest users ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["auto", "openai"])
@pytest.mark.parametrize("prices", [{}, REASONING], ids=["plain", "reasoning"])
def test_a_turn_that_ends_by_itself_costs_exactly_what_was_reported(profile, prices):
    world = World(scripts=[says(*WORDS, usage=REPORT.usage)], profile=profile, prices=prices)

    answer = world.ask(world.conversation(world.user()))

    assert (answer.cost, answer.at_most, world.charges()) == (REPORTED, None, [REPORTED])
