"""A refund by an operator: the credits are withdrawn first, then the provider pays, or the credits return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, Value
from shared.kernel.errors import Conflict, IdempotencyMismatch, InvalidValue
from shared.kernel.ids import OperationId, derived_id
from shared.payments.chains.payouts import PlannedPayout
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import NOT_RETURNED, REFUND_DUE
from shared.payments.payment import Payment, status_of
from shared.payments.ports import ProviderRefused
from shared.payments.store import refund_path
from shared.sagas.engine.leases import LeasedDocument
from shared.sagas.engine.saga import Runner, progress_of
from shared.sagas.payments.leased_payment import payment_of
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.settlement import Settlement
from shared.sagas.payments.steps import refund_begun

REFUNDABLE = frozenset({"settled", "partially_refunded", "won"})
NEVER_CREDITED = frozenset({NOT_RETURNED, REFUND_DUE})
"""Problems of money that can never become credits, and is refunded all the same."""


class NotRefundable(Conflict):
    """The payment has nothing to refund, or not now: `status` is the payment's status."""

    code = "not_refundable"

    def __init__(self, status: str) -> None:
        super().__init__("This payment cannot be refunded as it is.", status=status)


class PayoutPlans(Protocol):
    """Planner of payouts in coins."""

    def plan(self, payment: Payment, minor: int, address: str = "") -> PlannedPayout:
        """Return the terms of a payout. Raises RefundAddressMissing, CoinsNotFinal, and others."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAsked:
    """A refund of `minor` units, or of the whole rest (None). The same operation is the same refund."""

    payment: str
    minor: int | None
    operation: OperationId
    fingerprint: str
    note_to_user: str = ""
    """Text that the user reads beside the entries that withdraw the credits."""
    address: str = ""
    """Address for coins that the operator names, if the user has left; "" for the address that the user named."""


class Refunds:
    """The refunds by us. Refunds made in the provider's dashboard come in as notices (`Settlement`)."""

    def __init__(
        self,
        documents: Documents,
        settlement: Settlement,
        clock: Clock,
        payouts: Callable[[], PayoutPlans] | None = None,
    ) -> None:
        self._payouts = payouts
        self._documents = documents
        self._settlement = settlement
        self._clock = clock

    def refund(self, asked: RefundAsked) -> Payment:
        """Refund the money, and return the payment after the refund.

        Raises PaymentNotFound, NotRefundable, InvalidValue for more than is left, IdempotencyMismatch, ProviderRefused
        if the provider refused (the credits are back), PaymentBusy, ProviderUnavailable. The money of a payment on a
        chain goes back as a payout: see `Payouts.plan` for the errors.
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

        Raises PaymentBusy, NotRefundable, InvalidValue, IdempotencyMismatch, and the errors of `Payouts.plan`.
        """
        if self._is_begun(asked):
            return
        payment = payment_of(leased)
        progress = progress_of(leased.data)
        if progress is not None and not progress.is_over:
            raise PaymentBusy
        is_refundable = status_of(payment) in REFUNDABLE or payment.problem in NEVER_CREDITED
        if not is_refundable or (progress is not None and progress.phase == "dead"):
            raise NotRefundable(status_of(payment))
        returned = max(payment.returned_minor, payment.seen.leaving if payment.is_on_chain else 0)
        left = payment.terms.price.minor - returned
        minor = left if asked.minor is None else asked.minor
        if not 0 < minor <= left:
            least, most = (Fiat(each, payment.terms.price.currency).decimal for each in (1, left))
            raise InvalidValue("amount", f"must be from {least} to {most} {payment.terms.price.currency}")
        args, known = refund_begun(payment, minor, asked.operation, asked.fingerprint, self._clock.now())
        noted = {**args, "note": asked.note_to_user} if asked.note_to_user else args
        if payment.is_on_chain:
            noted = {**noted, **self._payout(payment, minor, asked)}
        runner.begin_saga(leased, "refund", noted, {}, known)

    def _payout(self, payment: Payment, minor: int, asked: RefundAsked) -> Mapping[str, Value]:
        """Return the arguments that fix the payout of coins. Raises InvalidValue, and the errors of `Payouts.plan`."""
        assert self._payouts is not None, "payments on chains come with payouts"
        if asked.address and payment.problem != REFUND_DUE:
            raise InvalidValue("address", "is named by the user with PUT /v1/payments/{id}/refund-address")
        terms = self._payouts().plan(payment, minor, asked.address)
        return {"refund": refund_id(asked.operation), "payout": terms.to_data()}

    def _refusal(self, asked: RefundAsked) -> str:
        """Return the reason why this refund was undone, or an empty text."""
        known = self._documents.get(refund_path(asked.operation))
        return "" if known is None else str(known.data.get("refused", ""))


def refund_id(operation: OperationId) -> str:
    """Return the name of a refund in coins: always the same one for the same operation."""
    return derived_id("refund", operation)
