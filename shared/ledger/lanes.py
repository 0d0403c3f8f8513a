"""Lanes: queues of the callers of one account, of which one thread works for all."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from shared.kernel.documents import OutcomeUnknown, Version, Write
from shared.kernel.ids import Uid
from shared.ledger.account import NOTHING, Archive
from shared.ledger.commands import Command, Grant, PlaceHold, Recover, Suspend
from shared.ledger.entries import Entry
from shared.ledger.heads import Head
from shared.ledger.hold_names import hold_id
from shared.ledger.receipts import Receipt

R = TypeVar("R", bound=Receipt)
R_co = TypeVar("R_co", bound=Receipt, covariant=True)

ExtraWrites: TypeAlias = Callable[[R], Sequence[Write]]
"""Builder of a caller's own writes from its command's receipt.

The writes join the commit and must not touch `accounts/`.
"""

BATCH_COMMANDS_MAX = 200
WARM_ACCOUNTS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer(Generic[R_co]):
    """Receipt of a done command. `is_replay`: an earlier call had done the operation.

    `versions` has the versions of the extra writes by path; empty without extra writes, and if another look at the
    store told that the command is done.
    """

    receipt: R_co
    is_replay: bool
    versions: Mapping[str, Version] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitAttempt:
    """Commit of a command without a record: the last entry that the commit would write, and the command's receipt.

    No other commit can write this entry, since the entry names the operation. So a stored entry proves the commit.
    """

    entry: Entry
    receipt: Receipt


class Job:
    """Caller that waits for one command."""

    __slots__ = (
        "_asleep",
        "answer",
        "attempts",
        "beside",
        "command",
        "deadline",
        "extra_writes",
        "is_ambiguous",
        "must_lead",
        "needs_read",
        "nonces",
        "rest_lots",
        "salt",
        "siblings",
    )

    def __init__(
        self,
        command: Command,
        deadline: float,
        extra_writes: ExtraWrites[Any] | None = None,
        beside: Sequence[Command] = (),
    ) -> None:
        """Make an undecided job. `deadline` is the monotonic time in seconds after which nobody retries the job.

        The commands `beside` leave no records. They are executed in the commit of `command`, or not at all.
        """
        assert all(each.record == "none" for each in beside), "the record of the first command answers for no other"
        self.command = command
        self.beside = beside
        self.deadline = deadline
        self.extra_writes = extra_writes
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self.answer: CommandAnswer[Receipt] | BaseException | None = None
        """Answer or error for the caller; None while the job is undecided."""
        self.needs_read = any(map(_names_something_new, self.commands))
        """True if the command must be decided on a state that was just read."""
        self.is_ambiguous = False
        """True while an unclear commit may have executed the command."""
        self.must_lead = False
        """True if this job's thread must work for the lane."""
        self.salt = ""
        """Random salt of the hashes of the commands' notes; "" for commands without a note."""
        self.rest_lots = 0
        """Number of lots of the rest that must be read for the command."""
        self.siblings: Sequence[Job] = ()
        """All jobs of the same thread, in the order in which the thread waits for their answers. Empty for one job."""
        self.nonces: set[str] = set()
        """Nonces of the commits that contained the command, to tell an own commit from a replay."""
        self.attempts: list[CommitAttempt] = []
        """Commits that contained the command and may have taken effect. Empty for a command that leaves a record."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """The job's commands, in their order."""
        return (self.command, *self.beside)

    @property
    def has_note(self) -> bool:
        """True if a command has a note."""
        return any(getattr(each, "note", "") for each in self.commands)

    def note_attempt(self, nonce: str, entries: Sequence[Entry], receipt: Receipt) -> None:
        """Note a commit that is about to contain the command.

        A command without a record is decided next on a state that was just read, since only the journal shows whether
        the commit took effect. This covers a store that repeats a commit and reports the failed precondition of the
        repetition.
        """
        self.nonces.add(nonce)
        if self.command.record == "none" and entries:
            self.attempts.append(CommitAttempt(entry=entries[-1], receipt=receipt))
            self.needs_read = True

    def tell(self, answer: CommandAnswer[Receipt] | BaseException) -> None:
        """Set the job's answer and wake the waiting thread."""
        self.answer = answer
        self.wake()

    def wake(self) -> None:
        """Wake the thread that waits, or will wait next."""
        with suppress(RuntimeError):  # it has been woken already
            self._asleep.release()

    def wait(self) -> None:
        """Sleep until another thread wakes this job. (A lock that others release costs a tenth of an Event.)"""
        self._asleep.acquire()


