from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from shared.kernel.clock import MINUTE, SECOND, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Documents, OutcomeUnknown, Patch, PreconditionFailed
from shared.kernel.errors import Rejected, Unavailable
from shared.kernel.ids import HoldId, Uid, operation_id
from shared.kernel.money import Micro
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.commands import PlaceHold
from shared.ledger.errors import IntegrityFailed
from shared.ledger.relay import CREDIT_EVENTS
from shared.sagas.accounts.ledger_sweep import LedgerJobs
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.job_board import states_in
from shared.sagas.engine.jobs import ALERTS_MAX, LEASE_MARGIN_SECONDS, RUN_SECONDS, JobRun, Jobs, PeriodicJob
from shared.sagas.engine.leases import FREE
from tests.support.faults import FaultyDocuments
from tests.support.ledgers import UID, World, grant

LEASE = int(1 + LEASE_MARGIN_SECONDS) * SECOND
"""Lease of a job of one second."""


def jobs_of(world: World, *jobs: PeriodicJob) -> Jobs:
    return Jobs(world.documents, world.clock, {"every_minute": jobs})


class CallCounts:
    """Documents that count the calls by name."""

    def __init__(self, inner: Documents) -> None:
        self.inner = inner
        self.calls = Counter[str]()

    def __getattr__(self, name: str):
        self.calls[name] += 1
        return getattr(self.inner, name)


def ledger_jobs(world: World) -> LedgerJobs:
    watch = LedgerWatch(world.documents, world.ledger, world.relay, world.alerts, world.clock)
    return LedgerJobs(world.documents, world.ledger, world.relay, watch, world.losses)


def every_minute(world: World) -> tuple[PeriodicJob, PeriodicJob]:
    """The ledger's jobs, with more time than they need."""
    jobs = ledger_jobs(world)
    return (
        PeriodicJob(name="relay", seconds=RUN_SECONDS, run=jobs.relay),
        PeriodicJob(name="expire", seconds=RUN_SECONDS, run=jobs.expire),
    )


def cursor_of(world: World, job: str) -> str:
    states = states_in(world.documents.get("jobs/every_minute"))
    return states[job].cursor if job in states else ""


def test_a_job_goes_on_where_its_last_turn_stopped():
    world, seen = World(), []

    def count(turn: JobRun) -> None:
        seen.append(turn.cursor)
        turn.cursor = f"{len(seen)}"

    jobs = jobs_of(world, PeriodicJob(name="count", seconds=1, run=count))
    jobs.run_schedule("every_minute")
    jobs.run_schedule("every_minute")

    assert seen == ["", "1"]


def test_a_job_under_way_elsewhere_is_skipped_until_its_lease_is_over():
    world = World()
    inner: list[object] = []

    def nested(turn: JobRun) -> None:
        turn.done = 1
        if not inner:
            inner.append(None)
            inner[0] = jobs.run_schedule("every_minute")

    jobs = jobs_of(world, PeriodicJob(name="nested", seconds=1, run=nested))
    outer = jobs.run_schedule("every_minute")

    assert (outer, inner) == ({"nested": 1}, [{"nested": 0}])


def test_a_job_whose_instance_died_is_taken_over_after_the_lease():
    world, runs = World(), []

    def die(turn: JobRun) -> None:
        runs.append(turn.cursor)
        if len(runs) == 1:
            raise KeyboardInterrupt

    jobs = jobs_of(world, PeriodicJob(name="dies", seconds=1, run=die))
    with pytest.raises(KeyboardInterrupt):
        jobs.run_schedule("every_minute")
    world.clock.advance(LEASE)
    jobs.run_schedule("every_minute")

    assert len(runs) == 2


@pytest.mark.parametrize("error", [Unavailable("down"), KeyError("odd")])
def test_a_failing_job_stops_no_other(error):
    world = World()

    def fail(turn: JobRun) -> None:
        raise error

    def work(turn: JobRun) -> None:
        turn.done = 3

    jobs = jobs_of(
        world, PeriodicJob(name="fails", seconds=1, run=fail), PeriodicJob(name="works", seconds=1, run=work)
    )

    assert jobs.run_schedule("every_minute") == {"fails": 0, "works": 3}


@pytest.mark.parametrize("error", [Unavailable("down"), KeyError("odd")])
def test_a_broken_item_stops_no_other_item_and_is_not_counted(error, capsys):
    world, worked = World(), []

    def work(item: str, deadline: Deadline) -> None:
        if item == "broken":
            raise error
        worked.append(item)

    def run(turn: JobRun) -> None:
        assert [turn.attempt("items", item, work) for item in ("one", "broken", "two")] == [True, False, True]

    done = jobs_of(world, PeriodicJob(name="items", seconds=1, run=run)).run_schedule("every_minute")

    assert (done, worked) == ({"items": 2}, ["one", "two"])
    assert '"item": "broken"' in capsys.readouterr().out


