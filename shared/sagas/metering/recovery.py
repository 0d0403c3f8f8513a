"""Recovery of turns that another attempt began: release its holds, or finish its charge."""

from dataclasses import replace

from shared.kernel.events import log
from shared.kernel.ids import HoldId, OperationId, Uid, derived_id, operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Capture, Release
from shared.ledger.errors import HoldNotFound, HoldResolved
from shared.ledger.holding import HoldCharge, bound_operation, charge_of
from shared.ledger.ledger import Ledger
from shared.sagas.metering.claims import Claim, Settled, Turn


class TurnRecovery:
    """Completes or ends a turn without its attempt. The attempt's hold is found by name."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def given_up(self, turn: Turn) -> Micro:
        """End the holds of the turn's earlier attempts and charge the accrued part. Return the sum not to pay again.

        The sum is in µcr. It covers attempts that crashed, and attempts that will find that they may not append. If the
        caller had ended an attempt, the bound of that attempt was recorded. Such an attempt is a separate call of the
        model, and the user pays for both.
        """
        paid = 0
        for token in turn.runs[:-1]:
            operation = hold_operation(turn.operation, token)
            hold = hold_id(operation)
            release = Release(operation=operation_id(operation, "release"), hold=hold)
            try:
                captured = self._ledger.execute(turn.uid, release).receipt.captured
            except HoldNotFound:
                continue
            except HoldResolved:
                captured = self._ledger.hold(turn.uid, hold).captured
            if captured and not self._ledger.is_done(turn.uid, bound_operation(operation)):
                paid += captured
        return Micro(paid)

    def finished(self, turn: Turn, claim: Claim) -> Turn:
        """Charge for the turn's appended messages, by the same operation as the attempt that appended them."""
        operation = hold_operation(turn.operation, claim.run)
        hold = hold_id(operation)
        command = Capture(
            operation=operation_id(operation, "capture"),
            hold=hold,
            amount=turn.charge,
            usage=self._counts(turn),
        )
        try:
            charge = charge_of(self._ledger.execute(turn.uid, command).receipt)
        except HoldResolved:
            charge = self.captured_before(turn.uid, hold)
        finally:
            claim.stop()
        cost = Micro(charge.amount + turn.paid_before)
        settled = Settled(cost=cost, available=charge.available, held=charge.held)
        return replace(turn, status="done", settled=claim.finish(settled))

    def settling(self, turn: Turn) -> Turn:
        """Return the turn with its charge so far.

        The messages are appended; the attempt may still charge the reported usage.
        """
        assert turn.pending is not None, "a turn that settles says what it costs at most"
        view = self._ledger.hold(turn.uid, hold_id(hold_operation(turn.operation, turn.runs[-1])))
        balance = self._ledger.balance(turn.uid)
        is_open = view.status == "active"
        settled = Settled(
            cost=Micro((turn.charge if is_open else view.captured) + turn.paid_before),
            available=balance.available,
            held=balance.held,
            at_most=turn.pending.at_most if is_open else None,
        )
        return replace(turn, settled=settled)

    def _counts(self, turn: Turn) -> tuple[tuple[str, int], ...]:
        """Return the used tokens from the turn's record; empty if there is no record."""
        return ()

    def captured_before(self, uid: Uid, hold: HoldId) -> HoldCharge:
        """Return the capture of a hold that ended before its turn could capture, because the hold had expired."""
        view = self._ledger.hold(uid, hold)
        log("turn_hold_ended_before", "WARNING", hold_id=hold, status=view.status)
        balance = self._ledger.balance(uid)
        return HoldCharge(amount=view.captured, absorbed=0, available=balance.available, held=balance.held)


def hold_operation(operation: OperationId, run: str) -> OperationId:
    """Return the operation that places the hold of one attempt."""
    return operation_id("chat", operation, run, "hold")


def hold_id(operation: OperationId) -> HoldId:
    """Return the id of the hold that this operation places."""
    return HoldId(derived_id("hold", operation))
