"""Turns that a client can ask for twice: `turns/{operation}` says who runs one, how far it is, what it answered.

One instance holds the lease of a turn and renews it while it works. Everything the holder writes is conditional on the
document it last saw, so that whoever lost the lease (a process that was paused, say) cannot append any more. The text
itself stands in the conversation only: a deleted conversation is deleted.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from shared.kernel.clock import Clock, Millis
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    OutcomeUnknown,
    Patch,
    PreconditionFailed,
    StoreUnavailable,
    Version,
    Write,
)
from shared.kernel.errors import DomainError, IdempotencyMismatch, StillRunning
from shared.kernel.events import log
from shared.kernel.ids import OperationId, Uid, new_id
from shared.kernel.money import Micro
from shared.kernel.waiting import WaitingRoom

Status = Literal["running", "appended", "done"]

LEASE: Millis = 30_000
RENEW_SECONDS = 10.0
WAIT_SECONDS_MAX = 60.0
POLL_SECONDS_MIN = 0.05
POLL_SECONDS_MAX = 1.0
SETTLE_SECONDS_MAX = 20.0
SETTLE_PAUSE_SECONDS = 0.2
RUNS_MAX = 20
COLLECTION = "turns"
UNCLEAR = (PreconditionFailed, OutcomeUnknown, StoreUnavailable)
"""A store that many callers press at once refuses some for now; who reads next finds what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a finished turn told its caller beside the message: amounts in µcr.

    `at_most`: the provider has not reported yet, and the turn will cost this much at most; None once it is settled.
    """

    cost: Micro
    available: int
    held: int
    at_most: Micro | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a stored answer costs `at_most` (µcr) until its provider has reported, which is waited for until `until`."""

    at_most: Micro
    until: Millis


Settling = Callable[[Settled], Sequence[Write]]
"""What is written once it is known what the caller is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn as stored. `runs` are all attempts at it, the last being the current one.

    Once appended: `charge` is to be captured, and `paid_before` is what earlier attempts cost; µcr. `pending` says what
    the turn costs at most while the attempt that appended still waits for the report; None if it does not.
    """

    operation: OperationId
    uid: Uid
    conversation_id: str
    fingerprint: str
    holder: str
    runs: tuple[str, ...]
    status: Status
    lease_until: Millis
    charge: Micro
    paid_before: Micro
    message_id: str | None
    settled: Settled | None
    pending: Pending | None = None

    def is_settling(self, now: Millis) -> bool:
        """Return True if the attempt that appended may still charge what its provider reports."""
        return self.status == "appended" and self.pending is not None and self.pending.until > now


class Claim(Protocol):
    """The right to finish one turn."""

    @property
    def run(self) -> str:
        """The attempt this is: what names its hold and its messages."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether somebody else has taken over."""
        ...

    def append(
        self,
        writes: Sequence[Write],
        *,
        message_id: str,
        charge: Micro,
        paid_before: Micro,
        pending: Pending | None = None,
    ) -> None:
        """Commit these writes, once, if the turn is still ours.

        Raises StillRunning if it is not, PreconditionFailed if the writes are refused, Unavailable if nobody knows.
        """
        ...

    def settling(
        self, writes: Sequence[Write], *, message_id: str, charge: Micro, paid_before: Micro
    ) -> AbstractContextManager[Settling]:
        """The same and `finish` in one, for who commits what it gives in the block, with the charge itself.

        Leaving the block without an error means that it was committed.
        """
        ...

    def try_again(self) -> None:
        """From now on `run` is another attempt. Raises StillRunning if the turn is not ours, Unavailable."""
        ...

    def finish(self, settled: Settled) -> Settled:
        """Remember what the caller is told; what was remembered before wins."""
        ...

    def forget(self) -> None:
        """Nothing came of it: the key is free again. Never raises."""
        ...

    def give_up(self) -> None:
        """Something may have come of it: the next call with this key takes over at once. Never raises."""
        ...

    def stop(self) -> None:
        """Renew no longer."""
        ...


