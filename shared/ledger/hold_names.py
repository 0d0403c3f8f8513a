"""Names of a hold and of the operations that end the hold.

The record of the operation that charges a hold also holds the archived hold, and readers of a hold know only the hold's
id. So that operation is named after the hold. All other names are derived from the operation that places the hold.
"""

import hashlib

from shared.kernel.ids import HoldId, OperationId, derived_id, operation_id

_CAPTURE = len(b"capture").to_bytes(4) + b"capture"


def hold_id(*parts: str) -> HoldId:
    """Return the id of the hold with this name: the operation that places the hold, or the parts of another name."""
    return HoldId(derived_id("hold", *parts))


def capture_operation(hold: HoldId) -> OperationId:
    """Return the operation that charges the hold and ends the hold. The operation's record holds the archived hold."""
    # As `operation_id(hold, "capture")` names the operation; a verifier asks for each hold of a journal.
    name = hold.encode()
    return OperationId(f"op_{hashlib.sha256(len(name).to_bytes(4) + name + _CAPTURE).hexdigest()[:24]}")


def release_operation(operation: OperationId) -> OperationId:
    """Return the operation that gives back the hold of `operation`."""
    return operation_id(operation, "release")


def bound_operation(operation: OperationId) -> OperationId:
    """Return the operation that records the highest cost of the hold of `operation`; see `Holding.write_down`."""
    return operation_id(operation, "bound")
