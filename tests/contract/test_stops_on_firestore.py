"""On Firestore a request to stop reaches another instance, also when that instance has just begun."""

import threading
import time

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.ids import Uid, new_id
from shared.kernel.stopping import StopSignal
from shared.kernel.watching import BrokenWatch
from shared.platform.firestore.documents import connect
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.stop_news import StopNews
from shared.sagas.metering.stop_requests import EVERYBODY, CallName, StopRequests

SECONDS_MAX = 30.0
CALL = CallName.of_request("r-1")
CLOCK = SystemClock()


@pytest.fixture
def uid():
    return Uid(new_id("user"))


def instance(project, watches=None):
    documents = connect(project)
    requests = StopRequests(documents, CLOCK)
    return requests, RunningCalls(CLOCK, StopNews(watches or documents, requests, CLOCK))


def ask(requests, uid):
    requests.store(requests.new(uid, CALL, EVERYBODY), since=0)


def is_heard(signal):
    """True if the signal is given within a time that suffices on a busy machine."""
    given = threading.Event()
    signal.when_given(given.set)
    return given.wait(SECONDS_MAX)


def warmed_up(calls):
    """Begin calls until the watch of this instance is up to date."""
    deadline = time.monotonic() + SECONDS_MAX
    with calls.running(Uid("warm"), "", [], StopSignal()):
        while not calls._news._ear.is_caught_up:
            assert time.monotonic() < deadline
            SystemClock().wait(0.05)


def test_request_reaches_a_running_call_by_the_watch(firestore_emulator, project, uid):
    (asker, _), (_, calls) = instance(project), instance(project)
    warmed_up(calls)
    signal = StopSignal()

    with calls.running(uid, uid, [CALL], signal):
        ask(asker, uid)

        assert is_heard(signal)


def test_the_first_call_of_an_instance_hears_what_was_asked_before(firestore_emulator, project, uid):
    (asker, _), (_, calls) = instance(project), instance(project)
    ask(asker, uid)
    signal = StopSignal()

    with calls.running(uid, uid, [CALL], signal):
        assert is_heard(signal)


def test_a_request_is_found_by_name_while_there_is_no_watch(firestore_emulator, project, uid):
    (asker, _), (_, calls) = instance(project), instance(project, BrokenWatch())
    signal = StopSignal()

    with calls.running(uid, uid, [CALL], signal):
        ask(asker, uid)

        assert is_heard(signal)
