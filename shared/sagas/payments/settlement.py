"""The one saga of a payment: ask the provider for the truth, and bring the user's account in step with the truth.

Many events start a settlement, at once and in any order; a lease lets one worker at a time ask and act. The next action
is decided from the whole truth (`shared.payments.lifecycle`), recorded, done under a key, and recorded as done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from shared.kernel.clock import HOUR, Clock, Millis, to_datetime
from shared.kernel.documents import Document, Documents, Value
from shared.kernel.errors import Conflict, DomainError
from shared.kernel.events import Alerts, log
from shared.kernel.ids import operation_id
from shared.payments import lifecycle
from shared.payments.payment import Payment, ProviderReport, seen_in, status_of, with_chain
from shared.payments.ports import (
    CaptureInProgress,
    PaymentProvider,
    ProviderName,
    ProviderRefused,
    ProviderUnavailable,
    Refs,
    Truth,
    UnknownAtProvider,
)
from shared.payments.store import (
    PaymentNotFound,
    Payments,
    fields_of,
    saga_path,
    view_of,
    without_slot,
)
from shared.sagas.engine.leases import LeasedDocument, LeaseLost
from shared.sagas.engine.saga import Progress, Runner, progress_of
from shared.sagas.payments.crediting import FRESH
from shared.sagas.payments.leased_payment import freed_after_error, note_payment, payment_of
from shared.sagas.payments.payment_claims import PATIENCE_SECONDS, PaymentClaims
from shared.sagas.payments.payment_meter import count_payment
from shared.sagas.payments.steps import PaymentSteps, refund_begun

Act = Callable[[LeasedDocument, Runner], None]
"""Function that acts on a payment that is in step with the provider: notes a change, or begins a saga."""

LOOK_PATIENCE_SECONDS = 5.0
ROUNDS_MAX = 12
CAPTURE_PAUSE_SECONDS = 0.25
"""Seconds to wait for another worker's capture of the same money, before asking again. Each later wait doubles."""
CAPTURE_PAUSE_SECONDS_MAX = 2.0
FOLLOWED_WITHIN: Millis = HOUR
"""Time within which a payment is polled whose money is captured without a claim, if the worker dies after that."""


