"""Providers as they deliver: stand-ins sign and send over HTTP, certificates are fetched, the inbox is what arrived."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from emulator.stand_ins.paypal import PayPalStandIn
from emulator.stand_ins.paypal.certificates import stranger
from emulator.stand_ins.stripe import StripeStandIn
from emulator.stand_ins.wire import Answer, Server
from functions.payment_webhooks import receive
from shared.bootstrap import in_memory
from shared.kernel.documents import Query
from shared.kernel.ids import Uid
from shared.payments.fiat import Fiat
from shared.payments.inbox import notice_in
from shared.payments.ports import Checkout, ProviderUnavailable, WebhookRefused
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.paypal.fetching import BYTES_MAX, fetch
from shared.platform.paypal.provider import PayPalProvider
from shared.platform.stripe.provider import StripeProvider


class Site:
    """Both webhook functions on a port of their own, over memory, with both providers delivering to them."""

    def __init__(self, stripe: StripeStandIn, paypal: PayPalStandIn, roots: str) -> None:
        self.stripe, self.paypal = stripe, paypal
        self.documents = MemoryDocuments()
        self.alerts = MemoryAlerts()
        env = {
            "STRIPE_SECRET_KEY": stripe.secret_key,
            "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
            "PAYPAL_API_BASE": paypal.url,
            "PAYPAL_CLIENT_ID": paypal.client_id,
            "PAYPAL_CLIENT_SECRET": paypal.client_secret,
            "PAYPAL_WEBHOOK_ID": paypal.webhook_id,
            "PAYPAL_WEBHOOK_ROOTS": roots,
        }
        self.services = in_memory(env, documents=self.documents, alerts=self.alerts)
        clock = self.services.clock
        self.stripe_provider = StripeProvider(
            secret_key=stripe.secret_key, api_base=stripe.url, clock=clock, alerts=self.alerts
        )
        self.paypal_provider = PayPalProvider(
            api_base=paypal.url,
            client_id=paypal.client_id,
            client_secret=paypal.client_secret,
            clock=clock,
            alerts=self.alerts,
        )

    def app(self) -> Flask:
        app = Flask("webhooks")
        webhooks = self.services.payments.webhooks
        app.add_url_rule(
            "/<name>", "run", lambda name: receive(name, request, self.services, webhooks[name]), methods=["POST"]
        )
        return app

    def checkout(self, payment="pay_1"):
        return Checkout(
            payment=payment,
            uid=Uid("ann"),
            amount=Fiat(1250, "USD"),
            title="credits",
            flow="redirect",
            success_url="https://app.example.com/a",
            cancel_url="https://app.example.com/b",
            expires_at=self.services.clock.now() + 3_600_000,
        )

    def buy_with_stripe(self, payment="pay_1") -> str:
        """The session that was paid."""
        session = self.stripe_provider.open(self.checkout(payment)).refs["session"]
        self.stripe.pay(session=session)
        return session

    def buy_with_paypal(self, payment="pay_1") -> str:
        """The order that was paid."""
        refs = self.paypal_provider.open(self.checkout(payment)).refs
        self.paypal.approve(order=refs["order"])
        self.paypal_provider.capture(refs, "k")
        return refs["order"]

    def notices(self, provider: str):
        """By id, those that arrived."""
        found = self.documents.query(Query(collection="inbox", limit=500))
        notices = [notice_in(document.data) for document in found]
        return {notice.id: notice for notice in notices if notice.provider == provider}


@contextlib.contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site(tmp_path):
    with StripeStandIn() as stripe, PayPalStandIn() as paypal:
        roots = tmp_path / "roots.pem"
        roots.write_text(paypal.authorities_pem)
        made = Site(stripe, paypal, str(roots))
        with served(made.app()) as url:
            stripe.target(urls=[f"{url}/stripe"])
            paypal.target(urls=[f"{url}/paypal"])
            yield made


def statuses(stand_in):
    return {status for delivery in stand_in.deliveries() for status in delivery["answers"]}


def test_everything_that_stripe_announces_arrives_as_it_lists_it(site):
    session = site.buy_with_stripe()
    site.stripe.refund(of=session, amount=250)
    site.stripe.dispute(of=session)
    assert site.stripe.drain()

    listed = {notice.id: notice for notice in site.stripe_provider.notices(0, None).items}
    arrived = site.notices("stripe")
    assert {name: arrived[name] for name in listed} == listed
    assert set(arrived) == {event["id"] for event in site.stripe.events()}
    assert statuses(site.stripe) == {200}


def test_everything_that_paypal_announces_arrives_as_it_lists_it(site):
    order = site.buy_with_paypal()
    site.paypal.refund(of=order, value="2.50")
    site.paypal.dispute(of=order)
    assert site.paypal.drain()

    listed = {notice.id: notice for notice in site.paypal_provider.notices(0, None).items}
    assert site.notices("paypal") == listed
    assert len(listed) == 5
    assert {notice.payment for notice in listed.values()} == {"pay_1"}
    assert statuses(site.paypal) == {200}


def test_any_notice_leads_to_its_payment(site):
    session, order = site.buy_with_stripe("pay_s"), site.buy_with_paypal("pay_p")
    site.stripe.dispute(of=session)
    site.stripe.warn_of_fraud(of=session)
    site.paypal.refund(of=order)
    site.paypal.dispute(of=order)
    assert site.stripe.drain()
    assert site.paypal.drain()

    of_stripe = [notice for notice in site.notices("stripe").values() if not notice.type.startswith("customer.")]
    stripe_s = {site.stripe_provider.locate(notice.refs) for notice in of_stripe}
    paypal_s = {site.paypal_provider.locate(notice.refs) for notice in site.notices("paypal").values()}

    assert (stripe_s, paypal_s) == ({"pay_s"}, {"pay_p"})


def test_duplicates_and_disorder_are_stored_once(site):
    for stand_in in (site.stripe, site.paypal):
        stand_in.misdeliver(duplicate=3, jitter_seconds=0.05, reorder=3)
    for number in range(4):
        site.buy_with_stripe(f"pay_s{number}")
        site.buy_with_paypal(f"pay_p{number}")
    assert site.stripe.drain()
    assert site.paypal.drain()

    assert set(site.notices("stripe")) == {event["id"] for event in site.stripe.events()}
    assert set(site.notices("paypal")) == {event["id"] for event in site.paypal.events()}


STRIPE_FORGERIES = [
    {"secret": "whsec_other_account"},
    {"ahead_seconds": -400},
    {"ahead_seconds": 400},
    {"header": "t=1,v1=0"},
]
PAYPAL_FORGERIES = [
    {"webhook_id": "0AB12345CD678901E"},
    {"ahead_seconds": -4 * 86_400},
    {"ahead_seconds": 400},
    {"algorithm": "SHA1withRSA"},
    {"crc": 1},
    {"signature": "AAAA"},
    {"certificate_url": "https://evil.example/v1/notifications/certs/CERT"},
]


@pytest.mark.parametrize("signing", STRIPE_FORGERIES)
def test_what_stripe_would_not_sign_does_not_arrive(site, signing):
    site.stripe.hold()
    site.buy_with_stripe()
    delivery = site.stripe.pending()[-1]["id"]

    assert site.stripe.deliver(delivery, **signing) == 400
    assert site.notices("stripe") == {}
    assert site.stripe.deliver(delivery) == 200


@pytest.mark.parametrize("signing", PAYPAL_FORGERIES)
def test_what_paypal_would_not_sign_does_not_arrive(site, signing):
    site.paypal.hold()
    site.buy_with_paypal()
    delivery = site.paypal.pending()[-1]["id"]

    assert site.paypal.deliver(delivery, **signing) == 400
    assert site.notices("paypal") == {}
    assert site.paypal.deliver(delivery) == 200


@pytest.mark.parametrize(
    "issue",
    [{"is_trusted": False}, {"common_name": "www.paypal.com"}, {"ends_in_days": -0.5}],
)
def test_a_certificate_that_proves_nothing_brings_nothing(site, issue):
    site.paypal.hold()
    site.buy_with_paypal()
    certificate = site.paypal.issue_certificate(**issue)

    assert site.paypal.deliver(site.paypal.pending()[-1]["id"], certificate=certificate) == 400
    assert site.notices("paypal") == {}


def test_paypal_vouches_for_a_leaf_whose_issuer_is_unknown_here(tmp_path):
    with StripeStandIn() as stripe, PayPalStandIn() as paypal:
        roots = tmp_path / "roots.pem"
        roots.write_text(stranger().authorities_pem)
        site = Site(stripe, paypal, str(roots))
        with served(site.app()) as url:
            paypal.target(urls=[f"{url}/paypal"])
            paypal.hold()
            site.buy_with_paypal()
            delivery = paypal.pending()[-1]["id"]

            assert paypal.deliver(delivery) == 200
            assert len(paypal.requests(path="verify-webhook-signature")) == 1
            assert len(site.notices("paypal")) == 1


def test_a_true_event_of_the_other_mode_is_parked(site):
    site.buy_with_stripe()
    [event] = site.stripe.events(type="payment_intent.succeeded")
    lie = site.stripe.lie(event=event["id"], changes={"livemode": True})
    assert site.stripe.drain()

    found = site.services.payments.inbox.get(f"stripe:{lie}")
    assert found is not None
    assert found.data["status"] == "parked"
    assert [alert.event for alert in site.alerts.raised] == ["notice_parked"]


@pytest.mark.parametrize("body", ["", "{}", "1.0", "null", "\u00e9", '{"a":1.0}'])
def test_true_signatures_under_no_events_are_refused(site, body):
    assert site.stripe.send_raw(body=body) == 400
    assert site.paypal.send_raw(body=body) == 400


# ── one small file from one address ──────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def answering(answer):
    """A server that answers so, and the paths it was asked for."""
    asked: list[str] = []

    def serve(asking):
        asked.append(asking.path)
        return answer

    server = Server(0, serve, name="files")
    server.start()
    try:
        yield server.url, asked
    finally:
        server.stop()


def test_a_file_is_fetched_as_it_is():
    with answering(Answer(body=b"x" * BYTES_MAX)) as (url, asked):
        assert fetch(f"{url}/a") == b"x" * BYTES_MAX

    assert asked == ["/a"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=302, headers={"Location": "/elsewhere"}),
        Answer(status=301, headers={"Location": "/elsewhere"}),
        Answer(status=404),
        Answer(status=204),
        Answer(body=b"x" * (BYTES_MAX + 1)),
    ],
)
def test_what_is_not_there_moved_or_without_end_is_refused(answer):
    with answering(answer) as (url, asked), pytest.raises(WebhookRefused):
        fetch(f"{url}/a")

    assert asked == ["/a"]


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(status=429), None])
def test_a_server_that_fails_may_be_asked_again(answer):
    with answering(answer) as (url, _), pytest.raises(ProviderUnavailable):
        fetch(f"{url}/a")


def test_a_server_that_is_not_there_may_be_asked_again():
    with answering(None) as (url, _):
        pass

    with pytest.raises(ProviderUnavailable):
        fetch(f"{url}/a")
