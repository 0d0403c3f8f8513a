"""A signal to stop is heard once by each who waits for it, before or after it is given."""

from shared.kernel.stopping import StopSignal


def test_a_signal_wakes_each_listener_once_when_given_twice():
    heard = []
    signal = StopSignal()
    signal.when_given(lambda: heard.append("first"))
    signal.when_given(lambda: heard.append("second"))

    signal.give()
    signal.give()

    assert (signal.is_given, heard) == (True, ["first", "second"])


def test_a_listener_hears_a_signal_that_was_given_before():
    heard = []
    signal = StopSignal()
    signal.give()

    signal.when_given(lambda: heard.append("late"))

    assert heard == ["late"]


def test_a_new_signal_is_not_given():
    assert not StopSignal().is_given
