"""Actions of everybody but us on a provider's payments, in Stripe's manner or PayPal's.

The user acts on the provider's page (`approve`, `decline`), the bank by `pay`, `fail`, `dispute` and `warn`. The
provider's clock acts by `expire`, its dashboard by `refund_by_hand`. Each action adds its events.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from shared.kernel.clock import Clock
from shared.kernel.ids import derived_id
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListedMoney
from shared.payments.ports import (
    Dispute,
    Notice,
    OpenedCheckout,
    ProviderName,
    ProviderRefused,
    Refund,
    Stage,
)
from shared.payments.providers import PROVIDERS

Outcome = Literal["paid", "pending", "failed", "declined"]
"""Outcome of a payment that the user approved. `declined`: nothing is paid, and the user may try again."""

EVENTS: Mapping[ProviderName, Mapping[str, str]] = {
    "stripe": {
        "paid": "checkout.session.completed",
        "pending": "checkout.session.completed",
        "cleared": "checkout.session.async_payment_succeeded",
        "failed": "checkout.session.async_payment_failed",
        "declined": "payment_intent.payment_failed",
        "expired": "checkout.session.expired",
        "refunded": "charge.refunded",
        "refund_changed": "refund.updated",
        "disputed": "charge.dispute.created",
        "dispute_ended": "charge.dispute.closed",
        "warned": "radar.early_fraud_warning.created",
    },
    "paypal": {
        "approved": "CHECKOUT.ORDER.APPROVED",
        "paid": "PAYMENT.CAPTURE.COMPLETED",
        "cleared": "PAYMENT.CAPTURE.COMPLETED",
        "pending": "PAYMENT.CAPTURE.PENDING",
        "failed": "PAYMENT.CAPTURE.DENIED",
        "declined": "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "refunded": "PAYMENT.CAPTURE.REFUNDED",
        "refund_changed": "PAYMENT.REFUND.FAILED",
        "disputed": "CUSTOMER.DISPUTE.CREATED",
        "dispute_ended": "CUSTOMER.DISPUTE.RESOLVED",
    },
}
"""Event types by manner and happening. A happening without a type is not announced.

