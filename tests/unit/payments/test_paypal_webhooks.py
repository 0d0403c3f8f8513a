"""PayPal's signatures, made as PayPal documents them with a test authority; nothing else is taken, nobody asked."""

import base64
import functools
import json
import uuid
import zlib
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from emulator.stand_ins.paypal.certificates import Authority
from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND, rfc3339, to_datetime
from shared.payments.ports import Notice, ProviderUnavailable, WebhookNotConfigured, WebhookRefused
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.paypal.webhooks import PayPalWebhooks

WEBHOOK_ID = "8PT597110X687430LKGECATA"
SANDBOX = "https://api-m.sandbox.paypal.com"
LIVE = "https://api-m.paypal.com"
LIVE_SIGNER = "messageverificationcerts.paypal.com"
NOW = 1_790_000_000_000
EVENT = {
    "id": "WH-1",
    "create_time": "2026-09-21T14:13:19.000Z",
    "resource_type": "capture",
    "event_type": "PAYMENT.CAPTURE.COMPLETED",
    "resource": {
        "id": "CAP1",
        "custom_id": "pay_1",
        "supplementary_data": {"related_ids": {"order_id": "ORD1"}},
    },
}
RAW = json.dumps(EVENT).encode()


@functools.cache
def authority():
    return Authority.make("Test", keys=(0, 1), now=to_datetime(NOW))


@functools.cache
def stranger():
    return Authority.make("Test", keys=(3, 4), now=to_datetime(NOW))


def issued(**changes):
    since = to_datetime(NOW) - timedelta(days=1)
    return changes.pop("by", authority)().issue(**{"since": since, **changes})


class Internet:
    """Serves certificates by path, and remembers every address that it was asked for."""

    def __init__(self):
        self.asked = []
        self.served = {}
        self.failure = None

    def fetch(self, url):
        self.asked.append(url)
        if self.failure is not None:
            raise self.failure
        path = "/v1" + url.split("/v1", 1)[1]
        if path not in self.served:
            raise WebhookRefused("certificate")
        return self.served[path]

    def serve(self, certificate):
        self.served[certificate.path] = certificate.chain.encode()
        return certificate


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def internet():
    return Internet()


@pytest.fixture
def roots(tmp_path):
    path = tmp_path / "roots.pem"
    path.write_text(authority().authorities_pem)
    return str(path)


@pytest.fixture
def good(internet):
    return internet.serve(issued())


def made(clock, internet, roots, **changes):
    given = {
        "webhook_id": WEBHOOK_ID,
        "api_base": SANDBOX,
        "roots": roots,
        "clock": clock,
        "documents": MemoryDocuments(),
        "alerts": MemoryAlerts(),
    }
    return PayPalWebhooks(**{**given, **changes}, fetch_certificate=internet.fetch)


@pytest.fixture
def webhooks(clock, internet, roots):
    return made(clock, internet, roots)


def transmitted(certificate, raw=RAW, *, webhook_id=WEBHOOK_ID, at=NOW, base=SANDBOX, crc=None, **headers):
    """The headers that PayPal sends with these bytes; `headers` replaces some of them."""
    transmission, time = str(uuid.UUID(int=1)), rfc3339(at)
    message = f"{transmission}|{time}|{webhook_id}|{zlib.crc32(raw) if crc is None else crc}"
    return {
        "PAYPAL-TRANSMISSION-ID": transmission,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": base64.b64encode(certificate.sign(message.encode())).decode(),
        "PAYPAL-CERT-URL": f"{base}{certificate.path}",
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        **{f"PAYPAL-{name.upper().replace('_', '-')}": value for name, value in headers.items()},
    }


def refused(webhooks, headers, raw=RAW):
    with pytest.raises(WebhookRefused) as error:
        webhooks.verify(raw, headers)
    return error.value.params["reason"]


def test_what_paypal_signs_is_a_notice(webhooks, good, internet):
    assert webhooks.verify(RAW, transmitted(good)) == Notice(
        provider="paypal",
        id="WH-1",
        type="PAYMENT.CAPTURE.COMPLETED",
        at=NOW - SECOND,
        is_live=False,
        payment="pay_1",
        refs={"capture": "CAP1", "order": "ORD1"},
    )
    assert internet.asked == [f"{SANDBOX}{good.path}"]


