"""A rolling hold: credits set aside while something is used up, grown ahead of need, captured or given back."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.documents import Write
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.events import log
from shared.kernel.ids import HoldId, OperationId, Uid, operation_id
from shared.kernel.measured import HOLD_GROWTH
from shared.kernel.money import Micro
from shared.ledger.commands import AccountCommand, Accrue, Capture, ExtendHold, PlaceHold, RecordLifetime, Release
from shared.ledger.errors import AccountClosed, HoldNotFound, HoldResolved, InsufficientCredits
from shared.ledger.hold_names import bound_operation, capture_operation, release_operation
from shared.ledger.lanes import ExtraWrites
from shared.ledger.receipts import AccrualReceipt, CaptureReceipt, Receipt
from shared.ledger.views import Balance

GROWN_UNUSED_PART = 4
"""Divisor of a hold's last growth.

If less than this share of that growth is unused, the hold grows again, ahead of need.
"""
EXTENSION_WAIT_SECONDS = 30.0
PATIENCE_SECONDS = 5.0
"""Seconds in all that a hold waits for credits which the account's other holds may give back."""
PATIENCE_PAUSE_SECONDS = 0.1
R = TypeVar("R", bound=Receipt)
R_co = TypeVar("R_co", bound=Receipt, covariant=True)

