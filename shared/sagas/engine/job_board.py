"""Board of a schedule's jobs: one document `jobs/{schedule}` with the lease and the cursor of each job.

A run claims all jobs that are free in one write, and frees them in another. So a minute without work costs one read and
two writes, however many jobs there are, and a job under way in one instance keeps no other job from another instance.
The write that frees a job also stores how the job's last run ended.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.kernel.clock import HOUR, SECOND, Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import (
    Create,
    Data,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    StoreUnavailable,
    Value,
)
from shared.kernel.events import log
from shared.kernel.ids import random_token
from shared.sagas.engine.leases import is_leased

ATTEMPTS_MAX = 6
"""Attempts to write the board. Every instance that runs the schedule writes the board, but few do so at once."""
PAUSE_SECONDS = 0.05
LEASE_MAX: Millis = HOUR
"""Time beyond any lease of a job. A longer lease was not written by us."""
FREE = to_datetime(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """End of a job's last run. `at` is the time of the end, `millis` the run's length, `done` the number of items.

    `code` names the error that ended the run, "" for none. `lag` is the age (ms) of the oldest item that waited, 0 for
    a job that does not tell.
    """

    at: Millis
    millis: Millis
    done: int
    code: str = ""
    lag: Millis = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """State of one job: the cursor of the next run, the holder's token with the end of the lease, and the last end.

    `token` is empty while no instance has the job. A token whose time is up is that of an instance that died. `last` is
    None before the first end.
    """

    cursor: str = ""
    token: str = ""
    until: datetime = FREE
    last: JobEnd | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class JobClaims:
    """Jobs that one run has claimed. `cursors` has the stored cursor of each claimed job."""

    path: str
    token: str
    cursors: Mapping[str, str]
    known: Document | None = field(repr=False)
    """Board as this run has read or written it last; None if the board must be read before the next write."""


class JobBoard:
    """Boards of all schedules. Safe to share between threads."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def claim(self, schedule: str, seconds: Mapping[str, float]) -> JobClaims:
        """Claim every free job of the schedule, each for the given seconds, by name.

        Raises PreconditionFailed, OutcomeUnknown or StoreUnavailable if the board could not be written; then the next
        run tries again.
        """
        path, token = f"jobs/{schedule}", random_token()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            known = self._documents.get(path)
            states = self._with_new(states_in(known), seconds)
            free = [name for name, state in states.items() if name in seconds and self._is_free(state, token)]
            cursors = {name: states[name].cursor for name in free}
            if not free:
                return JobClaims(path=path, token=token, cursors={}, known=known)
            claimed = {name: self._claimed(states[name], token, seconds[name]) for name in free}
            try:
                known = self._write(path, known, {**states, **claimed})
            except (PreconditionFailed, OutcomeUnknown, StoreUnavailable):
                if attempt == ATTEMPTS_MAX:
                    raise
                self._clock.wait(PAUSE_SECONDS * attempt)
            else:
                return JobClaims(path=path, token=token, cursors=cursors, known=known)
        raise AssertionError("the last attempt returns or raises")

    def states(self, schedule: str) -> Mapping[str, JobState]:
        """Return the states of a schedule's jobs by name. Raises StoreUnavailable."""
        return states_in(self._documents.get(f"jobs/{schedule}"))

    def free(self, claims: JobClaims, cursors: Mapping[str, str], ends: Mapping[str, JobEnd]) -> None:
        """Store cursors and ends of jobs that have ended, and free them, unless another instance has taken them over.

        Raises PreconditionFailed, OutcomeUnknown, StoreUnavailable; then the jobs are free when their time is up.
        """
        self._store(claims, cursors, lambda name, _: JobState(cursor=cursors[name], last=ends.get(name)))

    def keep(self, claims: JobClaims, cursors: Mapping[str, str]) -> None:
        """Store the cursors of jobs that still run, so that a crash loses little. Raises the errors of `free`."""
        self._store(claims, cursors, lambda name, state: replace(state, cursor=cursors[name]))

    def _store(
        self, claims: JobClaims, cursors: Mapping[str, str], change: Callable[[str, JobState], JobState]
    ) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                self._store_ours(claims, cursors, change)
            except (PreconditionFailed, OutcomeUnknown, StoreUnavailable):
                claims.known = None
                if attempt == ATTEMPTS_MAX:
                    raise
                self._clock.wait(PAUSE_SECONDS * attempt)
            else:
                return

    def _store_ours(
        self, claims: JobClaims, cursors: Mapping[str, str], change: Callable[[str, JobState], JobState]
    ) -> None:
        known = claims.known or self._documents.get(claims.path)
        states = states_in(known)
        ours = [name for name in cursors if states.get(name, JobState()).token == claims.token]
        changed = {name: change(name, states[name]) for name in ours}
        if any(changed[name] != states[name] for name in ours):
            claims.known = self._write(claims.path, known, {**states, **changed})
        for name in sorted(cursors.keys() - set(ours)):
            log("job_lease_lost", "WARNING", job=name)

    def _is_free(self, state: JobState, token: str) -> bool:
        """Return True if no instance has the job, or if this claim has the job by a commit without a clear answer.

        A lease beyond LEASE_MAX is of no instance.
        """
        now = self._clock.now()
        return state.token == token or not to_datetime(now) < state.until <= to_datetime(now + LEASE_MAX)

    def _claimed(self, state: JobState, token: str, seconds: float) -> JobState:
        return replace(state, token=token, until=to_datetime(self._clock.now() + int(seconds * SECOND)))

    def _with_new(self, states: Mapping[str, JobState], names: Collection[str]) -> dict[str, JobState]:
        """Add the jobs that the board does not know, each with the cursor of the job's own document of older releases.

        A job that an instance of an older release has now is left out, so that its cursor is read when it is free.
        """
        new = [name for name in names if name not in states]
        old = self._documents.get_all([f"jobs/{name}" for name in new]) if new else []
        now = self._clock.now()
        known = {
            name: JobState(cursor="" if document is None else str(document.data.get("cursor", "")))
            for name, document in zip(new, old, strict=True)
            if document is None or not is_leased(document.data, now)
        }
        return {**states, **known}

    def _write(self, path: str, known: Document | None, states: Mapping[str, JobState]) -> Document:
        data: Data = {"jobs": {name: _data(state) for name, state in states.items()}}
        write = Create(path, data) if known is None else Put(path, data, known.version)
        return Document(path=path, data=data, version=self._documents.commit([write])[0])


