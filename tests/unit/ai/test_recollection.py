"""What an instance recalls of conversations: within a bound of bytes, and only what ends as the store says."""

import sys
from dataclasses import dataclass

from shared.ai.chat.recollection import MESSAGE_BYTES, Recollection


@dataclass(frozen=True)
class Said:
    content: str


TEA = [Said("tea")]
SIZE = sys.getsizeof("tea") + MESSAGE_BYTES


def test_only_what_ends_with_the_last_message_is_recalled():
    recollection = Recollection[Said]()

    recollection.keep("c1", "p2", TEA)

    assert recollection.of("c1", "p2") == TEA
    assert recollection.of("c1", "p3") is None
    assert recollection.of("c1", None) is None
    assert recollection.of("c2", "p2") is None


def test_what_is_kept_anew_takes_the_place_of_what_was_kept():
    recollection = Recollection[Said]()
    recollection.keep("c1", "p2", TEA)

    recollection.keep("c1", "p4", [Said("milk"), *TEA])

    assert recollection.of("c1", "p2") is None
    assert recollection.of("c1", "p4") == [Said("milk"), *TEA]


def test_what_was_used_longest_ago_makes_room():
    recollection = Recollection[Said](bytes_max=2 * SIZE)
    recollection.keep("c1", "p", TEA)
    recollection.keep("c2", "p", TEA)
    recollection.of("c1", "p")

    recollection.keep("c3", "p", TEA)

    assert ["c1" in recollection, "c2" in recollection, "c3" in recollection] == [True, False, True]


def test_a_conversation_larger_than_all_room_is_not_kept_and_leaves_room_for_others():
    recollection = Recollection[Said](bytes_max=2 * SIZE)

    recollection.keep("c1", "p", TEA * 3)
    recollection.keep("c2", "p", TEA)
    recollection.keep("c3", "p", TEA)

    assert ["c1" in recollection, "c2" in recollection, "c3" in recollection] == [False, True, True]


def test_what_is_forgotten_is_read_next_time():
    recollection = Recollection[Said]()
    recollection.keep("c1", "p", TEA)

    recollection.forget_conversation("c1")
    recollection.forget_conversation("never seen")

    assert recollection.of("c1", "p") is None
