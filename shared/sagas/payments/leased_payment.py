"""Payment under a lease: parsed once, then kept in step with each change, and freed after an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from shared.kernel.clock import SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import Value, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.payments.lifecycle import next_poll
from shared.payments.payment import Payment
from shared.payments.ports import CaptureInProgress, ProviderUnavailable
from shared.payments.store import fields_of, payment_in, view_of
from shared.sagas.engine.leases import LeasedDocument
from shared.sagas.engine.saga import StepResult

RETRY: Millis = 15 * SECOND


def payment_of(leased: LeasedDocument) -> Payment:
    """Return the payment as this worker read or changed the payment last."""
    return leased.content(payment_in)


def note_payment(leased: LeasedDocument, payment: Payment, now: Millis, *also: Write) -> None:
    """Note the payment and the owner's document for the next save."""
    leased.note(fields_of(payment), view_of(payment, now), *also, content=payment)


def result_with(payment: Payment, now: Millis) -> StepResult:
    """Return the result of a step that changed the payment."""
    return StepResult(changes=fields_of(payment), writes=(view_of(payment, now),), content=payment)


@contextmanager
def freed_after_error(leased: LeasedDocument, clock: Clock) -> Iterator[None]:
    """If the block raises an ordinary error, free the lease, and make the payment due again.

    A payment that was not claimed is left alone if it is not due, or if another worker captures its money. A worker
    that dies writes nothing, and the lease ends by time.
    """
    try:
        yield
    except Exception as error:
        is_ours = not isinstance(error, CaptureInProgress) and _is_due(leased, clock.now())
        if leased.is_claimed or is_ours:
            try:
                leased.free({"due_at": _due_after(leased, error, clock.now())})
            except DomainError as failure:
                log("payment_not_freed", "WARNING", path=leased.path, code=failure.code)
        raise


def _is_due(leased: LeasedDocument, now: Millis) -> bool:
    due_at = leased.data.get("due_at")
    return isinstance(due_at, datetime) and due_at <= to_datetime(now)


def _due_after(leased: LeasedDocument, error: Exception, now: Millis) -> Value:
    """Return when a payment is due after an error: soon, or, if a poll had no answer, at the time of the next poll."""
    if leased.is_claimed or not isinstance(error, ProviderUnavailable) or payment_of(leased).applied.is_granted:
        return to_datetime(now + RETRY)
    at = next_poll(payment_of(leased), now, is_unanswered=True)
    return None if at is None else to_datetime(at)
