"""One commit for many commands: coalesce, decide, write under preconditions, and find out what really happened."""

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.kernel.clock import Clock
from shared.kernel.documents import (
    InvalidWrite,
    OutcomeUnknown,
    PreconditionFailed,
    StoreUnavailable,
    Version,
    Write,
)
from shared.kernel.errors import DomainError, IdempotencyMismatch, Unavailable
from shared.kernel.ids import OperationId, Uid, derived_id, random_token
from shared.ledger.account import Archive
from shared.ledger.commands import Command, Grant, PlaceHold
from shared.ledger.decide import Decision, Result, decide, merged
from shared.ledger.errors import Contended, IntegrityFailed
from shared.ledger.store import AccountStore, Head, Snapshot

OPERATION_SECONDS_MAX = 25.0
"""An operation is retried until then, not so many times: contention is a matter of time."""
BATCH_COMMANDS_MAX = 200
BATCH_WRITES_MAX = 400
BATCH_BYTES_MAX = 4_000_000
WARM_SECONDS = 5.0
WARM_ACCOUNTS_MAX = 1_000
CONTENDED_SECONDS = 5.0
LINGER_SECONDS_MAX = 0.25
LINGER_ROUND_TRIPS = 6.0
ROUND_TRIP_SECONDS = 0.01
"""What a commit takes, until we know better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What became of a command: its result, and whether an earlier call had done it."""

    result: Result
    is_replay: bool


class _Job:
    """One caller waiting for one command."""

    __slots__ = ("answer", "command", "deadline", "is_ambiguous", "must_lead", "needs_read", "nonces", "wake")

    def __init__(self, command: Command, deadline: float) -> None:
        self.command = command
        self.deadline = deadline
        self.wake = threading.Event()
        self.answer: Committed | BaseException | None = None
        self.needs_read = _names_something_new(command)
        self.is_ambiguous = False
        self.must_lead = False
        self.nonces: set[str] = set()

    def tell(self, answer: Committed | BaseException) -> None:
        self.answer = answer
        self.wake.set()


@dataclass(slots=True, eq=False, repr=False)
class _Lane:
    """What this instance knows and has under way for one account. One thread leads, the others wait."""

    uid: Uid
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: deque[_Job] = field(default_factory=deque)
    is_led: bool = False
    warm: Head | None = None
    warm_until: float = 0.0
    contended_until: float = 0.0
    unsettled: tuple[Version | None] | None = None
    failed_on: tuple[Version | None] | None = None
    solo: int = 0
    """So many commands are still to be committed one by one, because together they could not be."""


@dataclass(slots=True, eq=False, repr=False)
class _Plan:
    """One batch as decided: who is in the commit, who waits for another round."""

    snapshot: Snapshot
    head: Head
    archive: Archive
    accepted: list[tuple[_Job, Decision]] = field(default_factory=list)
    by_operation: dict[OperationId, _Job] = field(default_factory=dict)
    twins: list[tuple[_Job, _Job]] = field(default_factory=list)
    kept: list[_Job] = field(default_factory=list)
    rejected: list[tuple[_Job, DomainError]] = field(default_factory=list)
    writes: int = 2
    bytes: int = 0

    @property
    def is_truth(self) -> bool:
        """Whether what is decided next rests on a state just read, with nothing undecided before it."""
        return self.snapshot.is_fresh and not self.accepted

    def everyone(self) -> list[_Job]:
        """All who were decided upon; `kept` are not."""
        return [job for job, _ in (*self.accepted, *self.twins, *self.rejected)]