def test_a_slow_job_delays_no_other_job_of_its_run_or_of_the_next():
    world, ran, is_next_over = World(), [], Event()

    def slow(turn: JobRun) -> None:
        ran.append("slow")
        assert is_next_over.wait(20)

    def quick(turn: JobRun) -> None:
        ran.append("quick")
        turn.cursor = f"{ran.count('quick')}"

    parts = (PeriodicJob(name="slow", seconds=60, run=slow), PeriodicJob(name="quick", seconds=60, run=quick))
    jobs = Jobs(world.documents, world.clock, {"every_minute": parts}, store_every_seconds=0.01)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(jobs.run_schedule, "every_minute")
        while cursor_of(world, "quick") != "1":
            assert not first.done()
        second = jobs.run_schedule("every_minute")
        is_next_over.set()
        first.result()

    assert second == {"slow": 0, "quick": 0}
    assert (sorted(ran), cursor_of(world, "quick")) == (["quick", "quick", "slow"], "2")


def test_every_minute_relays_what_triggers_lost():
    world = World()
    for number in range(120):
        world.ledger.execute(Uid(f"user-{number}"), grant("g", 5))

    done = jobs_of(world, *every_minute(world)).run_schedule("every_minute")

    assert done["relay"] == 120
    assert {message.data["uid"] for message in world.publisher.on(CREDIT_EVENTS)} == {f"user-{n}" for n in range(120)}


def test_every_minute_expires_holds_and_lots_even_if_one_account_is_broken():
    world = World()
    soon = world.clock.now() + 10 * SECOND
    for number in range(40):
        uid = Uid(f"user-{number}")
        world.ledger.execute(uid, grant("g", 5, expires_at=soon))
        world.ledger.execute(uid, place_hold("h", 2))
    world.documents.commit([Patch(account_path(Uid("user-7")), {"held": "1"})])
    world.clock.advance(3_600 * SECOND)

    done = jobs_of(world, *every_minute(world)).run_schedule("every_minute")

    assert done["expire"] == 39
    balance = world.ledger.balance(Uid("user-8"))
    assert (balance.available, balance.held) == (0, 0)
    document = world.documents.get(state_path(Uid("user-8")))
    assert document is not None
    assert document.data["due_at"] is None


def test_every_day_audits_each_chain_and_acts_on_what_it_finds():
    world = World()
    world.ledger.execute(UID, grant("g", 5))
    world.ledger.execute(Uid("eve"), grant("g", 5))
    world.documents.commit([Patch("accounts/eve/entries/000000000001", {"kind": "charge"})])

    jobs_of(world, PeriodicJob(name="audit", seconds=RUN_SECONDS, run=ledger_jobs(world).audit)).run_schedule(
        "every_minute"
    )

    assert [(alert.fields["uid"], alert.fields["rule"]) for alert in world.alerts.raised] == [("eve", "kind")]
    assert world.ledger.balance(Uid("eve")).status == "frozen"
    assert world.ledger.balance(UID).status == "open"


def place_hold(key: str, amount: int) -> PlaceHold:
    return PlaceHold(
        operation=operation_id("hold", key),
        amount=Micro(amount),
        hold=HoldId(f"hold_{key}"),
        purpose="chat",
        lifetime=900 * SECOND,
        principal=UID,
    )


def test_a_job_of_the_old_form_is_skipped_until_its_lease_is_over():
    world, seen = World(), []
    until = to_datetime(world.clock.now() + MINUTE)
    world.documents.commit([Create("jobs/count", {"cursor": "7", "token": "old", "lease_until": until})])
    jobs = jobs_of(world, PeriodicJob(name="count", seconds=1, run=lambda turn: seen.append(turn.cursor)))

    jobs.run_schedule("every_minute")
    early = list(seen)
    world.clock.advance(MINUTE)
    jobs.run_schedule("every_minute")

    assert (early, seen) == ([], ["7"])


def test_a_job_overtaken_by_another_instance_leaves_the_other_s_cursor():
    world = World()
    runs: list[str] = []

    def slow(run: JobRun) -> None:
        runs.append(run.cursor)
        if len(runs) == 1:
            world.clock.advance(LEASE)
            jobs.run_schedule("every_minute")
        run.cursor = f"run {len(runs)}" if len(runs) == 1 or run.cursor else "second"

    jobs = jobs_of(world, PeriodicJob(name="slow", seconds=1, run=slow))
    jobs.run_schedule("every_minute")
    jobs.run_schedule("every_minute")

    assert runs == ["", "", "second"]


