"""The payments' periodic jobs: resume stalled payments, and handle waiting notices."""

from functools import partial

from shared.kernel.clock import Clock
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document
from shared.payments.inbox import Inbox
from shared.payments.store import Payments
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.notices import PaymentInbox
from shared.sagas.payments.settlement import Settlement


class PaymentJobs:
    """The periodic work for payments."""

    def __init__(
        self, payments: Payments, settlement: Settlement, inbox: Inbox, handler: PaymentInbox, clock: Clock
    ) -> None:
        self._payments = payments
        self._settlement = settlement
        self._inbox = inbox
        self._handler = handler
        self._clock = clock

    def resume(self, run: JobRun) -> None:
        """Settle payments whose worker died or whose provider is to be asked again."""
        due = partial(self._payments.due, self._clock.now())
        attempt_due(run, "payments", [due], self._settle)

    def notices(self, run: JobRun) -> None:
        """Handle stored notices whose trigger was lost or has failed."""
        attempt_due(run, "notices", [self._inbox.due], lambda notice, _: self._handler.handle(notice.id))

    def _settle(self, payment: Document, _: Deadline) -> None:
        self._settlement.settle(payment.id, patience=0, read=payment)
