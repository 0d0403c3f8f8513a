"""On Firestore a request to stop reaches another instance within a second, also when that instance has just begun."""

import threading
import time

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.ids import Uid, new_id
from shared.kernel.stopping import StopSignal
from shared.kernel.watching import BrokenWatch
from shared.platform.firestore.documents import connect
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.stop_news import LOOK_EVERY_SECONDS, StopNews
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


def heard(signal, since):
    """The seconds until the signal is given."""
    given = threading.Event()
    signal.when_given(given.set)
    assert given.wait(SECONDS_MAX)
    return time.monotonic() - since


def warmed_up(calls):
    """Begin calls until the watch of this instance is up to date."""
    deadline = time.monotonic() + SECONDS_MAX
    with calls.running(Uid("warm"), "", [], StopSignal()):
        while not calls._news._ear.is_caught_up:
            assert time.monotonic() < deadline
            SystemClock().wait(0.05)


def test_a_request_reaches_a_running_call_within_a_second(firestore_emulator, project, uid):
    (asker, _), (_, calls) = instance(project), instance(project)
    warmed_up(calls)
    signal = StopSignal()

    with calls.running(uid, uid, [CALL], signal):
        ask(asker, uid)

        assert heard(signal, time.monotonic()) < 1.0


def test_the_first_call_of_an_instance_hears_what_was_asked_before(firestore_emulator, project, uid):
    (asker, _), (_, calls) = instance(project), instance(project)
    ask(asker, uid)
    signal = StopSignal()

    with calls.running(uid, uid, [CALL], signal):
        heard(signal, time.monotonic())


def test_a_request_is_found_by_name_while_there_is_no_watch(firestore_emulator, project, uid):
    (asker, _), (_, calls) = instance(project), instance(project, BrokenWatch())
    signal = StopSignal()

    with calls.running(uid, uid, [CALL], signal):
        ask(asker, uid)

        assert heard(signal, time.monotonic()) < 2 * LOOK_EVERY_SECONDS
