"""Turns that a client can request twice: `turns/{operation}` holds the holder, the progress and the result of a turn.

One instance holds the lease of a turn and renews the lease while working. Every write of the holder is conditional on
the document version that the holder last saw. So an instance that lost the lease, such as a paused process, cannot
append any more. The text itself stands in the conversation only: a deleted conversation is deleted.

The lease is not one of `engine.leases`, for two reasons. A call that polls must know again an own claim that was
committed late. And the ledger, not the holder, makes the commit that ends the turn.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from shared.kernel.clock import Clock, Millis
from shared.kernel.creation import UNCLEAR
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
from shared.kernel.tracing import in_this_work
from shared.kernel.waiting import WaitingRoom
from shared.sagas.metering.turn_record import FinalCommit, Turn, TurnAnswer, TurnReceipt, turn_of

LEASE: Millis = 30_000
RENEW_SECONDS = 10.0
WAIT_SECONDS_MAX = 60.0
POLL_SECONDS_MIN = 0.05
POLL_SECONDS_MAX = 1.0
SETTLE_SECONDS_MAX = 20.0
SETTLE_PAUSE_SECONDS = 0.2
RUNS_MAX = 20
COLLECTION = "turns"


class Claim(Protocol):
    """Right to finish one turn."""

    @property
    def run(self) -> str:
        """Return the name of the current attempt, which names the attempt's hold and messages."""
        ...

    @property
    def is_lost(self) -> bool:
        """Return True if another instance has taken over the turn."""
        ...

    def append(self, answer: TurnAnswer) -> None:
        """Commit the writes of this answer exactly once, if this claim still holds the turn.

        Raises StillRunning if another instance holds the turn. Raises PreconditionFailed if the writes are refused.
        Raises Unavailable if the outcome is unknown.
        """
        ...

    def final_commit(self, answer: TurnAnswer) -> AbstractContextManager[FinalCommit]:
        """Give the builder of the writes that store `answer` and end the turn, for one commit together with the charge.

        Use the result in a `with` block, in which the caller makes that commit. Leaving the block without an error
        means that the commit succeeded.
        """
        ...

    def try_again(self) -> None:
        """Begin another attempt, so that `run` changes.

        Raises StillRunning if another instance holds the turn, Unavailable.
        """
        ...

    def finish(self, settled: TurnReceipt) -> TurnReceipt:
        """Store the receipt, and return the receipt that counts: a receipt that was stored before wins."""
        ...

    def forget_turn(self) -> None:
        """Delete the turn, which had no effect, so that the key is free again. Never raises."""
        ...

    def give_up(self) -> None:
        """End the lease of a turn that may have had an effect. The next call with this key takes over at once.

        Never raises.
        """
        ...

    def stop(self) -> None:
        """Stop the renewal of the lease."""
        ...


