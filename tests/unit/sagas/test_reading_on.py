"""Room for calls that are read on: limited per instance and per user, and given back."""

import threading

import pytest

from shared.ai.ports import UpstreamUnavailable
from shared.kernel.ids import Uid
from shared.sagas.metering.reading_on import ReadingOn
from tests.support.processes import wait_for

ANN, BOB = Uid("ann"), Uid("bob")


def test_a_user_has_no_more_places_than_the_limit_says():
    room = ReadingOn(most=3, most_per_user=2)

    taken = [room.take(uid) is not None for uid in (ANN, ANN, ANN, BOB, BOB)]

    assert taken == [True, True, False, True, False]


def test_a_place_that_is_given_back_is_free_again():
    room = ReadingOn(most=1, most_per_user=1)
    place = room.take(ANN)
    assert place is not None

    place.give_back()

    assert room.take(BOB) is not None


@pytest.mark.parametrize("error", [None, UpstreamUnavailable(), ZeroDivisionError()])
def test_a_place_is_free_again_once_its_work_ends(error):
    room, may_end = ReadingOn(most=1, most_per_user=1), threading.Event()
    place = room.take(ANN)
    assert place is not None

    def work():
        may_end.wait(60)
        if error is not None:
            raise error

    place.begin_reading(work)
    assert room.take(BOB) is None
    may_end.set()

    wait_for(lambda: room.take(BOB), what="a place")
