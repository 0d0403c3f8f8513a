"""A request stops the calls it means, those that run and those that begin within a minute, and nobody else's."""

import threading
from contextlib import ExitStack

import pytest

from shared.kernel.ids import Uid, new_id
from shared.kernel.stopping import StopSignal
from shared.platform.memory.clock import ManualClock
from shared.sagas.metering.running_calls import CLOCKS_APART, REMEMBERED_USERS_MAX, RunningCalls
from shared.sagas.metering.stop_requests import EVERYBODY, REMEMBERED_FOR, CallName, StopRequest

ANN, BOB = Uid("ann"), Uid("bob")
CALL, TALK = CallName.of_request("r-1"), CallName.of_conversation("conv_1")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def calls(clock):
    return RunningCalls(clock)


@pytest.fixture
def begun(calls):
    """Begins a call, and gives its signal; all end with the test."""
    with ExitStack() as stack:

        def begin(*names, uid=ANN, principal="ann"):
            signal = StopSignal()
            stack.enter_context(calls.running(uid, principal, names, signal))
            return signal

        yield begin


def asked(clock, name=CALL, *, uid=ANN, caller=EVERYBODY, at=None):
    return StopRequest(id=new_id("stop"), uid=uid, name=name, caller=caller, at=clock.now() if at is None else at)


def test_a_request_stops_every_call_of_its_name(calls, clock, begun):
    signals = [begun(CALL), begun(CALL, TALK, principal="key:a"), begun(TALK)]

    stopped = calls.stop(asked(clock))

    assert [signal.is_given for signal in signals] == [True, True, False]
    assert len(stopped) == 2


def test_a_request_stops_no_other_users_call(calls, clock, begun):
    signal = begun(CALL, uid=BOB, principal="bob")

    assert calls.stop(asked(clock)) == []
    assert not signal.is_given


def test_a_key_stops_its_own_calls_only(calls, clock, begun):
    own, of_the_user, of_another = begun(CALL, principal="key:a"), begun(CALL), begun(CALL, principal="key:b")

    calls.stop(asked(clock, caller="key:a"))

    assert (own.is_given, of_the_user.is_given, of_another.is_given) == (True, False, False)


def test_a_call_that_begins_within_a_minute_of_its_request_is_stopped(calls, clock, begun):
    calls.hear([asked(clock)])

    clock.advance(REMEMBERED_FOR - 1)
    assert begun(CALL).is_given
    assert not begun(CALL, uid=BOB).is_given
    clock.advance(1)
    assert not begun(CALL).is_given


def test_a_message_after_a_request_for_its_conversation_is_not_stopped(calls, clock, begun):
    request = asked(clock, TALK)
    calls.hear([request])
    clock.advance(1)

    later = begun(TALK)
    calls.hear([request])

    assert not later.is_given


def test_a_late_request_for_a_conversation_stops_only_what_ran_then(calls, clock, begun):
    before = begun(TALK)
    at = clock.now() + 1
    clock.advance(CLOCKS_APART + 2)
    after = begun(TALK)

    calls.hear([asked(clock, TALK, at=at)])

    assert (before.is_given, after.is_given) == (True, False)


def test_a_request_that_is_over_stops_nothing(calls, clock, begun):
    signal = begun(CALL)

    calls.hear([asked(clock, at=clock.now() - REMEMBERED_FOR)])

    assert not signal.is_given


def test_what_is_remembered_is_bounded(calls, clock, begun):
    for number in range(REMEMBERED_USERS_MAX + 1):
        calls.hear([asked(clock, uid=Uid(f"u{number}"))])

    assert not begun(CALL, uid=Uid("u0")).is_given
    assert begun(CALL, uid=Uid(f"u{REMEMBERED_USERS_MAX}")).is_given


def test_the_end_of_calls_can_be_waited_for(calls, clock):
    with calls.running(ANN, "ann", [CALL], StopSignal()):
        stopped = calls.stop(asked(clock))
        assert not calls.wait_for_end(stopped, 0)
        waiting = threading.Thread(target=calls.wait_for_end, args=(stopped, 60))
        waiting.start()
    waiting.join(60)

    assert calls.wait_for_end(stopped, 0)
    assert not waiting.is_alive()
    assert calls.users() == ()