class Turns:
    """Repository of turns, which also gives the right to run a turn."""

    def __init__(self, documents: Documents, clock: Clock, room: WaitingRoom | None = None) -> None:
        self._documents = documents
        self._clock = clock
        self._room = room or WaitingRoom()

    def is_known(self, operation: OperationId) -> bool:
        """Return True if a turn of this operation has begun."""
        return self._documents.get(f"{COLLECTION}/{operation}") is not None

    def once(self) -> Claim:
        """Return the right to run a turn without an idempotency key, which no later call can request again."""
        return KeylessClaim(self._documents, self._clock)

    def begin_turn(
        self, operation: OperationId, *, uid: Uid, conversation_id: str, fingerprint: str
    ) -> tuple[Turn, Claim | None]:
        """Return the turn, and the right to run or finish the turn. If the right is None, the turn is done or settling.

        If another call runs the turn and the waiting room has a place, wait for that call. If a call crashed, take the
        turn over once the lease has ended. An attempt that waits for the provider's report keeps the turn until
        `Pending.until`. Raises IdempotencyMismatch, StillRunning.
        """
        token, path = new_id("run"), f"{COLLECTION}/{operation}"
        asked: Data = {"uid": uid, "conversation_id": conversation_id, "fingerprint": fingerprint}
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
        """Return the turn if the turn is done, settling, or this call's to run; None while another call runs the turn.

        Raises IdempotencyMismatch.
        """
        while (found := found or self._documents.get(path) or self._created(path, asked, token)) is not None:
            turn = turn_of(found)
            if turn.uid != asked["uid"] or turn.fingerprint != asked["fingerprint"]:
                raise IdempotencyMismatch
            if turn.status == "done":
                return turn, None
            if turn.holder == token:
                return turn, KeyedClaim(self._documents, self._clock, turn, found.version)
            if turn.lease_until > self._clock.now():
                break
            if turn.is_settling(self._clock.now()):
                return turn, None
            self._take_over(found, turn, token)
            found = None
        return None

    def _created(self, path: str, asked: Data, token: str) -> Document | None:
        """Create the turn, and return the document if this call is certainly the first, else None.

        After None the caller reads the turn: the stored token shows if this call created the turn.
        """
        data: Data = {**asked, "status": "running", "runs": [token], **self._held_by(token)}
        try:
            version = self._documents.commit([Create(path, data)])[0]
        except UNCLEAR:
            return None
        return Document(path=path, data=data, version=version)

    def _take_over(self, found: Document, turn: Turn, token: str) -> None:
        """Take over a lease that has ended.

        If the earlier run had not appended, a new run begins; else the earlier run is to be finished.
        """
        runs = turn.runs if turn.status == "appended" else (*turn.runs, token)[-RUNS_MAX:]
        try:
            self._documents.commit([Patch(found.path, {"runs": list(runs), **self._held_by(token)}, found.version)])
        except UNCLEAR:
            return
        log("turn_taken_over", "WARNING", operation=turn.operation, status=turn.status)

    def _held_by(self, token: str) -> Data:
        return {"holder": token, "lease_until": self._clock.now() + LEASE}