class Committer:
    """Executes commands on accounts. Safe to share between threads; other instances are met in the store only."""

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
        self._lock = threading.Lock()
        self._lanes: OrderedDict[Uid, _Lane] = OrderedDict()
        self._round_trip = ROUND_TRIP_SECONDS

    def execute(self, uid: Uid, command: Command) -> Committed:
        """Carry out `command` once, however often it is sent, and say what it did.

        Raises the refusals of `decide`, decided on a state read for it; IdempotencyMismatch; IntegrityFailed; Contended
        or StoreUnavailable when it has not happened; OutcomeUnknown when that could not be found out in time.
        """
        job = _Job(command, self._clock.monotonic() + OPERATION_SECONDS_MAX)
        lane = self._enter(uid, job)
        while job.answer is None:
            if job.must_lead:
                self._lead(lane, job)
            else:
                self._wait(lane, job)
        if isinstance(job.answer, BaseException):
            raise job.answer
        return job.answer

    def forget(self, uid: Uid) -> None:
        """Read this account before it is next used."""
        with self._lock:
            lane = self._lanes.get(uid)
        if lane is not None:
            lane.warm = None

    # Lanes: one leader at a time per account ---------------------------------------------------------------------

    def _enter(self, uid: Uid, job: _Job) -> _Lane:
        with self._lock:
            lane = self._lanes.setdefault(uid, _Lane(uid=uid))
            self._lanes.move_to_end(uid)
            with lane.lock:
                lane.pending.append(job)
                job.must_lead = not lane.is_led
                lane.is_led = True
            self._evict()
        return lane

    def _evict(self) -> None:
        """Forget the accounts used longest ago; a lane that somebody leads stays."""
        for uid in list(self._lanes)[: max(0, len(self._lanes) - WARM_ACCOUNTS_MAX)]:
            lane = self._lanes[uid]
            if not lane.is_led and lane.unsettled is None:
                del self._lanes[uid]

    def _wait(self, lane: _Lane, own: _Job) -> None:
        """Until it is answered or must lead. A caller interrupted here leaves nobody waiting for its lead."""
        try:
            own.wake.wait()
            own.wake.clear()
        except BaseException as interruption:
            own.tell(interruption)
            if own.must_lead:
                self._hand_over(lane, [])
            raise

    def _lead(self, lane: _Lane, own: _Job) -> None:
        """Work through what is pending until our own command is answered; then somebody else leads."""
        jobs: list[_Job] = []
        try:
            while own.answer is None:
                jobs += self._taken(lane, len(jobs))
                jobs = self._round(lane, jobs)
        except BaseException as error:
            lane.warm = None
            for job in {own, *jobs}:
                if job.answer is None:
                    job.tell(error if job is own else OutcomeUnknown())
            jobs = []
            raise
        finally:
            self._hand_over(lane, jobs)

    def _taken(self, lane: _Lane, already: int) -> list[_Job]:
        room = (1 if lane.solo else BATCH_COMMANDS_MAX) - already
        with lane.lock:
            return [lane.pending.popleft() for _ in range(min(room, len(lane.pending)))]

    def _hand_over(self, lane: _Lane, left: Sequence[_Job]) -> None:
        with lane.lock:
            lane.pending.extendleft(reversed(left))
            lane.pending = deque(job for job in lane.pending if job.answer is None)
            lane.is_led = bool(lane.pending)
            if lane.pending:
                lane.pending[0].must_lead = True
                lane.pending[0].wake.set()

    # One round: read if need be, decide, commit ------------------------------------------------------------------

    def _round(self, lane: _Lane, jobs: list[_Job]) -> list[_Job]:
        """Try to answer `jobs`; those that need another round."""
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

    def _within_deadline(self, jobs: list[_Job]) -> list[_Job]:
        now = self._clock.monotonic()
        for job in jobs:
            if job.answer is None and job.deadline <= now:
                job.tell(OutcomeUnknown() if job.is_ambiguous else Contended(self._clock.now()))
        return [job for job in jobs if job.answer is None]

    def _snapshot(self, lane: _Lane, jobs: list[_Job]) -> Snapshot:
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

    def _settle(self, snapshot: Snapshot, jobs: list[_Job]) -> None:
        """Another commit has won the precondition of the unclear one: what it did is now there, or never will be."""
        for job in jobs:
            if job.command.operation not in snapshot.operations:
                job.is_ambiguous = False

    def _store_is_down(self, jobs: list[_Job], error: Unavailable) -> list[_Job]:
        """Wait for the store; anything else that is unavailable (a key not known yet) is the callers' to retry."""
        if not isinstance(error, StoreUnavailable):
            for job in jobs:
                job.tell(OutcomeUnknown() if job.is_ambiguous else error)
            return []
        return self._after_a_pause(jobs)

    def _after_a_pause(self, jobs: list[_Job]) -> list[_Job]:
        remaining = min(job.deadline for job in jobs) - self._clock.monotonic()
        self._clock.wait(min(max(remaining, 0.001), LINGER_SECONDS_MAX * (0.5 + self._jitter())))
        return jobs

    def _decide_and_commit(self, lane: _Lane, snapshot: Snapshot, jobs: list[_Job]) -> list[_Job]:
        plan = self._plan(snapshot, jobs)
        if plan.accepted:
            return plan.kept + self._commit(lane, plan)
        if plan.rejected and lane.unsettled is not None:
            return plan.kept + self._refused_behind_a_fence(lane, plan)
        return plan.kept + self._refused(plan)

    def _refused(self, plan: _Plan) -> list[_Job]:
        for job, error in plan.rejected:
            job.tell(error)
        return []

    def _plan(self, snapshot: Snapshot, jobs: list[_Job]) -> _Plan:
        plan = _Plan(snapshot=snapshot, head=snapshot.head, archive=snapshot.archive)
        now = self._clock.now()
        for job in jobs:
            remembered = snapshot.operations.get(job.command.operation)
            twin = plan.by_operation.get(job.command.operation)
            if remembered is not None:
                job.tell(_replayed(job, remembered.fingerprint, remembered.result, remembered.nonce))
            elif twin is not None:
                plan.twins.append((job, twin))
            else:
                self._decide_one(plan, job, now)
        return plan

    def _decide_one(self, plan: _Plan, job: _Job, now: int) -> None:
        if plan.writes >= BATCH_WRITES_MAX or plan.bytes >= BATCH_BYTES_MAX:
            plan.kept.append(job)
            return
        account = plan.accepted[-1][1].account if plan.accepted else plan.head.account
        try:
            decision = decide(account, job.command, now, kid=self._kid, archive=plan.archive)
        except DomainError as error:
            self._reject(plan, job, error)
        except Exception as error:  # noqa: BLE001  a law is broken by this one command: it must not poison the others
            job.tell(error)
        else:
            self._accept(plan, job, decision)

    def _reject(self, plan: _Plan, job: _Job, error: DomainError) -> None:
        """A refusal is told only on the truth."""
        if plan.is_truth:
            plan.rejected.append((job, error))
        else:
            _keep_for_a_read(plan, job)

    def _accept(self, plan: _Plan, job: _Job, decision: Decision) -> None:
        if not decision.entries and not job.command.operation:
            self._nothing_to_do(plan, job, decision)
            return
        writes = len(decision.entries) + len(decision.archive.lots) + len(decision.archive.holds) + 2
        if plan.accepted and plan.writes + writes > BATCH_WRITES_MAX:
            plan.kept.append(job)
            return
        plan.accepted.append((job, decision))
        if job.command.operation:
            plan.by_operation[job.command.operation] = job
        plan.archive = merged(plan.archive, decision.archive)
        plan.writes += writes
        plan.bytes += sum(len(entry.body) for entry in decision.entries) + 1_000

    def _nothing_to_do(self, plan: _Plan, job: _Job, decision: Decision) -> None:
        """That all is done already is a claim as well: true once it is stored, and not only in this batch."""
        if plan.is_truth:
            job.tell(Committed(result=decision.result, is_replay=False))
        else:
            _keep_for_a_read(plan, job)

    # Commits and what comes of them -------------------------------------------------------------------------------

    def _commit(self, lane: _Lane, plan: _Plan) -> list[_Job]:
        """Write the plan; the jobs that need another round because it was not, or perhaps not, written."""
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

    def _writes(self, plan: _Plan, nonce: str) -> list[Write]:
        """What cannot be written down is an invalid write like any other: its neighbours are spared."""
        decisions = [(job.command, decision) for job, decision in plan.accepted]
        try:
            return self._store.writes(plan.snapshot, decisions, nonce)
        except (ValueError, OverflowError) as error:
            raise InvalidWrite(f"This cannot be stored: {error}") from error

    def _write(self, writes: Sequence[Write]) -> Version:
        started = self._clock.monotonic()
        version = self._store.commit(writes)
        self._round_trip = 0.8 * self._round_trip + 0.2 * (self._clock.monotonic() - started)
        return version

    def _won(self, lane: _Lane, plan: _Plan, version: Version) -> None:
        lane.unsettled = lane.failed_on = None
        account = plan.accepted[-1][1].account
        self._warm(lane, Head(account=account, number=plan.head.number + 1, version=version))
        results = {id(job): decision.result for job, decision in plan.accepted}
        for job, decision in plan.accepted:
            job.tell(Committed(result=decision.result, is_replay=False))
        for job, twin in plan.twins:
            job.tell(_replayed(job, twin.command.fingerprint, results[id(twin)], ""))

    def _warm(self, lane: _Lane, head: Head) -> None:
        lane.warm, lane.warm_until = head, self._clock.monotonic() + self._warm_seconds

    def _lost(self, lane: _Lane, plan: _Plan) -> None:
        """Somebody else committed first, or is not to be believed: read next, after a short and uneven pause."""
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

    def _failed_on_unchanged(self, lane: _Lane, plan: _Plan) -> None:
        """Nobody moved the head, and yet it fails again: find the entry, or the one command, that is to blame."""
        try:
            above = self._store.entry_above(plan.head, plan.accepted[-1][1].account.seq)
        except Unavailable:
            return
        if above is not None:
            for job, _ in plan.accepted:
                job.tell(IntegrityFailed(uid=lane.uid, seq=above, rule="entry_above_head"))
        elif len(plan.accepted) > 1:
            lane.solo = len(plan.everyone())

    def _is_unclear(self, lane: _Lane, plan: _Plan) -> None:
        lane.warm = None
        lane.unsettled = (plan.head.version,)
        for job, _ in plan.accepted:
            job.is_ambiguous = True

    def _is_invalid(self, lane: _Lane, plan: _Plan, error: InvalidWrite) -> None:
        lane.warm = None
        if len(plan.accepted) > 1:
            lane.solo = len(plan.everyone())
        else:
            plan.accepted[0][0].tell(error)

    def _refused_behind_a_fence(self, lane: _Lane, plan: _Plan) -> list[_Job]:
        """Win the precondition of an unclear commit with one that changes nothing, so that a refusal can be final."""
        account, rejected = plan.head.account, [job for job, _ in plan.rejected]
        try:
            version = self._write([self._store.account_write(plan.head, account, self._new_nonce())])
        except PreconditionFailed:
            self._linger()
            return rejected
        except Unavailable:
            return self._after_a_pause(rejected)
        lane.unsettled = None
        self._warm(lane, Head(account=account, number=plan.head.number + 1, version=version))
        return self._refused(plan)


def _names_something_new(command: Command) -> bool:
    """Whether the name could be taken by something archived, which only a read tells.

    A hold that is named by its operation is as new as the operation, which the commit itself makes sure of.
    """
    if isinstance(command, PlaceHold):
        return command.hold != derived_id("hold", command.operation)
    return isinstance(command, Grant)


def _keep_for_a_read(plan: _Plan, job: _Job) -> None:
    job.needs_read = True
    plan.kept.append(job)


def _told(jobs: Sequence[_Job], error: DomainError) -> list[_Job]:
    for job in jobs:
        job.tell(error)
    return []


def _replayed(job: _Job, fingerprint: str, result: Result, nonce: str) -> Committed | DomainError:
    if fingerprint != job.command.fingerprint:
        return IdempotencyMismatch()
    return Committed(result=result, is_replay=nonce not in job.nonces)
