"""Room for callers who wait: bounded in all, and for each."""

from contextlib import ExitStack

from shared.kernel.waiting import WaitingRoom


def test_room_has_fewer_places_than_half_of_the_threads():
    assert [WaitingRoom(threads).places for threads in (80, 16, 8, 1)] == [30, 6, 3, 1]


def test_room_gives_each_place_once_and_takes_it_back():
    room = WaitingRoom(16)
    with ExitStack() as waiting:
        taken = [waiting.enter_context(room.place(str(number))) for number in range(room.places + 2)]

    assert taken == [True] * room.places + [False] * 2
    with room.place("x") as has_place:
        assert has_place


def test_room_gives_one_caller_half_of_its_places():
    room = WaitingRoom(16)
    with ExitStack() as waiting:
        taken = [waiting.enter_context(room.place("one")) for _ in range(room.places)]

        with room.place("another") as has_place:
            assert (sum(taken), has_place) == (room.places_per_caller, True)
