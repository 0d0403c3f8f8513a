"""Periodic work: each job has a cursor that outlives the run, a time budget, and a deadline for each item."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock
from typing import TypeAlias, TypeVar

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, PreconditionFailed, StoreUnavailable
from shared.kernel.errors import DomainError, Unavailable, code_of
from shared.kernel.events import Alerts, log, log_error
from shared.kernel.schemas import SchemaUnknown
from shared.kernel.tracing import in_this_work
from shared.ledger.errors import IntegrityFailed
from shared.sagas.engine.job_board import JobBoard, JobClaims, JobEnd, JobState, states_in
from shared.sagas.engine.schedules import LATE_AFTER, is_silent, newest_end

ItemT = TypeVar("ItemT", bound=str)
Work: TypeAlias = Callable[[ItemT, Deadline], object]
"""Work on one item, which stops at the deadline. A large item stores its own position and continues there next time."""

RUN_SECONDS = 240.0
"""Most seconds of a job. The function has 300 s, and a job's last item may take long."""
LEASE_MARGIN_SECONDS = 60.0
"""Seconds of a job's lease beyond the job's own. If an instance dies, its jobs are skipped until then."""
STORE_EVERY_SECONDS = 5.0
"""Seconds after which jobs that have ended are freed, and the cursors of the others stored, although some still run.

So a slow job keeps no other job from the next run, and a crash loses little of a long run.
"""
ITEM_SHARE = 0.25
"""Most of a job's time that one item may take, so that nobody behind a large item waits longer than one run."""
ITEMS_AT_ONCE = 8
"""Items that a job works on side by side. Most of their time is the store's."""
ALERTS_MAX = 20
"""Most alerts about items of one run. All further failures are logged alone: the cause is the same, or an outage."""
MISSED_AFTER: Millis = 90 * SECOND
"""Time after the last end of any job from which on a run of the minute's schedule is missing."""
PASSING = (Unavailable, PreconditionFailed)
"""Errors that the next run may not meet again, so that nobody is alerted."""
ALERTED = (IntegrityFailed,)
"""Errors that have raised an alert of their own."""


class SharedLooks:
    """News that the jobs of one run of a schedule share: answers that each is asked for once, and who has ended."""

    def __init__(self, jobs: Iterable[str] = ()) -> None:
        self._answers: dict[str, bool] = {}
        self._ends = {job: Event() for job in jobs}
        self._lock = Lock()

    def once(self, name: str, look: Callable[[], bool]) -> bool:
        """Return the answer of `look`, from the first job that asked under this name. Raises the errors of `look`."""
        with self._lock:
            if name not in self._answers:
                self._answers[name] = look()
            return self._answers[name]

    def end(self, job: str) -> None:
        """Let the jobs go on that wait for the end of this job."""
        if job in self._ends:
            self._ends[job].set()

    def wait_for(self, job: str, seconds: float) -> None:
        """Wait until the job has ended, at most `seconds`. Return at once if the job is no part of this run."""
        if job in self._ends:
            self._ends[job].wait(seconds)


