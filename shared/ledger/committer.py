"""Committer of commands: coalesce commands, decide, write under preconditions, and resolve unclear outcomes."""

import os
from collections.abc import Callable, Sequence

from shared.kernel.clock import Clock
from shared.kernel.documents import (
    InvalidWrite,
    OutcomeUnknown,
    PreconditionFailed,
    StoreUnavailable,
    Version,
    Write,
)
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.ids import Uid, random_token
from shared.ledger.commands import Command
from shared.ledger.errors import Contended, IntegrityFailed
from shared.ledger.lanes import Beside, Committed, Job, Lane, Lanes
from shared.ledger.plan import Plan, planned, replayed
from shared.ledger.store import AccountStore, Head, Snapshot

OPERATION_SECONDS_MAX = 25.0
"""Seconds for which an operation is retried. The limit is a time and not a count, since contention depends on time."""
WARM_SECONDS = 5.0
CONTENDED_SECONDS = 5.0
LINGER_SECONDS_MAX = 0.25
LINGER_ROUND_TRIPS = 6.0
ROUND_TRIP_SECONDS = 0.01
"""First estimate of a commit's duration in seconds, until commits are measured."""


class Committer:
    """Executor of commands on accounts. Safe to share between threads; several instances meet only in the store."""

    def __init__(
        self,
        store: AccountStore,
        clock: Clock,
        kid: str,
        *,
        jitter: Callable[[], float] = lambda: os.urandom(1)[0] / 256,
        new_nonce: Callable[[], str] = random_token,
        is_warm_allowed: bool = True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._kid = kid
        self._jitter = jitter
        self._new_nonce = new_nonce
        self._warm_seconds = WARM_SECONDS if is_warm_allowed else 0.0
        self._lanes = Lanes(self._round)
        self._round_trip = ROUND_TRIP_SECONDS

    def execute(self, uid: Uid, command: Command, beside: Beside | None = None) -> Committed:
        """Execute one command and commit the writes of `beside` together with the command; see `execute_all`.

        Raises PreconditionFailed, with nothing done, if a document of `beside`, and not the account, fails its
        precondition.
        """
        [done] = self._lanes.answers(uid, [Job(command, self._deadline(), beside)])
        return done

    def execute_all(self, uid: Uid, commands: Sequence[Command]) -> list[Committed]:
        """Execute each command once, however often the command is sent, and return the results in the same order.

        Raises the first error after all commands were tried. The error is a refusal of `decide`, decided on a freshly
        read state, or IdempotencyMismatch, or IntegrityFailed. Contended and StoreUnavailable mean that the command was
        not executed. OutcomeUnknown means that the outcome could not be found out in time.
        """
        deadline = self._deadline()
        return self._lanes.answers(uid, [Job(command, deadline) for command in commands])

    def _deadline(self) -> float:
        return self._clock.monotonic() + OPERATION_SECONDS_MAX

    def forget(self, uid: Uid) -> None:
        """Drop the known state of an account, so that the next use reads the account."""
        self._lanes.forget(uid)

    # One round: read if need be, decide, commit ------------------------------------------------------------------

    def _round(self, lane: Lane, jobs: list[Job]) -> list[Job]:
        """Try to answer `jobs`. Return the jobs that need another round."""
        jobs = self._within_deadline(jobs)
        if not jobs:
            return []
        if lane.solo:
            lane.solo -= 1
            with lane.lock:
                lane.pending.extendleft(reversed(jobs[1:]))
            jobs = jobs[:1]
        try:
            snapshot = self._snapshot(lane, jobs)
        except Unavailable as error:
            return self._store_is_down(jobs, error)
        except DomainError as error:
            return _told(jobs, error)
        return self._decide_and_commit(lane, snapshot, jobs)

    def _within_deadline(self, jobs: list[Job]) -> list[Job]:
        now = self._clock.monotonic()
        for job in jobs:
            if job.answer is None and job.deadline <= now:
                job.tell(OutcomeUnknown() if job.is_ambiguous else Contended(self._clock.now()))
        return [job for job in jobs if job.answer is None]

    def _snapshot(self, lane: Lane, jobs: list[Job]) -> Snapshot:
        now = self._clock.monotonic()
        is_warm = lane.warm is not None and now < lane.warm_until and now >= lane.contended_until
        if lane.warm is not None and is_warm and lane.unsettled is None and not any(job.needs_read for job in jobs):
            return Snapshot(head=lane.warm, is_fresh=False)
        lane.warm = None
        snapshot = self._store.read(lane.uid, [job.command for job in jobs])
        if lane.unsettled is not None and lane.unsettled != (snapshot.head.version,):
            lane.unsettled = None
            self._settle(snapshot, jobs)
        return snapshot

    def _settle(self, snapshot: Snapshot, jobs: list[Job]) -> None:
        """Clear the doubt about jobs without a stored operation.

        Another commit has won the precondition of the unclear commit. So the unclear commit's effect is stored now, or
        never will be.
        """
        for job in jobs:
            if job.command.operation not in snapshot.operations:
                job.is_ambiguous = False

    def _store_is_down(self, jobs: list[Job], error: Unavailable) -> list[Job]:
        """Wait for the store.

        For any other unavailability (a key not known yet), answer the jobs, so that the callers retry.
        """
        if not isinstance(error, StoreUnavailable):
            for job in jobs:
                job.tell(OutcomeUnknown() if job.is_ambiguous else error)
            return []
        return self._after_a_pause(jobs)

    def _after_a_pause(self, jobs: list[Job]) -> list[Job]:
        remaining = min(job.deadline for job in jobs) - self._clock.monotonic()
        self._clock.wait(min(max(remaining, 0.001), LINGER_SECONDS_MAX * (0.5 + self._jitter())))
        return jobs

    def _decide_and_commit(self, lane: Lane, snapshot: Snapshot, jobs: list[Job]) -> list[Job]:
        plan = planned(snapshot, jobs, self._clock.now(), self._kid)
        if plan.accepted:
            return plan.kept + self._commit(lane, plan)
        if plan.rejected and lane.unsettled is not None:
            return plan.kept + self._refused_behind_a_fence(lane, plan)
        return plan.kept + self._refused(plan)

    def _refused(self, plan: Plan) -> list[Job]:
        for job, error in plan.rejected:
            job.tell(error)
        return []

    # Commits and what comes of them -------------------------------------------------------------------------------

    def _commit(self, lane: Lane, plan: Plan) -> list[Job]:
        """Write the plan. Return the jobs that need another round, because their commit failed or is unclear."""
        nonce = self._new_nonce()
        for job, _ in plan.accepted:
            job.nonces.add(nonce)
        try:
            version = self._write(self._writes(plan, nonce))
        except PreconditionFailed:
            self._lost(lane, plan)
        except OutcomeUnknown:
            self._is_unclear(lane, plan)
            self._linger()
        except StoreUnavailable as error:
            return self._store_is_down(plan.everyone(), error)
        except InvalidWrite as error:
            self._is_invalid(lane, plan, error)
        except BaseException:
            self._is_unclear(lane, plan)
            raise
        else:
            self._won(lane, plan, version)
            return self._refused(plan)
        return [job for job in plan.everyone() if job.answer is None]

    def _writes(self, plan: Plan, nonce: str) -> list[Write]:
        """Return the writes of the plan.

        Raises InvalidWrite for unstorable values, so that other commands are spared.
        """
        decisions = [(job.command, decision) for job, decision in plan.accepted]
        try:
            return self._store.writes(plan.snapshot, decisions, nonce, plan.beside)
        except (ValueError, OverflowError) as error:
            raise InvalidWrite(f"This cannot be stored: {error}") from error

    def _write(self, writes: Sequence[Write]) -> Version:
        started = self._clock.monotonic()
        version = self._store.commit(writes)
        self._round_trip = 0.8 * self._round_trip + 0.2 * (self._clock.monotonic() - started)
        return version

    def _won(self, lane: Lane, plan: Plan, version: Version) -> None:
        lane.unsettled = lane.failed_on = None
        account = plan.account
        self._warm(lane, Head(account=account, number=plan.head.number + 1, version=version))
        results = {id(job): decision.result for job, decision in plan.accepted}
        for job, decision in plan.accepted:
            job.tell(Committed(result=decision.result, is_replay=False))
        for job, twin in plan.twins:
            job.tell(replayed(job, twin.command.fingerprint, results[id(twin)], ""))

    def _warm(self, lane: Lane, head: Head) -> None:
        lane.warm, lane.warm_until = head, self._clock.monotonic() + self._warm_seconds

    def _lost(self, lane: Lane, plan: Plan) -> None:
        """Note that the precondition failed, so that the next round reads after a short and uneven pause.

        If a fresh read fails again on the same version, look for the cause; see `_failed_on_unchanged`.
        """
        lane.warm = None
        version = (plan.snapshot.head.version,)
        if plan.snapshot.is_fresh and lane.failed_on == version:
            self._failed_on_unchanged(lane, plan)
        lane.failed_on = version if plan.snapshot.is_fresh else None
        now = self._clock.monotonic()
        if plan.snapshot.is_fresh or now < lane.contended_until:
            self._linger()
        lane.contended_until = now + CONTENDED_SECONDS

    def _linger(self) -> None:
        self._clock.wait(self._jitter() * min(LINGER_SECONDS_MAX, LINGER_ROUND_TRIPS * self._round_trip))

    def _failed_on_unchanged(self, lane: Lane, plan: Plan) -> None:
        """Find the entry or the single command that makes the commit fail, although the head has not moved."""
        try:
            above = self._store.entry_above(plan.head, plan.account.seq)
        except Unavailable:
            return
        if above is not None:
            for job, _ in plan.accepted:
                job.tell(IntegrityFailed(uid=lane.uid, seq=above, rule="entry_above_head"))
        elif len(plan.accepted) > 1:
            lane.solo = len(plan.everyone())
        elif plan.beside:
            job, _ = plan.accepted[0]
            told = PreconditionFailed("What would be written beside was changed by somebody else.")
            job.tell(OutcomeUnknown() if job.is_ambiguous else told)

    def _is_unclear(self, lane: Lane, plan: Plan) -> None:
        lane.warm = None
        lane.unsettled = (plan.head.version,)
        for job, _ in plan.accepted:
            job.is_ambiguous = True

    def _is_invalid(self, lane: Lane, plan: Plan, error: InvalidWrite) -> None:
        lane.warm = None
        if len(plan.accepted) > 1:
            lane.solo = len(plan.everyone())
        else:
            plan.accepted[0][0].tell(error)

    def _refused_behind_a_fence(self, lane: Lane, plan: Plan) -> list[Job]:
        """Commit the unchanged account on the precondition of an unclear commit, so that the refusals are final."""
        account, rejected = plan.head.account, [job for job, _ in plan.rejected]
        try:
            version = self._write(self._store.account_writes(plan.head, account, self._new_nonce()))
        except PreconditionFailed:
            self._linger()
            return rejected
        except Unavailable:
            return self._after_a_pause(rejected)
        lane.unsettled = None
        self._warm(lane, Head(account=account, number=plan.head.number + 1, version=version))
        return self._refused(plan)


def _told(jobs: Sequence[Job], error: DomainError) -> list[Job]:
    for job in jobs:
        job.tell(error)
    return []
