"""A request on one instance reaches the call on another: by one watch, or by name while there is none."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.kernel.documents import StoreUnavailable
from shared.kernel.ids import Uid
from shared.kernel.stopping import StopSignal
from shared.kernel.watching import BrokenWatch
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.stop_news import REOPEN_AFTER_LOOKS, STALE_AFTER_SECONDS, StopNews
from shared.sagas.metering.stop_requests import EVERYBODY, CallName, StopRequests

ANN = Uid("ann")
CALL = CallName.of_request("r-1")


@dataclass
class Instance:
    """One instance: its calls, and the looks it would take on a thread of its own, taken by `work`."""

    documents: MemoryDocuments
    watches: Any = None
    clock: ManualClock = field(default_factory=ManualClock)
    threads: list = field(default_factory=list)
    pauses: list = field(default_factory=list)

    def __post_init__(self):
        self.requests = StopRequests(self.documents, self.clock)
        self.news = StopNews(
            self.watches or self.documents,
            self.requests,
            self.clock,
            spawn=self.threads.append,
            pause=lambda _: self.pauses.pop()(),
        )
        self.calls = RunningCalls(self.clock, self.news)

    def running(self, signal, uid=ANN):
        return self.calls.running(uid, uid, [CALL], signal)

    def ask(self):
        self.requests.store(self.requests.new(ANN, CALL, EVERYBODY), since=0)

    def work(self, *pauses):
        """Run the threads begun so far; in each pause something happens."""
        self.pauses = [*reversed(pauses)]
        while self.threads:
            self.threads.pop(0)()


def nothing():
    """Let a pause pass."""


class Counted(MemoryDocuments):
    """Counts what is asked of it."""

    def __init__(self):
        super().__init__()
        self.reads, self.watched = 0, 0

    def get(self, path):
        self.reads += 1
        return super().get(path)

    def get_all(self, paths):
        self.reads += len(paths)
        return super().get_all(paths)

    def watch(self, query, listener):
        self.watched += 1
        return super().watch(query, listener)


class Breaking:
    """Watches that break as often as told, then work."""

    def __init__(self, documents, times):
        self.documents, self.times, self.opened, self.ears = documents, times, 0, []

    def watch(self, query, listener):
        self.opened += 1
        self.ears.append(listener)
        if self.opened <= self.times:
            return BrokenWatch().watch(query, listener)
        return self.documents.watch(query, listener)


@pytest.fixture
def documents():
    return Counted()


def test_a_request_stored_by_another_instance_stops_the_call(documents):
    here, there, signal = Instance(documents), Instance(documents), StopSignal()

    with here.running(signal):
        there.ask()

        assert signal.is_given


def test_a_request_stored_before_the_first_call_stops_that_call(documents):
    Instance(documents).ask()
    here, signal = Instance(documents), StopSignal()

    with here.running(signal):
        assert signal.is_given


def test_calls_that_nobody_stops_read_nothing_and_share_one_watch(documents):
    here = Instance(documents)

    for _ in range(3):
        with here.running(StopSignal()), here.running(StopSignal(), uid=Uid("bob")):
            pass

    assert (documents.reads, documents.watched, here.threads) == (0, 1, [])


def test_without_a_watch_the_documents_of_running_users_are_read(documents):
    here, signal = Instance(documents, BrokenWatch()), StopSignal()

    with ExitStack() as running:
        running.enter_context(here.running(signal))
        running.enter_context(here.running(StopSignal(), uid=Uid("bob")))
        here.work(nothing, here.ask, nothing, running.close)

    assert signal.is_given


def test_a_broken_watch_is_opened_again_after_some_looks(documents):
    watches = Breaking(documents, times=2)
    here, signal = Instance(documents, watches), StopSignal()

    with here.running(signal):
        here.work(*[nothing] * sum(REOPEN_AFTER_LOOKS[:2]))
        assert (watches.opened, here.threads) == (3, [])
        Instance(documents).ask()

        assert signal.is_given


def test_a_watch_that_breaks_later_is_bridged_at_once(documents):
    watches = Breaking(documents, times=0)
    here, signal = Instance(documents, watches), StopSignal()

    with here.running(signal):
        watches.ears[0].broken()
        here.work(here.ask)

        assert signal.is_given
        assert watches.opened == 2


def test_nothing_is_looked_for_without_calls(documents):
    here = Instance(documents, BrokenWatch())
    with here.running(StopSignal()):
        pass

    here.work()

    assert (documents.reads, here.threads) == (0, [])


def test_an_instance_that_slept_opens_its_watch_anew(documents):
    here = Instance(documents)
    with here.running(StopSignal()):
        pass
    here.clock.advance(int(STALE_AFTER_SECONDS + 1) * 1000)

    with here.running(signal := StopSignal()):
        assert documents.watched == 2
        here.ask()
        assert signal.is_given


def test_a_store_that_cannot_be_read_is_asked_again(documents):
    class Failing(Counted):
        def get_all(self, paths):
            if self.reads == 0:
                self.reads += 1
                raise StoreUnavailable
            return super().get_all(paths)

    failing = Failing()
    watches = Breaking(failing, times=1)
    here, signal = Instance(failing, watches), StopSignal()

    with here.running(signal):
        here.ask()
        here.work(*[nothing] * REOPEN_AFTER_LOOKS[0])

        assert signal.is_given
