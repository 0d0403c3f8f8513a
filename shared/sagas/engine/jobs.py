"""Periodic work: each job has a lease, a cursor that outlives the run, and a time budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from shared.kernel.clock import MINUTE, Clock
from shared.kernel.documents import Documents, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.kernel.events import log, log_error
from shared.sagas.engine.leases import LeasedDocument, Leases

ItemT = TypeVar("ItemT", bound=str)

RUN_SECONDS = 240.0
"""Most seconds that all jobs of one run take together. The function has 300 s, and a job's last item may take long."""
LEASE_SECONDS = 330
"""Seconds of a job's lease, longer than the function that took the lease (300 s). Until then the job is skipped."""


class JobRun:
    """One run of a job: the cursor where the work continues, and the time when the work must stop."""

    def __init__(self, cursor: str, clock: Clock, seconds: float) -> None:
        self.cursor = cursor
        self.done = 0
        self._clock = clock
        self._until = clock.monotonic() + seconds

    def is_over(self) -> bool:
        """Return True if the time is up."""
        return self._clock.monotonic() >= self._until

    def attempt(self, job: str, item: ItemT, work: Callable[[ItemT], object]) -> bool:
        """Do the work on one item, such as an account or a payment, and return True if the work succeeded.

        Any error is logged and does not stop the work on the other items.
        """
        try:
            work(item)
        except Exception as error:  # noqa: BLE001  # one broken item must not hold up all others
            log_error("job_item_failed", error, job=job, item=item, code=_code_of(error))
            return False
        self.done += 1
        return True


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
