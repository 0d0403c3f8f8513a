"""Charges after the answer: a cheap call holds no credits, and is charged the reported usage before the delivery.

Instances do not know of each other's calls. So the bounds of a user's calls under way on one instance are at most a
hundredth of the credits that are free. All instances together are then within half of those credits, and a charge is
refused only if the credits were spent, or the account was frozen, in the seconds of the call. A refused charge
delivers nothing, so that nobody gains from a refusal, and counts as a loss of the platform. After too many losses a
user's calls hold credits first.
"""

import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from shared.kernel.clock import Clock
from shared.kernel.documents import OutcomeUnknown, PreconditionFailed, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import HoldId, OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.commands import Charge, Tags
from shared.ledger.errors import HoldNotFound, RateLimited
from shared.ledger.hold_names import hold_id
from shared.ledger.holding import HoldCharge
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Cause, Losses
from shared.ledger.receipts import AccrualReceipt, AmountReceipt
from shared.sagas.metering.call_losses import CallLosses
from shared.sagas.metering.plan import MeteredPlan
from shared.users.principal import key_id_of

DIRECT_PART = 100
"""Divisor of the free credits: largest share for the bounds of a user's direct calls under way on one instance.

The function `api` has 50 instances at most, so that the bounds of all instances are within half of the free credits.
"""
TRUST_SECONDS = 600.0
"""Seconds for which an instance remembers whether a user's calls may be charged after the answer."""
TRUSTED_USERS_MAX = 5_000
DIRECT_KINDS = frozenset({"embedding"})
"""Kinds of models whose calls may be charged after the answer: the whole cost is known before the delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trust:
    """Answer about a user's refused charges, and the monotonic time in seconds until which the answer is used."""

    is_given: bool
    until: float


class DirectCharges:
    """Admission of calls that hold no credits, and the registry of those under way. Safe to share between threads."""

    def __init__(self, ledger: Ledger, losses: Losses, clock: Clock) -> None:
        self._ledger = ledger
        self._losses = losses
        self._clock = clock
        self._lock = threading.Lock()
        self._bounds = Counter[Uid]()
        self._calls = Counter[Uid]()
        self._trusts: OrderedDict[Uid, _Trust] = OrderedDict()

    def begin(self, plan: MeteredPlan, operation: OperationId, names: Tags, about: Tags) -> "DirectCharge | None":
        """Admit the call and return the charge to make; None if the call must hold credits first.

        Writes nothing. Raises RateLimited if this user's calls under way here use up the rate limit, and the errors of
        `Ledger.balance`.
        """
        request, bound = plan.request, plan.ceiling
        if not _is_direct(plan) or not self._is_trusted(request.uid):
            return None
        command = replace(_command(plan, operation, names, about), rate=self._ledger.rate)
        room = self._ledger.charge_room(request.uid, request.budgets, principal=request.principal)
        with self._lock:
            if not 0 < self._bounds[request.uid] + bound <= room.amount // DIRECT_PART or not room.calls:
                return None
            if self._calls[request.uid] >= room.calls:
                raise RateLimited(retry_after_ms=room.pause)
            self._bounds[request.uid] += bound
            self._calls[request.uid] += 1
        call = DirectCharge(self, self._ledger, plan, command)
        log("direct_call_begun", uid=request.uid, hold_id=call.id, bound=bound)
        return call

    def end(self, uid: Uid, bound: int) -> None:
        """Remove a call with this bound (µcr) from the calls under way."""
        with self._lock:
            self._bounds[uid] -= bound
            self._calls[uid] -= 1
            if not self._calls[uid]:
                del self._bounds[uid], self._calls[uid]

    def bear(self, plan: MeteredPlan, cause: Cause, *, call: str, amount: int) -> None:
        """Count that the platform bears `amount` (µcr) of a call, and look at the user's losses before the next."""
        uid, principal = plan.request.uid, plan.request.principal
        CallLosses(self._losses).bear(uid, cause, call=call, model=plan.model.id, principal=principal, amount=amount)
        with self._lock:
            self._trusts.pop(uid, None)

    def _is_trusted(self, uid: Uid) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            known = self._trusts.get(uid)
        if known is None or known.until <= now:
            known = _Trust(is_given=self._is_within_losses(uid), until=now + TRUST_SECONDS)
            self._remember(uid, known)
        return known.is_given

    def _is_within_losses(self, uid: Uid) -> bool:
        try:
            return not self._losses.are_charges_held(uid)
        except DomainError as error:
            log("losses_not_read", "WARNING", code=error.code)
            return False

    def _remember(self, uid: Uid, trust: _Trust) -> None:
        with self._lock:
            self._trusts[uid] = trust
            self._trusts.move_to_end(uid)
            while len(self._trusts) > TRUSTED_USERS_MAX:
                self._trusts.popitem(last=False)


