"""Lanes: the callers of one account stand in line, and one of them works for all."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from shared.kernel.documents import OutcomeUnknown, Version, Write
from shared.kernel.ids import Uid, derived_id
from shared.ledger.books import Result
from shared.ledger.commands import Command, Grant, PlaceHold, Suspend
from shared.ledger.store import Head

Beside = Callable[[Result], Sequence[Write]]
"""What a caller has written in the commit of its command, given what that does; none of it is the ledger's own."""

BATCH_COMMANDS_MAX = 200
WARM_ACCOUNTS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What became of a command: its result, and whether an earlier call had done it."""

    result: Result
    is_replay: bool


class Job:
    """One caller waiting for one command."""

    __slots__ = (
        "_asleep",
        "answer",
        "beside",
        "command",
        "deadline",
        "is_ambiguous",
        "must_lead",
        "needs_read",
        "nonces",
    )

    def __init__(self, command: Command, deadline: float, beside: Beside | None = None) -> None:
        self.command = command
        self.deadline = deadline
        self.beside = beside
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self.answer: Committed | BaseException | None = None
        self.needs_read = _names_something_new(command)
        self.is_ambiguous = False
        self.must_lead = False
        self.nonces: set[str] = set()

    def tell(self, answer: Committed | BaseException) -> None:
        """Answer it, and wake whoever waits for it."""
        self.answer = answer
        self.wake()

    def wake(self) -> None:
        """Let the thread that waits, or will wait next, go on."""
        with suppress(RuntimeError):  # it has been woken already
            self._asleep.release()

    def wait(self) -> None:
        """Rest until somebody wakes this job. (A lock that others release is an Event at a tenth of its cost.)"""
        self._asleep.acquire()


@dataclass(slots=True, eq=False, repr=False)
class Lane:
    """What this instance knows and has under way for one account. One thread leads, the others wait."""

    uid: Uid
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: deque[Job] = field(default_factory=deque)
    is_led: bool = False
    warm: Head | None = None
    warm_until: float = 0.0
    contended_until: float = 0.0
    unsettled: tuple[Version | None] | None = None
    failed_on: tuple[Version | None] | None = None
    solo: int = 0
    """So many commands are still to be committed one by one, because together they could not be."""


class Lanes:
    """The lanes of one instance. `work` is given what is pending for an account, and returns what is not answered."""

    def __init__(self, work: Callable[[Lane, list[Job]], list[Job]]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._lanes: OrderedDict[Uid, Lane] = OrderedDict()

    def __len__(self) -> int:
        """How many accounts this instance knows something about."""
        return len(self._lanes)

    def answers(self, uid: Uid, jobs: Sequence[Job]) -> list[Committed]:
        """What becomes of these jobs: worked for by this thread, or by another that is at this account already.

        Raises the first error among their answers, once each has one.
        """
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
        """A caller that was interrupted leaves the line with all that it came with, and nobody waits for its lead."""
        if job.answer is not None:
            return
        with lane.lock:
            job.tell(OutcomeUnknown())
            must_lead = job.must_lead
        if must_lead:
            self._hand_over(lane, [])

    def forget(self, uid: Uid) -> None:
        """Drop what is known of an account, so that it is read before it is next used."""
        with self._lock:
            lane = self._lanes.get(uid)
        if lane is not None:
            lane.warm = None

    def enter(self, uid: Uid, job: Job) -> Lane:
        """Stand in line; whoever finds nobody at work leads."""
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
        """Forget the accounts used longest ago; a lane that somebody leads stays."""
        if len(self._lanes) <= WARM_ACCOUNTS_MAX:
            return
        for uid in list(self._lanes)[: len(self._lanes) - WARM_ACCOUNTS_MAX]:
            lane = self._lanes[uid]
            if not lane.is_led and lane.unsettled is None:
                del self._lanes[uid]

    def wait(self, lane: Lane, own: Job) -> None:
        """Until it is answered or must lead. A caller interrupted here leaves nobody waiting for its lead.

        Under the lane's lock, so that it has either left the line or been given the lead, and knows which.
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
        """Work through what is pending until our own command is answered; then somebody else leads."""
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
        with lane.lock:
            lane.pending.extendleft(reversed(left))
            lane.pending = deque(job for job in lane.pending if job.answer is None)
            lane.is_led = bool(lane.pending)
            if lane.pending:
                lane.pending[0].must_lead = True
                lane.pending[0].wake()


def _or_raise(answer: Committed | BaseException | None) -> Committed:
    assert answer is not None, "nobody leaves the line without an answer"
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _names_something_new(command: Command) -> bool:
    """Whether the name could be taken by something archived, which only a read tells.

    A hold that is named by its operation is as new as the operation, which the commit itself makes sure of.
    """
    if isinstance(command, PlaceHold):
        return command.hold != derived_id("hold", command.operation)
    return isinstance(command, Grant | Suspend)