A provider without a manner of its own behaves in Stripe's.
"""
NAMELESS = frozenset({"refunded", "refund_changed", "disputed", "dispute_ended", "warned"})
"""Happenings whose events do not carry our payment id, so that the payment has to be located."""


@dataclass(slots=True, kw_only=True)
class HeldPayment:
    """Payment at the provider, with its refunds, disputes and warnings."""

    payment: str | None
    amount: Fiat
    refs: dict[str, str]
    is_live: bool
    stage: Stage = "open"
    outcome: Outcome = "paid"
    paid: Fiat | None = None
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failure: str | None = None
    is_gone: bool = False


class ProviderHands:
    """Payments at one provider, and the actions of everybody but us. Safe to share between threads.

    `captures` counts by payment the times that money was taken. `events` lists all announced events, and `moved` all
    money that came in or went out, oldest first.
    """

    def __init__(self, clock: Clock, name: ProviderName, *, is_live: bool) -> None:
        self.captures: Counter[str] = Counter()
        self.events: list[Notice] = []
        self.moved: list[ListedMoney] = []
        self._clock = clock
        self._name: ProviderName = name
        self._manner = name if name in EVENTS else "stripe"
        self._is_live = is_live
        self._lock = threading.RLock()
        self._held: dict[str, HeldPayment] = {}
        self._by_ref: dict[str, HeldPayment] = {}

    def opened(self, payment: str, opened: OpenedCheckout) -> None:
        """Do nothing for an opened payment: these hands know their own payments. Other hands learn of payments here."""

    def approve(self, payment: str, then: Outcome = "paid", *, received: Fiat | None = None) -> None:
        """Approve the payment as the user. In Stripe's manner, that charges at once; in PayPal's, we capture later.

        `received` replaces the requested amount. None: the requested amount arrives.
        """
        with self._lock:
            held = self._held[payment]
            assert held.stage in {"open", "approved"}, f"{payment} is {held.stage}: its page takes nothing any more"
            held.outcome, held.amount = then, received or held.amount
            if self._manner == "stripe":
                self._charge(held)
            else:
                held.stage = "approved"
                self._tell(held, "approved")

    def decline(self, payment: str) -> None:
        """Decline the payment as the user's card or bank. The user may try again."""
        with self._lock:
            self._decline(self._held[payment])

    def pay(self, payment: str, *, received: Fiat | None = None) -> None:
        """Let money arrive, in time, late, or for a payment that failed or expired long ago.

        `received` replaces the requested amount. None: the requested amount arrives.
        """
        with self._lock:
            held = self._held[payment]
            held.amount = received or held.amount
            self._take(held, "cleared" if held.stage == "pending" else "paid")

    def fail(self, payment: str) -> None:
        """Let a pending payment fail."""
        with self._lock:
            self._fail(self._held[payment])

    def expire(self, payment: str) -> None:
        """Let the checkout expire. PayPal then no longer knows the order, and announces nothing."""
        with self._lock:
            self._expire(self._held[payment])

    def refund_by_hand(
        self, payment: str, amount: Fiat | None = None, status: Literal["pending", "succeeded"] = "succeeded"
    ) -> str:
        """Refund in the provider's dashboard, and return the refund's id. `amount` None: the whole payment.

        Raises ProviderRefused if the refunds exceed the payment.
        """
        with self._lock:
            held = self._held[payment]
            assert held.paid is not None, f"{payment} has no money to give back"
            return self._refund(held, amount or held.paid, status).id

    def end_refund(self, refund: str, status: Literal["succeeded", "failed"]) -> None:
        """End a refund: the money arrives, or comes back after all."""
        with self._lock:
            held = self._by_ref[refund]
            held.refunds[refund] = replace(held.refunds[refund], status=status)
            if status == "failed":
                self._move(held, held.refunds[refund].amount)
            self._tell(held, "refund_changed", refund=refund)

    def dispute(self, payment: str, amount: Fiat | None = None) -> str:
        """Open a dispute as the user's bank, and return the dispute's id. `amount` None: the whole payment."""
        with self._lock:
            held = self._held[payment]
            assert held.paid is not None, f"{payment} has no money to argue about"
            made = Dispute(id=self._id("dispute", held), amount=amount or held.paid, status="open")
            held.disputes[made.id] = made
            self._by_ref[made.id] = held
            self._move(held, made.amount, is_out=True)
            self._tell(held, "disputed", dispute=made.id)
            return made.id

    def end_dispute(self, dispute: str, status: Literal["won", "lost", "withdrawn"]) -> None:
        """End a dispute as decided or withdrawn."""
        with self._lock:
            held = self._by_ref[dispute]
            held.disputes[dispute] = replace(held.disputes[dispute], status=status)
            if status != "lost":
                self._move(held, held.disputes[dispute].amount)
            self._tell(held, "dispute_ended", dispute=dispute)

    def warn(self, payment: str) -> str:
        """Add a fraud warning of the card's issuer, and return the warning's id."""
        with self._lock:
            held = self._held[payment]
            warning = self._id("warning", held)
            held.warnings.append(warning)
            self._by_ref[warning] = held
            self._tell(held, "warned", warning=warning)
            return warning

    def switch_mode(self, payment: str) -> None:
        """Switch the payment to the other mode: test money in live, or live money in test."""
        with self._lock:
            self._held[payment].is_live = not self._is_live

    def _charge(self, held: HeldPayment) -> None:
        """Charge the approved payment, with the outcome that was chosen at the approval.

        If PayPal's manner declines, raises ProviderRefused; the payment stays approved.
        """
        if held.outcome == "declined" and self._manner == "paypal":
            raise ProviderRefused(self._name, "instrument_declined")  # it stays approved, and may be approved again
        if held.outcome == "declined":
            self._decline(held)
        elif held.outcome == "paid":
            self._take(held, "paid")
        else:
            self._give_refs(held)
            held.stage = "pending"
            self._tell(held, "pending")
            if held.outcome == "failed":
                self._fail(held)

    def _take(self, held: HeldPayment, happening: str) -> None:
        assert held.paid is None, f"{held.payment} is paid already"
        self._give_refs(held)
        held.stage, held.paid, held.failure, held.is_gone = "paid", held.amount, None, False
        self.captures[str(held.payment)] += 1
        self._move(held, held.amount)
        self._tell(held, happening)

    def _give_refs(self, held: HeldPayment) -> None:
        for kind in ("intent", "charge") if self._name == "stripe" else (PROVIDERS[self._name].money,):
            ref = held.refs.setdefault(kind, derived_id(kind, self._name, str(held.payment)))
            self._by_ref[ref] = held

    def _decline(self, held: HeldPayment) -> None:
        held.stage, held.failure = "open", "declined"
        self._tell(held, "declined")

    def _fail(self, held: HeldPayment) -> None:
        held.stage, held.failure = "failed", "denied"
        self._tell(held, "failed")

    def _expire(self, held: HeldPayment) -> None:
        assert held.stage in {"open", "approved"}, f"{held.payment} is {held.stage}"
        held.stage, held.is_gone = "expired", self._manner == "paypal"
        self._tell(held, "expired")

    def _refund(self, held: HeldPayment, amount: Fiat, status: Literal["pending", "succeeded"]) -> Refund:
        back = sum(refund.amount.minor for refund in held.refunds.values() if refund.status != "failed")
        if held.paid is None or amount.currency != held.paid.currency or back + amount.minor > held.paid.minor:
            raise ProviderRefused(self._name, "refund_exceeds_payment")
        made = Refund(id=self._id("refund", held), amount=amount, status=status)
        held.refunds[made.id] = made
        self._by_ref[made.id] = held
        self._move(held, amount, is_out=True)
        self._tell(held, "refunded", refund=made.id)
        return made

    def _move(self, held: HeldPayment, amount: Fiat, *, is_out: bool = False) -> None:
        """List money that moved, as the provider's balance shows it."""
        line = ListedMoney(
            id=derived_id("txn", self._name, str(len(self.moved))),
            amount=amount,
            at=self._clock.now(),
            is_out=is_out,
            money=held.refs.get(PROVIDERS[self._name].money if self._name in PROVIDERS else "intent", ""),
            payment="" if is_out else held.payment or "",
        )
        self.moved.append(line)

    def _id(self, kind: str, held: HeldPayment) -> str:
        number = len(held.refunds) + len(held.disputes) + len(held.warnings)
        return derived_id(kind, self._name, str(held.payment), str(number))

    def _tell(self, held: HeldPayment, happening: str, **refs: str) -> None:
        if happening not in EVENTS[self._manner]:
            return
        self.events.append(
            Notice(
                provider=self._name,
                id=derived_id("evt", self._name, str(len(self.events))),
                type=EVENTS[self._manner][happening],
                at=self._clock.now(),
                is_live=held.is_live,
                payment=None if happening in NAMELESS else held.payment,
                refs=refs or dict(held.refs),
            )
        )