@dataclass(slots=True, eq=False, repr=False)
class Lane:
    """State of one account in this instance, and its pending jobs. One thread leads, the others wait."""

    uid: Uid
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: deque[Job] = field(default_factory=deque)
    """Jobs that no thread works on yet, the oldest first."""
    is_led: bool = False
    """True while a thread works for this lane. Every other thread with a job here sleeps."""
    warm: Head | None = None
    """Head that this instance wrote last; None if the next command must read the account."""
    warm_until: float = 0.0
    """Monotonic time in seconds after which `warm` is too old to decide on."""
    rest: tuple[Head, Archive] | None = None
    """First lots of the account's rest at this head, as far as they were read; None if they were not read."""
    contended_until: float = 0.0
    """Monotonic time in seconds until which another instance may be writing, so that every round reads first."""
    unsettled: tuple[Version | None] | None = None
    """Head version of the last commit whose outcome is unknown; None if every outcome is known.

    A 1-tuple, since the version itself is None for a new account.
    """
    failed_on: tuple[Version | None] | None = None
    """Head version, just read, on which the last commit failed; None otherwise. A 1-tuple like `unsettled`."""
    solo: int = 0
    """Number of commands that are still committed one by one, because their common commit failed."""

    def warm_at(self, now: float) -> Head | None:
        """Return the head to decide on without a read at the monotonic time `now`; None if a read is needed."""
        is_warm = self.unsettled is None and self.contended_until <= now < self.warm_until
        return self.warm if is_warm else None

    def rest_at(self, head: Head) -> Archive:
        """Return the first lots of the rest at this head; nothing if they are not known."""
        return self.rest[1] if self.rest is not None and self.rest[0] is head else NOTHING