def test_an_item_has_a_share_of_the_run_and_never_more_than_is_left():
    world, given = World(), []

    def work(item: str, deadline: Deadline) -> None:
        given.append((item, deadline.seconds_left()))
        world.clock.advance(70 * SECOND)

    run = JobRun("", world.clock, 80)
    begun = [run.attempt("items", item, work) for item in ("first", "second")]

    assert (begun, given) == ([True, True], [("first", 20), ("second", 10)])


def test_items_side_by_side_begin_in_order_until_the_run_is_over():
    world, worked = World(), []

    def work(item: str, deadline: Deadline) -> None:
        worked.append(item)
        world.clock.advance(10 * SECOND)

    run = JobRun("", world.clock, 35)
    begun = run.attempt_all("items", [f"{number}" for number in range(10)], work, at_once=1)

    assert (begun, run.done, worked) == (4, 4, ["0", "1", "2", "3"])


def test_a_broken_item_side_by_side_stops_no_other():
    worked: list[str] = []

    def work(item: str, deadline: Deadline) -> None:
        if item == "3":
            raise KeyError(item)
        worked.append(item)

    run = JobRun("", World().clock, 60)
    begun = run.attempt_all("items", [f"{number}" for number in range(50)], work)

    assert (begun, run.done, sorted(worked, key=int)) == (50, 49, [f"{n}" for n in range(50) if n != 3])


def test_a_killed_worker_begins_no_more_items_side_by_side():
    begun: list[str] = []

    def die(item: str, deadline: Deadline) -> None:
        begun.append(item)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        JobRun("", World().clock, 60).attempt_all("items", [f"{number}" for number in range(50)], die, at_once=2)

    assert len(begun) <= 2


def test_jobs_of_the_old_form_leave_their_cursors_to_the_board():
    world, seen = World(), []
    world.documents.commit([Create("jobs/count", {"cursor": "7", "lease": FREE})])
    jobs = jobs_of(world, PeriodicJob(name="count", seconds=1, run=lambda turn: seen.append(turn.cursor)))

    jobs.run_schedule("every_minute")
    world.documents.commit([Patch("jobs/count", {"cursor": "8"})])
    jobs.run_schedule("every_minute")

    assert (seen, cursor_of(world, "count")) == (["7", "7"], "7")


def test_a_run_without_work_reads_the_board_once_and_writes_it_twice():
    world = World()
    documents = CallCounts(world.documents)
    parts = tuple(PeriodicJob(name=f"job{n}", seconds=60, run=lambda _: None) for n in range(10))
    jobs = Jobs(documents, world.clock, {"every_minute": parts})
    jobs.run_schedule("every_minute")
    documents.calls.clear()

    jobs.run_schedule("every_minute")

    assert documents.calls == {"get": 1, "commit": 2}


@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_runs_once_a_run_when_the_board_s_commit_is_unclear(at, when):
    world, seen = World(), []
    documents = FaultyDocuments(world.documents, at=at, when=when, error=OutcomeUnknown())

    def count(turn: JobRun) -> None:
        seen.append(turn.cursor)
        turn.cursor = f"{len(seen)}"

    jobs = Jobs(documents, world.clock, {"every_minute": (PeriodicJob(name="count", seconds=1, run=count),)})
    for _ in range(3):
        jobs.run_schedule("every_minute")

    assert seen == ["", "1", "2"]


def test_two_runs_at_once_run_each_job_in_one_instance_only():
    world, running, both = World(), Counter[str](), Barrier(2, timeout=20)
    most = Counter[str]()

    def job(name: str) -> PeriodicJob:
        def work(turn: JobRun) -> None:
            running[name] += 1
            most[name] = max(most[name], running[name])
            running[name] -= 1
            turn.done = 1

        return PeriodicJob(name=name, seconds=60, run=work)

    def run() -> dict[str, int]:
        both.wait()
        return jobs_of(world, *(job(f"job{n}") for n in range(5))).run_schedule("every_minute")

    with ThreadPoolExecutor(2) as pool:
        done = [each.result() for each in [pool.submit(run), pool.submit(run)]]

    assert most == Counter(dict.fromkeys(done[0], 1))
    assert all(first or second for first, second in zip(done[0].values(), done[1].values(), strict=True))


