"""Calls that the platform pays for in a user's place, up to a limit per user.

Either the provider failed before a delivery, or there was no room to read the answer up to its report.
"""

from shared.ai.ports import UpstreamUnavailable
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import OperationId, Uid, operation_id
from shared.ledger.losses import Cause, Losses


class CallLosses:
    """Counts the losses that the platform bears for calls. If counting fails, the call does not fail."""

    def __init__(self, losses: Losses | None) -> None:
        self._losses = losses

    def is_failure_charged(
        self, uid: Uid, error: DomainError, *, call: str, model: str, principal: str, amount: int
    ) -> bool:
        """Return True if this user's failed calls are charged. Otherwise count a loss of `amount` µcr for the platform.

        A call that never reached its provider is no loss, and is never charged. `call` is the call's permanent name.
        """
        if self._losses is None or not isinstance(error, UpstreamUnavailable) or not error.has_begun:
            return False
        try:
            if self._losses.are_failures_charged(uid):
                return True
        except DomainError as failure:
            log("losses_not_read", "WARNING", code=failure.code)
        self.bear(uid, "provider_failed", call=call, model=model, principal=principal, amount=amount)
        return False

    def is_unread_charged(self, uid: Uid, *, call: str, model: str, principal: str, amount: int) -> bool:
        """Return True if this user pays for a call that cannot be read to its end, since all places for reading are
        taken.

        Otherwise count a loss for the platform. `amount` (µcr) is the most that the provider can have billed beyond the
        call's hold.
        """
        if self._losses is None or amount <= 0:
            return False
        try:
            if self._losses.are_unread_calls_charged(uid):
                return True
        except DomainError as failure:
            log("losses_not_read", "WARNING", code=failure.code)
        self.bear(uid, "not_read_on", call=call, model=model, principal=principal, amount=amount)
        return False

    def bear(self, uid: Uid, cause: Cause, *, call: str, model: str, principal: str, amount: int) -> None:
        """Count that the platform bears `amount` µcr of this call."""
        if self._losses is None:
            return
        operation: OperationId = operation_id("call", call)
        try:
            self._losses.bear(uid, operation=operation, cause=cause, amount=amount, model=model, principal=principal)
        except DomainError as error:
            log("loss_not_counted", "ERROR", call=call, cause=cause, amount=amount, code=error.code)