class Lanes:
    """Queues of one instance, by account.

    `work` receives the pending jobs of an account and returns the unanswered jobs.
    """

    def __init__(self, work: Callable[[Lane, list[Job]], list[Job]]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._lanes: OrderedDict[Uid, Lane] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of accounts with a lane."""
        return len(self._lanes)

    def answers(self, uid: Uid, jobs: Sequence[Job]) -> list[CommandAnswer[Receipt]]:
        """Execute these jobs, and return their answers in order.

        This thread does the work, or another thread that already leads the account's lane.

        Raises the first error among the answers, once each job has an answer.
        """
        for job in jobs if len(jobs) > 1 else ():
            job.siblings = jobs
        lanes = [self.enter(uid, job) for job in jobs]
        try:
            for lane, job in zip(lanes, jobs, strict=True):
                self._answer(lane, job)
        finally:
            for lane, job in zip(lanes, jobs, strict=True):
                self._leave(lane, job)
        return [_or_raise(job.answer) for job in jobs]

    def _answer(self, lane: Lane, job: Job) -> None:
        while job.answer is None:
            if job.must_lead:
                self.lead(lane, job)
            else:
                self.wait(lane, job)

    def _leave(self, lane: Lane, job: Job) -> None:
        """Remove an interrupted caller's job from the lane. If the caller had the lead, hand the lead over."""
        if job.answer is not None:
            return
        with lane.lock:
            job.tell(OutcomeUnknown())
            must_lead = job.must_lead
        if must_lead:
            self._hand_over(lane, [])

    def forget_account(self, uid: Uid) -> None:
        """Drop the known state of an account, so that the next use reads the account."""
        with self._lock:
            lane = self._lanes.get(uid)
        if lane is not None:
            lane.warm = None

    def warm_head(self, uid: Uid, now: float) -> Head | None:
        """Return the head that this instance knows at the monotonic time `now`; None if a read is needed."""
        with self._lock:
            lane = self._lanes.get(uid)
        return None if lane is None else lane.warm_at(now)

    def warm_up(self, uid: Uid, head: Head, until: float) -> None:
        """Remember a head that was just read until the monotonic time `until`, unless a thread leads the lane."""
        with self._lock:
            lane = self._lanes.setdefault(uid, Lane(uid=uid))
            self._lanes.move_to_end(uid)
            with lane.lock:
                if not lane.is_led and lane.warm is None:
                    lane.warm, lane.warm_until = head, until
            self._evict()

    def enter(self, uid: Uid, job: Job) -> Lane:
        """Add the job to the account's lane, and return the lane. If no job leads the lane, the new job must lead."""
        with self._lock:
            lane = self._lanes.setdefault(uid, Lane(uid=uid))
            self._lanes.move_to_end(uid)
            with lane.lock:
                lane.pending.append(job)
                job.must_lead = not lane.is_led
                lane.is_led = True
            self._evict()
        return lane

    def _evict(self) -> None:
        """Forget the accounts used longest ago. A lane stays while a thread leads the lane or a commit is unsettled."""
        if len(self._lanes) <= WARM_ACCOUNTS_MAX:
            return
        for uid in list(self._lanes)[: len(self._lanes) - WARM_ACCOUNTS_MAX]:
            lane = self._lanes[uid]
            if not lane.is_led and lane.unsettled is None:
                del self._lanes[uid]

    def wait(self, lane: Lane, own: Job) -> None:
        """Block this thread until the job `own`, which waits in `lane`, has an answer or must lead the lane.

        Raises the interruption if the thread is interrupted. If the job had been given the lead, another job leads
        instead. The lane's lock covers this, so that no lead is lost.
        """
        try:
            own.wait()
        except BaseException as interruption:
            with lane.lock:
                own.tell(interruption)
                must_lead = own.must_lead
            if must_lead:
                self._hand_over(lane, [])
            raise

    def lead(self, lane: Lane, own: Job) -> None:
        """Work through the lane's pending jobs until `own` has an answer, then hand the lead to a job that still
        waits.
        """
        jobs: list[Job] = []
        try:
            while own.answer is None:
                jobs += self._taken(lane, len(jobs))
                jobs = self._work(lane, jobs)
        except BaseException as error:
            lane.warm = None
            for job in {own, *jobs}:
                if job.answer is None:
                    job.tell(error if job is own else OutcomeUnknown())
            jobs = []
            raise
        finally:
            self._hand_over(lane, jobs)

    def _taken(self, lane: Lane, already: int) -> list[Job]:
        room = (1 if lane.solo else BATCH_COMMANDS_MAX) - already
        with lane.lock:
            return [lane.pending.popleft() for _ in range(min(room, len(lane.pending)))]

    def _hand_over(self, lane: Lane, left: Sequence[Job]) -> None:
        """Put the jobs `left` back, and let the thread of the first pending job lead.

        A thread of several jobs sleeps at its first job without an answer, so that this job gets the lead.
        """
        with lane.lock:
            lane.pending.extendleft(reversed(left))
            lane.pending = deque(job for job in lane.pending if job.answer is None)
            lane.is_led = bool(lane.pending)
            if lane.pending:
                first = lane.pending[0]
                heir = next((job for job in first.siblings if job.answer is None), first)
                heir.must_lead = True
                heir.wake()


def _or_raise(answer: CommandAnswer[Receipt] | BaseException | None) -> CommandAnswer[Receipt]:
    assert answer is not None, "nobody leaves the line without an answer"
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _names_something_new(command: Command) -> bool:
    """Return True if the command names a lot or hold that may be archived, so that the account must be read first.

    A hold named after its operation is as new as the operation, and the commit ensures that the operation is new.
    """
    if isinstance(command, PlaceHold):
        return command.hold != hold_id(command.operation)
    return isinstance(command, Grant | Suspend | Recover)
