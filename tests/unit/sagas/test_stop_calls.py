"""Stopping a call: the caller's own, wherever it runs, and the answer is its message and what was charged for it."""

import pytest

from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.tokens import prompt_at_most
from shared.kernel.documents import StoreUnavailable
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.sagas.metering.stop_calls import SETTLE_SECONDS_MAX, Caller, CallNotFound
from shared.sagas.metering.stop_requests import EARLY_REQUESTS_MAX, TooManyStops
from tests.support.chat import ANN, World, change_message
from tests.support.faults import FaultyDocuments
from tests.support.stops import StopInstance

BOB = Uid("bob")
OWNER = Caller(uid=ANN)
CEILING = 100 * prompt_at_most(["Hello?"]) + 200 * 1_000


@pytest.fixture
def world():
    made = World()
    made.user(10**9)
    return made


@pytest.fixture
def here(world):
    return StopInstance(world)


@pytest.fixture(params=["here", "there"])
def runner(request, world, here):
    """The instance that runs the call: the one that is asked to stop it, or another."""
    return here if request.param == "here" else StopInstance(world)


def check_told(world, end, conversation):
    """The answer, the stored message and the journal say the same."""
    message = world.conversations.message(ANN, conversation.id, end.said.id)
    assert (end.cost, end.said.content) == (message.cost, message.content)
    assert world.charges()[-1] == end.cost


def test_a_turn_is_stopped_by_its_conversation(world, here, runner):
    conversation = world.conversation()
    runner.begun(conversation, request_id="r-1")

    stopped = here.stops.in_conversation(OWNER, conversation.id)

    assert stopped.status == "stopped"
    (end,) = stopped.calls
    check_told(world, end, conversation)
    assert end.at_most is None
    assert runner.calls.users() == ()


def test_a_turn_is_stopped_by_its_request_id(world, here, runner):
    conversation = world.conversation()
    runner.begun(conversation, request_id="r-1")

    (end,) = here.stops.by_request(OWNER, "r-1").calls

    check_told(world, end, conversation)


def test_calls_under_one_request_id_are_all_stopped(world, here, runner):
    conversations = [world.conversation() for _ in range(3)]
    for conversation in conversations:
        runner.begun(conversation, request_id="r-1")

    stopped = here.stops.by_request(OWNER, "r-1")

    assert [end.status for end in stopped.calls] == ["stopped"] * 3
    assert world.ledger.balance(ANN).held == 0


def test_a_call_that_has_not_begun_is_stopped_when_it_begins(world, here, runner):
    conversation = world.conversation()
    with pytest.raises(CallNotFound):
        here.stops.by_request(OWNER, "r-1")
    request = world.request(conversation, request_id="r-1")

    events = runner.turn.run(request)
    next(events)

    assert request.stop.is_given
    events.close()


def test_an_early_stop_of_a_turn_answers_the_last_message(world, here, runner):
    conversation = world.conversation()
    before = world.ask(conversation)

    stopped = here.stops.in_conversation(OWNER, conversation.id, "r-1")

    assert (stopped.status, stopped.calls, stopped.shown.said.id) == ("ended", (), before.message.id)
    request = world.request(conversation, request_id="r-1")
    events = runner.turn.run(request)
    next(events)
    assert request.stop.is_given
    events.close()


def test_a_conversation_where_nothing_runs_answers_its_last_message(world, here):
    conversation = world.conversation()
    assert here.stops.in_conversation(OWNER, conversation.id).shown.said is None
    answer = world.ask(conversation)

    stopped = here.stops.in_conversation(OWNER, conversation.id)

    assert stopped.status == "ended"
    assert (stopped.shown.said.id, stopped.shown.cost) == (answer.message.id, answer.cost)


def test_a_message_after_a_stop_is_answered(world, here, runner):
    conversation = world.conversation()
    here.stops.in_conversation(OWNER, conversation.id)
    world.clock.advance(1_000)

    request = world.request(conversation)
    list(runner.turn.run(request))

    assert not request.stop.is_given


def test_a_stop_after_the_end_answers_what_the_call_cost(world, here):
    conversation = world.conversation()
    answer = world.ask(conversation, request_id="r-1")

    stopped = here.stops.by_request(OWNER, "r-1")

    assert (stopped.status, stopped.calls[0].cost) == ("ended", answer.cost)


def test_a_second_stop_answers_the_same(world, here, runner):
    conversation = world.conversation()
    runner.begun(conversation, request_id="r-1")
    first = here.stops.by_request(OWNER, "r-1")

    again = here.stops.by_request(OWNER, "r-1")

    assert (first.status, again.status) == ("stopped", "ended")
    assert (again.calls[0].cost, again.calls[0].said) == (first.calls[0].cost, first.calls[0].said)


def test_a_strangers_conversation_and_call_are_not_found(world, here, runner):
    world.user(uid=BOB)
    conversation = world.conversation()
    events = runner.begun(conversation, request_id="r-1")
    stranger = Caller(uid=BOB)

    with pytest.raises(ConversationNotFound):
        here.stops.in_conversation(stranger, conversation.id)
    with pytest.raises(CallNotFound):
        here.stops.by_request(stranger, "r-1")

    assert len(list(events)) > 1