class JobRun:
    """One run of a job: the cursor where the work continues, and the deadline when the work must stop.

    `looks` are shared with the other jobs of the schedule's run. `lag` is the age (ms) of the oldest item that waited,
    if the job tells. `end` is None while the job runs.
    """

    def __init__(
        self,
        cursor: str,
        clock: Clock,
        seconds: float,
        alerts: Alerts | None = None,
        looks: SharedLooks | None = None,
    ) -> None:
        self.cursor = cursor
        self.looks = looks or SharedLooks()
        self._alerts = alerts
        self._alerted = 0
        self.done = 0
        self.lag: Millis = 0
        self.began = clock.now()
        self.end: JobEnd | None = None
        self.deadline = Deadline.within(clock, seconds)
        self._item_seconds = seconds * ITEM_SHARE
        self._counting = Lock()

    def is_over(self) -> bool:
        """Return True if the time is up."""
        return self.deadline.is_over()

    def item_deadline(self) -> Deadline:
        """Return the deadline of an item that begins now: a share of the run, so that no item takes the whole run."""
        return self.deadline.or_within(self._item_seconds)

    def attempt(self, job: str, item: ItemT, work: Work[ItemT]) -> bool:
        """Do the work on one item, such as an account or a payment, and return True if the work succeeded.

        A large item stores a position of its own when the deadline is over, and continues there in a later run. Any
        error is logged and does not stop the work on the other items. An error that will not pass raises an alert.
        """
        try:
            work(item, self.item_deadline())
        except Exception as error:  # noqa: BLE001  # one broken item must not hold up all others
            log_error("job_item_failed", error, job=job, item=item, code=code_of(error))
            if _is_news(error):
                self._alert(job, item, error)
            return False
        with self._counting:
            self.done += 1
        return True

    def _alert(self, job: str, item: str, error: Exception) -> None:
        with self._counting:
            self._alerted += 1
            is_told = self._alerts is not None and self._alerted <= ALERTS_MAX
        if self._alerts is not None and is_told:
            self._alerts.alert("job_item_broken", job=job, item=item, code=code_of(error))

    def attempt_all(self, job: str, items: Sequence[ItemT], work: Work[ItemT], at_once: int = ITEMS_AT_ONCE) -> int:
        """Attempt the items side by side, and return the number of items begun before the run was over.

        Items begin in their order, so the cursor may move behind the last one begun. See `attempt`.
        """
        begun = _ItemCount()
        workers = min(at_once, len(items))
        if workers <= 1:
            self._attempt_rest(job, items, work, begun)
            return begun.count
        with ThreadPoolExecutor(workers) as pool:
            ends = [pool.submit(in_this_work(self._attempt_rest), job, items, work, begun) for _ in range(workers)]
        for end in ends:
            end.result()
        return begun.count

    def _attempt_rest(self, job: str, items: Sequence[ItemT], work: Work[ItemT], begun: "_ItemCount") -> None:
        try:
            while not self.is_over() and (number := begun.next_of(len(items))) is not None:
                self.attempt(job, items[number], work)
        except BaseException:
            begun.stop()
            raise


class _ItemCount:
    """Count of the items that workers have begun, shared between threads."""

    def __init__(self) -> None:
        self.count = 0
        self._is_stopped = False
        self._lock = Lock()

    def next_of(self, items: int) -> int | None:
        """Return the number of the next item; None if none is left or a worker has died."""
        with self._lock:
            if self._is_stopped or self.count >= items:
                return None
            self.count += 1
            return self.count - 1

    def stop(self) -> None:
        """Let no worker begin another item."""
        self._is_stopped = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicJob:
    """A periodic task. `run` works from the cursor of the run until the run is over, and moves the cursor."""

    name: str
    seconds: float
    run: Callable[[JobRun], None]


