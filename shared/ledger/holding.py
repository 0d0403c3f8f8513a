"""A rolling hold: credits set aside while something is used up, grown ahead of need, captured or given back."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.events import log
from shared.kernel.ids import HoldId, OperationId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Capture, Command, ExtendHold, PlaceHold, Release
from shared.ledger.decide import Result
from shared.ledger.errors import AccountClosed, HoldNotFound, HoldResolved
from shared.ledger.views import Balance

GROW_AT_PERCENT = 60
"""A hold grows when this much of it is used, in the background, so that nobody waits for it."""
EXTENSION_WAIT_SECONDS = 30.0
GONE = (HoldResolved, HoldNotFound, AccountClosed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an operation did (`result`), whether an earlier call had done it, and the balance then; µcr."""

    result: Result
    is_replay: bool
    balance: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a capture took from the user, and what was ours to bear; µcr."""

    amount: int
    absorbed: int
    balance: Balance


class Executes(Protocol):
    """The one thing a holding needs of the ledger."""

    def execute(self, uid: Uid, command: Command) -> Outcome:
        """See `Ledger.execute`."""
        ...


class Holding:
    """An open hold in the hands of whoever uses it. As a context manager it releases what nobody captured.

    `is_replay`: an earlier run with the same operation had placed it. `affordable`: held and available when it was
    placed, so the most that this could ever cost.
    """

    def __init__(
        self, ledger: Executes, clock: Clock, uid: Uid, command: PlaceHold, *, step: Micro, spawn: Callable[..., None]
    ) -> None:
        placed = ledger.execute(uid, command)
        self.id: HoldId = command.hold
        self.is_replay = placed.is_replay
        self._held: int = _number(placed.result, "amount")
        self.affordable = Micro(self._held + placed.balance.available)
        self._ledger, self._clock, self._uid, self._command = ledger, clock, uid, command
        self._step = step
        self._spawn = spawn
        self._lock = threading.Condition()
        self._used: int = 0
        self._renew_at: Millis = clock.now() + command.lifetime // 2
        self._extensions = 0
        self._unanswered = 0
        self._is_answered = False
        self._is_extending = False
        self._is_exhausted = False
        self._is_resolved = False

    def __enter__(self) -> Self:
        """The hold is placed already; see `Ledger.holding`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what was not captured. If that fails, its expiry will."""
        if self._is_resolved:
            return
        try:
            self.release()
        except GONE:
            pass
        except DomainError as failure:
            log("hold_left_to_expire", "WARNING", hold_id=self.id, code=failure.code)

    def accrue(self, used: Micro) -> bool:
        """Say what has been used so far, in all. False: the balance cannot cover it, stop now.

        The hold grows and is renewed ahead of need on another thread; a caller waits only when it has used up all that
        is held before the extension came back.
        """
        with self._lock:
            self._used = max(self._used, used)
            unanswered = self._unanswered
            if self._growth() > 0 or self._clock.now() >= self._renew_at:
                self._begin_extension()
            while self._used > self._held and not self._is_exhausted and self._unanswered == unanswered:
                self._begin_extension()
                if self._is_extending and not self._lock.wait(EXTENSION_WAIT_SECONDS):
                    return False
            return self._used <= self._held

    def capture(self, cost: Micro) -> Captured:
        """Charge `cost` and give back the rest; final. Beyond the hold it takes what is available, the rest is ours."""
        operation = operation_id(self._command.operation, "capture")
        outcome = self._ledger.execute(
            self._uid, Capture(operation=operation, fingerprint="", hold=self.id, amount=cost, is_final=True)
        )
        self._is_resolved = True
        absorbed = _number(outcome.result, "absorbed")
        if absorbed:
            log("capture_absorbed", "ERROR", hold_id=self.id, absorbed=absorbed)
        return Captured(amount=_number(outcome.result, "captured"), absorbed=absorbed, balance=outcome.balance)

    def release(self) -> Balance:
        """Give it all back."""
        operation = operation_id(self._command.operation, "release")
        outcome = self._ledger.execute(self._uid, Release(operation=operation, fingerprint="", hold=self.id))
        self._is_resolved = True
        return outcome.balance

    def _growth(self) -> int:
        """How much more to ask for: nothing while enough of the hold is unused."""
        is_low = self._used * 100 > self._held * GROW_AT_PERCENT
        return max(self._step, self._used - self._held + self._step) if is_low else 0

    def _begin_extension(self) -> None:
        if not self._is_extending and not self._is_exhausted:
            self._is_extending = True
            self._spawn(self._extend)

    def _extend(self) -> None:
        """Ask for more, once. Whoever waits goes on, whatever comes of it."""
        with self._lock:
            operation = operation_id(self._command.operation, "extend", str(self._extensions + 1))
            amount, accrued = self._growth(), min(self._used, self._held)
            self._is_answered = False
        try:
            added = self._extended_by(operation, Micro(amount), Micro(accrued))
            self._note_answer(added, is_exhausted=added < amount)
        except Unavailable as failure:
            log("hold_not_extended", "WARNING", hold_id=self.id, code=failure.code)
        except GONE as failure:
            log("hold_ended_early", "WARNING", hold_id=self.id, code=failure.code)
            self._note_answer(-self._held, is_exhausted=True)
        except DomainError as refusal:
            log("hold_not_extended", hold_id=self.id, code=refusal.code)
            self._note_answer(0, is_exhausted=True)
        finally:
            with self._lock:
                self._unanswered += 0 if self._is_answered else 1
                self._is_extending = False
                self._lock.notify_all()

    def _note_answer(self, added: int, *, is_exhausted: bool) -> None:
        """What was not answered is asked again, as the same operation; what was answered is over."""
        with self._lock:
            self._is_answered = True
            self._extensions += 1
            self._held += added
            self._is_exhausted = is_exhausted
            self._renew_at = self._clock.now() + max(SECOND, self._command.lifetime // 2)

    def _extended_by(self, operation: OperationId, amount: Micro, accrued: Micro) -> int:
        command = ExtendHold(
            operation=operation,
            fingerprint="",
            hold=self.id,
            amount=amount,
            at_least=Micro(0),
            accrued=accrued,
            lifetime=self._command.lifetime,
        )
        return _number(self._ledger.execute(self._uid, command).result, "added")


def _number(result: Result, name: str) -> int:
    value = result[name]
    assert isinstance(value, int), f"{name} is an amount"
    return value