class Turns:
    """The repository, and the way to become the one who runs a turn."""

    def __init__(self, documents: Documents, clock: Clock, room: WaitingRoom | None = None) -> None:
        self._documents = documents
        self._clock = clock
        self._room = room or WaitingRoom()

    def is_known(self, operation: OperationId) -> bool:
        """True if a turn of this operation has begun."""
        return self._documents.get(f"{COLLECTION}/{operation}") is not None

    def once(self) -> Claim:
        """The right to run a turn that nobody can ask for again."""
        return Unremembered(self._documents, self._clock)

    def begin(
        self, operation: OperationId, *, uid: Uid, conversation_id: str, fingerprint: str
    ) -> tuple[Turn, Claim | None]:
        """The turn, and the right to run or finish it; without that right it is done or settling.

        Waits for another call that is running it, where there is room to wait. What crashed is taken over once its
        lease has ended. An attempt that waits for its provider's report keeps its turn until `Pending.until`.
        Raises IdempotencyMismatch, StillRunning.
        """
        token, path = new_id("run"), f"{COLLECTION}/{operation}"
        asked: Data = {"v": 1, "uid": uid, "conversation_id": conversation_id, "fingerprint": fingerprint}
        begun = self._looked(path, self._created(path, asked, token), asked, token)
        if begun is not None:
            return begun
        with self._room.place(uid) as has_place:
            deadline = self._clock.monotonic() + (WAIT_SECONDS_MAX if has_place else 0.0)
            pause = POLL_SECONDS_MIN
            while self._clock.monotonic() < deadline:
                self._clock.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  # spreads callers, guards nothing
                pause = min(pause * 2, POLL_SECONDS_MAX)
                if (begun := self._looked(path, None, asked, token)) is not None:
                    return begun
        raise StillRunning

    def _looked(self, path: str, found: Document | None, asked: Data, token: str) -> tuple[Turn, Claim | None] | None:
        """Return the turn once it is done, or ours to run; None while another call runs it.

        Raises IdempotencyMismatch.
        """
        while (found := found or self._documents.get(path) or self._created(path, asked, token)) is not None:
            turn = _turn(found)
            if turn.uid != asked["uid"] or turn.fingerprint != asked["fingerprint"]:
                raise IdempotencyMismatch
            if turn.status == "done":
                return turn, None
            if turn.holder == token:
                return turn, Remembered(self._documents, self._clock, turn, found.version)
            if turn.lease_until > self._clock.now():
                break
            if turn.is_settling(self._clock.now()):
                return turn, None
            self._take_over(found, turn, token)
            found = None
        return None

    def _created(self, path: str, asked: Data, token: str) -> Document | None:
        """The turn, if this call is the first. Anything but a clear yes is settled by reading: the token is ours."""
        data: Data = {**asked, "status": "running", "runs": [token], **self._held_by(token)}
        try:
            version = self._documents.commit([Create(path, data)])[0]
        except UNCLEAR:
            return None
        return Document(path=path, data=data, version=version)

    def _take_over(self, found: Document, turn: Turn, token: str) -> None:
        """Hold the lease that has ended: a run that had not appended gives way to a new one, another is finished."""
        runs = turn.runs if turn.status == "appended" else (*turn.runs, token)[-RUNS_MAX:]
        try:
            self._documents.commit([Patch(found.path, {"runs": list(runs), **self._held_by(token)}, found.version)])
        except UNCLEAR:
            return
        log("turn_taken_over", "WARNING", operation=turn.operation, status=turn.status)

    def _held_by(self, token: str) -> Data:
        return {"holder": token, "lease_until": self._clock.now() + LEASE}


class Remembered:
    """The claim on a turn that is remembered: renewed by a thread of its own until `stop`."""

    def __init__(self, documents: Documents, clock: Clock, turn: Turn, version: Version) -> None:
        self._documents = documents
        self._clock = clock
        self._path = f"{COLLECTION}/{turn.operation}"
        self._holder = turn.holder
        self._version = version
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._is_lost = False
        self._is_settled = False
        self._is_first = len(turn.runs) == 1
        self._runs = turn.runs
        self.run = turn.runs[-1]
        threading.Thread(target=self._renew, name=f"renew {turn.operation}", daemon=True).start()

    @property
    def is_lost(self) -> bool:
        """See `Claim.is_lost`."""
        return self._is_lost

    def append(
        self,
        writes: Sequence[Write],
        *,
        message_id: str,
        charge: Micro,
        paid_before: Micro,
        pending: Pending | None = None,
    ) -> None:
        """See `Claim.append`."""
        waited = {} if pending is None else {"at_most": pending.at_most, "settles_by": pending.until}
        self._commit({"status": "appended", **_appended(message_id, charge, paid_before), **waited}, writes)

    @contextmanager
    def settling(
        self, writes: Sequence[Write], *, message_id: str, charge: Micro, paid_before: Micro
    ) -> Iterator[Settling]:
        """See `Claim.settling`. It is not renewed meanwhile: who takes over then has its precondition."""
        appended = _appended(message_id, charge, paid_before)
        with self._lock:
            yield lambda settled: [Patch(self._path, {**appended, **_done(settled)}, self._version), *writes]
            self._is_settled = True
            self._stopped.set()

    def try_again(self) -> None:
        """See `Claim.try_again`. Told to whoever may take over, before anything is held in its name."""
        runs = (*self._runs, new_id("run"))[-RUNS_MAX:]
        self._commit({"runs": list(runs)}, ())
        self._runs, self.run, self._is_first = runs, runs[-1], False

    def finish(self, settled: Settled) -> Settled:
        """See `Claim.finish`. The money has moved by now, so that failing to note the balance fails nothing."""
        if self._is_settled:
            return settled
        try:
            self._commit(_done(settled), ())
        except DomainError as error:
            log("turn_not_finished", "WARNING", path=self._path, code=error.code)
            return self._settled_by_another() or settled
        return settled

    def forget(self) -> None:
        """See `Claim.forget`. What earlier attempts may have cost is not forgotten: then it is only given up."""
        if self._is_first:
            self._let_go(Delete(self._path, self._version))
        else:
            self.give_up()

    def give_up(self) -> None:
        """See `Claim.give_up`."""
        self._let_go(Patch(self._path, {"lease_until": 0}, self._version))

    def stop(self) -> None:
        """See `Claim.stop`."""
        self._stopped.set()

    def _let_go(self, write: Write) -> None:
        with self._lock:
            try:
                self._documents.commit([write])
            except DomainError as error:
                log("turn_not_let_go", "WARNING", path=self._path, code=error.code)

    def _settled_by_another(self) -> Settled | None:
        try:
            document = self._documents.get(self._path)
        except DomainError:
            return None
        return _turn(document).settled if document else None

    def _renew(self) -> None:
        while not self._stopped.wait(RENEW_SECONDS) and not self._is_lost:
            try:
                self._commit({"lease_until": self._clock.now() + LEASE}, ())
            except DomainError as error:
                log("turn_not_renewed", "WARNING", path=self._path, code=error.code)

    def _commit(self, fields: Data, writes: Sequence[Write]) -> None:
        """Change the turn, and with it what `writes` say: exactly once, or not at all, whatever the store answers.

        An ambiguous commit is repeated: it and its repetition have the same precondition, so that only one can apply.
        """
        deadline = self._clock.monotonic() + SETTLE_SECONDS_MAX
        with self._lock:
            while True:
                try:
                    self._version = self._documents.commit([Patch(self._path, fields, self._version), *writes])[0]
                    return
                except PreconditionFailed:
                    if self._is_applied(fields):
                        return
                except (OutcomeUnknown, StoreUnavailable):
                    if self._clock.monotonic() >= deadline:
                        raise
                    self._clock.wait(SETTLE_PAUSE_SECONDS)

    def _is_applied(self, fields: Data) -> bool:
        """Whether an earlier try was applied after all; if another one of ours was, the next try builds on that.

        Raises StillRunning if the turn is no longer ours, PreconditionFailed if it was not the turn that objected.
        """
        document = self._documents.get(self._path)
        if document is None or document.data["holder"] != self._holder:
            self._is_lost = True
            raise StillRunning
        if document.version == self._version:
            raise PreconditionFailed
        self._version = document.version
        return all(document.data.get(name) == value for name, value in fields.items())


