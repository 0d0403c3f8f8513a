import pytest

from shared.kernel.clock import MINUTE, SECOND, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Patch
from shared.kernel.errors import Unavailable
from shared.kernel.ids import HoldId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.commands import PlaceHold
from shared.ledger.relay import CREDIT_EVENTS
from shared.sagas.accounts.ledger_sweep import LedgerJobs
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import LEASE_SECONDS, RUN_SECONDS, JobRun, Jobs, PeriodicJob
from tests.support.ledgers import UID, World, grant


def jobs_of(world: World, *jobs: PeriodicJob) -> Jobs:
    return Jobs(world.documents, world.clock, {"every_minute": jobs})


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
    world.clock.advance(LEASE_SECONDS * SECOND)
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


def test_jobs_share_the_time_of_a_run_and_each_comes_first_in_turn():
    world, ran = World(), []

    def slow(turn: JobRun) -> None:
        ran.append(turn)
        world.clock.advance(int(RUN_SECONDS) * SECOND // 2)

    jobs = jobs_of(world, *(PeriodicJob(name=f"job{n}", seconds=RUN_SECONDS, run=slow) for n in range(3)))
    done = []
    for _ in range(3):
        before = len(ran)
        jobs.run_schedule("every_minute")
        done.append(len(ran) - before)
        world.clock.advance(MINUTE - int(RUN_SECONDS) * SECOND % MINUTE)
    cursors = [world.documents.get(f"jobs/job{n}") for n in range(3)]

    assert done == [2, 2, 2]
    assert None not in cursors


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
            world.clock.advance(LEASE_SECONDS * SECOND)
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
