"""Reading ahead: events in order, silence heard, a slow reader waited for, nobody left blocked."""

import threading

import pytest

from shared.ai.ports import AnswerEnd, TextDelta, UpstreamUnavailable
from shared.platform.memory.clock import ManualClock
from shared.sagas.metering.reading import AHEAD_MAX, AnswerReading, EndOfAnswer, Pulse, ReadingWhole, Silence
from tests.support.processes import wait_for

SECONDS = 60.0


class Script:
    """A stream of these events, with a failure at its end if there is one; it tells how far it was read."""

    def __init__(self, events, error=None, gate=None):
        self.events, self.error, self.gate = list(events), error, gate
        self.given = 0
        self.closed = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if self.gate is not None:
            self.gate.wait(SECONDS)
        if self.given < len(self.events):
            self.given += 1
            return self.events[self.given - 1]
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        self.closed.set()
        if self.gate is not None:
            self.gate.set()


def everything(reading):
    events = []
    while not isinstance(event := reading.next(SECONDS), EndOfAnswer):
        events.append(event)
    return events, event.error


def test_events_come_in_the_order_they_were_said():
    said = [*(TextDelta(str(number)) for number in range(5 * AHEAD_MAX)), AnswerEnd("stop")]

    with AnswerReading(Script(said)) as reading:
        got = everything(reading)

    assert got == (said, None)


def test_a_failure_comes_after_what_was_said_before_it():
    failure = UpstreamUnavailable()

    with AnswerReading(Script([TextDelta("a")], error=failure)) as reading:
        got = everything(reading)

    assert got == ([TextDelta("a")], failure)


def test_a_surprise_is_an_upstream_that_is_unavailable():
    with AnswerReading(Script([], error=RuntimeError("a bug"))) as reading:
        _, error = everything(reading)

    assert isinstance(error, UpstreamUnavailable)


def test_silence_is_heard_and_then_the_answer():
    gate = threading.Event()
    with AnswerReading(Script([TextDelta("late")], gate=gate)) as reading:
        first = reading.next(0.01)
        gate.set()
        second = reading.next(SECONDS)

    assert isinstance(first, Silence)
    assert second == TextDelta("late")


def test_an_upstream_that_is_faster_than_its_reader_is_made_to_wait():
    script = Script(TextDelta(str(number)) for number in range(10 * AHEAD_MAX))
    with AnswerReading(script) as reading:
        first = reading.next(SECONDS)
        while script.given < AHEAD_MAX:
            threading.Event().wait(0.001)
        threading.Event().wait(0.05)

        assert first == TextDelta("0")
        assert script.given <= 2 * AHEAD_MAX + 1


def test_leaving_frees_a_reader_that_waits_for_room():
    script = Script(TextDelta("x") for _ in range(10 * AHEAD_MAX))

    with AnswerReading(script) as reading:
        reading.next(SECONDS)

    assert script.closed.wait(SECONDS)
    assert script.given < len(script.events)


def test_leaving_aborts_an_upstream_that_says_nothing():
    script = Script([TextDelta("never")], gate=threading.Event())

    with AnswerReading(script):
        pass

    assert script.closed.wait(SECONDS)


def test_an_answer_of_one_piece_is_read_where_it_is_waited_for():
    script = Script([TextDelta("all of it"), AnswerEnd("stop")])

    with ReadingWhole(script) as reading:
        assert everything(reading) == ([TextDelta("all of it"), AnswerEnd("stop")], None)

    assert script.closed.is_set()


@pytest.mark.parametrize("failure", [UpstreamUnavailable(), RuntimeError("a bug")])
def test_an_answer_of_one_piece_fails_typed(failure):
    with ReadingWhole(Script([], error=failure)) as reading:
        _, error = everything(reading)

    assert isinstance(error, UpstreamUnavailable)


def test_a_reader_is_behind_while_the_upstream_waits_for_it():
    with AnswerReading(Script([TextDelta("x")] * (3 * AHEAD_MAX))) as reading:
        wait_for(lambda: reading.is_behind, what="the upstream is made to wait")
        everything(reading)

        assert not reading.is_behind


def test_a_reader_who_waits_is_woken_from_another_thread():
    gate = threading.Event()
    with AnswerReading(Script([TextDelta("late")], gate=gate)) as reading:
        reading.wake()

        assert isinstance(reading.next(SECONDS), Silence)


def test_what_came_and_was_not_taken_is_the_rest_of_a_reading():
    said = [TextDelta(str(number)) for number in range(3)]
    script = Script(said)
    with AnswerReading(script) as reading:
        first = reading.next(SECONDS)
        wait_for(script.closed.is_set, what="the script is read to its end")

        assert [first, *reading.rest()] == said
        assert reading.rest() == []


def test_a_reading_that_was_handed_over_stays_open_behind_its_block():
    gate = threading.Event()
    with AnswerReading(script := Script([TextDelta("late")], gate=gate)) as reading:
        reading.hand_over()
    gate.set()

    assert reading.next(SECONDS) == TextDelta("late")
    reading.close()
    assert script.closed.wait(SECONDS)


def test_a_whole_answer_that_has_begun_is_there_to_its_end():
    said = [TextDelta("a"), TextDelta("b"), AnswerEnd("stop")]
    with ReadingWhole(Script(said)) as reading:
        assert reading.rest() == []

    with ReadingWhole(Script(said)) as reading:
        assert [reading.next(SECONDS), *reading.rest()] == said


def test_pulse_is_due_once_in_its_time():
    clock = ManualClock()
    pulse = Pulse(clock, 5.0)

    told = []
    for _ in range(4):
        clock.advance(3_000)
        told.append(pulse.is_due())

    assert told == [False, True, False, True]
