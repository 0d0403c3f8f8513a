"""The webhook functions: 2xx only once an event is stored, once; refusals and doubts say which they are."""

import json
import zlib
from base64 import b64encode
from io import BytesIO

import pytest
import stripe
from flask import Flask, request
from functions_framework import read_request

from emulator.stand_ins.paypal.certificates import authority
from functions.payment_webhooks import BODY_BYTES_MAX, receive
from shared.bootstrap import in_memory
from shared.kernel.clock import SystemClock, rfc3339
from shared.payments.ports import Notice, ProviderUnavailable
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.paypal.webhooks import PayPalWebhooks
from tests.support.ledger_faults import COMMIT_FAULTS, Weather, fair, once

SECRET = "whsec_ours"
SESSION = {"object": "checkout.session", "id": "cs_1", "metadata": {"payment_id": "pay_1"}}
EVENT = {
    "id": "evt_1",
    "type": "checkout.session.completed",
    "created": 1_790_000_000,
    "livemode": False,
    "data": {"object": SESSION},
}
RAW = json.dumps(EVENT).encode()


class Site:
    """The function as functions-framework serves it, over a store with weather."""

    def __init__(self, script=fair, **env):
        self.inside = MemoryDocuments()
        self.weather = Weather(self.inside, script)
        self.alerts = MemoryAlerts()
        env = {"STRIPE_WEBHOOK_SECRET": SECRET, **env}
        self.services = in_memory(env, documents=self.weather, alerts=self.alerts)
        self.webhooks = self.services.payments.webhooks["stripe"]
        app = Flask("framework")
        app.add_url_rule("/", "run", self.run, methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
        app.after_request(read_request)
        self.client = app.test_client()

    def run(self):
        return receive("stripe", request, self.services, self.webhooks)

    def post(self, raw=RAW, header=None, **headers):
        stamp = self.services.clock.now() // 1_000
        signed = stripe.WebhookSignature.generate_signature_header(raw.decode("utf-8", "replace"), SECRET, stamp)
        return self.client.post("/", data=raw, headers={"Stripe-Signature": header or signed, **headers})

    @property
    def stored(self):
        document = self.inside.get("inbox/stripe:evt_1")
        return None if document is None else document.data["status"]


def test_an_event_is_stored_before_it_is_acknowledged():
    site = Site()

    answer = site.post()

    assert (answer.status_code, site.stored) == (200, "new")


def test_an_event_that_comes_again_is_acknowledged_again():
    site = Site()

    assert [site.post().status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
def test_no_failure_of_the_store_is_acknowledged_and_the_next_delivery_stores_once(fault):
    site = Site(once("commit", 1, fault))

    first = site.post()
    if fault == "precondition":
        # Somebody else has stored it: that is what the store says, and so it counts.
        assert first.status_code == 200
        return
    assert (first.status_code, first.json["code"]) == (
        503,
        "store_unavailable" if fault == "unavailable" else "outcome_unknown",
    )

    assert site.post().status_code == 200
    site.weather.settle()
    assert site.stored == "new"


def test_a_certificate_that_could_not_be_fetched_is_not_acknowledged():
    site = Site()

    class Broken:
        def verify(self, raw, headers):
            raise ProviderUnavailable("stripe")

    site.webhooks = Broken()

    assert (site.post().status_code, site.stored) == (503, None)


def test_without_a_secret_nothing_is_accepted():
    site = Site(STRIPE_WEBHOOK_SECRET="")

    assert (site.post().status_code, site.stored) == (503, None)


@pytest.mark.parametrize("header", ["t=1,v1=00", "nonsense", "t=1"])
def test_what_stripe_did_not_sign_is_refused(header):
    site = Site()

    answer = site.post(header=header)

    assert (answer.status_code, answer.json["code"], site.stored) == (400, "webhook_refused", None)


@pytest.mark.parametrize("raw", [b"", b"{}", b"1.0", b"\xff", "\u00e9".encode(), RAW + b" "])
def test_odd_bytes_are_refused_and_break_nothing(raw):
    site = Site()
    header = stripe.WebhookSignature.generate_signature_header(RAW.decode(), SECRET, site.services.clock.now() // 1_000)

    assert (site.post(raw, header).status_code, site.stored) == (400, None)


@pytest.mark.parametrize(("secret", "reason"), [(SECRET, "not_an_event"), ("whsec_other", "signature")])
def test_webhook_says_why_a_signed_probe_is_refused(secret, reason):
    site = Site()
    header = stripe.WebhookSignature.generate_signature_header("{}", secret, site.services.clock.now() // 1_000)

    answer = site.post(b"{}", header)

    assert (answer.status_code, answer.json) == (400, {"code": "webhook_refused", "reason": reason})
    assert site.stored is None


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 12_000_000])
def test_webhook_refuses_a_body_that_is_too_large(size):
    site = Site()

    answer = site.post(b" " * size)

    assert (answer.status_code, answer.json["code"], site.stored) == (413, "body_not_read", None)


def test_webhook_refuses_a_chunked_body_that_is_too_large():
    body = BytesIO(b" " * 12_000_000)
    site = Site()

    answer = site.client.post("/", input_stream=body, environ_overrides={"wsgi.input_terminated": True})

    assert (answer.status_code, body.read(), site.stored) == (413, b"", None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_posting_is_a_delivery(method):
    answer = Site().client.open("/", method=method)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(("changes", "reason"), [({"livemode": True}, "mode"), ({"account": "acct_other"}, "account")])
def test_other_modes_and_accounts_are_acknowledged_parked_and_alerted(changes, reason):
    site = Site(STRIPE_SECRET_KEY="sk_test_1")

    answer = site.post(json.dumps({**EVENT, **changes}).encode())

    assert (answer.status_code, site.stored) == (200, "parked")
    assert [alert.fields["reason"] for alert in site.alerts.raised] == [reason]


def test_nothing_personal_is_stored():
    site = Site()
    told = {**SESSION, "customer_details": {"email": "ann@example.com", "name": "Ann"}}

    site.post(json.dumps({**EVENT, "data": {"object": told}}).encode())

    assert site.stored == "new"
    assert "ann" not in str(site.inside.get("inbox/stripe:evt_1")).lower()


def test_an_event_of_paypal_s_comes_in_the_same_way(tmp_path):
    roots = tmp_path / "roots.pem"
    roots.write_text(authority().authorities_pem)
    certificate = authority().issue()
    site = Site(PAYPAL_API_BASE="http://127.0.0.1:1")
    site.webhooks = PayPalWebhooks(
        webhook_id="WH",
        api_base="http://127.0.0.1:1",
        roots=str(roots),
        clock=SystemClock(),
        documents=site.inside,
        alerts=site.alerts,
        fetch_certificate=lambda url: certificate.chain.encode(),
    )
    now = rfc3339(site.services.clock.now())
    raw = json.dumps({"id": "WH-1", "event_type": "X", "create_time": now}).encode()
    signature = certificate.sign(f"1|{now}|WH|{zlib.crc32(raw)}".encode())
    headers = {
        "Paypal-Transmission-Id": "1",
        "Paypal-Transmission-Time": now,
        "Paypal-Transmission-Sig": b64encode(signature).decode(),
        "Paypal-Cert-Url": f"https://api.sandbox.paypal.com{certificate.path}",
        "Paypal-Auth-Algo": "SHA256withRSA",
    }

    assert site.client.post("/", data=raw, headers=headers).status_code == 200
    document = site.inside.get("inbox/paypal:WH-1")
    assert document is not None
    assert (document.data["status"], document.data["type"]) == ("new", "X")


def test_the_functions_of_this_process_have_their_own_webhooks(monkeypatch):
    from functions import payment_webhooks

    services = in_memory({"STRIPE_WEBHOOK_SECRET": SECRET})
    monkeypatch.setattr(payment_webhooks, "production", lambda: services)
    app = Flask("framework")
    app.add_url_rule("/stripe", "stripe", lambda: payment_webhooks.stripe_webhook(request), methods=["POST"])
    app.add_url_rule("/paypal", "paypal", lambda: payment_webhooks.paypal_webhook(request), methods=["POST"])
    stamp = services.clock.now() // 1_000
    header = stripe.WebhookSignature.generate_signature_header(RAW.decode(), SECRET, stamp)

    answers = [
        app.test_client().post(f"/{name}", data=RAW, headers={"Stripe-Signature": header})
        for name in ("stripe", "paypal")
    ]

    assert [answer.status_code for answer in answers] == [200, 503]
    assert isinstance(services.payments.webhooks["stripe"].verify(RAW, {"Stripe-Signature": header}), Notice)
