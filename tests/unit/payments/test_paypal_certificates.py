"""Chains as PayPal serves them: a leaf alone, a leaf of an unknown issuer, an address that nobody has seen before."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from shared.kernel.clock import HOUR, MINUTE, SECOND, to_datetime
from shared.payments.ports import ProviderUnavailable, WebhookRefused
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.paypal.certificates import load_authorities, parse_chain
from shared.platform.paypal.vouching import question
from shared.platform.paypal.webhooks import PayPalWebhooks
from tests.unit.payments.test_paypal_webhooks import (
    EVENT,
    NOW,
    RAW,
    SANDBOX,
    WEBHOOK_ID,
    Internet,
    authority,
    issued,
    refused,
    stranger,
    transmitted,
)

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "paypal"


class Vouching:
    """PayPal's own check, which answers as told and remembers the questions."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def vouches_for(self, raw, headers):
        self.asked.append(raw)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Site:
    def __init__(self, tmp_path, *, vouching=None, roots=None, documents=None):
        path = tmp_path / "roots.pem"
        path.write_text(roots or authority().authorities_pem)
        self.clock, self.alerts, self.internet = ManualClock(NOW), MemoryAlerts(), Internet()
        self.documents = documents or MemoryDocuments()
        self.webhooks = PayPalWebhooks(
            webhook_id=WEBHOOK_ID,
            api_base=SANDBOX,
            roots=str(path),
            clock=self.clock,
            documents=self.documents,
            alerts=self.alerts,
            vouching=None if vouching is None else lambda: vouching,
            fetch_certificate=self.internet.fetch,
        )

    def send(self, certificate, **changes):
        return self.webhooks.verify(RAW, transmitted(self.internet.serve(certificate), **changes))


@pytest.mark.parametrize("is_chain_whole", [True, False])
def test_notice_is_accepted_with_and_without_the_intermediate(tmp_path, is_chain_whole):
    assert Site(tmp_path).send(issued(is_chain_whole=is_chain_whole)).id == "WH-1"


def test_leaf_of_an_unknown_intermediate_is_refused(tmp_path):
    assert refused(Site(tmp_path, roots=authority().root_pem).webhooks, {}, RAW) == "header"
    with pytest.raises(WebhookRefused, match="not accepted"):
        Site(tmp_path, roots=authority().root_pem).send(issued())


def test_paypal_is_asked_when_only_the_issuer_is_unknown(tmp_path):
    vouching = Vouching(answer=True)

    assert Site(tmp_path, vouching=vouching).send(issued(by=stranger)).id == "WH-1"
    assert vouching.asked == [RAW]


@pytest.mark.parametrize(
    ("changes", "sent", "reason"),
    [
        ({"common_name": "www.paypal.com"}, {}, "certificate"),
        ({"until": to_datetime(NOW - MINUTE)}, {}, "certificate"),
        ({}, {"crc": 7}, "signature"),
        ({}, {"webhook_id": "OTHER"}, "signature"),
    ],
)
def test_paypal_is_not_asked_about_a_wrong_leaf_or_signature(tmp_path, changes, sent, reason):
    vouching = Vouching(answer=True)
    site = Site(tmp_path, vouching=vouching)
    certificate = site.internet.serve(issued(by=stranger, **changes))

    assert refused(site.webhooks, transmitted(certificate, **sent)) == reason
    assert vouching.asked == []


def test_notice_is_refused_when_paypal_does_not_vouch_for_it(tmp_path):
    with pytest.raises(WebhookRefused):
        Site(tmp_path, vouching=Vouching(answer=False)).send(issued(by=stranger))


def test_notice_comes_again_when_paypal_cannot_be_asked(tmp_path):
    with pytest.raises(ProviderUnavailable):
        Site(tmp_path, vouching=Vouching(ProviderUnavailable("paypal"))).send(issued(by=stranger))


