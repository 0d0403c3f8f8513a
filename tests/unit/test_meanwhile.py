"""Work on a thread of its own: its result, or what it raised, as often as it is asked for."""

import threading

import pytest

from shared.kernel.meanwhile import Meanwhile


def test_work_goes_on_while_its_starter_does_something_else():
    go = threading.Event()

    work = Meanwhile(lambda: go.wait(60) and "done")
    go.set()

    assert (work.result(), work.result()) == ("done", "done")


def test_what_the_work_raised_is_raised_to_whoever_asks():
    def fail():
        raise LookupError("not there")

    work = Meanwhile(fail)

    for _ in range(2):
        with pytest.raises(LookupError, match="not there"):
            work.result()
