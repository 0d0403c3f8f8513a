"""A call that runs is found in its account's journal: by its names, among the caller's own, and nothing is written."""

from contextlib import closing

import pytest

from shared.kernel.ids import Uid
from shared.sagas.metering.call_journal import CONVERSATION, REQUEST, CallJournal, CallSearch
from shared.sagas.metering.stop_requests import EVERYBODY, request_tag
from tests.support.chat import ANN, World

BOB = Uid("bob")


@pytest.fixture
def world():
    made = World()
    made.user(10**9)
    return made


def started(world, conversation, **fields):
    """A call that has begun and delivers."""
    events = world.turn.run(world.request(conversation, **fields))
    next(events)
    return closing(events)


def running(world, value, *, tag=CONVERSATION, caller=EVERYBODY, uid=ANN):
    return CallJournal(world.ledger).running(CallSearch(uid=uid, caller=caller, tag=tag, value=value))


def last(world, value, *, tag=CONVERSATION, caller=EVERYBODY, uid=ANN):
    return CallJournal(world.ledger).last(CallSearch(uid=uid, caller=caller, tag=tag, value=value))


def test_a_running_call_is_found_by_its_conversation_and_by_its_request_id(world):
    conversation = world.conversation()

    with started(world, conversation, request_id="r-1"):
        (by_conversation,) = running(world, conversation.id)
        assert running(world, request_tag("r-1"), tag=REQUEST) == [by_conversation]

    assert by_conversation.conversation_id == conversation.id
    assert running(world, conversation.id) == []


def test_a_call_is_not_found_by_another_name_or_in_another_account(world):
    conversation = world.conversation()
    world.user(uid=BOB)

    with started(world, conversation, request_id="r-1"):
        assert running(world, world.conversation().id) == []
        assert running(world, request_tag("r-2"), tag=REQUEST) == []
        assert running(world, conversation.id, uid=BOB) == []


def test_a_key_finds_its_own_calls_only(world):
    conversation = world.conversation()

    with (
        started(world, conversation, request_id="r-1", principal="key:a"),
        started(world, conversation, request_id="r-1", principal="key:b"),
    ):
        assert len(running(world, conversation.id)) == 2
        assert len(running(world, conversation.id, caller="key:a")) == 1
        assert running(world, conversation.id, caller="key:c") == []
        assert last(world, request_tag("r-1"), tag=REQUEST, caller="key:c") is None


def test_a_running_call_is_found_behind_many_entries(world):
    conversation, other = world.conversation(), world.conversation()

    with started(world, conversation, request_id="r-1"):
        for _ in range(70):
            world.ask(other, request_id="r-2")
        assert len(running(world, conversation.id)) == 1


def test_the_call_that_ended_last_is_found_by_its_request_id(world):
    conversation = world.conversation()
    world.ask(conversation, request_id="r-1")
    world.ask(conversation, request_id="r-2")

    found = last(world, request_tag("r-1"), tag=REQUEST)

    assert found is not None
    assert (found.model, world.ledger.hold(ANN, found.hold).status) == ("cheap", "captured")
    assert last(world, request_tag("r-3"), tag=REQUEST) is None


def test_a_call_without_a_request_id_has_no_name(world):
    conversation = world.conversation()

    with started(world, conversation):
        assert running(world, conversation.id) == []
