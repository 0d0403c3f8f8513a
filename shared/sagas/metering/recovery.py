"""Recovery of turns that another attempt began: release its holds, or finish its charge."""

from dataclasses import replace

from shared.kernel.ids import OperationId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.errors import HoldNotFound, HoldResolved
from shared.ledger.holding import HoldCharge
from shared.ledger.ledger import Ledger
from shared.ledger.named_hold import NamedHold
from shared.sagas.metering.claims import Claim
from shared.sagas.metering.turn_record import Turn, TurnReceipt


class TurnRecovery:
    """Completes or ends a turn without its attempt. The attempt's hold is found by name."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def given_up(self, turn: Turn) -> Micro:
        """End the holds of the turn's earlier attempts, charge the accrued parts, and return the sum of these charges
        (µcr).

        The user does not pay this sum again. The attempts have crashed, or will find that they may not append. An
        attempt that the caller had ended is left out: it is a separate call of the model, and the user pays for both.
        """
        paid = 0
        for token in turn.runs[:-1]:
            hold = self._hold(turn, token)
            try:
                captured = hold.release(is_unused=False).amount
            except HoldNotFound:
                continue
            except HoldResolved:
                captured = hold.captured_so_far()
            if captured and not hold.is_bound_recorded:
                paid += captured
        return Micro(paid)

    def finished(self, turn: Turn, claim: Claim) -> Turn:
        """Charge for the turn's appended messages, and return the turn as done.

        The charge has the same operation as that of the attempt that appended the messages, so nothing is charged
        twice.
        """
        hold = self._hold(turn, claim.run)
        try:
            charge = hold.capture(turn.charge, self._counts(turn))
        except HoldResolved:
            charge = hold.past_charge()
        finally:
            claim.stop()
        receipt = TurnReceipt.of(charge, turn.paid_before)
        return replace(turn, status="done", settled=claim.finish(receipt))

    def settling(self, turn: Turn) -> Turn:
        """Return the turn with its charge so far.

        The messages are appended; the attempt may still charge the reported usage.
        """
        assert turn.pending is not None, "a turn that settles says what it costs at most"
        view = self._ledger.hold(turn.uid, self._hold(turn, turn.runs[-1]).id)
        balance = self._ledger.balance(turn.uid)
        is_open = view.status == "active"
        settled = TurnReceipt(
            cost=Micro((turn.charge if is_open else view.captured) + turn.paid_before),
            available=balance.available,
            held=balance.held,
            at_most=turn.pending.at_most if is_open else None,
        )
        return replace(turn, settled=settled)

    def _counts(self, turn: Turn) -> tuple[tuple[str, int], ...]:
        """Return the used tokens from the turn's record; empty if there is no record."""
        return ()

    def past_charge(self, uid: Uid, operation: OperationId) -> HoldCharge:
        """Return the charge of the hold of `operation`, which ended before its turn could capture."""
        return NamedHold(self._ledger, uid, operation).past_charge()

    def _hold(self, turn: Turn, run: str) -> NamedHold:
        return NamedHold(self._ledger, turn.uid, hold_operation(turn.operation, run))


def hold_operation(operation: OperationId, run: str) -> OperationId:
    """Return the operation that places the hold of one attempt."""
    return operation_id("chat", operation, run, "hold")