class Jobs:
    """The runner of jobs. Each job runs at most once at a time over all instances."""

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        by_schedule: Mapping[str, tuple[PeriodicJob, ...]],
        store_every_seconds: float = STORE_EVERY_SECONDS,
        alerts: Alerts | None = None,
    ) -> None:
        self._alerts = alerts
        self._board = JobBoard(documents, clock)
        self._clock = clock
        self._store_every_seconds = store_every_seconds
        self.by_schedule = by_schedule

    def run_schedule(self, schedule: str) -> dict[str, int]:
        """Run the jobs of a schedule side by side, and return the number of items that each has done.

        A failing or slow job stops no other. A job that another instance runs now is skipped. Raises the errors of
        `JobBoard.claim`.
        """
        jobs = self.by_schedule[schedule]
        claims = self._claim(schedule, jobs)
        before = states_in(claims.known)
        self._resolve_outage(schedule, before)
        looks = SharedLooks(claims.cursors)
        runs = {
            job: JobRun(claims.cursors[job.name], self._clock, job.seconds, self._alerts, looks)
            for job in jobs
            if job.name in claims.cursors
        }
        for job in jobs:
            if job not in runs:
                log("job_skipped", job=job.name)
        failed = {name for name, state in before.items() if state.last and state.last.code}
        if runs:
            self._run_all(runs, claims)
            self._resolve({job.name for job, run in runs.items() if run.end and not run.end.code} & failed)
            self._tell_lag({job.name: run.lag for job, run in runs.items()}, before)
        return {job.name: runs[job].done if job in runs else 0 for job in jobs}

    def _resolve(self, jobs: Iterable[str]) -> None:
        """End the alerts of jobs whose last run failed and that work again."""
        if self._alerts is not None:
            for job in sorted(jobs):
                self._alerts.resolve("job_broken", job=job)

    def _claim(self, schedule: str, jobs: Sequence[PeriodicJob]) -> JobClaims:
        """Claim the jobs. If the store does not answer, alert; raises the errors of `JobBoard.claim`."""
        try:
            return self._board.claim(schedule, {job.name: job.seconds + LEASE_MARGIN_SECONDS for job in jobs})
        except StoreUnavailable as error:
            if self._alerts is not None:
                self._alerts.alert("component_down", part="store", code=error.code)
            raise

    def _resolve_outage(self, schedule: str, before: Mapping[str, JobState]) -> None:
        """If runs are missing before this one, end the alerts of what may have kept them: the store, the schedule."""
        newest = newest_end(before)
        if self._alerts is None or newest is None or self._clock.now() - newest <= MISSED_AFTER:
            return
        self._alerts.resolve("component_down", part="store")
        if is_silent(schedule, before, self._clock.now()):
            self._alerts.resolve("schedule_silent", schedule=schedule)

    def _tell_lag(self, lags: Mapping[str, Millis], before: Mapping[str, JobState]) -> None:
        """Alert for jobs whose oldest item waits for too long, and end the alerts of jobs that have caught up."""
        if self._alerts is None:
            return
        for job, lag in lags.items():
            last = before[job].last if job in before else None
            if lag > LATE_AFTER:
                self._alerts.alert("job_behind", job=job, seconds=lag // SECOND)
            elif last is not None and last.lag > LATE_AFTER:
                self._alerts.resolve("job_behind", job=job)

    def _run_all(self, runs: Mapping[PeriodicJob, JobRun], claims: JobClaims) -> None:
        """Run the jobs, each on a thread, and free those that have ended.

        All are freed together, unless some take long: then the others are freed as they end, for the next run, and the
        cursors of the long ones are stored on the way.
        """
        with ThreadPoolExecutor(len(runs)) as pool:
            jobs = {pool.submit(in_this_work(self._run), job, run): job for job, run in runs.items()}
            ended, going = wait(jobs, self._store_every_seconds)
            while True:
                alive = [jobs[each] for each in ended if each.exception() is None]
                ends = {job.name: end for job in alive if (end := runs[job].end) is not None}
                free = partial(self._board.free, ends=ends)
                self._store(free, {job.name: runs[job].cursor for job in alive}, claims)
                if not going:
                    break
                self._store(self._board.keep, {jobs[each].name: runs[jobs[each]].cursor for each in going}, claims)
                ended, going = wait(going, self._store_every_seconds, return_when=FIRST_COMPLETED)
        for each in jobs:
            each.result()

    def _run(self, job: PeriodicJob, run: JobRun) -> None:
        """Run one job. An error ends the run and is logged; the job's cursor is stored in any case.

        An error that will not pass raises an alert, and the next run begins at the start: a cursor may be the cause.
        """
        code = ""
        try:
            job.run(run)
        except Exception as error:  # noqa: BLE001  # one broken job must not hold up all others
            code = code_of(error)
            log_error("job_failed", error, job=job.name, code=code_of(error))
            if not is_passing(error):
                run.cursor = ""
                if self._alerts is not None:
                    self._alerts.alert("job_broken", job=job.name, code=code_of(error))
        finally:
            now = self._clock.now()
            run.end = JobEnd(at=now, millis=now - run.began, done=run.done, code=code, lag=run.lag)
            run.looks.end(job.name)
        log("job_done", job=job.name, done=run.done)

    def _store(
        self, store: Callable[[JobClaims, Mapping[str, str]], None], cursors: Mapping[str, str], claims: JobClaims
    ) -> None:
        try:
            if cursors:
                store(claims, cursors)
        except DomainError as error:
            log("job_cursors_not_stored", "WARNING", path=claims.path, jobs=" ".join(cursors), code=error.code)


def is_passing(error: Exception) -> bool:
    """Return True if a later attempt may not meet the error again. A document of another release's form stays."""
    return isinstance(error, PASSING) and not isinstance(error, SchemaUnknown)


def _is_news(error: Exception) -> bool:
    return not is_passing(error) and not isinstance(error, ALERTED)
