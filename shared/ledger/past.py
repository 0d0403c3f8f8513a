"""Past of an account in memory: the lots that left the state, and the names that entries must not use twice."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import Lot
from shared.ledger.running_parts import RunningHold, RunningLot, lot_value, running_lot

NAME_BITS = 2**60 - 1


class MemoryPast:
    """Past of an account whose journal is folded from the first entry.

    A name is remembered as a 60-bit hash with a random key of this process, so that nobody can choose two names with
    the same hash. Larger integers take half as much memory again.
    """

    def __init__(self, lots: Mapping[LotId, Lot] | None = None) -> None:
        self._lots = {name: running_lot(lot) for name, lot in (lots or {}).items()}
        self._operations: set[int] = set()
        self._holds: set[int] = set()

    def lot(self, lot: LotId) -> Lot | None:
        """Return the lot as it left the state last; None if no such lot left the state."""
        left = self._lots.get(lot)
        return None if left is None else lot_value(left)

    @property
    def lots(self) -> Mapping[LotId, RunningLot]:
        """Lots that left the state at any time, each as it left the state last."""
        return self._lots

    def keep_lot(self, lot: RunningLot) -> None:
        """Remember a lot that leaves the state."""
        self._lots[lot.id] = lot

    def keep_hold(self, seq: int, hold: RunningHold, body: Mapping[str, Any]) -> None:
        """Forget the hold that entry `seq` ended: nothing names an ended hold again."""

    def is_new_hold(self, hold: HoldId) -> bool:
        """Remember the name of a placed hold, and return False if such a hold was placed before."""
        return _is_new(hash(hold) & NAME_BITS, self._holds)

    def is_new_operation(self, operation: str) -> bool:
        """Remember the name of an operation, and return False if the operation had an effect before."""
        return _is_new(hash(operation) & NAME_BITS, self._operations)


def _is_new(number: int, known: set[int]) -> bool:
    if number in known:
        return False
    known.add(number)
    return True