GONE = (HoldResolved, HoldNotFound, AccountClosed)
"""Refusals of a command on a hold that can never succeed any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[R_co]):
    """Receipt of a command, with the balance afterwards (µcr).

    `is_replay`: an earlier call had already done the operation.
    """

    receipt: R_co
    is_replay: bool
    balance: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCharge:
    """Amount that the end of a hold took from the user, and the credits available and held afterwards; µcr."""

    amount: int
    absorbed: int
    """Part of the cost that the platform bears."""
    available: int
    held: int


class Executes(Protocol):
    """Part of the ledger that a holding needs."""

    def execute(self, uid: Uid, command: AccountCommand[R], extra_writes: ExtraWrites[R] | None = None) -> Outcome[R]:
        """Execute a command, and return the receipt with the balance; see `Ledger.execute`."""
        ...


class Holding:
    """Open hold that grows during use, for a `with` block.

    If the hold was not captured, leaving the block ends the hold. Then the amount accrued in the ledger is charged, and
    the rest is given back.

    `is_replay`: an earlier run with the same operation placed the hold. `affordable`: the highest cost that the use
    could reach. This is the whole balance when the hold was placed, including credits that other holds may give back.
    For a call that its provider bills to the end, this is the amount kept free for the call.

    Use within the first held amount requests no more credits. Beyond that amount, every growth is as large as all
    earlier growth together. So a long use grows a few times, and a short use keeps few credits from others.
    """

    _spawn: Callable[..., None]
    """Starts a function on another thread."""
    _lock: threading.Condition
    """Guards all fields below. Callers that need more credits wait on this condition for an extension."""
    _step: Micro
    """Smallest growth to request (µcr)."""
    _held: int
    """Credits set aside (µcr), as far as this object knows."""
    _first: int
    """Credits set aside at first (µcr). Use within this amount requests no more."""
    _last_growth: int
    """Credits added by the last extension that added any (µcr)."""
    _used: int
    """Highest use reported by `accrue` (µcr)."""
    _bound: int
    """Highest cost recorded by `write_down` (µcr); 0 before."""
    _is_written_down: bool
    """True once `write_down` has added credits kept free for the input, which are added only once."""
    _renew_at: Millis
    """Time from which the hold is renewed although no credits are missing."""
    _extensions: int
    """Number of extensions that were answered. The number names the next extension's operation."""
    _in_vain: int
    """Number of extensions without an answer or refused for lack of credits. Callers stop waiting if this grows."""
    _is_answered: bool
    """True if the ledger answered the extension under way, by credits or by a refusal."""
    _is_extending: bool
    """True while another thread requests an extension."""
    _is_dry: bool
    """True if the last extension was refused for lack of credits."""
    _is_exhausted: bool
    """True if waiting cannot help: no other hold of the account has credits, or this hold has ended."""
    _is_ending: bool
    """True once the hold is being captured or released, so that no extension begins."""
    _is_resolved: bool
    """True once the ledger has confirmed the end."""
    _patience: float
    """Seconds that callers may still wait for credits of the account's other holds."""

    def __init__(
        self, ledger: Executes, clock: Clock, uid: Uid, command: PlaceHold, *, step: Micro, spawn: Callable[..., None]
    ) -> None:
        """Place the hold; see `Ledger.holding`. Raises the errors of `PlaceHold`."""
        placed = ledger.execute(uid, command)
        self.id: HoldId = command.hold
        self.is_replay = placed.is_replay
        self._ledger, self._clock, self._uid, self._command = ledger, clock, uid, command
        self._spawn = spawn
        self._lock = threading.Condition()
        self._step = step
        self._held = placed.receipt.amount
        self._first = self._held
        self._last_growth = 0
        affordable = placed.receipt.affordable
        self.affordable = Micro(placed.balance.total if affordable is None else affordable)
        self._used = 0
        self._bound = 0
        self._is_written_down = False
        self._renew_at = clock.now() + command.lifetime // 2
        self._extensions = 0
        self._in_vain = 0
        self._is_answered = False
        self._is_extending = False
        self._is_dry = False
        self._is_exhausted = False
        self._is_ending = False
        self._is_resolved = False
        self._patience = PATIENCE_SECONDS

    @property
    def operation(self) -> OperationId:
        """Operation that placed the hold."""
        return self._command.operation

    @property
    def _record(self) -> RecordLifetime:
        """Lifetime of the records of the hold's later operations, each of which this object may repeat."""
        return "kept" if self._command.record == "kept" else "passing"

    @property
    def silence_seconds_max(self) -> float:
        """Longest time in seconds between two calls of `accrue`, so that the hold is renewed before its end."""
        return self._command.lifetime / SECOND / 4

    @property
    def held(self) -> Micro:
        """Credits set aside, in µcr, as far as this object knows."""
        return Micro(self._held)

    @property
    def lifetime_seconds(self) -> float:
        """Number of seconds that the hold lives after being placed or renewed."""
        return self._command.lifetime / SECOND

    def __enter__(self) -> Self:
        """Return this holding; the hold is already placed, see `Ledger.holding`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the hold unless captured. If ending fails, the hold expires later."""
        if self._is_resolved:
            return
        try:
            self._end(is_unused=False)
        except GONE:
            pass
        except DomainError as failure:
            log("hold_left_to_expire", "WARNING", hold_id=self.id, code=failure.code)

    def accrue(self, used: Micro) -> bool:
        """Report the total use so far (µcr).

        Return False if the balance cannot cover the use; the caller must stop then.

        Once the hold has grown, another thread grows and renews the hold ahead of need. If the use exceeds the held
        amount, the caller waits for the extension. Then the caller waits a while for the account's other holds to give
        credits back.
        """
        while not (is_covered := self._is_covered(used)) and self._is_worth_waiting():
            self._clock.wait(PATIENCE_PAUSE_SECONDS)
        return is_covered

    def _is_covered(self, used: Micro) -> bool:
        with self._lock:
            self._used = max(self._used, used)
            in_vain = self._in_vain
            if self._growth() > 0 or self._is_aging:
                self._begin_extension()
            while self._missing and not self._is_exhausted and self._in_vain == in_vain:
                self._begin_extension()
                if self._is_extending and not self._lock.wait(EXTENSION_WAIT_SECONDS):
                    return False
            return not self._missing

    def _is_worth_waiting(self) -> bool:
        """Return True if the account's other holds may still give back the missing credits, and patience lasts."""
        self._patience -= PATIENCE_PAUSE_SECONDS
        return self._is_dry and not self._is_exhausted and self._patience > 0

    def capture(
        self,
        cost: Micro,
        usage: tuple[tuple[str, int], ...] = (),
        extra_writes: Callable[[HoldCharge], Sequence[Write]] | None = None,
    ) -> HoldCharge:
        """Charge `cost` (µcr), give back the rest, and return the charge. The hold ends.

        If `cost` exceeds the hold, take the available credits; the platform absorbs the rest. The extra writes join the
        same commit. Raises PreconditionFailed, with nothing done, if the extra writes cannot be committed;
        HoldResolved.
        """
        self._is_ending = True
        command = Capture(
            operation=capture_operation(self.id), hold=self.id, amount=cost, usage=usage, record=self._record
        )
        writes = None if extra_writes is None else lambda receipt: extra_writes(charge_of(receipt))
        receipt = self._ledger.execute(self._uid, command, writes).receipt
        self._is_resolved = True
        if receipt.absorbed:
            log("capture_absorbed", "ERROR", hold_id=self.id, absorbed=receipt.absorbed)
        return charge_of(receipt)

    def write_down(self, bound: Micro) -> AccrualReceipt:
        """Record `bound` (µcr) as accrued in the ledger, so that the hold's expiry charges this amount.

        Return the receipt.

        The accrued amount is at most the held amount. The credits kept free for the input are held from now on. Call
        once for each hold. Works on a frozen account; the hold is renewed for its whole lifetime. Later growth raises
        the accrued amount up to `bound`. Raises HoldResolved, HoldNotFound, AccountClosed, Unavailable.
        """
        with self._lock:
            self._bound = max(self._bound, bound)
        command = Accrue(
            operation=bound_operation(self._command.operation),
            hold=self.id,
            accrued=bound,
            lifetime=self._command.lifetime,
            record=self._record,
        )
        receipt = self._ledger.execute(self._uid, command).receipt
        with self._lock:
            self._renew_at = self._clock.now() + self._command.lifetime // 2
            self._held += 0 if self._is_written_down else receipt.added
            self._is_written_down = True
        return receipt

    def release(self) -> Balance:
        """Give back the whole hold, since nothing is owed. Return the balance afterwards."""
        return self._end(is_unused=True)

    def _end(self, *, is_unused: bool) -> Balance:
        self._is_ending = True
        command = Release(
            operation=release_operation(self._command.operation),
            hold=self.id,
            is_unused=is_unused,
            record=self._record,
        )
        outcome = self._ledger.execute(self._uid, command)
        self._is_resolved = True
        return outcome.balance

    @property
    def _missing(self) -> int:
        """Amount (µcr) by which the use exceeds the held credits."""
        return max(0, self._used - self._held)

    @property
    def _is_aging(self) -> bool:
        return self._clock.now() >= self._renew_at

    def _growth(self) -> int:
        """Return the amount (µcr) to request: zero while enough is unused.

        After a refusal, grow only if credits are missing.
        """
        is_low = self._held - self._used < self._last_growth // GROWN_UNUSED_PART and not self._is_dry
        return max(self._step, self._held - self._first, self._missing) if is_low or self._missing else 0

    def _begin_extension(self) -> None:
        if not self._is_extending and not self._is_exhausted:
            self._is_extending = True
            self._spawn(self._extend)

    def _extend(self) -> None:
        """Request an extension once, and wake all waiting callers after an answer or an error."""
        with self._lock:
            command, self._is_answered = self._extension(), False
        try:
            if not self._is_ending:
                self._ask(command)
        finally:
            with self._lock:
                self._in_vain += 0 if self._is_answered and not self._is_dry else 1
                self._is_extending = False
                self._lock.notify_all()

    def _extension(self) -> ExtendHold:
        """Return the next extension command. An extension of zero credits is sent only to renew the hold."""
        return ExtendHold(
            operation=operation_id(self._command.operation, "extend", str(self._extensions + 1)),
            hold=self.id,
            amount=Micro(self._growth()),
            at_least=Micro(self._missing or (0 if self._is_aging else 1)),
            accrued=Micro(max(self._used, self._bound)),
            lifetime=self._command.lifetime,
            record=self._record,
        )

    def _ask(self, command: ExtendHold) -> None:
        """Send the extension and note the answer. A hold captured in the meantime needs no more credits."""
        try:
            outcome = self._ledger.execute(self._uid, command)
            self._note_answer(outcome.receipt.added)
            HOLD_GROWTH.add("grown")
        except Unavailable as failure:
            HOLD_GROWTH.add("failed")
            log("hold_not_extended", "WARNING", hold_id=self.id, code=failure.code)
        except InsufficientCredits as refusal:
            HOLD_GROWTH.add("dry")
            of_others = int(refusal.params["held"]) - self._held
            self._note_answer(0, is_dry=True, is_exhausted=self._missing > 0 and of_others <= 0)
        except GONE as failure:
            if not self._is_ending:
                log("hold_ended_early", "WARNING", hold_id=self.id, code=failure.code)
            self._note_answer(-self._held, is_exhausted=True)
        except DomainError as refusal:
            HOLD_GROWTH.add("failed")
            log("hold_not_extended", hold_id=self.id, code=refusal.code)
            self._note_answer(0, is_exhausted=True)

    def _note_answer(self, added: int, *, is_dry: bool = False, is_exhausted: bool = False) -> None:
        """Note an answer. An unanswered request is repeated as the same operation; an answered one is finished."""
        with self._lock:
            self._is_answered = True
            self._extensions += 1
            self._held += added
            self._last_growth = added or self._last_growth
            self._is_dry, self._is_exhausted = is_dry, is_exhausted
            self._renew_at = self._clock.now() + max(SECOND, self._command.lifetime // 2)


def charge_of(receipt: CaptureReceipt) -> HoldCharge:
    """Return the charge that this receipt records."""
    return HoldCharge(
        amount=receipt.captured,
        absorbed=receipt.absorbed,
        available=receipt.after.available,
        held=receipt.after.held,
    )