@pytest.mark.parametrize("host", ["api.paypal.com", "api-m.paypal.com"])
def test_live_events_are_signed_by_the_live_signer(clock, internet, roots, host):
    certificate = internet.serve(issued(common_name=LIVE_SIGNER))

    notice = made(clock, internet, roots, api_base=LIVE).verify(RAW, transmitted(certificate, base=f"https://{host}"))

    assert notice.is_live


def test_a_certificate_is_fetched_once(webhooks, good, internet):
    for _ in range(3):
        webhooks.verify(RAW, transmitted(good))

    assert len(internet.asked) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id": "WH-1", "event_type": "X", "create_time": "2026-09-21T14:13:19Z", "none": {}, "price": 1.0}',
        '{"id": "WH-1", "event_type": "X", "create_time": "2026-09-21T14:13:19Z", "n": "Zo\u00eb \U0001f600"}'.encode(),
    ],
)
def test_bytes_that_do_not_survive_being_read_and_written_are_verified_as_they_came(webhooks, good, raw):
    again = json.dumps(json.loads(raw)).encode().replace(b"{}", b"[]").replace(b"1.0", b"1")

    assert webhooks.verify(raw, transmitted(good, raw)).id == "WH-1"
    assert refused(webhooks, transmitted(good, raw), again) == "signature"


def test_without_our_webhook_s_id_nothing_is_accepted(clock, internet, roots, good):
    with pytest.raises(WebhookNotConfigured):
        made(clock, internet, roots, webhook_id="").verify(RAW, transmitted(good, webhook_id=""))

    assert internet.asked == []


@pytest.mark.parametrize("roots_text", [None, "", "no certificates"])
def test_without_roots_nothing_is_accepted(clock, internet, tmp_path, good, roots_text):
    path = tmp_path / "broken.pem"
    if roots_text is not None:
        path.write_text(roots_text)

    with pytest.raises(WebhookNotConfigured):
        made(clock, internet, str(path)).verify(RAW, transmitted(good))


def test_a_test_authority_is_nobody_to_the_roots_that_everybody_trusts(clock, internet, good):
    assert refused(made(clock, internet, ""), transmitted(good)) == "certificate"


@pytest.mark.parametrize("late", [0, HOUR, 3 * DAY])
def test_paypal_may_try_for_three_days(webhooks, clock, internet, late):
    certificate = internet.serve(issued(since=to_datetime(NOW) - timedelta(days=9)))
    headers = transmitted(certificate)
    clock.advance(late)

    assert webhooks.verify(RAW, headers).id == "WH-1"


