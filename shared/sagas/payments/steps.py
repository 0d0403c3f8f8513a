"""The sagas of a payment on an account: credit, follow the provider's truth, refund by us.

    top_up    confirm · record (pivot) · grant
    follow    suspend · take back · give back · reinstate      only forward
    refund    withdraw · refund (pivot)

Every effect on the account has an own operation, so effect and result are one commit. A worker that repeats a
step, soon or late, gets the first result.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol, cast

from shared.kernel.clock import Clock, Millis, to_datetime
from shared.kernel.documents import Create, Data, Documents, Patch, Value
from shared.kernel.errors import IdempotencyMismatch, Rejected
from shared.kernel.events import log
from shared.kernel.ids import HoldId, LotId, OperationId
from shared.kernel.money import Micro
from shared.ledger.about import AboutTags
from shared.ledger.commands import (
    Annul,
    Command,
    Reinstate,
    Restore,
    Reverse,
    Suspend,
)
from shared.ledger.errors import AccountClosed, LotExists
from shared.ledger.hold_names import hold_id
from shared.ledger.ledger import Ledger
from shared.payments.chains.payouts import PlannedPayout, terms_of
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import ACCOUNT_CLOSED, problem_of
from shared.payments.payment import Payment, seen_in, share, with_applied
from shared.payments.ports import PaymentProvider, ProviderName, UnknownAtProvider
from shared.payments.store import Payments, effect, refund_path
from shared.sagas.engine.saga import Saga, Step, StepContext, StepResult, progress_of
from shared.sagas.payments.crediting import (
    FRESH,
    Crediting,
    DebtsOfLeavers,
    about_payment,
    granted,
    grants_of,
    money_moved,
)
from shared.sagas.payments.leased_payment import payment_of, result_with

ANNULLED = "annulled"


class NotAsAgreed(Rejected):
    """The received money is not the agreed money, or belongs to another payment."""

    code = "not_as_agreed"

    def __init__(self, problem: str) -> None:
        super().__init__("The payment is not as it was agreed.", problem=problem)


class StoredPayouts(Protocol):
    """Payouts of coins, which a person sends."""

    def store(self, payment: Payment, refund: str, terms: PlannedPayout, price: Fiat) -> None:
        """Store a payout that is to be sent, unless that was done before."""
        ...


class PaymentSteps:
    """The steps of a payment's sagas. Every step works on the payment's own leased document."""

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        providers: Mapping[ProviderName, PaymentProvider],
        clock: Clock,
        debts: DebtsOfLeavers | None = None,
        payouts: Callable[[], StoredPayouts] | None = None,
    ) -> None:
        self._payouts = payouts
        self._payments = Payments(documents)
        self._ledger = ledger
        self._providers = providers
        self._clock = clock
        self._debts = debts
        self.crediting = Crediting(ledger, debts, clock)
        self.sagas = (
            Saga(
                name="top_up",
                version=1,
                steps=(
                    Step(name="confirm", do=self._confirm, acts=False),
                    Step(name="record", do=self._record, is_pivot=True, acts=False),
                    Step(name="grant", do=self._grant),
                ),
            ),
            Saga(
                name="follow",
                version=1,
                is_forward_only=True,
                steps=(
                    Step(name="suspend", do=self._suspend),
                    Step(name="take_back", do=self._take_back),
                    Step(name="give_back", do=self._give_back),
                    Step(name="reinstate", do=self._reinstate),
                ),
            ),
            Saga(
                name="refund",
                version=1,
                steps=(
                    Step(name="withdraw", do=self._withdraw, undo=self._undo_withdraw),
                    Step(name="refund", do=self._refund, is_pivot=True),
                ),
            ),
        )

    # Credited ----------------------------------------------------------------------------------------------------

    def _confirm(self, context: StepContext) -> StepResult:
        """Ask the provider again, unless the answer is fresh, since the decision may be minutes old.

        Raises NotAsAgreed.
        """
        payment, now = payment_of(context.leased), self._clock.now()
        if 0 <= now - cast("int", context.args.get("asked_at", 0)) < FRESH:
            return StepResult(result={"at": now, "is_disputed": context.args["is_disputed"]})
        provider = self._providers[payment.provider]
        truth = provider.truth(payment.refs, payment.disputes)
        problem = problem_of(payment, truth, is_live=provider.is_live)
        if problem or truth.stage != "paid" or truth.money != context.args["money"]:
            raise NotAsAgreed(problem or truth.stage)
        return StepResult(result={"at": now, "is_disputed": seen_in(truth).undecided > 0})

    def _record(self, context: StepContext) -> StepResult:
        """Record that this money belongs to this payment, for ever. If another claim came first, the commit fails.

        Raises NotAsAgreed if the money is known to be another payment's. A saga of an earlier release does not name the
        owner that was found at the start.
        """
        payment, money = payment_of(context.leased), str(context.args["money"])
        owner = context.args.get("owner")
        if owner is None:
            owner = self._payments.payment_with_money(payment.provider, money)
        if owner and owner != payment.id:
            raise NotAsAgreed("money_of_another")
        return StepResult(writes=() if owner else (effect(payment, money, self._clock.now()),))

    def _grant(self, context: StepContext) -> StepResult:
        """Grant one lot for the purchase and one for the gift.

        The operations are the payment's, so each lot is granted once.

        If the money is already disputed, the credits are suspended at once. If the user has left, nothing is granted,
        and the payment's problem says that the money is to go back.
        """
        payment, at = payment_of(context.leased), cast("int", context.results["confirm"]["at"])
        is_disputed = bool(context.results["confirm"]["is_disputed"])
        try:
            self._ledger.execute_all(payment.uid, grants_of(payment, at, is_disputed=is_disputed))
        except AccountClosed:
            return self._done(replace(payment, problem=ACCOUNT_CLOSED))
        except LotExists:
            log("payment_credited_before", "WARNING", payment=payment.id)  # lots have the payment's name
        if self._debts is not None:
            self._debts.purchased(payment.uid, payment.id, payment.lots)
        return self._done(granted(payment, at, is_disputed=is_disputed))

    # Brought to the provider's truth --------------------------------------------------------------------------------

    def _suspend(self, context: StepContext) -> StepResult:
        """Set more credits aside than before. Setting less aside waits until lost money was taken out."""
        payment = payment_of(context.leased)
        return self._set_aside(context, payment, "suspend") if _aside(context) > payment.applied.aside else StepResult()

    def _set_aside(self, context: StepContext, payment: Payment, step: str) -> StepResult:
        """End the present suspension and begin one of the wanted amount, in one commit; 0 begins none."""
        aside, before = _aside(context), payment.applied.suspension
        commands: list[Command] = []
        if before:
            operation = context.key(f"{step}:end")
            commands.append(
                Reinstate(operation=operation, hold=HoldId(before), about=about_payment(payment, "dispute"))
            )
        hold = hold_id("dispute", payment.id, context.saga, step) if aside else None
        if hold is not None:
            commands.append(_suspension(payment, context.key(step), hold, aside))
        self._execute(payment, *commands)
        return self._done(with_applied(payment, suspension=hold or "", aside=aside))

    def _take_back(self, context: StepContext) -> StepResult:
        payment, target = payment_of(context.leased), cast("int", context.args["taken"])
        if target <= payment.applied.taken:
            return StepResult()
        if not self._execute(payment, *(_reverse(payment, context, "take_back", *lot, target) for lot in payment.lots)):
            self._owe(payment, target)
        return self._done(with_applied(payment, taken=target))

    def _give_back(self, context: StepContext) -> StepResult:
        payment, target = payment_of(context.leased), cast("int", context.args["taken"])
        if target >= payment.applied.taken:
            return StepResult()
        keys = (context.key(f"give_back:{lot}") for lot, _ in payment.lots)
        lots, taken = zip(keys, payment.lots, strict=True), payment.applied.taken
        if not self._execute(payment, *(_restore(payment, key, *lot, target, taken) for key, lot in lots)):
            self._owe(payment, target)
        return self._done(with_applied(payment, taken=target))

    def _reinstate(self, context: StepContext) -> StepResult:
        """Set less aside than before."""
        payment = payment_of(context.leased)
        return (
            self._set_aside(context, payment, "reinstate") if _aside(context) < payment.applied.aside else StepResult()
        )

    # Refunded by us --------------------------------------------------------------------------------------------------

    def _withdraw(self, context: StepContext) -> StepResult:
        """Take the credits back first, so that nobody spends credits whose money is about to be paid back."""
        payment, target = payment_of(context.leased), cast("int", context.args["taken"])
        if not self._execute(payment, *(_reverse(payment, context, "withdraw", *lot, target) for lot in payment.lots)):
            self._owe(payment, target)
        return self._done(with_applied(payment, taken=target))

    def _undo_withdraw(self, context: StepContext) -> StepResult:
        """Annul the operations first, so that a late withdrawal is refused. If a withdrawal came earlier, give back."""
        payment, target = payment_of(context.leased), cast("int", context.args["taken_before"])
        taken = cast("int", context.args["taken"])
        for lot, amount in payment.lots:
            try:
                self._execute(payment, Annul(operation=context.key(f"withdraw:{lot}"), fingerprint=ANNULLED))
            except IdempotencyMismatch:
                key = context.key(f"undo:withdraw:{lot}")
                self._execute(payment, _restore(payment, key, lot, amount, target, taken))
        back, progress = self._done(with_applied(payment, taken=target)), progress_of(context.leased.data)
        refused = Patch(refund_path(str(context.args["operation"])), {"refused": progress.code if progress else ""})
        return replace(back, writes=(*back.writes, refused))

    def _refund(self, context: StepContext) -> StepResult:
        """Refund at the provider, under a key of this step. The adapter finds an earlier refund under that key.

        Once the refund is made, no failure of a later question may look like a refusal of the refund.
        """
        payment = payment_of(context.leased)
        amount = Fiat(cast("int", context.args["amount"]), payment.terms.price.currency)
        if payment.is_on_chain:
            return self._promise(payment, context.args, amount)
        provider = self._providers[payment.provider]
        made = provider.refund(payment.refs, amount, context.key("refund"))
        told = payment
        with suppress(UnknownAtProvider):
            truth = provider.truth(payment.refs, payment.disputes)
            if made.id in {refund.id for refund in truth.refunds}:
                told = replace(payment, seen=seen_in(truth, payment))
        return replace(self._done(told), result={"id": made.id, "status": made.status})

    def _promise(self, payment: Payment, args: Data, amount: Fiat) -> StepResult:
        """Store the payout that a person is to send. Until the chain shows the coins, the refund is pending."""
        assert self._payouts is not None, "payments on chains come with payouts"
        refund = str(args["refund"])
        self._payouts().store(payment, refund, terms_of(cast("Mapping[str, Any]", args["payout"])), amount)
        return replace(self._done(payment), result={"id": refund, "status": "pending"})

    # What all of them do ----------------------------------------------------------------------------------------------

    def _execute(self, payment: Payment, *commands: Command) -> bool:
        """Execute all commands. Return False if the user has left: then there is no account to take from or give to."""
        try:
            self._ledger.execute_all(payment.uid, commands)
        except AccountClosed:
            return False
        return True

    def _owe(self, payment: Payment, target: int) -> None:
        """Record the debt of a user who left and had used credits whose money is gone.

        The amount is a total, so counts once.
        """
        if self._debts is None:
            return
        covered = self._ledger.covered(payment.uid, [lot for lot, _ in payment.lots])
        gone = ((lot, share(amount, target, _paid(payment))) for lot, amount in payment.lots)
        owed = sum(max(0, amount - covered.get(lot, amount)) for lot, amount in gone)
        self._debts.remember_late(payment.uid, payment.id, owed)

    def _done(self, payment: Payment) -> StepResult:
        return result_with(payment, self._clock.now())


def refund_begun(
    payment: Payment, minor: int, operation: OperationId, fingerprint: str, now: Millis
) -> tuple[Mapping[str, Value], Create]:
    """Return the arguments of the saga that refunds `minor` units, and the document that records this refund."""
    taken = payment.returned_minor
    args: Mapping[str, Value] = {
        "amount": minor,
        "taken": taken + minor,
        "taken_before": taken,
        "operation": operation,
    }
    data: Mapping[str, Value] = {
        "payment": payment.id,
        "uid": payment.uid,
        "minor": minor,
        "fingerprint": fingerprint,
        "at": to_datetime(now),
    }
    return args, Create(refund_path(operation), data)


def _aside(context: StepContext) -> int:
    """Return how much of the money is to be set aside, in minor units. An older saga only says whether all is."""
    if "aside" in context.args:
        return cast("int", context.args["aside"])
    return _paid(payment_of(context.leased)) if context.args["is_disputed"] else 0


def _suspension(payment: Payment, operation: OperationId, hold: HoldId, aside: int) -> Suspend:
    """Build the command that suspends the share of each lot, or whole lots if all of the money is meant."""
    is_whole = aside + payment.applied.taken >= _paid(payment)
    limits = None if is_whole else tuple(share(amount, aside, _paid(payment)) for _, amount in payment.lots)
    lots = tuple(lot for lot, _ in payment.lots)
    told = about_payment(payment, "dispute" if payment.seen.is_disputed else "refund")
    return Suspend(operation=operation, fingerprint=str(aside), lots=lots, limits=limits, hold=hold, about=told)


def _taken_back(payment: Payment, step: str, money: str) -> AboutTags:
    """Return the tags that say why credits are taken back or return: a lost or turned dispute, or a refund.

    `money` is the text of the money that moved.
    """
    is_disputed = step != "withdraw" and (payment.seen.lost > 0 or bool(payment.disputes))
    return about_payment(payment, "dispute" if is_disputed else "refund", money)


def _paid(payment: Payment) -> int:
    """Return the price of the payment in minor units; the credits were granted for exactly this price."""
    return payment.terms.price.minor


def _reverse(payment: Payment, context: StepContext, step: str, lot: LotId, amount: Micro, target: int) -> Reverse:
    wanted = share(amount, target, _paid(payment))
    money = money_moved(payment, "out", target - payment.applied.taken, lot)
    operation, told = context.key(f"{step}:{lot}"), _taken_back(payment, step, money)
    note = str(context.args.get("note", "")) if step == "withdraw" else ""
    return Reverse(operation=operation, fingerprint=str(wanted), lot=lot, target=wanted, about=told, note=note)


def _restore(payment: Payment, operation: OperationId, lot: LotId, amount: Micro, target: int, taken: int) -> Restore:
    """Build the command that gives a lot back, until no more than `target` of the `taken` minor units is taken."""
    wanted = share(amount, target, _paid(payment))
    suspension = HoldId(payment.applied.suspension) if payment.applied.suspension else None
    return Restore(
        operation=operation,
        fingerprint=str(wanted),
        lot=lot,
        target=wanted,
        suspension=suspension,
        about=_taken_back(payment, "restore", money_moved(payment, "back", taken - target, lot)),
    )
