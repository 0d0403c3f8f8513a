"""Periodic work: each job has a lease, a cursor that outlives the run, and a time budget."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias, TypeVar

from shared.kernel.clock import MINUTE, Clock
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.kernel.events import log, log_error
from shared.sagas.engine.leases import LeasedDocument, Leases

ItemT = TypeVar("ItemT", bound=str)
Work: TypeAlias = Callable[[ItemT, Deadline], object]
"""Work on one item, which stops at the deadline. A large item stores its own position and continues there next time."""

RUN_SECONDS = 240.0
"""Most seconds that all jobs of one run take together. The function has 300 s, and a job's last item may take long."""
LEASE_SECONDS = 330
"""Seconds of a job's lease, longer than the function that took the lease (300 s). Until then the job is skipped."""
ITEM_SHARE = 0.25
"""Most of a job's time that one item may take, so that nobody behind a large item waits longer than one run."""
ITEMS_AT_ONCE = 8
"""Items that a job works on side by side. Most of their time is the store's."""


class JobRun:
    """One run of a job: the cursor where the work continues, and the deadline when the work must stop."""

    def __init__(self, cursor: str, clock: Clock, seconds: float) -> None:
        self.cursor = cursor
        self.done = 0
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
        error is logged and does not stop the work on the other items.
        """
        try:
            work(item, self.item_deadline())
        except Exception as error:  # noqa: BLE001  # one broken item must not hold up all others
            log_error("job_item_failed", error, job=job, item=item, code=_code_of(error))
            return False
        with self._counting:
            self.done += 1
        return True

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
            ends = [pool.submit(self._attempt_rest, job, items, work, begun) for _ in range(workers)]
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

    def __init__(self, documents: Documents, clock: Clock, by_schedule: Mapping[str, tuple[PeriodicJob, ...]]) -> None:
        self._documents = documents
        self._leases = Leases(documents, clock)
        self._clock = clock
        self.by_schedule = by_schedule

    def run_schedule(self, schedule: str) -> dict[str, int]:
        """Run the jobs of a schedule one after the other, and return the number of items each has done.

        A failing job stops no other job. The first job changes every minute, so that all jobs advance even when one run
        is too short for all of them.
        """
        jobs, until = self.by_schedule[schedule], self._clock.monotonic() + RUN_SECONDS
        first = self._clock.now() // MINUTE % len(jobs)
        return {
            job.name: self._run(job, min(job.seconds, until - self._clock.monotonic()))
            for job in (*jobs[first:], *jobs[:first])
        }

    def _run(self, job: PeriodicJob, seconds: float) -> int:
        """Run one job under its lease for at most `seconds`, and return the number of items done.

        Return 0 without work if no time is left or another worker has the lease. An error ends the run and is logged;
        the job's cursor is stored in any case.
        """
        if seconds <= 0:
            log("job_put_off", "WARNING", job=job.name)
            return 0
        leased = self._claim(job)
        if leased is None:
            log("job_skipped", job=job.name)
            return 0
        run = JobRun(str(leased.data["cursor"]), self._clock, seconds)
        try:
            job.run(run)
        except Exception as error:  # noqa: BLE001  # one broken job must not hold up all others
            log_error("job_failed", error, job=job.name, code=_code_of(error))
        finally:
            self._free(leased, run.cursor)
        log("job_done", job=job.name, done=run.done)
        return run.done

    def _claim(self, job: PeriodicJob) -> LeasedDocument | None:
        path = f"jobs/{job.name}"
        known = self._documents.get(path)
        if known is not None:
            return self._leases.claim_read(known, LEASE_SECONDS)
        try:
            return self._leases.create(path, {"cursor": ""}, LEASE_SECONDS)
        except PreconditionFailed:
            return None

    def _free(self, leased: LeasedDocument, cursor: str) -> None:
        """Store the cursor for the next run, unless another worker holds the lease."""
        try:
            leased.free({"cursor": cursor})
        except DomainError as error:
            log("job_lease_lost", "WARNING", path=leased.path, code=error.code)


def _code_of(error: Exception) -> str:
    """Return the code of our errors, and the type's name of all others."""
    return error.code if isinstance(error, DomainError) else type(error).__name__
