"""The hands that move a provider's payments, in Stripe's manner or PayPal's, and what each leaves behind.

They are everybody else's: the user on the provider's page (`approve`, `decline`), the bank (`pay`, `fail`,
`dispute`, `warn`), the provider's clock (`expire`) and its dashboard (`refund_by_hand`). Each leaves events behind.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from shared.kernel.clock import Clock
from shared.kernel.ids import derived_id
from shared.payments.fiat import Fiat
from shared.payments.ports import (
    Dispute,
    Notice,
    Opened,
    ProviderName,
    ProviderRefused,
    Refund,
    Stage,
)

Outcome = Literal["paid", "pending", "failed", "declined"]
"""What becomes of a payment that the user said yes to. `declined`: nothing, and they may try again."""

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
"""The events that each manner has; where it has none, nothing is announced."""
NAMELESS = frozenset({"refunded", "refund_changed", "disputed", "dispute_ended", "warned"})
"""Events that do not carry our name of the payment: it has to be located."""


@dataclass(slots=True, kw_only=True)
class Held:
    """One payment at the provider."""

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
    """The payments at one provider, and everybody who is not us. Safe to share between threads.

    `captures` counts by payment how often money was taken, `events` is all that was announced, oldest first.
    """

    def __init__(self, clock: Clock, name: ProviderName, *, is_live: bool) -> None:
        self.captures: Counter[str] = Counter()
        self.events: list[Notice] = []
        self._clock = clock
        self._name: ProviderName = name
        self._is_live = is_live
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        self._by_ref: dict[str, Held] = {}

    def opened(self, payment: str, opened: Opened) -> None:
        """A bench tells all hands what it has opened; these know."""

    def approve(self, payment: str, then: Outcome = "paid", *, received: Fiat | None = None) -> None:
        """The user says yes: in Stripe's manner that charges at once, in PayPal's it is then ours to capture.

        `received` is what comes instead of the amount that was asked for.
        """
        with self._lock:
            held = self._held[payment]
            assert held.stage in {"open", "approved"}, f"{payment} is {held.stage}: its page takes nothing any more"
            held.outcome, held.amount = then, received or held.amount
            if self._name == "stripe":
                self._charge(held)
            else:
                held.stage = "approved"
                self._tell(held, "approved")

    def decline(self, payment: str) -> None:
        """The user's card or bank says no; they may try again."""
        with self._lock:
            self._decline(self._held[payment])

    def pay(self, payment: str, *, received: Fiat | None = None) -> None:
        """Money arrives, whatever went before: in time, late, or for a payment long failed or expired."""
        with self._lock:
            held = self._held[payment]
            held.amount = received or held.amount
            self._take(held, "cleared" if held.stage == "pending" else "paid")

    def fail(self, payment: str) -> None:
        """What was pending comes to nothing."""
        with self._lock:
            self._fail(self._held[payment])

    def expire(self, payment: str) -> None:
        """The checkout's time is up. PayPal then knows nothing of the order any more, and says nothing of it."""
        with self._lock:
            self._expire(self._held[payment])

    def refund_by_hand(
        self, payment: str, amount: Fiat | None = None, status: Literal["pending", "succeeded"] = "succeeded"
    ) -> str:
        """Somebody refunds in the provider's dashboard; the refund's id."""
        with self._lock:
            held = self._held[payment]
            assert held.paid is not None, f"{payment} has no money to give back"
            return self._refund(held, amount or held.paid, status).id

    def end_refund(self, refund: str, status: Literal["succeeded", "failed"]) -> None:
        """A refund arrives, or comes back after all."""
        with self._lock:
            held = self._by_ref[refund]
            held.refunds[refund] = replace(held.refunds[refund], status=status)
            self._tell(held, "refund_changed", refund=refund)

    def dispute(self, payment: str, amount: Fiat | None = None) -> str:
        """The user's bank wants the money back; the dispute's id."""
        with self._lock:
            held = self._held[payment]
            assert held.paid is not None, f"{payment} has no money to argue about"
            made = Dispute(id=self._id("dispute", held), amount=amount or held.paid, status="open")
            held.disputes[made.id] = made
            self._by_ref[made.id] = held
            self._tell(held, "disputed", dispute=made.id)
            return made.id

    def end_dispute(self, dispute: str, status: Literal["won", "lost", "withdrawn"]) -> None:
        """A dispute is decided, or taken back."""
        with self._lock:
            held = self._by_ref[dispute]
            held.disputes[dispute] = replace(held.disputes[dispute], status=status)
            self._tell(held, "dispute_ended", dispute=dispute)

    def warn(self, payment: str) -> str:
        """The card's issuer suspects fraud; the warning's id."""
        with self._lock:
            held = self._held[payment]
            warning = self._id("warning", held)
            held.warnings.append(warning)
            self._by_ref[warning] = held
            self._tell(held, "warned", warning=warning)
            return warning

    def switch_mode(self, payment: str) -> None:
        """The payment turns out to be of the other mode: test money in live, or live money in test."""
        with self._lock:
            self._held[payment].is_live = not self._is_live

    def _charge(self, held: Held) -> None:
        """What the user approved is charged, and becomes of it what was to become."""
        if held.outcome == "declined" and self._name == "paypal":
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

    def _take(self, held: Held, happening: str) -> None:
        assert held.paid is None, f"{held.payment} is paid already"
        self._give_refs(held)
        held.stage, held.paid, held.failure, held.is_gone = "paid", held.amount, None, False
        self.captures[str(held.payment)] += 1
        self._tell(held, happening)

    def _give_refs(self, held: Held) -> None:
        for kind in ("intent", "charge") if self._name == "stripe" else ("capture",):
            ref = held.refs.setdefault(kind, derived_id(kind, self._name, str(held.payment)))
            self._by_ref[ref] = held

    def _decline(self, held: Held) -> None:
        held.stage, held.failure = "open", "declined"
        self._tell(held, "declined")

    def _fail(self, held: Held) -> None:
        held.stage, held.failure = "failed", "denied"
        self._tell(held, "failed")

    def _expire(self, held: Held) -> None:
        assert held.stage in {"open", "approved"}, f"{held.payment} is {held.stage}"
        held.stage, held.is_gone = "expired", self._name == "paypal"
        self._tell(held, "expired")

    def _refund(self, held: Held, amount: Fiat, status: Literal["pending", "succeeded"]) -> Refund:
        back = sum(refund.amount.minor for refund in held.refunds.values() if refund.status != "failed")
        if held.paid is None or amount.currency != held.paid.currency or back + amount.minor > held.paid.minor:
            raise ProviderRefused(self._name, "refund_exceeds_payment")
        made = Refund(id=self._id("refund", held), amount=amount, status=status)
        held.refunds[made.id] = made
        self._by_ref[made.id] = held
        self._tell(held, "refunded", refund=made.id)
        return made

    def _id(self, kind: str, held: Held) -> str:
        number = len(held.refunds) + len(held.disputes) + len(held.warnings)
        return derived_id(kind, self._name, str(held.payment), str(number))

    def _tell(self, held: Held, happening: str, **refs: str) -> None:
        if happening not in EVENTS[self._name]:
            return
        self.events.append(
            Notice(
                provider=self._name,
                id=derived_id("evt", self._name, str(len(self.events))),
                type=EVENTS[self._name][happening],
                at=self._clock.now(),
                is_live=held.is_live,
                payment=None if happening in NAMELESS else held.payment,
                refs=refs or dict(held.refs),
            )
        )