class Unremembered:
    """The claim on a turn that nobody can ask for again: there is nothing to renew, lose or remember."""

    is_lost = False

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self.run = new_id("run")

    def append(
        self,
        writes: Sequence[Write],
        *,
        message_id: str,
        charge: Micro,
        paid_before: Micro,
        pending: Pending | None = None,
    ) -> None:
        """See `Claim.append`. An ambiguous commit is repeated: what it creates can be created once only."""
        created = [write.path for write in writes if isinstance(write, Create)]
        deadline = self._clock.monotonic() + SETTLE_SECONDS_MAX
        while created:
            try:
                self._documents.commit(writes)
                return
            except PreconditionFailed:
                if self._documents.get(created[0]) is None:
                    raise
                return
            except (OutcomeUnknown, StoreUnavailable):
                if self._clock.monotonic() >= deadline:
                    raise
                self._clock.wait(SETTLE_PAUSE_SECONDS)

    @contextmanager
    def settling(
        self, writes: Sequence[Write], *, message_id: str, charge: Micro, paid_before: Micro
    ) -> Iterator[Settling]:
        """See `Claim.settling`."""
        yield lambda _: writes

    def try_again(self) -> None:
        """See `Claim.try_again`."""
        self.run = new_id("run")

    def finish(self, settled: Settled) -> Settled:
        """See `Claim.finish`."""
        return settled

    def forget(self) -> None:
        """See `Claim.forget`."""

    def give_up(self) -> None:
        """See `Claim.give_up`."""

    def stop(self) -> None:
        """See `Claim.stop`."""


def _appended(message_id: str, charge: Micro, paid_before: Micro) -> Data:
    return {"message_id": message_id, "charge": charge, "paid_before": paid_before}


def _done(settled: Settled) -> Data:
    return {"status": "done", "cost": settled.cost, "available": settled.available, "held": settled.held}


def _turn(document: Document) -> Turn:
    # Written by us alone: every field is there and of its type.
    data, counts = cast("Mapping[str, str]", document.data), cast("Mapping[str, int]", document.data)
    is_done = data["status"] == "done"
    return Turn(
        operation=OperationId(document.id),
        uid=Uid(data["uid"]),
        conversation_id=data["conversation_id"],
        fingerprint=data["fingerprint"],
        holder=data["holder"],
        runs=tuple(cast("Sequence[str]", document.data["runs"])),
        status=cast("Status", data["status"]),
        lease_until=counts["lease_until"],
        message_id=data.get("message_id"),
        charge=Micro(counts.get("charge", 0)),
        paid_before=Micro(counts.get("paid_before", 0)),
        settled=Settled(cost=Micro(counts["cost"]), available=counts["available"], held=counts["held"])
        if is_done
        else None,
        pending=Pending(at_most=Micro(counts["at_most"]), until=counts["settles_by"]) if "at_most" in counts else None,
    )
