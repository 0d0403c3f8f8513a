"""A refund by an operator: the credits are withdrawn first, then the provider pays, or the credits return."""

from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.errors import Conflict, IdempotencyMismatch, InvalidValue
from shared.kernel.ids import OperationId
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import NOT_RETURNED
from shared.payments.payment import Payment, status_of
from shared.payments.ports import ProviderRefused
from shared.payments.store import refund_path
from shared.sagas.engine.leases import LeasedDocument
from shared.sagas.engine.saga import Runner, progress_of
from shared.sagas.payments.leased_payment import payment_of
from shared.sagas.payments.settlement import PaymentBusy, Settlement
from shared.sagas.payments.steps import refund_begun

REFUNDABLE = frozenset({"settled", "partially_refunded", "won"})


class NotRefundable(Conflict):
    """The payment has nothing to refund, or not now: `status` is the payment's status."""

    code = "not_refundable"

    def __init__(self, status: str) -> None:
        super().__init__("This payment cannot be refunded as it is.", status=status)


class RefundByHand(Conflict):
    """The payment came as coins on a chain, which only a person can send back."""

    code = "refund_by_hand"

    def __init__(self) -> None:
        super().__init__("Coins can only be sent back from your own wallet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAsked:
    """A refund of `minor` units, or of the whole rest (None). The same operation is the same refund."""

    payment: str
    minor: int | None
    operation: OperationId
    fingerprint: str
    note_to_user: str = ""
    """Text that the user reads beside the entries that withdraw the credits."""


class Refunds:
    """The refunds by us. Refunds made in the provider's dashboard come in as notices (`Settlement`)."""

    def __init__(self, documents: Documents, settlement: Settlement, clock: Clock) -> None:
        self._documents = documents
        self._settlement = settlement
        self._clock = clock

    def refund(self, asked: RefundAsked) -> Payment:
        """Refund the money, and return the payment after the refund.

        Raises PaymentNotFound, NotRefundable, InvalidValue for more than is left, IdempotencyMismatch, ProviderRefused
        if the provider refused (the credits are back), PaymentBusy, ProviderUnavailable.
        """
        if self._is_begun(asked):
            payment = self._settlement.settle(asked.payment)
        else:
            payment = self._settlement.act_on(asked.payment, lambda leased, runner: self._begin(leased, runner, asked))
        refused = self._refusal(asked)
        if refused:
            raise ProviderRefused(payment.provider, refused)
        return payment

    def _is_begun(self, asked: RefundAsked) -> bool:
        before = self._documents.get(refund_path(asked.operation))
        if before is not None and before.data["fingerprint"] != asked.fingerprint:
            raise IdempotencyMismatch
        return before is not None

    def _begin(self, leased: LeasedDocument, runner: Runner, asked: RefundAsked) -> None:
        """Begin the saga of the refund, unless the same refund was begun while we waited for the payment.

        Raises PaymentBusy, NotRefundable, RefundByHand, InvalidValue, IdempotencyMismatch.
        """
        if self._is_begun(asked):
            return
        payment = payment_of(leased)
        progress = progress_of(leased.data)
        if progress is not None and not progress.is_over:
            raise PaymentBusy
        if payment.is_on_chain:
            raise RefundByHand
        is_refundable = status_of(payment) in REFUNDABLE or payment.problem == NOT_RETURNED
        if not is_refundable or (progress is not None and progress.phase == "dead"):
            raise NotRefundable(status_of(payment))
        left = payment.terms.price.minor - payment.returned_minor
        minor = left if asked.minor is None else asked.minor
        if not 0 < minor <= left:
            least, most = (Fiat(each, payment.terms.price.currency).decimal for each in (1, left))
            raise InvalidValue("amount", f"must be from {least} to {most} {payment.terms.price.currency}")
        args, known = refund_begun(payment, minor, asked.operation, asked.fingerprint, self._clock.now())
        noted = {**args, "note": asked.note_to_user} if asked.note_to_user else args
        runner.begin_saga(leased, "refund", noted, {}, known)

    def _refusal(self, asked: RefundAsked) -> str:
        """Return the reason why this refund was undone, or an empty text."""
        known = self._documents.get(refund_path(asked.operation))
        return "" if known is None else str(known.data.get("refused", ""))
