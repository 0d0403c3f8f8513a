"""Payment provider in memory, with Stripe's rules or PayPal's. `ProviderHands` act for everybody else."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from shared.kernel.clock import Clock, Millis
from shared.kernel.ids import derived_id
from shared.payments.fiat import Fiat
from shared.payments.listed_money import MoneyPage
from shared.payments.ports import (
    Checkout,
    Notices,
    OpenedCheckout,
    ProviderName,
    ProviderRefused,
    ProviderUnavailable,
    Refs,
    Refund,
    Truth,
    UnknownAtProvider,
)
from shared.payments.providers import PROVIDERS
from shared.platform.memory.payment_hands import HeldPayment, ProviderHands

Call = Literal[
    "open",
    "truth",
    "capture",
    "refund",
    "cancel",
    "locate",
    "notices",
    "listed_money",
    "customer_session",
    "forget_customer",
]

PAGE_NOTICES = 3


class MemoryProvider(ProviderHands):
    """Payment provider in memory, as our account sees the provider. `calls` counts the port's calls by name."""

    def __init__(self, clock: Clock, name: ProviderName = "stripe", *, is_live: bool = False) -> None:
        super().__init__(clock, name, is_live=is_live)
        self.calls: Counter[str] = Counter()
        self.customers: set[str] = set()
        self._opened: dict[tuple[str, int], tuple[Checkout, OpenedCheckout]] = {}
        self._by_key: dict[str, tuple[Fiat, str]] = {}
        self._faults: list[tuple[Call, bool]] = []

    @property
    def name(self) -> ProviderName:
        """Return the provider's name; see `PaymentProvider.name`."""
        return self._name

    @property
    def is_live(self) -> bool:
        """Return True for real money; see `PaymentProvider.is_live`."""
        return self._is_live

    def open(self, checkout: Checkout) -> OpenedCheckout:
        """Open a checkout, and return the checkout: always the same one for the same payment and end.

        See `PaymentProvider.open`.
        """
        with self._call("open"):
            key = (checkout.payment, checkout.expires_at)
            if key in self._opened:
                before, opened = self._opened[key]
                if before.amount != checkout.amount:
                    raise ProviderRefused(self._name, "idempotency_error")
                return opened
            opened = self._open(checkout)
            self._opened[key] = (checkout, opened)
            return opened

    def truth(self, refs: Refs, disputes: Sequence[str] = ()) -> Truth:
        """Return the present state of the payment that `refs` belong to; see `PaymentProvider.truth`."""
        with self._call("truth"):
            held = self._find(refs)
            return Truth(
                stage=held.stage,
                refs=dict(held.refs),
                is_live=held.is_live,
                payment=held.payment,
                money=held.refs.get(self._money_kind) if held.paid else None,
                paid=held.paid,
                refunds=tuple(held.refunds.values()),
                disputes=tuple(held.disputes.values()),
                warnings=tuple(held.warnings),
                receipt_url=f"https://{self._name}.invalid/receipts/{held.payment}" if held.paid else None,
                failure=held.failure,
            )

    def capture(self, refs: Refs, key: str) -> None:
        """Capture the approved money once, in PayPal's manner; see `PaymentProvider.capture`.

        In Stripe's manner, nothing is ever left to capture.
        """
        with self._call("capture"):
            held = self._find(refs)
            if held.stage == "approved":
                self._charge(held)
            elif held.stage not in {"paid", "pending", "failed"}:
                raise ProviderRefused(self._name, "order_not_approved")

    def refund(self, refs: Refs, amount: Fiat, key: str) -> Refund:
        """Give money back, and return the refund; the same `key` gives the same refund.

        See `PaymentProvider.refund`.
        """
        with self._call("refund"):
            held = self._find(refs)
            if key in self._by_key:
                before, refund = self._by_key[key]
                if before != amount:
                    raise ProviderRefused(self._name, "idempotency_error")
                return held.refunds[refund]
            if any(dispute.status in {"open", "lost"} for dispute in held.disputes.values()):
                raise ProviderRefused(self._name, "charge_disputed")
            made = self._refund(held, amount, "succeeded")
            self._by_key[key] = (amount, made.id)
            return made

    def cancel(self, refs: Refs) -> None:
        """Close the checkout, in Stripe's manner; see `PaymentProvider.cancel`.

        Does nothing in PayPal's manner: an order that nobody captures is not paid.
        """
        with self._call("cancel"):
            held = self._find(refs)
            if self._manner == "stripe" and held.stage == "open":
                self._expire(held)

    def locate(self, refs: Refs) -> str | None:
        """Return our payment id that the provider stores with these objects; None if they belong to another system.

        See `PaymentProvider.locate`.
        """
        with self._call("locate"):
            return self._find(refs).payment

    def listed_money(self, since: Millis, until: Millis, cursor: str | None) -> MoneyPage:
        """Return the next page of the money that moved, newest first; see `ListsMoney.listed_money`."""
        with self._call("listed_money"):
            found = [each for each in reversed(self.moved) if since <= each.at < until]
            first = int(cursor or 0)
            onward = first + PAGE_NOTICES
            return MoneyPage(lines=found[first:onward], cursor=str(onward) if onward < len(found) else None)

    def notices(self, since: Millis, cursor: str | None, until: Millis | None = None) -> Notices:
        """Return events from `since` until `until` (ms), newest first, PAGE_NOTICES at a time.

        See `PaymentProvider.notices`.
        """
        with self._call("notices"):
            last = self._clock.now() if until is None else until
            found = [event for event in reversed(self.events) if since <= event.at <= last]
            first = next((at + 1 for at, event in enumerate(found) if event.id == cursor), 0)
            page = found[first : first + PAGE_NOTICES]
            return Notices(items=page, cursor=page[-1].id if first + PAGE_NOTICES < len(found) else None)

    def customer_session(self, customer: str) -> str | None:
        """Return a new secret that lets an app's form show this customer's saved means of payment; None if unsupported.

        See `PaymentProvider.customer_session`.
        """
        with self._call("customer_session"):
            return f"{customer}_session_secret" if customer in self.customers else None

    def forget_customer(self, customer: str) -> None:
        """Delete the provider's data of a user who left, if there is any.

        See `PaymentProvider.forget_customer`.
        """
        with self._call("forget_customer"):
            self.customers.discard(customer)

    def forget_keys(self) -> None:
        """Do nothing. The call marks the hours in which a provider forgets its idempotency keys.

        Objects made under a key are found by their own marks, as the adapters find them.
        """

    def fail_next(self, call: Call, times: int = 1, *, is_done: bool = False) -> None:
        """Let the next `times` calls of this name raise ProviderUnavailable.

        `is_done`: the call fails after its effect, not before.
        """
        with self._lock:
            self._faults += [(call, is_done)] * times

    @property
    def _money_kind(self) -> str:
        return PROVIDERS[self._name].money

    @contextmanager
    def _call(self, call: Call) -> Iterator[None]:
        with self._lock:
            self.calls[call] += 1
            fault = next((fault for fault in self._faults if fault[0] == call), None)
            if fault is not None:
                self._faults.remove(fault)
                if not fault[1]:
                    raise ProviderUnavailable(self._name)
            yield
            if fault is not None:
                raise ProviderUnavailable(self._name)

    def _open(self, checkout: Checkout) -> OpenedCheckout:
        payment, is_stripe = checkout.payment, self._manner == "stripe"
        kind = ("session" if checkout.flow == "redirect" else "intent") if is_stripe else "order"
        known = self._held.get(payment)
        ref = derived_id(kind, self._name, payment, *([] if known is None else [str(checkout.expires_at)]))
        held = HeldPayment(payment=payment, amount=checkout.amount, refs={kind: ref}, is_live=self._is_live)
        self._held[payment] = self._by_ref[ref] = held
        if checkout.flow == "redirect":
            opened = OpenedCheckout(refs={kind: ref}, checkout_url=f"https://{self._name}.invalid/pay/{ref}")
        else:
            opened = OpenedCheckout(refs={kind: ref}, client_secret=f"{ref}_secret" if is_stripe else ref)
        return replace(opened, customer=self._customer(checkout)) if is_stripe else opened

    def _customer(self, checkout: Checkout) -> str:
        """Return the customer of the checkout if that customer exists, else the user's own, created if missing."""
        named = checkout.customer if checkout.customer in self.customers else None
        customer = named or derived_id("cus", checkout.uid)
        self.customers.add(customer)
        return customer

    def _find(self, refs: Refs) -> HeldPayment:
        held = next((self._by_ref[ref] for ref in refs.values() if ref in self._by_ref), None)
        if held is None or held.is_gone:
            raise UnknownAtProvider(self._name)
        return held
