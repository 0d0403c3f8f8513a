"""Periodic work: each job has a lease, a cursor that outlives the run, and a time budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.kernel.clock import MINUTE, SECOND, Clock, to_datetime
from shared.kernel.documents import Create, Document, Documents, PreconditionFailed, Put, Value
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid, random_token

RUN_SECONDS = 240.0
"""Most seconds that all jobs of one run take together. The function has 300 s, and a job's last item may take long."""
LEASE_SECONDS = 330
"""Seconds of a job's lease, longer than the function that took the lease (300 s). Until then the job is skipped."""


class Turn:
    """One turn of a job: the cursor where the work continues, and the time when the work must stop."""

    def __init__(self, cursor: str, clock: Clock, seconds: float) -> None:
        self.cursor = cursor
        self.done = 0
        self._clock = clock
        self._until = clock.monotonic() + seconds

    def is_over(self) -> bool:
        """Return True if the time is up."""
        return self._clock.monotonic() >= self._until

    def attempt(self, job: str, uid: Uid, work: Callable[[Uid], object]) -> bool:
        """Do the work of one account, and return True if the work succeeded.

        A DomainError is logged and does not stop the other accounts.
        """
        try:
            work(uid)
        except DomainError as error:
            log("job_item_failed", "ERROR", job=job, uid=uid, code=error.code)
            return False
        self.done += 1
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicJob:
    """A periodic task. `run` works from the turn's cursor until the turn is over, and moves the cursor."""

    name: str
    seconds: float
    run: Callable[[Turn], None]


class Jobs:
    """The runner of jobs. Each job runs at most once at a time over all instances."""

    def __init__(self, documents: Documents, clock: Clock, by_schedule: Mapping[str, tuple[PeriodicJob, ...]]) -> None:
        self._documents = documents
        self._clock = clock
        self.by_schedule = by_schedule

    def run(self, schedule: str) -> dict[str, int]:
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
        if seconds <= 0:
            log("job_put_off", "WARNING", job=job.name)
            return 0
        lease = self._claim(job)
        if lease is None:
            log("job_skipped", job=job.name)
            return 0
        turn = Turn(str(lease.data["cursor"]), self._clock, seconds)
        try:
            job.run(turn)
        except DomainError as error:
            log("job_failed", "ERROR", job=job.name, code=error.code)
        finally:
            self._free(lease, turn.cursor)
        log("job_done", job=job.name, done=turn.done)
        return turn.done

    def _claim(self, job: PeriodicJob) -> Document | None:
        path, now = f"jobs/{job.name}", self._clock.now()
        known = self._documents.get(path)
        if known is not None and known.data["lease_until"] > to_datetime(now):  # type: ignore[operator]  # a time
            return None
        data: dict[str, Value] = {
            "cursor": "" if known is None else known.data["cursor"],
            "token": random_token(),
            "lease_until": to_datetime(now + LEASE_SECONDS * SECOND),
        }
        try:
            version = self._documents.commit([Create(path, data) if known is None else Put(path, data, known.version)])
        except PreconditionFailed:
            return None
        return Document(path=path, data=data, version=version[0])

    def _free(self, lease: Document, cursor: str) -> None:
        """Store the cursor for the next turn, unless another worker holds the lease."""
        data: dict[str, Value] = {"cursor": cursor, "token": "", "lease_until": to_datetime(0)}
        try:
            self._documents.commit([Put(lease.path, data, lease.version)])
        except DomainError as error:
            log("job_lease_lost", "WARNING", path=lease.path, code=error.code)
