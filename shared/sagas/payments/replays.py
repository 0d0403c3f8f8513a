"""Command-line replays of payments and notices that wait for a person."""

from shared.kernel.errors import NotFound
from shared.payments.inbox import Inbox
from shared.payments.payment import Payment, status_of
from shared.payments.store import Payments
from shared.sagas.payments.notices import PaymentInbox
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.settlement import Settlement
from shared.users.audit import AuditTrail

PAYMENT_COMMAND = "command:replay-payment"
NOTICE_COMMAND = "command:replay-notice"


class NoticeNotFound(NotFound):
    """No provider has sent a notice of this name."""

    code = "notice_not_found"

    def __init__(self, notice: str) -> None:
        super().__init__("There is no such notice.", notice=notice)


class PaymentReplays:
    """The replays. Each replay is recorded, before and after. The provider is always asked again."""

    def __init__(
        self, audit: AuditTrail, payments: Payments, settlement: Settlement, inbox: Inbox, handler: PaymentInbox
    ) -> None:
        self._audit = audit
        self._payments = payments
        self._settlement = settlement
        self._inbox = inbox
        self._handler = handler

    def payment(self, payment_id: str) -> Payment:
        """Settle a payment again that failed for good or waits for an operator, and return the payment.

        Raises PaymentNotFound and the errors of `Settlement.revive`.
        """
        before = {"status": status_of(self._payments.get(payment_id))}
        with self._audit.recording(PAYMENT_COMMAND, "replay_payment", payment_id, reason=None, before=before) as act:
            payment = self._settlement.revive(payment_id)
            act.after = {"status": status_of(payment)}
        return payment

    def notice(self, notice_id: str) -> str:
        """Handle a notice again in any status, and return the new status. Raises NoticeNotFound, PaymentBusy."""
        before = {"status": self._status(notice_id)}
        with self._audit.recording(NOTICE_COMMAND, "replay_notice", notice_id, reason=None, before=before) as act:
            if not self._handler.replay(notice_id):
                raise PaymentBusy
            status = self._status(notice_id)
            act.after = {"status": status}
        return status

    def _status(self, notice_id: str) -> str:
        document = self._inbox.get(notice_id)
        if document is None:
            raise NoticeNotFound(notice_id)
        return str(document.data["status"])