FORGED = {
    "stale": (lambda good: transmitted(good, at=NOW - 4 * DAY), "time"),
    "from the future": (lambda good: transmitted(good, at=NOW + 6 * MINUTE), "time"),
    "no time at all": (lambda good: transmitted(good, transmission_time="yesterday"), "time"),
    "another account's webhook": (lambda good: transmitted(good, webhook_id="0AB12345CD678901E"), "signature"),
    "a signed crc": (lambda good: transmitted(good, crc=zlib.crc32(RAW) - 2**32), "signature"),
    "a crc in hexadecimal": (lambda good: transmitted(good, crc=hex(zlib.crc32(RAW))), "signature"),
    "another transmission": (lambda good: transmitted(good, transmission_id=str(uuid.UUID(int=2))), "signature"),
    "another time": (lambda good: transmitted(good, transmission_time=rfc3339(NOW - 1)), "signature"),
    "no signature": (lambda good: transmitted(good, transmission_sig="AAAA"), "signature"),
    "not base64": (lambda good: transmitted(good, transmission_sig="!!!!"), "signature"),
    "another algorithm": (lambda good: transmitted(good, auth_algo="SHA1withRSA"), "algorithm"),
    "no algorithm": (lambda good: transmitted(good, auth_algo="none"), "algorithm"),
    "a missing header": (lambda good: transmitted(good, transmission_id=""), "header"),
    "a header without end": (lambda good: transmitted(good, transmission_id="x" * 3_000), "header"),
    "a header in another alphabet": (lambda good: transmitted(good, transmission_id="\u00e9"), "header"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_paypal_did_not_sign_is_refused(webhooks, good, internet, name):
    forge, reason = FORGED[name]

    assert refused(webhooks, forge(good)) == reason
    assert set(internet.asked) <= {f"{SANDBOX}{good.path}"}


ADDRESSES = [
    "http://api.paypal.com{path}",
    "https://api.paypal.com.evil.example{path}",
    "https://evil.example{path}",
    "https://paypal.com{path}",
    "https://www.paypal.com{path}",
    "https://API.paypal.com{path}",
    "https://api.paypal.com.{path}",
    "https://api.paypal.com:443{path}",
    "https://api.paypal.com:8443{path}",
    "https://user@api.paypal.com{path}",
    "https://api.paypal.com@evil.example{path}",
    "https://evil.example#@api.paypal.com{path}",
    "https://evil.example\\@api.paypal.com{path}",
    "https://api.paypal.com\\.evil.example{path}",
    "https://api.paypal.com{path}?x=1",
    "https://api.paypal.com{path}?",
    "https://api.paypal.com{path}#x",
    "https://api.paypal.com{path}/",
    "https://api.paypal.com{path}/../../x",
    "https://api.paypal.com//v1/notifications/certs/CERT",
    "https://api.paypal.com/v1/notifications/certs/",
    "https://api.paypal.com/v1/notifications/certs/..",
    "https://api.paypal.com/v1/notifications/certs/%2e%2e",
    "https://api.paypal.com/v1/notifications/CERT",
    "https://api.paypal.com/v1/notifications/certs/CERT\n",
    " https://api.paypal.com{path}",
    "https:///v1/notifications/certs/CERT",
    "https://[::1{path}",
    "//api.paypal.com{path}",
    "file:///etc/passwd",
    "gopher://api.paypal.com{path}",
    "https://127.0.0.1{path}",
    "http://169.254.169.254{path}",
    "https://api-m.sandbox.paypal.com\t{path}",
    "https://\u0430pi.paypal.com{path}",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_but_paypal_is_asked_for_a_certificate(webhooks, good, internet, address):
    headers = transmitted(good, cert_url=address.format(path=good.path))

    assert refused(webhooks, headers) in {"certificate_address", "header"}
    assert internet.asked == []


CERTIFICATES: dict[str, dict[str, Any]] = {
    "of an authority nobody trusts": {"by": stranger},
    "for another name": {"common_name": "www.paypal.com"},
    "of the live signer, in the sandbox": {"common_name": LIVE_SIGNER},
    "with the name as its common name only": {"names": ["www.paypal.com"]},
    "without names": {"names": []},
    "expired": {"until": to_datetime(NOW) - timedelta(minutes=1)},
    "not valid yet": {"since": to_datetime(NOW) + timedelta(minutes=1)},
    "for clients only": {"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
    "for signing code": {"usages": (ExtendedKeyUsageOID.CODE_SIGNING,)},
    "of an authority, used as a signer": {"is_authority": True},
    "of a key that is no RSA key": {"key": ec.generate_private_key(ec.SECP256R1()).public_key()},
    "of a key that is too short": {"key": rsa.generate_private_key(65_537, 1_024).public_key()},
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_that_does_not_prove_paypal_is_refused(webhooks, internet, name):
    certificate = internet.serve(issued(**CERTIFICATES[name]))

    assert refused(webhooks, transmitted(certificate)) == "certificate"


def test_the_sandbox_s_certificate_says_nothing_of_real_money(clock, internet, roots, good):
    assert refused(made(clock, internet, roots, api_base=LIVE), transmitted(good, base=LIVE)) == "certificate"


def test_a_certificate_has_to_be_valid_when_it_was_used_and_now(webhooks, clock, internet):
    certificate = internet.serve(issued(since=to_datetime(NOW) - timedelta(hours=2)))
    late = internet.serve(issued(until=to_datetime(NOW) + timedelta(hours=1), key=5))

    assert refused(webhooks, transmitted(certificate, at=NOW - 3 * HOUR)) == "certificate"
    assert webhooks.verify(RAW, transmitted(late)).id == "WH-1"
    clock.advance(2 * HOUR)
    assert refused(webhooks, transmitted(late)) == "certificate"


def test_another_key_than_the_certificate_s_signs_nothing(webhooks, internet, good):
    other = issued(key=5)

    assert refused(webhooks, {**transmitted(other), "PAYPAL-CERT-URL": f"{SANDBOX}{good.path}"}) == "signature"


@pytest.mark.parametrize("served", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(webhooks, internet, good, served):
    internet.served[good.path] = served

    assert refused(webhooks, transmitted(good)) == "certificate"


def test_a_chain_has_an_end(webhooks, internet, good):
    internet.served[good.path] = good.chain.encode() * 8

    assert refused(webhooks, transmitted(good)) == "certificate"


def test_a_certificate_that_cannot_be_fetched_now_may_be_later(webhooks, internet, good):
    internet.failure = ProviderUnavailable("paypal")
    with pytest.raises(ProviderUnavailable):
        webhooks.verify(RAW, transmitted(good))

    internet.failure = None

    assert webhooks.verify(RAW, transmitted(good)).id == "WH-1"


def test_made_up_certificates_do_not_make_us_ask_without_end(webhooks, clock, internet, good):
    webhooks.verify(RAW, transmitted(good))

    for number in range(40):
        with pytest.raises((WebhookRefused, ProviderUnavailable)):
            webhooks.verify(RAW, transmitted(good, cert_url=f"{SANDBOX}/v1/notifications/certs/C{number}"))

    assert len(internet.asked) == 30
    assert webhooks.verify(RAW, transmitted(good)).id == "WH-1"
    clock.advance(MINUTE + 1)
    fresh = internet.serve(issued())
    assert webhooks.verify(RAW, transmitted(fresh)).id == "WH-1"


def test_known_certificates_do_not_fill_the_memory(webhooks, clock, internet):
    for _ in range(20):
        webhooks.verify(RAW, transmitted(internet.serve(issued())))

    assert len(webhooks._certificates._verified) == 16


@pytest.mark.parametrize("base", ["http://127.0.0.1:8080", "http://localhost:8080"])
def test_a_stand_in_on_this_machine_serves_paypal_s_certificates_itself(clock, internet, roots, good, base):
    headers = transmitted(good, base="https://api.sandbox.paypal.com")

    assert made(clock, internet, roots, api_base=base).verify(RAW, headers).is_live is False
    assert internet.asked == [f"{base}{good.path}"]


@pytest.mark.parametrize("base", ["http://10.0.0.1:8080", "https://paypal.internal"])
def test_any_other_address_of_the_api_changes_nothing_about_certificates(clock, internet, roots, good, base):
    made(clock, internet, roots, api_base=base).verify(RAW, transmitted(good))

    assert internet.asked == [f"{SANDBOX}{good.path}"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"1.0",
        b"\xff",
        b"[" * 100_000,
        json.dumps({**EVENT, "id": "a/b"}).encode(),
        json.dumps({**EVENT, "create_time": "soon"}).encode(),
        json.dumps({**EVENT, "create_time": None}).encode(),
        json.dumps({**EVENT, "event_type": ["X"]}).encode(),
    ],
)
def test_what_is_signed_and_no_event_is_refused_too(webhooks, good, raw):
    assert refused(webhooks, transmitted(good, raw), raw) == "not_an_event"


@pytest.mark.parametrize("name", ["", "a/b", "../accounts/ann", "x" * 200, "\ud800", 7, ["pay_1"], None])
def test_custom_ids_that_could_not_be_ours_name_nothing(webhooks, good, name):
    raw = json.dumps({**EVENT, "resource": {"id": "CAP1", "custom_id": name}}).encode()

    notice = webhooks.verify(raw, transmitted(good, raw))

    assert (notice.payment, notice.refs) == (None, {"capture": "CAP1"})


UP = [{"rel": "up", "href": "https://api-m.paypal.com/v2/payments/captures/CAP1"}]
UNIT = {"custom_id": "pay_1"}
DISPUTED = {"seller_transaction_id": "CAP1", "custom": "pay_1"}


@pytest.mark.parametrize(
    ("kind", "resource", "payment", "refs"),
    [
        ("checkout-order", {"id": "ORD1", "purchase_units": [UNIT]}, "pay_1", {"order": "ORD1"}),
        ("checkout-order", {"order_id": "ORD1", "purchase_units": []}, None, {"order": "ORD1"}),
        ("refund", {"id": "REF1", "links": UP}, None, {"refund": "REF1", "capture": "CAP1"}),
        ("refund", {"id": "REF1", "links": "x"}, None, {"refund": "REF1"}),
        (
            "dispute",
            {"dispute_id": "PP-1", "disputed_transactions": [DISPUTED]},
            "pay_1",
            {"dispute": "PP-1", "capture": "CAP1"},
        ),
        ("dispute", {"dispute_id": "PP-1", "disputed_transactions": {}}, None, {"dispute": "PP-1"}),
        ("unicorn", {"id": "U1"}, None, {}),
        ("capture", [], None, {}),
        (None, None, None, {}),
    ],
)
def test_an_event_names_the_objects_it_is_about(webhooks, good, kind, resource, payment, refs):
    raw = json.dumps({**EVENT, "resource_type": kind, "resource": resource}).encode()

    notice = webhooks.verify(raw, transmitted(good, raw))

    assert (notice.payment, notice.refs) == (payment, refs)