def test_operators_hear_of_a_refused_certificate_every_hour(tmp_path):
    site = Site(tmp_path)
    certificate = site.internet.serve(issued(by=stranger))

    for _ in range(2):
        for _ in range(3):
            with pytest.raises(WebhookRefused):
                site.webhooks.verify(RAW, transmitted(certificate))
        site.clock.advance(HOUR + SECOND)

    assert [alert.event for alert in site.alerts.raised] == ["webhook_certificate_refused"] * 2


def test_verified_certificate_needs_no_fetch_on_another_instance(tmp_path):
    first = Site(tmp_path)
    certificate = issued()
    first.send(certificate)
    second = Site(tmp_path, documents=first.documents)

    assert second.webhooks.verify(RAW, transmitted(certificate)).id == "WH-1"
    assert second.internet.asked == []


def test_made_up_addresses_take_no_slot_of_verified_ones(tmp_path):
    first = Site(tmp_path)
    certificate = issued()
    first.send(certificate)
    site = Site(tmp_path, documents=first.documents)
    for number in range(40):
        with pytest.raises((WebhookRefused, ProviderUnavailable)):
            site.webhooks.verify(RAW, transmitted(certificate, cert_url=f"{SANDBOX}/v1/notifications/certs/C{number}"))

    assert site.webhooks.verify(RAW, transmitted(certificate)).id == "WH-1"


def test_question_to_paypal_holds_the_event_byte_for_byte():
    raw = b'{"empty": {},  "rate":1.0}'
    headers = {name.lower(): value for name, value in transmitted(issued()).items()}

    asked = question(raw, headers, WEBHOOK_ID)

    assert asked.endswith(b'"webhook_event": ' + raw + b"}")
    assert json.loads(asked)["webhook_id"] == WEBHOOK_ID
    assert json.loads(asked)["transmission_sig"] == headers["paypal-transmission-sig"]


def test_shipped_authorities_hold_a_root_and_its_intermediate():
    authorities = load_authorities("")

    assert [each.subject.rfc4514_string().partition(",")[0] for each in authorities.between] == [
        "CN=DigiCert SHA2 Extended Validation Server CA"
    ]


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded deliveries are not here")
@pytest.mark.parametrize("number", [0, 1])
def test_delivery_that_paypal_really_signed_is_accepted(number):
    delivery = json.loads((CASES / "paypal_deliveries_2024.json").read_text())[number]
    headers, leaf = delivery["headers"], (CASES / "paypal_leaf_2024.pem").read_bytes()
    sent = datetime.fromisoformat(headers["Paypal-Transmission-Time"]).astimezone(UTC)

    def verified(body):
        webhooks = PayPalWebhooks(
            webhook_id="WEBHOOK_ID",
            api_base="https://api-m.paypal.com",
            roots="",
            clock=ManualClock(int(sent.timestamp() * 1_000)),
            documents=MemoryDocuments(),
            alerts=MemoryAlerts(),
            fetch_certificate=lambda url: leaf,
        )
        return webhooks.verify(body, headers)

    assert verified(delivery["body"].encode()).id == json.loads(delivery["body"])["id"]
    with pytest.raises(WebhookRefused):
        verified(delivery["body"].encode() + b" ")


@pytest.mark.skipif(not CASES.is_dir(), reason="the recorded certificate is not here")
def test_leaf_as_paypal_served_it_leads_to_a_shipped_root():
    chain = parse_chain((CASES / "paypal_leaf_2024.pem").read_bytes())
    middle = chain.leaf.not_valid_before_utc + (chain.leaf.not_valid_after_utc - chain.leaf.not_valid_before_utc) / 2

    authorities = load_authorities("")

    assert authorities.vouch_for(chain, "messageverificationcerts.paypal.com", [middle])
    assert not authorities.vouch_for(chain, "messageverificationcerts.sandbox.paypal.com", [middle])
    assert isinstance(chain.leaf, x509.Certificate)
    assert EVENT["id"] == "WH-1"
