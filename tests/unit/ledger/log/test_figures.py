"""Figures count each entry once: with two sequencers, crashes, unclear commits, rebuilds and broken documents."""

import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from shared.kernel.clock import DAY, HOUR, SystemClock
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import OutcomeUnknown, Patch, PreconditionFailed, Value
from shared.kernel.ids import Uid
from shared.ledger.log.books import OTHER
from shared.ledger.log.figure_count import FigureCount
from shared.ledger.log.figure_documents import DAYS_MAX, FIGURES, day_figures_path, day_of_path, is_month
from shared.ledger.log.figures import (
    ROWS_MAX,
    DayFigures,
    FiguredAccount,
    figures_of,
    figures_text,
    stored_figures,
)
from shared.ledger.log.head import HEAD_PATH
from shared.ledger.log.position import position_path
from tests.support.faults import Crash, FaultyDocuments
from tests.support.figures import SHARDS, Platform, check_balances, check_figures, lived

FAULTS = {"crash": Crash(), "unclear": OutcomeUnknown("lost"), "lost": PreconditionFailed()}
UIDS = [Uid(f"user{number}") for number in range(6)]


JOURNALS: Mapping[Uid, list[dict[str, Any]]] = {
    uid: lived(seed, seed * 6 * HOUR, pace=8) for seed, uid in enumerate(UIDS, 1)
}
SLOW: Mapping[Uid, list[dict[str, Any]]] = {uid: lived(seed, seed * 30 * DAY) for seed, uid in enumerate(UIDS, 1)}


def test_figures_equal_the_fold_of_all_journals_at_every_round():
    platform, dice = Platform(journals=JOURNALS), random.Random(1)

    for _ in range(25):
        for uid in dice.sample(UIDS, 3):
            platform.live(uid, dice.randrange(1, 40))
        platform.round()
        check_figures(platform)
    assert platform.is_whole()


def test_month_of_sign_up_is_looked_up_once_in_a_life():
    platform = Platform(journals=JOURNALS)
    for _ in range(3):
        for uid in UIDS:
            platform.live(uid, 20)
        platform.round()
        platform.waiting |= set(UIDS)
        platform.round()
    FigureCount(platform.store, platform).begin_again()
    platform.count_all()

    assert sorted(platform.looked_up) == UIDS


def test_balances_of_a_day_are_equal_before_and_after_a_rebuild():
    platform = Platform(journals=SLOW)
    for uid in UIDS:
        platform.live(uid, 300)
    platform.round()
    platform.count_all()
    days = sorted(platform.figures())[::9]
    check_balances(platform, days)

    FigureCount(platform.store, platform).begin_again()
    platform.count_all()

    check_balances(platform, days)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
def test_figures_count_once_when_commits_fail(when, fault):
    platform, dice = Platform(journals=JOURNALS), random.Random(2)

    for _ in range(12):
        platform.live(dice.choice(UIDS), 30)
        with suppress(Crash):
            platform.round(FaultyDocuments(platform.store, at=1, when=when, error=FAULTS[fault]))
    platform.round()

    check_figures(platform)


def test_rebuild_gives_the_same_days_while_the_sequencer_runs():
    platform, dice = Platform(journals=JOURNALS), random.Random(3)
    for uid in UIDS:
        platform.live(uid, 120)
    platform.round()
    before, count = platform.figures(), FigureCount(platform.store, platform)

    count.begin_again()
    assert not platform.is_whole()
    assert platform.figures() == {}
    after: str | None = ""
    while after is not None:
        platform.live(dice.choice(UIDS), 5)
        platform.round()
        after = count.go_on(after, Deadline.within(StepClock(), 3))
    platform.count_all()

    assert platform.is_whole()
    check_figures(platform)
    assert set(before) <= set(platform.figures())


class StepClock(SystemClock):
    """Clock that moves on by a second at each look."""

    def __init__(self) -> None:
        self.looks = 0.0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
def test_count_goes_on_after_a_crash_at_any_commit(when, at):
    platform = Platform(journals=JOURNALS)
    for uid in UIDS:
        platform.live(uid, 60)
    platform.round()

    dying = FaultyDocuments(platform.store, at=at, when=when)
    with suppress(Crash):
        count = FigureCount(dying, platform)
        count.begin_again()
        for uid in UIDS:
            count.go_on("", NEVER)
            platform.live(uid, 1)
            platform.round()
    platform.count_all()

    check_figures(platform)


def test_entries_from_before_the_figures_are_counted_later():
    platform = Platform(journals=JOURNALS)
    for uid in UIDS:
        platform.live(uid, 50)
    platform.round()
    older_release(platform)
    platform.live(UIDS[0], 20)
    platform.round()
    assert not platform.is_whole()

    platform.count_all()

    assert platform.is_whole()
    check_figures(platform)