def test_the_cursor_of_a_long_job_outlives_a_crash():
    world, is_moved = World(), Event()
    documents = CallCounts(world.documents)

    def die(turn: JobRun) -> None:
        if not turn.cursor:
            turn.cursor = "far"
            is_moved.set()
            while cursor_of(world, "long") != "far":
                assert is_moved.wait(20)
            raise KeyboardInterrupt

    parts = (PeriodicJob(name="long", seconds=1, run=die), PeriodicJob(name="quick", seconds=1, run=lambda _: None))
    jobs = Jobs(documents, world.clock, {"every_minute": parts}, store_every_seconds=0.01)
    with pytest.raises(KeyboardInterrupt):
        jobs.run_schedule("every_minute")
    early = jobs.run_schedule("every_minute")
    world.clock.advance(LEASE)
    jobs.run_schedule("every_minute")

    assert early == {"long": 0, "quick": 0}
    assert cursor_of(world, "long") == "far"


@pytest.mark.parametrize(
    ("error", "alerts"),
    [
        (KeyError("x"), 1),
        (RecursionError(), 1),
        (Rejected("no"), 1),
        (SchemaUnknown("things", 9), 1),
        (Unavailable("later"), 0),
        (PreconditionFailed(), 0),
        (IntegrityFailed(uid="ada", seq=1, rule="seal"), 0),
    ],
)
def test_broken_item_is_alerted_unless_the_error_may_pass(error, alerts):
    world = World()

    def work(item: str, _: Deadline) -> None:
        if item == "b":
            raise error

    def run_all(run: JobRun) -> None:
        run.attempt_all("many", ["a", "b", "c"], work)

    jobs = Jobs(
        world.documents,
        world.clock,
        {"every_minute": (PeriodicJob(name="many", seconds=1, run=run_all),)},
        alerts=world.alerts,
    )

    assert jobs.run_schedule("every_minute") == {"many": 2}
    assert [alert.event for alert in world.alerts.raised] == ["job_item_broken"] * alerts


def test_alerts_of_one_run_are_limited_when_all_items_break():
    world, items = World(), [f"i{number:02d}" for number in range(ALERTS_MAX + 9)]
    run = JobRun("", world.clock, RUN_SECONDS, world.alerts)

    run.attempt_all("many", items, lambda item, _: int(item))

    assert len(world.alerts.raised) == ALERTS_MAX


def test_broken_job_is_alerted_and_begins_at_its_start():
    world = World()

    def fail(run: JobRun) -> None:
        run.cursor = "poison"
        raise ValueError

    jobs = Jobs(
        world.documents,
        world.clock,
        {"every_minute": (PeriodicJob(name="fails", seconds=1, run=fail),)},
        alerts=world.alerts,
    )
    jobs.run_schedule("every_minute")

    assert [(alert.event, alert.fields["job"]) for alert in world.alerts.raised] == [("job_broken", "fails")]
    assert cursor_of(world, "fails") == ""


@pytest.mark.parametrize(
    "board",
    [
        {},
        {"jobs": None},
        {"jobs": 5},
        {"jobs": {"count": None}},
        {"jobs": {"count": {"cursor": 1, "token": "t", "until": to_datetime(0)}}},
        {"jobs": {"count": {"cursor": "", "token": "t", "until": "soon"}}},
        {"jobs": {"count": {"cursor": "", "token": "t", "until": to_datetime(250_000_000_000_000)}}},
    ],
)
def test_job_runs_when_a_stranger_has_written_the_board(board):
    world, seen = World(), []
    world.documents.commit([Create("jobs/every_minute", board)])

    jobs_of(world, PeriodicJob(name="count", seconds=1, run=lambda run: seen.append(run.cursor))).run_schedule(
        "every_minute"
    )

    assert seen == [""]


def test_job_that_waits_for_another_runs_behind_it():
    order: list[str] = []

    def first(_run: JobRun) -> None:
        order.append("first")
        raise ValueError

    def second(run: JobRun) -> None:
        run.looks.wait_for("first", 60.0)
        run.looks.wait_for("absent", 60.0)
        order.append("second")

    parts = (PeriodicJob(name="second", seconds=1, run=second), PeriodicJob(name="first", seconds=1, run=first))
    jobs_of(World(), *parts).run_schedule("every_minute")

    assert order == ["first", "second"]


def test_jobs_of_one_run_ask_once():
    asked: list[bool] = []

    def look() -> bool:
        asked.append(True)
        return False

    def ask(run: JobRun) -> None:
        assert not run.looks.once("news", look)

    parts = (PeriodicJob(name="a", seconds=1, run=ask), PeriodicJob(name="b", seconds=1, run=ask))
    jobs = jobs_of(World(), *parts)
    jobs.run_schedule("every_minute")
    jobs.run_schedule("every_minute")

    assert len(asked) == 2