class DirectCharge:
    """Charge of one call, made once when the answer is there. Stands in the place of the call's hold.

    `id` names the call as a hold's id would; no hold has this id. `held` and `affordable` are the bound (µcr) that
    was admitted.
    """

    silence_seconds_max = math.inf
    """No hold must be renewed while the provider is silent."""
    lifetime_seconds = 0.0

    def __init__(self, charges: DirectCharges, ledger: Ledger, plan: MeteredPlan, command: Charge) -> None:
        self._charges = charges
        self._ledger = ledger
        self._plan = plan
        self._command = command
        self._is_under_way = True
        self.id: HoldId = hold_id(command.operation)
        self.held = self.affordable = plan.ceiling

    @property
    def operation(self) -> OperationId:
        """Operation of the charge."""
        return self._command.operation

    def __enter__(self) -> Self:
        """Return this charge; the call was admitted by `DirectCharges.begin`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the call. A call that ended by an unexpected error after the provider was asked counts as crashed."""
        if self._is_under_way and kind is not None and not issubclass(kind, DomainError):
            log("direct_call_crashed", "ERROR", hold_id=self.id)
            self._charges.bear(self._plan, "crashed", call=self.id, amount=0)
        self._end()

    def accrue(self, used: Micro) -> bool:
        """Return True if `used` (µcr) is within the admitted bound."""
        return used <= self.held

    def write_down(self, bound: Micro) -> AccrualReceipt:
        """Raise HoldNotFound, since there is no hold to record a bound in."""
        del bound
        raise HoldNotFound

    def release(self) -> None:
        """End the call without a charge, since nothing is owed."""
        log("direct_call_ended", hold_id=self.id)
        self._end()

    def capture(
        self,
        cost: Micro,
        usage: tuple[tuple[str, int], ...] = (),
        extra_writes: Callable[[HoldCharge], Sequence[Write]] | None = None,
    ) -> HoldCharge:
        """Charge `cost` (µcr) and return the charge. The extra writes join the same commit.

        Raises the ledger's refusals; the answer must not be delivered then. Raises PreconditionFailed, with nothing
        done, if the extra writes cannot be committed.
        """
        command = replace(self._command, amount=cost, usage=usage)
        writes = None if extra_writes is None else lambda receipt: extra_writes(_charge_of(receipt))
        try:
            return _charge_of(self._ledger.execute(self._plan.request.uid, command, writes).receipt)
        except PreconditionFailed:
            raise
        except DomainError as refusal:
            self._count_refusal(cost, refusal)
            raise
        finally:
            self._end()

    def _count_refusal(self, cost: Micro, refusal: DomainError) -> None:
        """Log and count the loss. If the outcome is unknown, the user may have paid, and only a log tells."""
        log("direct_charge_refused", "ERROR", hold_id=self.id, cost=cost, code=refusal.code)
        if not isinstance(refusal, OutcomeUnknown):
            self._charges.bear(self._plan, "charge_refused", call=self.id, amount=cost)

    def _end(self) -> None:
        if self._is_under_way:
            self._is_under_way = False
            self._charges.end(self._plan.request.uid, self._plan.ceiling)


def _is_direct(plan: MeteredPlan) -> bool:
    """Return True if the call may be charged after the answer: one piece of known cost, which is not delivered before.

    A call with an idempotency key holds credits, since a repetition must find a record.
    """
    return plan.model.kind in DIRECT_KINDS and plan.is_whole and not plan.request.has_key


def _command(plan: MeteredPlan, operation: OperationId, names: Tags, about: Tags) -> Charge:
    """Return the charge of the call's bound. The rate limit was checked by the admission."""
    request = plan.request
    key = key_id_of(request.principal, request.uid)
    return Charge(
        operation=operation,
        amount=plan.ceiling,
        purpose=plan.purpose,
        budgets=request.budgets,
        tags=(("model", plan.model.id), *names, *([] if key is None else [("key", key)])),
        about=about,
        is_admitted=True,
        record="none",
    )


def _charge_of(receipt: AmountReceipt) -> HoldCharge:
    return HoldCharge(amount=receipt.amount, absorbed=0, available=receipt.after.available, held=receipt.after.held)