def test_rounds_of_many_days_leave_their_accounts_to_the_count():
    platform = Platform(journals=SLOW)
    for uid in UIDS:
        platform.live(uid, 300)
    platform.round()
    assert not platform.is_whole()

    platform.store = Bounded(platform.store)
    platform.count_all()

    assert platform.is_whole()
    check_figures(platform)


class Bounded(FaultyDocuments):
    """Store that takes few days in a commit."""

    def commit(self, writes, **options):
        days = [each.path for each in writes if each.path[:6] == "books/" and not is_month(day_of_path(each.path))]
        assert len(days) <= DAYS_MAX
        return super().commit(writes, **options)


def test_figures_are_exact_after_an_earlier_release_ran_again():
    platform = Platform(journals=JOURNALS)
    for number in range(4):
        for uid in UIDS:
            platform.live(uid, 30)
        platform.round()
        if number % 2:
            FigureCount(platform.store, platform).begin_again()
            platform.count_all()
        else:
            older_release(platform)

    platform.live(UIDS[0], 5)
    platform.round()
    platform.count_all()

    assert platform.is_whole()
    check_figures(platform)


def grown_beside(newer: int) -> Platform:
    """A platform with a day of a newer generation than the head's."""
    platform = Platform(journals=JOURNALS)
    for number in range(11):
        platform.live(UIDS[number % 6], 20)
        platform.round()
    for day in platform.store.query(SHARDS):
        platform.store.commit([Patch(day.path, {"generation": newer}, day.version)])
    return platform


def test_log_goes_on_beside_days_of_a_newer_generation():
    platform = grown_beside(2**50)

    for number in range(22):
        platform.live(UIDS[number % 6], 9)
        platform.round()
    platform.count_all()

    assert platform.is_whole()
    check_figures(platform)


def test_idle_log_counts_again_beside_days_of_a_newer_generation():
    platform = grown_beside(2**50)

    platform.count_all()

    assert platform.is_whole()
    check_figures(platform)


def older_release(platform: Platform) -> None:
    """Take away what releases without figures did not store."""
    for uid in UIDS:
        document = platform.store.get(position_path(uid))
        assert document is not None
        state = document.data["state"]
        assert isinstance(state, Mapping)
        kept = {name: value for name, value in state.items() if name != "figured"}
        platform.store.commit([Patch(document.path, {"state": kept}, document.version)])
    head = platform.store.get(HEAD_PATH)
    assert head is not None
    platform.store.commit([Patch(HEAD_PATH, {FIGURES: None}, head.version)])


@pytest.mark.parametrize("field", ["generation", FIGURES])
@pytest.mark.parametrize("wrong", [None, "x", -1, True, {}, [], "{}"])
def test_a_day_that_cannot_be_read_is_counted_again(field, wrong):
    platform = Platform(journals=JOURNALS)
    for number in range(11):
        platform.live(UIDS[number % 6], 20)
        platform.round()
    day = platform.store.query(SHARDS)[0]
    platform.store.commit([Patch(day.path, {field: wrong}, day.version)])

    for number in range(11):
        platform.live(UIDS[number % 6], 9)
        platform.round()
    platform.count_all()

    check_figures(platform)


def test_figures_of_last_rounds_that_cannot_be_read_are_counted_again():
    platform = Platform(journals=JOURNALS)
    platform.live(UIDS[0], 20)
    platform.round()
    head = platform.store.get(HEAD_PATH)
    assert head is not None
    broken: dict[str, Value] = {"generation": 0, "is_whole": True, "rounds": 1, "days": {"2026-01-01": "{"}}
    platform.store.commit([Patch(HEAD_PATH, {FIGURES: broken}, head.version)])

    platform.live(UIDS[1], 20)
    platform.round()
    platform.count_all()

    check_figures(platform)


def test_days_have_bounded_rows_and_sums_stay_exact():
    bodies: list[dict[str, Any]] = [
        {"seq": seq, "kind": "grant", "at": 0, "postings": [{"from": f"world:{seq}", "to": "available", "amount": 2}]}
        for seq in range(1, ROWS_MAX + 100)
    ]

    figures = DayFigures()
    account = FiguredAccount()
    for body in bodies:
        account, days = figures_of(account, [body])
        figures = figures + days["1970-01-01"]

    assert len(figures.flows) == ROWS_MAX + 1
    assert sum(figures.flows.values()) == 2 * len(bodies)
    assert figures.flows["grant", OTHER, OTHER] == 2 * (len(bodies) - ROWS_MAX)  # type: ignore[index]  # a Flow is a tuple
    assert stored_figures(figures_text(figures)) == figures


def test_no_figure_names_an_account():
    platform = Platform(journals=JOURNALS)
    for uid in UIDS:
        platform.live(uid, 40)
    platform.round()

    assert not [uid for uid in UIDS for day in platform.figures().values() if uid in figures_text(day)]
    assert platform.store.get(day_figures_path("2026-01-01")) is None
