"""The watch's decisions: hot addresses, the joint of the chain, moved levels, and outages that stop deadlines."""

import random

import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.payments.chains.outages import EXTENSION_MAX, Outage, extended, with_outage
from shared.payments.chains.ports import Block
from shared.payments.chains.watching import (
    HALTED,
    HOT,
    HOT_MAX,
    KnownBlock,
    LevelChanges,
    NetworkHealth,
    TakenSample,
    WatchState,
    after_follows,
    after_look,
    compared,
    follow_order,
    hot_range,
    joined,
    sampled,
    with_followed,
    with_head,
)
from tests.support.watched_chains import bitcoin_network, evm_network

NOW = 1_790_000_000_000
BASE = evm_network()


def head(at=NOW, height=100):
    return Block(height=height, hash=f"h{height}", parent=f"h{height - 1}", time=at)


def known(*heights):
    return tuple(KnownBlock(height=height, hash=f"h{height}") for height in heights)


# Hot addresses ------------------------------------------------------------------------------------------------------


def test_every_index_taken_within_the_hot_time_is_hot():
    samples: tuple[TakenSample, ...] = ()
    taken_at: list[int] = []
    hot = range(0)
    for hour in range(24 * 10):
        now = NOW + hour * HOUR
        taken_at += [now + minute * MINUTE for minute in range(random.Random(hour).randrange(4))]
        samples = sampled(samples, len(taken_at), now + 59 * MINUTE)

        hot = hot_range(samples, len(taken_at), now + 59 * MINUTE)

        assert [i for i, at in enumerate(taken_at) if at > now + 59 * MINUTE - HOT and i not in hot] == []
    assert 0 < hot.start < hot.stop
    assert len(samples) <= HOT // HOUR + 2


def test_hot_indices_are_bounded_by_the_newest():
    assert hot_range((TakenSample(at=NOW, taken=0),), HOT_MAX + 7, NOW + HOT) == range(7, HOT_MAX + 7)


def test_all_indices_are_hot_for_a_watch_that_has_just_begun():
    assert hot_range(sampled((), 50, NOW), 50, NOW) == range(50)


# The joint ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", range(65))
def test_joined_finds_the_blocks_still_on_the_chain_in_few_questions(left):
    blocks = known(*range(1_000, 936, -1))
    asked = []

    def is_on_chain(block):
        asked.append(block)
        return block.height < 937 + left

    assert joined(blocks, is_on_chain) == known(*range(936 + left, 936, -1))
    assert len(asked) <= (1 if left == 64 else 8)


def test_the_head_replaces_known_blocks_at_its_height_and_above():
    assert with_head(known(12, 10, 9), head(height=10)) == known(10, 9)
    assert len(with_head(known(*range(99, 30, -1)), head(height=100))) == 64


# Levels -------------------------------------------------------------------------------------------------------------


def test_a_level_without_an_answer_stays_as_it_was():
    changes = compared({1: {"USDC": 5}}, {1: "a", 2: "b"}, ("ETH", "USDC"), {("a", "ETH"): 0, ("b", "ETH"): 3})

    assert changes.levels == {1: {"USDC": 5}, 2: {"ETH": 3}}
    assert changes.moved == {2}
    assert changes.silent == ("USDC",)


def test_a_level_that_falls_has_moved_too():
    changes = compared({1: {"USDC": 5}}, {1: "a"}, ("USDC",), {("a", "USDC"): 0})

    assert changes == LevelChanges(levels={}, moved=frozenset({1}), silent=())


def test_an_index_that_is_not_asked_any_more_is_forgotten_without_news():
    changes = compared({1: {"USDC": 5}, 2: {"USDC": 6}}, {2: "b"}, ("USDC",), {("b", "USDC"): 6})

    assert (changes.levels, changes.moved) == ({2: {"USDC": 6}}, frozenset())


# Follows ------------------------------------------------------------------------------------------------------------


def test_news_are_followed_before_what_was_followed_already():
    assert follow_order(with_followed({3: 50, 4: 40}, [9], 60)) == [9, 4, 3]


