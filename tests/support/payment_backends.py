"""A backends: several instances of our side on Firestore, with the real adapters, and both stand-ins behind them."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask, request

from emulator.payment_providers import payment_providers
from emulator.seed import PACKAGES
from emulator.stand_ins.deliveries import BACKOFF_SECONDS
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from emulator.suite import Suite
from functions.payment_webhooks import STATUS_BY_ERROR, receive
from shared.bootstrap import Services, production
from shared.kernel.errors import Conflict, Unavailable
from shared.kernel.ids import Uid, new_id, operation_id
from shared.kernel.settings import parse_settings
from shared.payments.payment import Payment, status_of
from shared.payments.ports import OpenedCheckout, ProviderName
from shared.payments.providers import PROVIDERS
from shared.platform.memory.alerts import MemoryAlerts
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.checkout import PackageOrder
from tests.contract.test_webhooks_on_stand_ins import served
from tests.support.emulators import TEST_SEED
from tests.support.payment_benches import PayPalHands, StripeHands

INSTANCES = 3
OFFSET_SECONDS_MAX = 0.005
ROUNDS_MAX = 20
ASK_AGAIN = frozenset(STATUS_BY_ERROR.values())
LISTING_SECONDS = 60.0
PACKAGE = "plus"
BOUGHT = PACKAGES[PACKAGE]["credits"] + PACKAGES[PACKAGE]["bonus"]
Racer = Callable[[Services], object]


class PaymentBackends:
    """Several instances of our side on one Firestore, and both stand-ins, delivering over HTTP to the first of them."""

    def __init__(self, suite: Suite, project: str, stand_ins: dict[str, Any], settings: dict[str, str]) -> None:
        key = {"LEDGER_SIGNING_KEY": f"test-1:{TEST_SEED}", "GCLOUD_PROJECT": project, "GOOGLE_CLOUD_PROJECT": project}
        self.environment = {**suite.environment(), **settings, **key}
        self.alerts = MemoryAlerts()
        settings_ = parse_settings(self.environment)
        self.instances = [production(settings_, alerts=self.alerts) for _ in range(INSTANCES)]
        self.stand_ins = stand_ins
        self.hands: dict[ProviderName, StripeHands | PayPalHands] = {
            "stripe": StripeHands(self.stripe),
            "paypal": PayPalHands(self.paypal),
        }
        self.first.payments.packages.put(PACKAGE, PACKAGES[PACKAGE])

    @property
    def first(self) -> Services:
        return self.instances[0]

    def app(self) -> Flask:
        app = Flask("webhooks")
        webhooks = self.first.payments.webhooks
        app.add_url_rule(
            "/<name>", "hear", lambda name: receive(name, request, self.first, webhooks[name]), methods=["POST"]
        )
        return app

    def begin(self, provider: ProviderName) -> Payment:
        """A payment of a new user, tried until it is open."""
        uid = Uid(new_id("user"))
        wanted = PackageOrder(
            uid=uid,
            package=PACKAGE,
            provider=provider,
            flow="redirect",
            success_url="https://app.example/thanks",
            cancel_url="https://app.example/",
        )
        for _ in range(ROUNDS_MAX):
            try:
                payment = self.first.payments.checkouts.begin_checkout(wanted, operation_id("race", uid), "f")
            except Unavailable:
                continue
            self.hands[provider].opened(payment.id, OpenedCheckout(refs=payment.refs))
            return payment
        raise AssertionError("the checkout never opened")

    def pay(self, payment: Payment) -> None:
        if payment.provider == "stripe":
            self.stripe.pay(session=payment.refs["session"])
        else:
            self.paypal.approve(order=payment.refs["order"])

    @property
    def stripe(self) -> StripeStandIn:
        stand_in: StripeStandIn = self.stand_ins["stripe_webhook"]
        return stand_in

    @property
    def paypal(self) -> PayPalStandIn:
        stand_in: PayPalStandIn = self.stand_ins["paypal_webhook"]
        return stand_in

    def stand_in(self, provider: str) -> StripeStandIn | PayPalStandIn:
        return self.stripe if provider == "stripe" else self.paypal

    def event_of(self, payment: Payment) -> str:
        """The event that says that this payment was paid, or may be taken."""
        if payment.provider == "stripe":
            events = self.stripe.events(type="checkout.session.completed")
            [found] = [each["id"] for each in events if each["data"]["object"]["id"] == payment.refs["session"]]
        else:
            events = self.paypal.events(type="CHECKOUT.ORDER.APPROVED")
            [found] = [each["id"] for each in events if each["resource"]["id"] == payment.refs["order"]]
        return str(found)

    def captures(self, payment: Payment) -> int:
        """How often its money was taken, as the provider has it."""
        if payment.provider == "stripe":
            return len(self.stripe.charges_for(reference=payment.refs["session"]))
        return self.paypal.capture_count(order=payment.refs["order"])

    # What comes at once ----------------------------------------------------------------------------------------------

    def hear(self, payment: Payment) -> Racer:
        """The webhook over HTTP, and what its document then triggers in any instance."""
        event = self.event_of(payment)

        def heard(services: Services) -> None:
            self.deliver(payment.provider, event)
            services.payments.notices.handle(f"{payment.provider}:{event}")

        return heard

    def deliver(self, provider: ProviderName, event: str) -> None:
        """Deliver an event until its notice is stored. Providers repeat a delivery after the answers of ASK_AGAIN.

        All deliveries come from one address here, and one address may send few bodies at once.
        """
        answers = [self.stand_in(provider).deliver(event)]
        while answers[-1] in ASK_AGAIN and len(answers) < ROUNDS_MAX:
            threading.Event().wait(BACKOFF_SECONDS)
            answers.append(self.stand_in(provider).deliver(event))
        assert answers[-1] == 200, answers

    def racers(self, payment: Payment) -> list[Racer]:
        return [
            self.hear(payment),
            self.hear(payment),
            lambda services: services.payments.settlement.settle(payment.id),  # the return page
            lambda services: services.payments.settlement.settle(payment.id, patience=0),  # every_minute
            lambda services: services.payments.replays.payment(payment.id),  # an operator
        ]

    def race(self, payment: Payment, seed: int) -> None:
        """All of them, each from an instance of its own choosing, within five milliseconds."""
        chance = random.Random(seed)
        racers = self.racers(payment)
        offsets = [chance.uniform(0, OFFSET_SECONDS_MAX) for _ in racers]
        start = threading.Barrier(len(racers))

        def run(racer: Racer, offset: float, services: Services) -> None:
            start.wait()
            threading.Event().wait(offset)
            with contextlib.suppress(Unavailable, Conflict):  # the provider, the page or the next minute asks again
                racer(services)

        with ThreadPoolExecutor(len(racers)) as pool:
            running = [
                pool.submit(run, racer, offset, chance.choice(self.instances))
                for racer, offset in zip(racers, offsets, strict=True)
            ]
            for each in running:
                each.result()

    # What is left ----------------------------------------------------------------------------------------------------

    def every_minute(self, payments: list[Payment]) -> None:
        """What the schedule does in the end: lists what no webhook brought, deals with notices, polls."""
        services = self.first
        services.payments.event_listing.list_events(JobRun("", services.clock, LISTING_SECONDS))
        for payment in payments:
            for _ in range(ROUNDS_MAX):
                try:
                    services.payments.settlement.settle(payment.id)
                except (Unavailable, Conflict):
                    continue
                break

    def check(self, payments: list[Payment]) -> None:
        """Nothing twice, nothing lost: each paid once, credited once, and every chain valid."""
        ledger = self.first.credits.ledger
        found = {
            payment.id: (
                status_of(self.first.payments.store.get(payment.id)),
                ledger.balance(payment.uid).available,
                self.captures(payment),
                ledger.verify(payment.uid),
            )
            for payment in payments
        }
        assert found == {payment.id: ("settled", BOUGHT, 1, []) for payment in payments}


@contextlib.contextmanager
def opened(suite: Suite, project: str, home: Path) -> Iterator[PaymentBackends]:
    """Backends on this emulator, gone afterwards."""
    with contextlib.ExitStack() as stack:
        found = payment_providers(stack, {}, dict.fromkeys(PROVIDERS, 0), home)
        it = PaymentBackends(suite, project, dict(found.stand_ins), found.settings)
        url = stack.enter_context(served(it.app()))
        for name, record in PROVIDERS.items():
            found.stand_ins[record.webhook].target(urls=[f"{url}/{name}"])
        yield it