def states_in(board: Document | None) -> Mapping[str, JobState]:
    """Return the states on a board by name of the job; none if there is no board yet.

    The state of a job that a stranger has written counts as none, so that the job begins at its start.
    """
    stored = {} if board is None else board.data.get("jobs")
    return {name: _state(name, each) for name, each in stored.items()} if isinstance(stored, Mapping) else {}


def _state(job: str, stored: object) -> JobState:
    fields = stored if isinstance(stored, Mapping) else {}
    cursor, token, until = (fields.get(name) for name in ("cursor", "token", "until"))
    if isinstance(cursor, str) and isinstance(token, str) and isinstance(until, datetime):
        return JobState(cursor=cursor, token=token, until=until, last=_end(fields.get("last")))
    log("job_state_not_ours", "ERROR", job=job)
    return JobState()


def _end(stored: object) -> JobEnd | None:
    """Return a stored end, None for anything else: an end is told, and nothing depends on one."""
    told = stored if isinstance(stored, Mapping) else {}
    at, millis, done, code, lag = (told.get(name) for name in ("at", "millis", "done", "code", "lag"))
    if not isinstance(at, datetime) or not isinstance(code, str):
        return None
    numbers = [each for each in (millis, done, lag) if isinstance(each, int) and not isinstance(each, bool)]
    if len(numbers) != len((millis, done, lag)):
        return None
    return JobEnd(at=from_datetime(at), millis=numbers[0], done=numbers[1], code=code, lag=numbers[2])


def _data(state: JobState) -> Data:
    kept: dict[str, Value] = {"cursor": state.cursor, "token": state.token, "until": state.until}
    last = state.last
    if last is None:
        return kept
    told: dict[str, Value] = {"millis": last.millis, "done": last.done, "code": last.code, "lag": last.lag}
    return {**kept, "last": {"at": to_datetime(last.at), **told}}
