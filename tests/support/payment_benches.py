"""Payment providers to try the same things on: in memory, and the real adapters on stand-ins, each with its hands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from shared.kernel.clock import Clock, SystemClock
from shared.payments.fiat import Fiat
from shared.payments.ports import Checkout, OpenedCheckout, PaymentProvider
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.payments import MemoryProvider
from shared.platform.paypal.provider import PayPalProvider
from shared.platform.stripe.provider import StripeProvider

BENCHES = ("memory stripe", "memory paypal", "stripe", "paypal")

ENDINGS = {"paid": "completed", "pending": "pending", "failed": "denied", "declined": "declined"}
STARTS = {"succeeded": "COMPLETED", "pending": "PENDING"}


class Bench:
    """A provider, and `hands` that move its payments by our names of them."""

    def __init__(self, provider: PaymentProvider, hands: Any, clock: Clock) -> None:
        self.provider = provider
        self.hands = hands
        self.clock = clock

    def open(self, checkout: Checkout) -> OpenedCheckout:
        """Open it, and let the hands find it."""
        opened = self.provider.open(checkout)
        self.hands.opened(checkout.payment, opened)
        return opened


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """The bench of this name, gone afterwards."""
    clock, alerts = SystemClock(), MemoryAlerts()
    if name.startswith("memory"):
        standing = ManualClock()
        provider = MemoryProvider(standing, "stripe" if name.endswith("stripe") else "paypal")
        yield Bench(provider, provider, standing)
    elif name == "stripe":
        with StripeStandIn() as stripe:
            stripe_provider = StripeProvider(
                secret_key=stripe.secret_key, api_base=stripe.url, clock=clock, alerts=alerts
            )
            yield Bench(stripe_provider, StripeHands(stripe), clock)
    else:
        with PayPalStandIn() as paypal:
            paypal_provider = PayPalProvider(
                api_base=paypal.url,
                client_id=paypal.client_id,
                client_secret=paypal.client_secret,
                clock=clock,
                alerts=alerts,
            )
            yield Bench(paypal_provider, PayPalHands(paypal), clock)


class StripeHands:
    """What `ProviderHands` do, at a stand-in Stripe."""

    def __init__(self, stripe: StripeStandIn) -> None:
        self._stripe = stripe
        self._opened: dict[str, OpenedCheckout] = {}

    def opened(self, payment: str, opened: OpenedCheckout) -> None:
        self._opened[payment] = opened

    def approve(self, payment: str, then: str = "paid", *, received: Fiat | None = None) -> None:
        session = self._ref(payment)
        if received is not None:
            changes = {"amount_total": received.minor, "currency": received.currency.lower()}
            self._stripe.alter(id=session, changes=changes)
        if then == "paid":
            self._stripe.pay(session=session)
        elif then == "declined":
            self._stripe.decline(session=session)
        else:
            self._stripe.pay_later(session=session)
            if then == "failed":
                self.fail(payment)

    def decline(self, payment: str) -> None:
        self._stripe.decline(session=self._ref(payment))

    def pay(self, payment: str) -> None:
        self._stripe.settle_later(session=self._ref(payment))

    def fail(self, payment: str) -> None:
        self._stripe.settle_later(session=self._ref(payment), is_paid=False)

    def expire(self, payment: str) -> None:
        self._stripe.expire_session(session=self._ref(payment))

    def refund_by_hand(self, payment: str, amount: Fiat | None = None, status: str = "succeeded") -> str:
        self._stripe.refunds_start(status=status)
        return str(self._stripe.refund(of=self._ref(payment), amount=None if amount is None else amount.minor)["id"])

    def end_refund(self, refund: str, status: str) -> None:
        if status == "failed":
            self._stripe.fail_refund(refund=refund)
        else:
            self._stripe.settle_refund(refund=refund)

    def dispute(self, payment: str, amount: Fiat | None = None) -> str:
        return str(self._stripe.dispute(of=self._ref(payment), amount=None if amount is None else amount.minor)["id"])

    def end_dispute(self, dispute: str, status: str) -> None:
        self._stripe.close_dispute(dispute=dispute, outcome=status)

    def warn(self, payment: str) -> str:
        return str(self._stripe.warn_of_fraud(of=self._ref(payment))["id"])

    def forget_keys(self) -> None:
        self._stripe.expire_idempotency_keys()

    def fail_next(self, call: str, *, is_done: bool) -> None:
        assert call == "open"
        # Twice, because the SDK asks again itself.
        self._stripe.fail(times=2, path="/v1/checkout/sessions", method="POST", when="after" if is_done else "before")

    @property
    def captures(self) -> dict[str, int]:
        return {payment: len(self._stripe.charges_for(reference=payment)) for payment in self._opened}

    def _ref(self, payment: str) -> str:
        return str(self._opened[payment].refs["session"])


class PayPalHands:
    """What `ProviderHands` do, at a stand-in PayPal."""

    def __init__(self, paypal: PayPalStandIn) -> None:
        self._paypal = paypal
        self._opened: dict[str, OpenedCheckout] = {}

    def opened(self, payment: str, opened: OpenedCheckout) -> None:
        self._opened[payment] = opened

    def approve(self, payment: str, then: str = "paid", *, received: Fiat | None = None) -> None:
        order = self._ref(payment)
        if received is not None:
            [unit] = self._paypal.get(id=order)["purchase_units"]
            amount = {"currency_code": received.currency, "value": received.decimal}
            self._paypal.alter(id=order, changes={"purchase_units": [{**unit, "amount": amount}]})
        self._paypal.approve(order=order, ending=ENDINGS[then])

    def decline(self, payment: str) -> None:
        """A card that is refused on PayPal's page is between its user and PayPal."""

    def pay(self, payment: str) -> None:
        self._paypal.settle_capture(capture=self._ref(payment))

    def fail(self, payment: str) -> None:
        self._paypal.settle_capture(capture=self._ref(payment), is_paid=False)

    def expire(self, payment: str) -> None:
        self._paypal.expire_order(order=self._ref(payment))

    def refund_by_hand(self, payment: str, amount: Fiat | None = None, status: str = "succeeded") -> str:
        self._paypal.refunds_start(status=STARTS[status])
        value = None if amount is None else amount.decimal
        return str(self._paypal.refund(of=self._ref(payment), value=value)["id"])

    def end_refund(self, refund: str, status: str) -> None:
        if status == "failed":
            self._paypal.fail_refund(refund=refund)
        else:
            self._paypal.settle_refund(refund=refund)

    def dispute(self, payment: str, amount: Fiat | None = None) -> str:
        value = None if amount is None else amount.decimal
        return str(self._paypal.dispute(of=self._ref(payment), value=value)["dispute_id"])

    def end_dispute(self, dispute: str, status: str) -> None:
        self._paypal.close_dispute(dispute=dispute, outcome=status)

    def forget_keys(self) -> None:
        self._paypal.expire_idempotency_keys()

    def fail_next(self, call: str, *, is_done: bool) -> None:
        assert call == "open"
        self._paypal.fail(path="/v2/checkout/orders", method="POST", when="after" if is_done else "before")

    @property
    def captures(self) -> dict[str, int]:
        return {payment: self._paypal.capture_count(order=self._ref(payment)) for payment in self._opened}

    def _ref(self, payment: str) -> str:
        return str(self._opened[payment].refs["order"])
