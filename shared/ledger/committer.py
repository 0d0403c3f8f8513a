"""Committer of commands: coalesce commands, decide, write under preconditions, and resolve unclear outcomes."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

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
from shared.kernel.measured import COMMITS
from shared.ledger.account import Account
from shared.ledger.batch import Batch, decide_batch, replayed, twin_record
from shared.ledger.commands import AccountCommand, Command
from shared.ledger.entry_meter import count_entries
from shared.ledger.entry_notes import new_salt
from shared.ledger.errors import Contended, IntegrityFailed
from shared.ledger.heads import Head, Snapshot
from shared.ledger.lanes import CommandAnswer, ExtraWrites, Job, Lane, Lanes
from shared.ledger.receipts import Receipt
from shared.ledger.rest import first_of_rest
from shared.ledger.store import AccountStore

R = TypeVar("R", bound=Receipt)

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
        *,
        jitter: Callable[[], float] = lambda: os.urandom(1)[0] / 256,
        new_nonce: Callable[[], str] = random_token,
        new_salt: Callable[[], str] = new_salt,
        is_warm_allowed: bool = True,
    ) -> None:
        """Make a committer. `jitter` gives a number from 0 to 1 that spreads pauses;"""
        self._store = store
        self._clock = clock
        self._jitter = jitter
        self._new_nonce = new_nonce
        self._new_salt = new_salt
        self._warm_seconds = WARM_SECONDS if is_warm_allowed else 0.0
        self._lanes = Lanes(self._round)
        self._round_trip = ROUND_TRIP_SECONDS

    def execute(
        self,
        uid: Uid,
        command: AccountCommand[R],
        extra_writes: ExtraWrites[R] | None = None,
        beside: Sequence[Command] = (),
    ) -> CommandAnswer[R]:
        """Execute one command, commit the extra writes together with the command, and return the answer; see
        `execute_all`.

        The commands `beside` leave no records, and are executed in the same commit or not at all.

        Raises PreconditionFailed, with nothing done, if a document of the extra writes, and not the account, fails its
        precondition.
        """
        [done] = self._lanes.answers(uid, [self._job(command, self._deadline(), extra_writes, beside)])
        return cast("CommandAnswer[R]", done)

    def execute_all(self, uid: Uid, commands: Sequence[Command]) -> list[CommandAnswer[Receipt]]:
        """Execute each command once, however often the command is sent, and return the answers in the same order.

        Raises the first error after all commands were tried. The error is a refusal of `decide`, decided on a freshly
        read state, or IdempotencyMismatch, or IntegrityFailed. Contended and StoreUnavailable mean that the command was
        not executed. OutcomeUnknown means that the outcome could not be found out in time.
        """
        deadline = self._deadline()
        return self._lanes.answers(uid, [self._job(command, deadline) for command in commands])

    def _job(
        self,
        command: Command,
        deadline: float,
        extra_writes: ExtraWrites[Any] | None = None,
        beside: Sequence[Command] = (),
    ) -> Job:
        job = Job(command, deadline, extra_writes, beside)
        if job.has_note:
            job.salt = self._new_salt()
        return job

    def _deadline(self) -> float:
        return self._clock.monotonic() + OPERATION_SECONDS_MAX

    def forget_account(self, uid: Uid) -> None:
        """Drop the known state of an account, so that the next use reads the account."""
        self._lanes.forget_account(uid)

    def known_account(self, uid: Uid) -> Account:
        """Return the account as this instance knows it, a few seconds old at most, or as just read.

        A command that follows within these seconds is decided on the same state, without a read of its own. Raises the
        errors of `AccountStore.read`.
        """
        now = self._clock.monotonic()
        head = self._lanes.warm_head(uid, now)
        if head is None:
            head = self._store.read(uid).head
            self._lanes.warm_up(uid, head, now + self._warm_seconds)
        return head.account

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
            snapshot, now = self._snapshot(lane, jobs), self._clock.now()
            kid = self._store.kid_at(now)
        except Unavailable as error:
            return self._store_is_down(jobs, error)
        except DomainError as error:
            return _told(jobs, error)
        jobs = [job for job in jobs if job.answer is None]
        return self._decide_and_commit(lane, decide_batch(snapshot, jobs, now, kid)) if jobs else []

    def _within_deadline(self, jobs: list[Job]) -> list[Job]:
        now = self._clock.monotonic()
        for job in jobs:
            if job.answer is None and job.deadline <= now:
                job.tell(OutcomeUnknown() if job.is_ambiguous else Contended(self._clock.now()))
        return [job for job in jobs if job.answer is None]

    def _snapshot(self, lane: Lane, jobs: list[Job]) -> Snapshot:
        now = self._clock.monotonic()
        warm = lane.warm_at(now)
        if warm is not None and not any(job.needs_read for job in jobs):
            return Snapshot(head=warm, is_fresh=False, archive=lane.rest_at(warm))
        lane.warm = None
        rest_lots = max(job.rest_lots for job in jobs)
        snapshot = self._store.read(lane.uid, [each for job in jobs for each in job.commands], rest_lots)
        self._recognise(snapshot, jobs)
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

    def _recognise(self, snapshot: Snapshot, jobs: list[Job]) -> None:
        """Answer the jobs without a record whose commit is found in the journal.

        An attempt that is not in the journal is void once the account has moved on. While the account has not moved on,
        the next commit has the same precondition as the attempt, so that only one of the two can take effect.
        """
        for job in jobs:
            for attempt in job.attempts:
                is_passed = attempt.entry.seq <= snapshot.head.account.seq
                if is_passed and self._store.is_written(snapshot.head.account.uid, attempt.entry):
                    job.tell(CommandAnswer(receipt=attempt.receipt, is_replay=False))
                    break

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

    def _decide_and_commit(self, lane: Lane, batch: Batch) -> list[Job]:
        if batch.accepted or batch.expiry:
            return batch.kept + self._commit(lane, batch)
        if batch.rejected and lane.unsettled is not None:
            return batch.kept + self._refused_behind_a_fence(lane, batch)
        return batch.kept + self._refused(batch)

    def _refused(self, batch: Batch) -> list[Job]:
        for job, error in batch.rejected:
            job.tell(error)
        return []

    # Commits and what comes of them -------------------------------------------------------------------------------

    def _commit(self, lane: Lane, batch: Batch) -> list[Job]:
        """Write the batch. Return the jobs that need another round, because their commit failed or is unclear."""
        nonce = self._new_nonce()
        for job, decision in batch.accepted:
            job.note_attempt(nonce, decision.entries, decision.receipt)
        try:
            version, extra = self._write(self._writes(batch, nonce))
        except PreconditionFailed:
            COMMITS.add("conflict")
            self._lost(lane, batch)
        except OutcomeUnknown:
            COMMITS.add("unclear")
            self._is_unclear(lane, batch)
            self._linger()
        except StoreUnavailable as error:
            COMMITS.add("unavailable")
            return self._store_is_down(batch.everyone(), error)
        except InvalidWrite as error:
            COMMITS.add("invalid")
            self._is_invalid(lane, batch, error)
        except BaseException:
            COMMITS.add("unclear")
            self._is_unclear(lane, batch)
            raise
        else:
            COMMITS.add("done")
            self._won(lane, batch, version, extra)
            count_entries(entry for _, decision in batch.decisions() for entry in decision.entries)
            return [*self._refused(batch), *batch.behind]
        return [job for job in batch.everyone() if job.answer is None]

    def _writes(self, batch: Batch, nonce: str) -> list[Write]:
        """Return the writes of the batch.

        Raises InvalidWrite for unstorable values, so that other commands are spared.
        """
        try:
            return self._store.writes(batch.snapshot, batch.decisions(), nonce, batch.extra_writes)
        except (ValueError, OverflowError) as error:
            raise InvalidWrite(f"This cannot be stored: {error}") from error

    def _write(self, writes: Sequence[Write]) -> tuple[Version, Mapping[str, Version]]:
        """Commit, and return the account's new version and the versions of the callers' own documents, by path."""
        started = self._clock.monotonic()
        committed = self._store.commit(writes)
        self._round_trip = 0.8 * self._round_trip + 0.2 * (self._clock.monotonic() - started)
        return committed

    def _won(self, lane: Lane, batch: Batch, version: Version, extra: Mapping[str, Version]) -> None:
        lane.unsettled = lane.failed_on = None
        head = batch.head.after(batch.account, version)
        self._warm(lane, head)
        lane.rest = None if batch.expiry else (head, first_of_rest(batch.archive))
        decisions = {id(job): decision for job, decision in batch.accepted}
        for job, decision in batch.accepted:
            versions = extra if job.extra_writes else {}
            job.tell(CommandAnswer(receipt=decision.receipt, is_replay=False, versions=versions))
        for job, twin in batch.twins:
            job.tell(replayed(job, twin_record(twin, decisions[id(twin)])))

    def _warm(self, lane: Lane, head: Head) -> None:
        lane.warm, lane.warm_until = head, self._clock.monotonic() + self._warm_seconds

    def _lost(self, lane: Lane, batch: Batch) -> None:
        """Note that the precondition failed, so that the next round reads after a short and uneven pause.

        If a fresh read fails again on the same version, look for the cause; see `_failed_on_unchanged`.
        """
        lane.warm = None
        version = (batch.snapshot.head.version,)
        if batch.snapshot.is_fresh and lane.failed_on == version:
            self._failed_on_unchanged(lane, batch)
        lane.failed_on = version if batch.snapshot.is_fresh else None
        now = self._clock.monotonic()
        if batch.snapshot.is_fresh or now < lane.contended_until:
            self._linger()
        lane.contended_until = now + CONTENDED_SECONDS

    def _linger(self) -> None:
        self._clock.wait(self._jitter() * min(LINGER_SECONDS_MAX, LINGER_ROUND_TRIPS * self._round_trip))

    def _failed_on_unchanged(self, lane: Lane, batch: Batch) -> None:
        """Find the entry or the single command that makes the commit fail, although the head has not moved."""
        try:
            above = self._store.entry_above(batch.head, batch.account.seq)
        except Unavailable:
            return
        if above is not None:
            for job in (*batch.behind, *(job for job, _ in batch.accepted)):
                job.tell(IntegrityFailed(uid=lane.uid, seq=above, rule="entry_above_head"))
        elif len(batch.accepted) > 1:
            lane.solo = len(batch.everyone())
        elif batch.extra_writes:
            job, _ = batch.accepted[0]
            told = PreconditionFailed("What would be written beside was changed by somebody else.")
            job.tell(OutcomeUnknown() if job.is_ambiguous else told)

    def _is_unclear(self, lane: Lane, batch: Batch) -> None:
        lane.warm = None
        lane.unsettled = (batch.head.version,)
        for job, _ in batch.accepted:
            job.is_ambiguous = True

    def _is_invalid(self, lane: Lane, batch: Batch, error: InvalidWrite) -> None:
        lane.warm = None
        if len(batch.accepted) > 1:
            lane.solo = len(batch.everyone())
        else:
            for job in (*batch.behind, *(job for job, _ in batch.accepted)):
                job.tell(error)

    def _refused_behind_a_fence(self, lane: Lane, batch: Batch) -> list[Job]:
        """Commit the unchanged account on the precondition of an unclear commit, so that the refusals are final."""
        account, rejected = batch.head.account, [job for job, _ in batch.rejected]
        try:
            version, _ = self._write(self._store.account_writes(batch.head, account, self._new_nonce()))
        except PreconditionFailed:
            self._linger()
            return rejected
        except Unavailable:
            return self._after_a_pause(rejected)
        lane.unsettled = None
        self._warm(lane, batch.head.after(account, version))
        return self._refused(batch)


def _told(jobs: Sequence[Job], error: DomainError) -> list[Job]:
    for job in jobs:
        job.tell(error)
    return []