def test_an_index_is_forgotten_once_everything_there_is_final():
    before = with_followed({3: 50}, [9], 60)

    assert after_follows(before, before, {3: True, 9: False}, 70) == {9: 70}


def test_news_that_came_during_a_follow_are_followed_again():
    before = with_followed({}, [9], 60)
    stored = with_followed(before, [9], 65)

    assert after_follows(stored, before, {9: True}, 70) == stored


# Outages ------------------------------------------------------------------------------------------------------------


def test_one_failed_look_tells_nobody_and_stops_no_deadline():
    state, news = after_look(WatchState(health=NetworkHealth(ok_at=NOW - MINUTE)), BASE, "silent", NOW)

    assert (state.outages, state.health.down_since, news) == ((), None, "")


def test_operators_hear_once_of_an_outage_and_once_of_its_end():
    state, heard = WatchState(health=NetworkHealth(ok_at=NOW)), []
    for minute in range(1, 20):
        now = NOW + minute * MINUTE
        state, news = after_look(state, BASE, head(now) if minute > 15 else "apart", now)
        heard.append(news)

    assert [news for news in heard if news] == ["down", "up"]
    assert state.outages == (Outage(begin=NOW, end=NOW + 16 * MINUTE),)


def test_a_chain_without_a_new_block_counts_as_halted_from_its_last_block():
    now = NOW + 4 * MINUTE

    state, news = after_look(WatchState(health=NetworkHealth(ok_at=now - MINUTE)), BASE, head(NOW), now)

    assert (state.health.reason, state.health.down_since, news) == (HALTED, NOW, "down")
    assert state.outages == (Outage(begin=NOW, end=None),)


def test_bitcoin_may_be_two_hours_without_a_block():
    now = NOW + 2 * HOUR

    state, news = after_look(WatchState(health=NetworkHealth(ok_at=now - MINUTE)), bitcoin_network(), head(NOW), now)

    assert (state.health, news) == (NetworkHealth(ok_at=now), "")


def test_a_time_in_which_nobody_looked_counts_as_an_outage():
    now = NOW + HOUR

    state, news = after_look(WatchState(health=NetworkHealth(ok_at=NOW)), BASE, head(now), now)

    assert (state.outages, news) == ((Outage(begin=NOW, end=now),), "")


def test_outages_never_overlap():
    outages = with_outage((Outage(begin=10 * MINUTE, end=20 * MINUTE),), 15 * MINUTE, 30 * MINUTE)

    assert outages == (Outage(begin=10 * MINUTE, end=20 * MINUTE), Outage(begin=20 * MINUTE, end=30 * MINUTE))


def test_a_deadline_stands_still_while_the_network_is_unavailable():
    lock = NOW + 15 * MINUTE
    running = (Outage(begin=NOW + 5 * MINUTE, end=None),)

    left = {now: extended(lock, running, NOW, now) - now for now in (NOW + 5 * MINUTE, NOW + HOUR, NOW + 2 * HOUR)}

    assert set(left.values()) == {10 * MINUTE}


@pytest.mark.parametrize(
    ("outages", "moved"),
    [
        ([], 0),
        ([Outage(begin=NOW - HOUR, end=NOW - MINUTE)], 0),
        ([Outage(begin=NOW - HOUR, end=NOW + 5 * MINUTE)], 5),
        ([Outage(begin=NOW + 15 * MINUTE, end=NOW + HOUR)], 0),
        ([Outage(begin=NOW + 14 * MINUTE, end=NOW + 24 * MINUTE)], 10),
        ([Outage(begin=NOW + 24 * MINUTE, end=NOW + 30 * MINUTE), Outage(begin=NOW, end=NOW + 10 * MINUTE)], 16),
        ([Outage(begin=NOW, end=None)], EXTENSION_MAX // MINUTE),
    ],
)
def test_outages_move_a_deadline_by_the_time_they_took_from_it(outages, moved):
    assert extended(NOW + 15 * MINUTE, outages, NOW, NOW + 30 * HOUR) == NOW + (15 + moved) * MINUTE


def test_a_glance_of_seconds_is_no_outage():
    assert with_outage((), NOW, NOW + 5 * SECOND) == ()
