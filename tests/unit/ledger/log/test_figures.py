"""Figures count each entry once: with two sequencers, crashes, unclear commits, rebuilds and broken documents."""

import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from shared.kernel.clock import DAY, SystemClock
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import OutcomeUnknown, Patch, PreconditionFailed, Query, Value
from shared.kernel.ids import Uid
from shared.ledger.log.books import OTHER
from shared.ledger.log.figure_count import FigureCount
from shared.ledger.log.figure_documents import FIGURES, day_figures_path, stored_day, stored_figure_head
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
from shared.ledger.log.rounds import Visit
from shared.sagas.accounts.figure_sweep import FigureSweep
from shared.sagas.engine.jobs import JobRun
from tests.support.faults import Crash, FaultyDocuments
from tests.support.figures import naive, told
from tests.support.sequencing import LogWorld
from tests.unit.ledger.test_accounting import month

MODELS = ("gpt-4o-mini", "claude-haiku", "")
CHAINED = {"v", "ledger", "uid", "seq", "prev", "kind", "op", "kid"}
FAULTS = {"crash": Crash(), "unclear": OutcomeUnknown("lost"), "lost": PreconditionFailed()}
UIDS = [Uid(f"user{number}") for number in range(6)]
SHARDS = Query(collection="shards", group=True, limit=1_000)


def lived(seed: int) -> list[dict[str, Any]]:
    """The bodies of a month, with models, versions of prices and tokens on charges."""
    dice, bodies = random.Random(seed), month(seed)
    for body in bodies:
        body["at"] += seed * 3 * DAY
        if body["kind"] == "charge" and dice.random() < 0.8:
            body["about"] = {"purpose": "chat", "model": dice.choice(MODELS), "price_version": dice.choice("12")}
            body["about"] |= dice.choice(({}, {"markup_percent": "20"}))
            body["usage"] = {"input_tokens": dice.randrange(900), "output_tokens": dice.randrange(90)}
    return bodies


JOURNALS: Mapping[Uid, list[dict[str, Any]]] = {uid: lived(seed) for seed, uid in enumerate(UIDS, 1)}


class Platform(LogWorld):
    """A log whose accounts live the journals step by step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lived: dict[Uid, list[dict[str, Any]]] = {uid: [] for uid in UIDS}

    def live(self, uid: Uid, count: int) -> None:
        """Store the next entries of a journal."""
        known = len(self.lived[uid])
        bodies = JOURNALS[uid][known : known + count]
        writes = [self.mill.entry_write(uid, body["kind"], **_facts(body)) for body in bodies]
        if writes:
            self.store.commit(writes)
        self.lived[uid] += bodies

    def round(self, documents: FaultyDocuments | None = None) -> None:
        """Let a sequencer append what the accounts have."""
        visits = [Visit(uid=uid, seq=len(bodies)) for uid, bodies in self.lived.items() if bodies]
        self.sequencer(documents).append(visits)

    def figures(self) -> Mapping[str, DayFigures]:
        """The figures as readers add them up."""
        head = stored_figure_head(self.store.get(HEAD_PATH))
        days = dict(head.days)
        for document in self.store.query(SHARDS):
            day = document.path.split("/")[1]
            days[day] = days.get(day, DayFigures()) + stored_day(day, document, head.generation).figures
        return {day: figures for day, figures in days.items() if figures != DayFigures()}

    def is_whole(self) -> bool:
        return stored_figure_head(self.store.get(HEAD_PATH)).is_whole

    def count_all(self) -> None:
        """Run the day's job twice: what a run finds broken, the next one counts again."""
        for _ in range(2):
            FigureSweep(self.store, self.alerts).sweep(JobRun("", self.clock, 60.0))


def _facts(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in CHAINED}


def check_figures(platform: Platform) -> None:
    assert told(platform.figures()) == naive(platform.lived)


def test_figures_equal_the_fold_of_all_journals_at_every_round():
    platform, dice = Platform(), random.Random(1)

    for _ in range(25):
        for uid in dice.sample(UIDS, 3):
            platform.live(uid, dice.randrange(1, 40))
        platform.round()
        check_figures(platform)
    assert platform.is_whole()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
def test_figures_count_once_when_commits_fail(when, fault):
    platform, dice = Platform(), random.Random(2)

    for _ in range(12):
        platform.live(dice.choice(UIDS), 30)
        with suppress(Crash):
            platform.round(FaultyDocuments(platform.store, at=1, when=when, error=FAULTS[fault]))
    platform.round()

    check_figures(platform)


def test_rebuild_gives_the_same_days_while_the_sequencer_runs():
    platform, dice = Platform(), random.Random(3)
    for uid in UIDS:
        platform.live(uid, 120)
    platform.round()
    before, count = platform.figures(), FigureCount(platform.store)

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
    platform = Platform()
    for uid in UIDS:
        platform.live(uid, 60)
    platform.round()

    dying = FaultyDocuments(platform.store, at=at, when=when)
    with suppress(Crash):
        count = FigureCount(dying)
        count.begin_again()
        for uid in UIDS:
            count.go_on("", NEVER)
            platform.live(uid, 1)
            platform.round()
    platform.count_all()

    check_figures(platform)


def test_entries_from_before_the_figures_are_counted_later():
    platform = Platform()
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
    platform = Platform()
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
    platform = Platform()
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
    platform = Platform()
    for uid in UIDS:
        platform.live(uid, 40)
    platform.round()

    assert not [uid for uid in UIDS for day in platform.figures().values() if uid in figures_text(day)]
    assert platform.store.get(day_figures_path("2026-01-01")) is None
