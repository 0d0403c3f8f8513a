"""Webhooks as the served functions receive them: raw bytes over HTTP, stored in the real Firestore, or refused."""

import pytest

from emulator.payment_providers import PaymentProviders
from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.stripe import StripeStandIn
from emulator.suite import Suite
from shared.bootstrap import production
from shared.kernel.clock import HOUR, SystemClock
from shared.kernel.ids import Uid, new_id, operation_id
from shared.kernel.money import MICRO_PER_CREDIT
from shared.kernel.settings import parse_settings
from shared.payments.fiat import Fiat
from shared.payments.inbox import notice_in
from shared.payments.ports import Checkout
from shared.platform.firestore.documents import connect
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.paypal.provider import PayPalProvider
from shared.platform.stripe.provider import StripeProvider
from shared.sagas.payments.checkout import PackageOrder
from tests.support.emulators import TEST_SEED
from tests.support.processes import wait_for


@pytest.fixture
def stripe(suite_payments: PaymentProviders) -> StripeStandIn:
    stand_in = suite_payments.stand_ins["stripe_webhook"]
    assert isinstance(stand_in, StripeStandIn)
    return stand_in


@pytest.fixture
def paypal(suite_payments: PaymentProviders) -> PayPalStandIn:
    stand_in = suite_payments.stand_ins["paypal_webhook"]
    assert isinstance(stand_in, PayPalStandIn)
    return stand_in


def checkout(payment: str) -> Checkout:
    return Checkout(
        payment=payment,
        uid=Uid(new_id("user")),
        amount=Fiat(1250, "USD"),
        title="Zo\u00eb's 1,250 credits",
        flow="redirect",
        success_url="https://app.example.com/paid",
        cancel_url="https://app.example.com/cancelled",
        expires_at=SystemClock().now() + HOUR,
    )


def arrived(suite: Suite, path: str):
    document = connect(suite.project).get(path)
    return None if document is None else notice_in(document.data)


def test_what_stripe_announces_is_stored_by_its_function(suite: Suite, stripe: StripeStandIn):
    payment = new_id("pay")
    provider = StripeProvider(
        secret_key=stripe.secret_key, api_base=stripe.url, clock=SystemClock(), alerts=MemoryAlerts()
    )
    session = provider.open(checkout(payment)).refs["session"]

    stripe.pay(session=session)

    [event] = [
        each for each in stripe.events(type="checkout.session.completed") if each["data"]["object"]["id"] == session
    ]
    path = f"inbox/stripe:{event['id']}"
    wait_for(lambda: arrived(suite, path) is not None, seconds=180, what="the event is stored")
    notice = arrived(suite, path)
    assert notice is not None
    assert (notice.payment, notice.refs["session"], notice.is_live) == (payment, session, False)


def test_what_paypal_announces_is_stored_by_its_function(suite: Suite, paypal: PayPalStandIn):
    payment = new_id("pay")
    provider = PayPalProvider(
        api_base=paypal.url,
        client_id=paypal.client_id,
        client_secret=paypal.client_secret,
        clock=SystemClock(),
        alerts=MemoryAlerts(),
    )
    order = provider.open(checkout(payment)).refs["order"]

    paypal.approve(order=order)

    [event] = [each for each in paypal.events(type="CHECKOUT.ORDER.APPROVED") if each["resource"]["id"] == order]
    path = f"inbox/paypal:{event['id']}"
    wait_for(lambda: arrived(suite, path) is not None, seconds=180, what="the event is stored")
    notice = arrived(suite, path)
    assert notice is not None
    assert (notice.payment, notice.refs, notice.is_live) == (payment, {"order": order}, False)


@pytest.mark.parametrize("body", ["{}", "1.0", "\u00e9"])
def test_the_served_functions_refuse_what_is_no_event(suite: Suite, stripe: StripeStandIn, paypal: PayPalStandIn, body):
    assert (stripe.send_raw(body=body), paypal.send_raw(body=body)) == (400, 400)


def settings_of(suite: Suite, payments: PaymentProviders) -> dict[str, str]:
    key = {"LEDGER_SIGNING_KEY": f"test-1:{TEST_SEED}", "GCLOUD_PROJECT": suite.project}
    return {**suite.environment(), **payments.settings, **key}


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_a_payment_becomes_credits_by_its_events_alone(
    suite: Suite, suite_payments: PaymentProviders, stripe: StripeStandIn, paypal: PayPalStandIn, provider
):
    services = production(parse_settings(settings_of(suite, suite_payments)))
    uid, package = Uid(new_id("user")), new_id("pkg")
    services.payments.packages.put(
        package, {"title": "1,250 credits", "price_minor": 1250, "currency": "USD", "credits": 1_250 * MICRO_PER_CREDIT}
    )
    wanted = PackageOrder(
        uid=uid,
        package=package,
        provider=provider,
        flow="redirect",
        success_url="https://app.example.com/paid",
        cancel_url="https://app.example.com/cancelled",
    )
    payment = services.payments.checkouts.begin_checkout(wanted, operation_id("test", uid), "f")

    if provider == "stripe":
        stripe.pay(session=payment.refs["session"])
    else:
        paypal.approve(order=payment.refs["order"])

    bought = 1_250 * MICRO_PER_CREDIT
    wait_for(
        lambda: services.credits.ledger.balance(uid).available == bought, seconds=180, what="the credits are there"
    )
    assert services.credits.ledger.verify(uid) == []