class ProviderNotConfigured(Conflict):
    """The settings of this installation name no account at the payment provider."""

    code = "method_not_configured"

    def __init__(self, provider: str) -> None:
        super().__init__("This way of paying is not available.", provider=provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProviderAnswer:
    """The provider's truth at the time `at`; None if the payment is unknown there. After an act, ask again."""

    truth: Truth | None
    at: Millis


class Settlement:
    """The settlement of payments. Safe to call from many places at once: that is the normal case."""

    def __init__(
        self,
        documents: Documents,
        providers: Mapping[ProviderName, PaymentProvider],
        steps: PaymentSteps,
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._providers = providers
        self._claims = PaymentClaims(documents, clock)
        self._runner = Runner(steps.sagas, clock, alerts)
        self._crediting = steps.crediting
        self._alerts = alerts
        self._clock = clock

    def settle(
        self,
        payment_id: str,
        refs: Refs | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        read: Document | None = None,
        happened_at: Millis | None = None,
    ) -> Payment:
        """Bring account and payment in step with the provider, and return the payment.

        `refs` are the provider's objects from a notice, for a payment that has no refs yet, and `happened_at` is the
        time (ms) of the notice's event. `read` is the payment's document, if just read.

        The provider is asked before the payment is claimed, so that an answer without news writes nothing. If another
        worker has the lease, wait. If a settlement begins and ends during the wait, return the payment from that
        settlement. Raises PaymentNotFound, PaymentBusy, ProviderUnavailable and the ledger's errors; the settlement is
        tried again later.

        A worker that was overtaken asks the provider again: the other may have asked before the event.
        """
        until, first, pause = self._clock.monotonic() + patience, None, CAPTURE_PAUSE_SECONDS
        while True:
            claimed, first = self._claims.claim(
                payment_id,
                until,
                read,
                first,
                joins=lambda payment: bool(payment.refs or not refs),
                is_begun=True,
            )
            if isinstance(claimed, Payment):
                return claimed
            read = None
            try:
                with freed_after_error(claimed, self._clock):
                    return self._work(claimed, refs or {}, happened_at)
            except LeaseLost:
                if claimed.is_claimed:
                    raise
                # Another worker has claimed the payment first.
            except CaptureInProgress:
                if self._clock.monotonic() >= until:
                    raise
                self._clock.wait(pause)
                pause = min(2 * pause, CAPTURE_PAUSE_SECONDS_MAX)
            first = None

    def look(self, payment_id: str) -> None:
        """Settle the payment if that is possible now.

        A failure is logged and not raised, so that a reader can go ahead.
        """
        try:
            self.settle(payment_id, patience=LOOK_PATIENCE_SECONDS)
        except DomainError as error:
            log("payment_not_settled", "WARNING", payment=payment_id, code=error.code)

    def act_on(self, payment_id: str, act: Act) -> Payment:
        """Call `act` on a payment that is in step with the provider, bring the payment in step again, and return the
        payment.

        Raises the refusals of `act`, PaymentNotFound, PaymentBusy, ProviderUnavailable.
        """
        leased = self._claims.claimed(payment_id)
        with freed_after_error(leased, self._clock):
            self._follow(leased, {})
            act(leased, self._runner)
            return self._work(leased, {})

    def revive(self, payment_id: str) -> Payment:
        """Settle a payment again that is stuck in a failed step or parked, once the cause is gone, and return the
        payment.
        """
        leased = self._claims.claimed(payment_id)
        with freed_after_error(leased, self._clock):
            self._runner.revive(leased)
            payment = payment_of(leased)
            if payment.problem:
                self._note(leased, replace(payment, problem=""))
            return self._work(leased, {})

    def progress(self, payment_id: str) -> Progress | None:
        """Return the progress of the saga that ran last or runs now, or None. Raises PaymentNotFound."""
        document = self._documents.get(saga_path(payment_id))
        if document is None:
            raise PaymentNotFound
        return progress_of(document.data)

    def provider(self, name: ProviderName) -> PaymentProvider:
        """Return the provider's adapter. Raises ProviderNotConfigured."""
        if name not in self._providers:
            raise ProviderNotConfigured(name)
        return self._providers[name]

    # The work --------------------------------------------------------------------------------------------------------

    def _work(self, leased: LeasedDocument, refs: Refs, happened_at: Millis | None = None) -> Payment:
        """Bring the payment in step, and free the payment until the next poll. A payment in step already is left alone.

        If nothing was learned, the next poll alone is written, and only if that is another than before.
        """
        before = payment_of(leased)
        payment, now = self._follow(leased, refs), self._clock.now()
        due_at = _due_at(leased, payment, now)
        if leased.is_untouched and due_at is None and happened_at is not None:
            due_at = lifecycle.poll_after_event(payment, happened_at, now)
        due = to_datetime(due_at) if isinstance(due_at, int) else due_at
        if not (leased.is_untouched and due == leased.data.get("due_at")):
            leased.free({"due_at": due})
            log("payment_settled", payment=payment.id, status=status_of(payment))
            if payment != before:
                count_payment(payment, before)
        return payment

    def _follow(self, leased: LeasedDocument, refs: Refs) -> Payment:
        """Do one thing after the other until nothing is left to do now. The last change is noted, to be saved."""
        answer: _ProviderAnswer | None = None
        for _ in range(ROUNDS_MAX):
            progress = progress_of(leased.data)
            if progress is not None and not progress.is_over:
                self._runner.run_saga(leased)
                progress = progress_of(leased.data)
                answer = None if progress is not None and progress.name == "refund" else answer
            payment = payment_of(leased)
            if progress is not None and (not progress.is_over or progress.phase == "dead"):
                return payment
            if not (payment.is_opened or payment.refs or refs):
                return self._unopened(leased, payment)
            if answer is None or self._clock.now() >= answer.at + FRESH:
                answer = self._asked(payment, payment.refs or refs)
            if not self._next(leased, payment, payment.refs or refs, progress, answer):
                return payment_of(leased)
            if answer.truth is not None and answer.truth.stage == "approved":
                answer = None  # it has just been taken
        raise ProviderUnavailable(payment_of(leased).provider)

    def _next(
        self, leased: LeasedDocument, payment: Payment, refs: Refs, progress: Progress | None, answer: _ProviderAnswer
    ) -> bool:
        """Decide on the next action and begin this action. Return True if there was an action."""
        truth = answer.truth
        if truth is None:
            gone = replace(payment.seen, stage="expired") if payment.seen.stage != "paid" else payment.seen
            self._note(leased, replace(payment, seen=gone))
            return False
        if not payment.refs and truth.payment != payment.id:
            log("notice_of_another_payment", "WARNING", payment=payment.id, provider=payment.provider)
            return False
        _require_news_of(progress, truth, payment.provider)
        seen = self._seen(payment, truth)
        told = with_chain(replace(payment, seen=seen, refs={**refs, **truth.refs}, is_opened=True), truth)
        self._warn(payment, told)
        owner = self._owner(told, truth)
        plan = lifecycle.plan(told, truth, is_live=self.provider(payment.provider).is_live, owner=owner)
        if plan.action == "refund" and _was_refused(progress):
            plan = lifecycle.NextAction(action="park", problem=lifecycle.NOT_RETURNED)
        return self._carry_out(leased, replace(told, problem=plan.problem), plan, answer.at)

    def _seen(self, payment: Payment, truth: Truth) -> ProviderReport:
        """Return the provider's state, and keep our own record that the provider declined to capture."""
        seen, before = seen_in(truth, payment), payment.seen
        return replace(seen, failure=before.failure) if seen.stage == before.stage == "approved" else seen

    def _carry_out(
        self, leased: LeasedDocument, payment: Payment, plan: lifecycle.NextAction, asked_at: Millis
    ) -> bool:
        """Carry out the next action of a payment. Return True if the payment must be looked at again at once.

        A payment that waits is polled later. A parked payment raises an alert for an operator. Any action but capture
        and refund is the name of a saga.
        """
        if plan.action == "wait":
            self._note(leased, payment)
            return False
        if plan.action == "park":
            self._note(leased, payment)
            # Told before it is saved: a worker that dies in between is followed, and an alert may be heard twice.
            self._alerts.alert("payment_parked", payment=payment.id, provider=payment.provider, problem=plan.problem)
            return False
        if plan.action == "capture":
            return self._capture(leased, payment)
        if plan.action == "refund":
            return self._give_back(leased, payment)
        args: Mapping[str, Value] = {**plan.args, "asked_at": asked_at}
        if plan.action == "top_up" and self._crediting.credit_at_once(leased, self._runner, payment, args):
            return True
        told = view_of(payment, self._clock.now())
        self._runner.begin_saga(leased, plan.action, args, fields_of(payment), told, content=payment)
        return True

    def _give_back(self, leased: LeasedDocument, payment: Payment) -> bool:
        """Begin a refund of the whole rest, since the user has left and the money can never become credits."""
        progress, now = progress_of(leased.data), self._clock.now()
        operation = operation_id("payment", payment.id, "give_back", str(progress.number if progress else 0))
        left = payment.terms.price.minor - payment.returned_minor
        args, known = refund_begun(payment, left, operation, payment.id, now)
        told = view_of(payment, now)
        self._runner.begin_saga(leased, "refund", args, fields_of(payment), told, known, content=payment)
        return True

    def _capture(self, leased: LeasedDocument, payment: Payment) -> bool:
        """Capture the money that the user approved. Return False if the provider refused.

        Several workers may capture at once: the provider takes the money once. A refusal may leave the order
        unchanged, so that the user can try again.
        """
        if payment.slot or not _is_followed(leased, self._clock.now()):
            leased.flush()  # nobody may give up this purchase, and a sweep follows if this worker dies
        self._note(leased, payment)
        try:
            self.provider(payment.provider).capture(payment.refs, f"capture:{payment.id}")
        except ProviderRefused as refusal:
            seen = replace(payment.seen, failure=str(refusal.params["reason"]))
            is_cancelled = payment.is_cancelled and payment.seen.failure is not None  # not since this approval
            self._note(leased, replace(payment, seen=seen, is_cancelled=is_cancelled))
            log("capture_refused", "WARNING", payment=payment.id, reason=refusal.params["reason"])
            return False
        except CaptureInProgress:
            raise
        except ProviderUnavailable:
            leased.flush()  # the money may be taken: the payment becomes due soon
            raise
        return True

    def _unopened(self, leased: LeasedDocument, payment: Payment) -> Payment:
        if self._clock.now() < payment.created_at + lifecycle.OPENED_WITHIN:
            return payment
        expired = replace(payment, seen=ProviderReport(stage="expired"))
        self._note(leased, expired)
        return expired

    def _asked(self, payment: Payment, refs: Refs) -> _ProviderAnswer:
        """Return the provider's truth, or no truth if the payment is unknown to the provider.

        No truth is no news about money that the provider once had.
        """
        provider, now = self.provider(payment.provider), self._clock.now()
        try:
            return _ProviderAnswer(truth=provider.truth(refs, payment.disputes), at=now)
        except UnknownAtProvider:
            log("payment_unknown_at_provider", "WARNING", payment=payment.id, provider=payment.provider)
            return _ProviderAnswer(truth=None, at=now)

    def _owner(self, payment: Payment, truth: Truth) -> str | None:
        if payment.applied.is_granted or truth.money is None:
            return None
        return self._payments.payment_with_money(payment.provider, truth.money)

    def _warn(self, before: Payment, after: Payment) -> None:
        if after.seen.warnings > before.seen.warnings:
            self._alerts.alert("early_fraud_warning", payment=after.id, provider=after.provider)
        if after.seen.is_disputed and not before.seen.is_disputed:
            if after.is_on_chain:
                self._alerts.alert("payment_taken_back", payment=after.id, provider=after.provider)
            else:
                self._alerts.alert("payment_disputed", payment=after.id, provider=after.provider)

    def _note(self, leased: LeasedDocument, payment: Payment) -> None:
        """Note the payment, if the noted or stored payment differs.

        A payment that is over gives up the slot among the user's purchases of a limited package.
        """
        freed, also = without_slot(payment) if payment.is_over else (payment, ())
        if freed == payment_of(leased) and not also:
            return
        note_payment(leased, freed, self._clock.now(), *also)


def _require_news_of(progress: Progress | None, truth: Truth, provider: ProviderName) -> None:
    """Raise ProviderUnavailable if the provider does not list our completed refund yet, so that we ask again later.

    Such an answer is older than our refund.
    """
    if progress is None or progress.name != "refund" or progress.phase != "completed":
        return
    ours = str(cast("Mapping[str, object]", progress.done["refund"])["id"])
    if ours not in {refund.id for refund in truth.refunds}:
        raise ProviderUnavailable(provider)


def _is_followed(leased: LeasedDocument, now: Millis) -> bool:
    """Return True if the sweep looks at the payment by itself within `FOLLOWED_WITHIN`."""
    due_at = leased.data.get("due_at")
    return isinstance(due_at, datetime) and due_at <= to_datetime(now + FOLLOWED_WITHIN)


def _was_refused(progress: Progress | None) -> bool:
    return progress is not None and progress.name == "refund" and progress.phase == "compensated"


def _due_at(leased: LeasedDocument, payment: Payment, now: Millis) -> Value:
    """Return when the payment is due next.

    A waiting saga says when, a dead saga is never due (None), others are polled.
    """
    progress = progress_of(leased.data)
    if progress is not None and not progress.is_over:
        return leased.data["due_at"]
    return None if progress is not None and progress.phase == "dead" else lifecycle.next_poll(payment, now)