def test_a_key_stops_neither_its_owners_call_nor_another_keys(world, here, runner):
    conversation = world.conversation()
    of_owner = runner.begun(conversation, request_id="r-1")
    of_another = runner.begun(conversation, request_id="r-1", principal="key:b")
    key = Caller(uid=ANN, principal="key:a")

    with pytest.raises(CallNotFound):
        here.stops.by_request(key, "r-1")
    assert here.stops.in_conversation(key, conversation.id).calls == ()

    assert all(len(list(events)) > 1 for events in (of_owner, of_another))


def test_a_user_stops_the_calls_of_all_their_keys(world, here, runner):
    runner.begun(world.conversation(), request_id="r-1", principal="key:a")
    runner.begun(world.conversation(), request_id="r-1")

    assert len(here.stops.by_request(OWNER, "r-1").calls) == 2


def test_a_call_that_does_not_settle_costs_at_most_its_ceiling(world, here, runner, monkeypatch):
    monkeypatch.setattr("shared.sagas.metering.stop_calls.LOOKS_MAX", 3)
    conversation = world.conversation()
    events = runner.begun(conversation, is_deaf=True, request_id="r-1")
    began = world.clock.monotonic()

    stopped = here.stops.by_request(OWNER, "r-1")

    assert stopped.status == "settling"
    (end,) = stopped.calls
    assert (end.cost, end.at_most) == (None, CEILING)
    assert world.clock.monotonic() - began <= SETTLE_SECONDS_MAX + 1
    events.close()
    assert here.stops.by_request(OWNER, "r-1").calls[0].cost == world.charges()[-1]


def test_a_call_that_does_not_settle_costs_no_more_than_there_is(world):
    poor = StopInstance(world)
    there_is = world.ledger.balance(world.user(30_000, uid=BOB)).total
    events = poor.begun(world.conversation(BOB), is_deaf=True, request_id="r-1")

    (end,) = StopInstance(world).stops.by_request(Caller(uid=BOB), "r-1").calls

    assert end.at_most == there_is
    events.close()


def test_a_call_of_a_dead_instance_settles_when_its_hold_expires(world, here):
    conversation = world.conversation()
    dead = StopInstance(world)
    events = dead.begun(conversation, is_deaf=True, request_id="r-1")

    assert here.stops.by_request(OWNER, "r-1").status == "settling"
    world.clock.advance(900_000)
    stopped = here.stops.by_request(OWNER, "r-1")

    assert (stopped.status, stopped.calls[0].cost) == ("ended", sum(world.charges()))
    events.close()


def test_many_made_up_ids_are_refused_after_a_while(world, here):
    for number in range(EARLY_REQUESTS_MAX):
        with pytest.raises(CallNotFound):
            here.stops.by_request(OWNER, f"r-{number}")

    with pytest.raises(TooManyStops):
        here.stops.by_request(OWNER, "one more")

    conversation = world.conversation()
    here.begun(conversation, request_id="mine")
    assert here.stops.by_request(OWNER, "mine").status == "stopped"


def test_a_call_on_this_instance_stops_when_the_request_cannot_be_stored(world):
    class Unavailable(FaultyDocuments):
        def commit(self, writes, **options):
            if any(write.path.startswith("stops/") for write in writes):
                raise StoreUnavailable
            return super().commit(writes, **options)

    world.documents = Unavailable(world.documents)
    here = StopInstance(world)
    here.begun(world.conversation(), request_id="r-1")

    assert here.stops.by_request(OWNER, "r-1").status == "stopped"
    with pytest.raises(StoreUnavailable):
        here.stops.by_request(OWNER, "r-2")


def test_a_deleted_conversation_still_tells_what_its_call_cost(world, here, runner):
    conversation = world.conversation()
    runner.begun(conversation, request_id="r-1")
    world.conversations.delete(ANN, conversation.id)

    (end,) = here.stops.by_request(OWNER, "r-1").calls

    assert (end.said, end.cost) == (None, world.charges()[-1])


def test_a_message_that_its_instance_never_corrected_costs_what_its_hold_says(world, here):
    conversation = world.conversation()
    answer = world.ask(conversation, request_id="r-1")
    change_message(world.documents, answer.message, cost=Micro(10 * answer.cost), settles_by=world.clock.now() - 1)

    for stopped in (here.stops.in_conversation(OWNER, conversation.id), here.stops.by_request(OWNER, "r-1")):
        assert (stopped.status, stopped.shown.cost, stopped.shown.at_most) == ("ended", answer.cost, None)


def test_a_message_whose_call_is_long_gone_costs_what_it_says_in_the_end(world, here):
    conversation = world.conversation()
    answer = world.ask(conversation)
    change_message(world.documents, answer.message, settles_by=world.clock.now() + 1_000)

    first = here.stops.in_conversation(OWNER, conversation.id)
    world.clock.advance(1_000)
    later = here.stops.in_conversation(OWNER, conversation.id)

    assert (first.status, first.shown.cost, first.shown.at_most) == ("settling", None, answer.cost)
    assert (later.status, later.shown.cost, later.shown.at_most) == ("ended", answer.cost, None)
