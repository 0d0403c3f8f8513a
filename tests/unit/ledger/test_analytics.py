"""Following a journal in steps: how far one call goes, when it is over, how long it tries, and beginning anew."""

from typing import Any

import pytest

from shared.kernel.clock import DAY
from shared.kernel.documents import Create, PreconditionFailed
from shared.kernel.ids import Uid
from shared.ledger.analytics import (
    ACCOUNTS_PAGE,
    ATTEMPTS_MAX,
    CLEAR_BATCH,
    PAUSE_SECONDS,
    WINDOW,
    UsageAnalytics,
    day_path,
)
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.ledgers import UID, World, charge, grant


class Watch(ManualClock):
    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        super().wait(seconds)


class Busy(MemoryDocuments):
    """Others are faster, so many times. `commits` counts what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.failures, self.commits = 0, 0

    def commit(self, writes: Any, **options: Any) -> Any:
        self.commits += 1
        if self.failures:
            self.failures -= 1
            raise PreconditionFailed
        return super().commit(writes, **options)


@pytest.fixture
def documents() -> Busy:
    return Busy()


@pytest.fixture
def world(documents) -> World:
    return World(documents=documents, clock=Watch())


@pytest.fixture
def analytics(world) -> UsageAnalytics:
    return UsageAnalytics(world.documents, world.ledger, world.clock)


def live(world: World, count: int) -> None:
    """So many entries."""
    ledger = world.ledger
    ledger.execute(UID, grant("g", 10_000))
    for number in range(count - 1):
        ledger.execute(UID, charge(str(number), 1))


def test_a_call_goes_so_many_steps_and_the_next_goes_on_behind_them(world, analytics):
    live(world, 2 * WINDOW + 1)

    reached = [analytics.follow(UID, steps=1), analytics.follow(UID, steps=2), analytics.follow(UID)]

    assert reached == [WINDOW, 2 * WINDOW + 1, 2 * WINDOW + 1]
    (day,) = analytics.report(UID, "0000-01-01", "9999-12-31").days.values()
    assert sum(amounts.count for amounts in day.uses.values()) == 2 * WINDOW


def test_who_asks_for_what_is_projected_already_changes_nothing(world, documents, analytics):
    live(world, 3)
    analytics.follow(UID)
    documents.commits = 0

    assert (analytics.follow(UID, 3), analytics.follow(UID, 2), analytics.follow(UID)) == (3, 3, 3)
    assert documents.commits == 0


def test_a_window_that_is_full_may_have_another_behind_it_and_one_that_is_not_is_the_last(world, documents, analytics):
    live(world, WINDOW + 1)
    documents.commits = 0

    assert analytics.follow(UID) == WINDOW + 1
    assert documents.commits == 2


def test_when_others_are_faster_it_waits_longer_each_time_and_gives_up_in_the_end(world, documents, analytics):
    live(world, 1)
    documents.failures, documents.commits = ATTEMPTS_MAX, 0

    with pytest.raises(PreconditionFailed):
        analytics.follow(UID)

    assert documents.commits == ATTEMPTS_MAX
    assert len(world.clock.waits) == ATTEMPTS_MAX - 1
    for number, seconds in enumerate(world.clock.waits, 1):
        assert 0.5 * PAUSE_SECONDS * number <= seconds <= 1.5 * PAUSE_SECONDS * number


def test_when_others_were_faster_often_but_not_so_often_it_arrives(world, documents, analytics):
    live(world, 1)
    documents.failures = ATTEMPTS_MAX - 1

    assert analytics.follow(UID) == 1


def test_beginning_anew_gives_up_after_as_many_attempts_and_not_before(world, documents, analytics):
    live(world, 2)
    documents.failures = ATTEMPTS_MAX
    with pytest.raises(PreconditionFailed):
        analytics.rebuild(UID)
    assert world.clock.waits == [PAUSE_SECONDS] * (ATTEMPTS_MAX - 1)

    documents.failures = ATTEMPTS_MAX - 1
    assert analytics.rebuild(UID) == 2


@pytest.mark.parametrize("days", [CLEAR_BATCH - 1, CLEAR_BATCH, CLEAR_BATCH + 1])
def test_beginning_anew_leaves_nothing_of_what_was_projected_before(world, documents, analytics, days):
    live(world, 2)
    analytics.follow(UID)
    true = analytics.report(UID, "0000-01-01", "9999-12-31").days
    for number in range(days):
        date = f"{1000 + number:04}-01-01"
        documents.commit([Create(day_path(UID, date), {"v": 1, "uid": UID, "state": '{"moved":{},"uses":[]}'})])

    assert analytics.rebuild(UID) == 2

    assert analytics.report(UID, "0000-01-01", "9999-12-31").days == true


def test_only_the_days_that_changed_are_written_again(world, documents, analytics):
    live(world, 2)
    analytics.follow(UID)
    first = next(iter(analytics.report(UID, "0000-01-01", "9999-12-31").days))
    before = documents.get(day_path(UID, first))
    world.clock.advance(2 * DAY)
    world.ledger.execute(UID, charge("later", 1))

    analytics.follow(UID)

    assert documents.get(day_path(UID, first)) == before
    assert len(analytics.report(UID, "0000-01-01", "9999-12-31").days) == 2


def test_everybody_who_has_an_account_is_named_once(world, analytics):
    names = [Uid(f"u{number:03}") for number in range(ACCOUNTS_PAGE + 1)]
    ledger = world.ledger
    for uid in names:
        ledger.open(uid)

    assert list(analytics.accounts()) == names
