"""A hold known by name: any worker that knows the operation can place the hold, end the hold, or read the charge."""

from shared.kernel.clock import Millis
from shared.kernel.events import log
from shared.kernel.ids import HoldId, OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim, Capture, PlaceHold, RateLimit, Release, Tags
from shared.ledger.hold_names import bound_operation, capture_operation, hold_id, release_operation
from shared.ledger.holding import HoldCharge, Outcome, charge_of
from shared.ledger.ledger import Ledger
from shared.ledger.receipts import HoldReceipt


class NamedHold:
    """Hold of one user, by the operation that placed the hold or will place the hold. Amounts are µcr.

    Every call may be repeated, by any worker, with the same effect. `hold` is the hold's id, if `operation` names only
    the hold's end.
    """

    def __init__(self, ledger: Ledger, uid: Uid, operation: OperationId, hold: HoldId | None = None) -> None:
        self._ledger = ledger
        self._uid = uid
        self._operation = operation
        self.id = hold or hold_id(operation)

    def place(  # noqa: PLR0913  # a hold says what it is for
        self,
        amount: Micro,
        *,
        purpose: str,
        lifetime: Millis,
        principal: str,
        fingerprint: str = "",
        budgets: tuple[BudgetClaim, ...] = (),
        rate: RateLimit | None = None,
        tags: Tags = (),
        about: Tags = (),
    ) -> Outcome[HoldReceipt]:
        """Set `amount` aside for `lifetime` (ms), and return the receipt. Raises the errors of `PlaceHold`."""
        command = PlaceHold(
            operation=self._operation,
            fingerprint=fingerprint,
            amount=amount,
            hold=self.id,
            purpose=purpose,
            lifetime=lifetime,
            principal=principal,
            budgets=budgets,
            rate=rate,
            tags=tags,
            about=about,
        )
        return self._ledger.execute(self._uid, command)

    def capture(self, amount: Micro, usage: tuple[tuple[str, int], ...] = ()) -> HoldCharge:
        """Charge `amount`, give back the rest, and return the charge.

        Raises HoldResolved, HoldNotFound, AccountClosed.
        """
        command = Capture(operation=capture_operation(self.id), hold=self.id, amount=amount, usage=usage)
        return charge_of(self._ledger.execute(self._uid, command).receipt)

    def release(self, *, is_unused: bool) -> HoldCharge:
        """End the hold without a charge of its own, and return the charge of the accrued part; see `Release`.

        Raises HoldResolved, HoldNotFound, AccountClosed.
        """
        command = Release(operation=release_operation(self._operation), hold=self.id, is_unused=is_unused)
        return charge_of(self._ledger.execute(self._uid, command).receipt)

    def captured_so_far(self) -> Micro:
        """Return the amount (µcr) that the hold has charged, however the hold ended. Raises HoldNotFound."""
        return Micro(self._ledger.hold(self._uid, self.id).captured)

    def past_charge(self) -> HoldCharge:
        """Return the charge of a hold that has ended already, with the present balance. Raises HoldNotFound."""
        captured, balance = self.captured_so_far(), self._ledger.balance(self._uid)
        log("hold_ended_before_capture", "WARNING", hold_id=self.id, captured=captured)
        return HoldCharge(amount=captured, absorbed=0, available=balance.available, held=balance.held)

    @property
    def is_bound_recorded(self) -> bool:
        """True if the highest cost of the hold's use was recorded; see `Holding.write_down`."""
        return self._ledger.is_done(self._uid, bound_operation(self._operation))