class KeyedClaim:
    """Claim on a stored turn. A separate thread renews the lease until `stop`."""

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
        threading.Thread(target=in_this_work(self._renew), name=f"renew {turn.operation}", daemon=True).start()

    @property
    def is_lost(self) -> bool:
        """Return True if another instance has taken over the turn; see `Claim.is_lost`."""
        return self._is_lost

    def append(self, answer: TurnAnswer) -> None:
        """Commit the writes of this answer exactly once, if this claim still holds the turn.

        See `Claim.append`.
        """
        self._commit({"status": "appended", **answer.fields}, answer.writes)

    @contextmanager
    def final_commit(self, answer: TurnAnswer) -> Iterator[FinalCommit]:
        """Yield the builder of the writes that store `answer` and end the turn; see `Claim.final_commit`.

        The lease is not renewed in the block. If another instance takes over, the commit is refused.
        """
        with self._lock:
            yield FinalCommit(answer=answer, path=self._path, version=self._version)
            self._is_settled = True
            self._stopped.set()

    def try_again(self) -> None:
        """Begin another attempt, so that `run` changes; see `Claim.try_again`.

        The new attempt is stored before a hold in the attempt's name, for instances that take over.
        """
        runs = (*self._runs, new_id("run"))[-RUNS_MAX:]
        self._commit({"runs": list(runs)}, ())
        self._runs, self.run, self._is_first = runs, runs[-1], False

    def finish(self, settled: TurnReceipt) -> TurnReceipt:
        """Store the receipt, and return the receipt that counts: a receipt that was stored before wins.

        The money has already moved, so a failed write of the receipt raises nothing. See `Claim.finish`.
        """
        if self._is_settled:
            return settled
        try:
            self._commit(settled.fields, ())
        except DomainError as error:
            log("turn_not_finished", "WARNING", path=self._path, code=error.code)
            return self._settled_by_another() or settled
        return settled

    def forget_turn(self) -> None:
        """Delete the turn, or only end its lease if earlier attempts may have cost credits; see `Claim.forget_turn`."""
        if self._is_first:
            self._let_go(lambda version: Delete(self._path, version))
        else:
            self.give_up()

    def give_up(self) -> None:
        """End the lease of a turn that may have had an effect; see `Claim.give_up`."""
        self._let_go(lambda version: Patch(self._path, {"lease_until": 0}, version))

    def stop(self) -> None:
        """Stop the renewal of the lease; see `Claim.stop`."""
        self._stopped.set()

    def _let_go(self, write_of: Callable[[Version], Write]) -> None:
        """Commit the write of the newest version. The lock waits for a renewal, which changes the version."""
        with self._lock:
            try:
                self._documents.commit([write_of(self._version)])
            except DomainError as error:
                log("turn_not_let_go", "WARNING", path=self._path, code=error.code)

    def _settled_by_another(self) -> TurnReceipt | None:
        try:
            document = self._documents.get(self._path)
        except DomainError:
            return None
        return turn_of(document).settled if document else None

    def _renew(self) -> None:
        while not self._stopped.wait(RENEW_SECONDS) and not self._is_lost:
            try:
                self._commit({"lease_until": self._clock.now() + LEASE}, ())
            except DomainError as error:
                log("turn_not_renewed", "WARNING", path=self._path, code=error.code)

    def _commit(self, fields: Data, writes: Sequence[Write]) -> None:
        """Change the turn and commit `writes` exactly once, or not at all, for any answer of the store.

        An ambiguous commit is repeated. Both commits have the same precondition, so that only one commit can apply.
        Raises StillRunning, PreconditionFailed, OutcomeUnknown, StoreUnavailable.
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
        """Return True if an earlier try was applied.

        If another write of this claim was applied, the next try builds on that write. Raises StillRunning if another
        instance holds the turn. Raises PreconditionFailed if the turn itself is unchanged.
        """
        document = self._documents.get(self._path)
        if document is None or document.data["holder"] != self._holder:
            self._is_lost = True
            raise StillRunning
        if document.version == self._version:
            raise PreconditionFailed
        self._version = document.version
        return all(document.data.get(name) == value for name, value in fields.items())


class KeylessClaim:
    """Claim on a turn that no call can request again: there is nothing to renew, lose or store."""

    is_lost = False

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self.run = new_id("run")

    def append(self, answer: TurnAnswer) -> None:
        """Commit the writes of this answer exactly once; see `Claim.append`.

        An ambiguous commit is repeated, since the documents can be created only once. Writes without a creation replace
        whole documents, so a repetition changes nothing.
        """
        created = [write.path for write in answer.writes if isinstance(write, Create)]
        deadline = self._clock.monotonic() + SETTLE_SECONDS_MAX
        while answer.writes:
            try:
                self._documents.commit(answer.writes)
                return
            except PreconditionFailed:
                if not created or self._documents.get(created[0]) is None:
                    raise
                return
            except (OutcomeUnknown, StoreUnavailable):
                if self._clock.monotonic() >= deadline:
                    raise
                self._clock.wait(SETTLE_PAUSE_SECONDS)

    @contextmanager
    def final_commit(self, answer: TurnAnswer) -> Iterator[FinalCommit]:
        """Yield the builder of the writes that store `answer`; see `Claim.final_commit`."""
        yield FinalCommit(answer=answer, path=None, version=None)

    def try_again(self) -> None:
        """Begin another attempt, so that `run` changes; see `Claim.try_again`."""
        self.run = new_id("run")

    def finish(self, settled: TurnReceipt) -> TurnReceipt:
        """Return the receipt, which is not stored; see `Claim.finish`."""
        return settled

    def forget_turn(self) -> None:
        """Do nothing, since no turn is stored; see `Claim.forget_turn`."""

    def give_up(self) -> None:
        """Do nothing, since there is no lease; see `Claim.give_up`."""

    def stop(self) -> None:
        """Do nothing, since no lease is renewed; see `Claim.stop`."""
