"""Stripe's signatures: what its own SDK signs is taken, everything else is refused, whatever the bytes."""

import json

import pytest
import stripe

from shared.kernel.clock import SECOND
from shared.payments.ports import Notice, WebhookNotConfigured, WebhookRefused
from shared.platform.memory.clock import ManualClock
from shared.platform.stripe.webhooks import StripeWebhooks

SECRET = "whsec_ours"
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "latest_charge": "ch_1",
    "metadata": {"payment_id": "pay_1"},
}
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "created": 1_790_000_000,
    "livemode": False,
    "data": {"object": INTENT},
}
RAW = json.dumps(EVENT).encode()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def webhooks(clock):
    return StripeWebhooks(SECRET, clock)


def signed(clock, raw=RAW, secret=SECRET, *, ahead_seconds=0):
    """The header that Stripe's SDK makes."""
    stamp = clock.now() // SECOND + ahead_seconds
    return stripe.WebhookSignature.generate_signature_header(raw.decode("utf-8", "replace"), secret, stamp)


def verify(webhooks, header, raw=RAW):
    return webhooks.verify(raw, {"Stripe-Signature": header})


def refused(webhooks, header, raw=RAW):
    with pytest.raises(WebhookRefused) as error:
        verify(webhooks, header, raw)
    return error.value.params["reason"]


def test_what_stripe_signs_is_a_notice(webhooks, clock):
    assert verify(webhooks, signed(clock)) == Notice(
        provider="stripe",
        id="evt_1",
        type="payment_intent.succeeded",
        at=1_790_000_000_000,
        is_live=False,
        payment="pay_1",
        refs={"intent": "pi_1", "charge": "ch_1"},
    )


def test_what_we_accept_the_sdk_accepts_too(webhooks, clock):
    header = signed(clock)

    assert verify(webhooks, header).id == "evt_1"
    assert stripe.WebhookSignature.verify_header(RAW, header, SECRET, tolerance=None)


@pytest.mark.parametrize("ahead_seconds", [-300, -299, 0, 299, 300])
def test_a_stamp_within_five_minutes_is_taken(webhooks, clock, ahead_seconds):
    assert verify(webhooks, signed(clock, ahead_seconds=ahead_seconds)).id == "evt_1"


@pytest.mark.parametrize("ahead_seconds", [-100_000, -301, 301, 100_000])
def test_a_stale_stamp_is_refused_and_one_from_the_future_too(webhooks, clock, ahead_seconds):
    assert refused(webhooks, signed(clock, ahead_seconds=ahead_seconds)) == "time"


def test_while_secrets_are_changed_either_is_taken(clock):
    webhooks = StripeWebhooks(" whsec_new , whsec_old,", clock)

    assert [verify(webhooks, signed(clock, secret=f"whsec_{age}")).id for age in ("new", "old")] == ["evt_1"] * 2
    assert refused(webhooks, signed(clock, secret="whsec_older")) == "signature"


def test_one_good_signature_of_several_is_enough(webhooks, clock):
    header = signed(clock)
    stamp, _, good = header.partition(",")

    assert verify(webhooks, f"{stamp},v1={'0' * 64},{good},v0=abc").id == "evt_1"


@pytest.mark.parametrize("secrets", ["", " ", ",", " , "])
def test_without_a_secret_nothing_is_accepted(clock, secrets):
    webhooks = StripeWebhooks(secrets, clock)

    for header in (signed(clock), signed(clock, secret="anything"), ""):
        with pytest.raises(WebhookNotConfigured):
            verify(webhooks, header)


@pytest.mark.parametrize(
    ("raw", "is_signed_over"),
    [
        (json.dumps(EVENT, indent=1).encode(), RAW),
        (RAW + b" ", RAW),
        (RAW[:-1], RAW),
        (b"", RAW),
        (RAW.replace(b"pay_1", b"pay_2"), RAW),
        (b'{"a": 1}', b'{"a": 1.0}'),
        (b"[]", b"{}"),
        ('{"a": "\u00e9"}'.encode("latin-1"), '{"a": "\u00e9"}'.encode()),
    ],
)
def test_other_bytes_than_were_signed_are_refused(webhooks, clock, raw, is_signed_over):
    assert refused(webhooks, signed(clock, is_signed_over), raw) == "signature"


@pytest.mark.parametrize("text", ['{"name": "Zo\u00eb", "price": 1.0, "none": {}}', '{"emoji": "\U0001f600"}'])
def test_bytes_that_do_not_survive_being_read_and_written_are_verified_as_they_came(webhooks, clock, text):
    raw = json.dumps({**EVENT, **json.loads(text)}, ensure_ascii=False).encode()

    assert verify(webhooks, signed(clock, raw), raw).id == "evt_1"


@pytest.mark.parametrize(
    "change",
    [
        lambda header: "",
        lambda header: "nonsense",
        lambda header: header.replace("t=", "x="),
        lambda header: header.replace("v1=", "v0="),
        lambda header: f"t=1,{header}",
        lambda header: header.replace("t=", "t=-"),
        lambda header: header.replace("t=", "t=\u0661"),
        lambda header: f"{header.split(',')[0]},v1=",
        lambda header: header.split(",")[0] + ",v1=0" * 17,
        lambda header: f"{header.split(',')[0]},v1=\u00e9\ud800",
        lambda header: header.upper(),
        lambda header: header[:-1],
    ],
)
def test_a_forged_header_is_refused_without_a_surprise(webhooks, clock, change):
    assert refused(webhooks, change(signed(clock))) in {"header", "signature"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"1.0",
        b'"evt_1"',
        b"{}",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b"1" * 5_000,
        json.dumps({**EVENT, "id": 7}).encode(),
        json.dumps({**EVENT, "id": "../accounts/ann"}).encode(),
        json.dumps({**EVENT, "id": "e" * 200}).encode(),
        json.dumps({**EVENT, "created": "now"}).encode(),
        json.dumps({**EVENT, "created": True}).encode(),
        json.dumps({**EVENT, "livemode": None}).encode(),
    ],
)
def test_what_is_signed_and_no_event_is_refused_too(webhooks, clock, raw):
    import hashlib
    import hmac

    stamp = clock.now() // SECOND
    digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()

    assert refused(webhooks, f"t={stamp},v1={digest}", raw) == "not_an_event"


@pytest.mark.parametrize(
    "data", [None, [], {"object": None}, {"object": []}, {"object": {"object": "unicorn", "id": "u_1", "charge": 7}}]
)
def test_an_event_of_a_kind_we_do_not_know_is_a_notice_of_nothing(webhooks, clock, data):
    raw = json.dumps({**EVENT, "type": "unicorn.seen", "data": data}).encode()

    notice = verify(webhooks, signed(clock, raw), raw)

    assert (notice.type, notice.payment, notice.refs) == ("unicorn.seen", None, {})


@pytest.mark.parametrize(
    ("thing", "refs"),
    [
        (
            {"object": "checkout.session", "id": "cs_1", "payment_intent": "pi_1"},
            {"session": "cs_1", "intent": "pi_1"},
        ),
        ({"object": "checkout.session", "id": "cs_1", "payment_intent": None}, {"session": "cs_1"}),
        ({"object": "checkout.session", "id": "cs_1", "payment_intent": INTENT}, {"session": "cs_1", "intent": "pi_1"}),
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, {"charge": "ch_1", "intent": "pi_1"}),
        (
            {"object": "refund", "id": "re_1", "charge": "ch_1", "payment_intent": "pi_1"},
            {"refund": "re_1", "charge": "ch_1", "intent": "pi_1"},
        ),
        (
            {"object": "dispute", "id": "du_1", "charge": "ch_1", "payment_intent": "pi_1"},
            {"dispute": "du_1", "charge": "ch_1", "intent": "pi_1"},
        ),
        (
            {"object": "radar.early_fraud_warning", "id": "issfr_1", "charge": "ch_1"},
            {"warning": "issfr_1", "charge": "ch_1"},
        ),
    ],
)
def test_an_event_names_the_objects_it_is_about(webhooks, clock, thing, refs):
    raw = json.dumps({**EVENT, "data": {"object": thing}}).encode()

    assert verify(webhooks, signed(clock, raw), raw).refs == refs


@pytest.mark.parametrize("name", ["", "a/b", "../accounts/ann", "x" * 200, "\ud800", 7, ["pay_1"], None])
def test_metadata_that_could_not_be_ours_name_nothing(webhooks, clock, name):
    thing = {"object": "charge", "id": "ch_1", "payment_intent": name, "metadata": {"payment_id": name}}
    raw = json.dumps({**EVENT, "data": {"object": thing}}).encode()

    notice = verify(webhooks, signed(clock, raw), raw)

    assert (notice.payment, notice.refs) == (None, {"charge": "ch_1"})


@pytest.mark.parametrize("account", ["", "a/b", 7, [], "\ud800"])
def test_an_account_that_cannot_be_read_is_not_ours(webhooks, clock, account):
    raw = json.dumps({**EVENT, "account": account}).encode()

    assert verify(webhooks, signed(clock, raw), raw).account == "unreadable"


def test_an_event_for_another_account_or_mode_says_so(webhooks, clock):
    raw = json.dumps({**EVENT, "account": "acct_other", "livemode": True}).encode()

    notice = verify(webhooks, signed(clock, raw), raw)

    assert (notice.account, notice.is_live) == ("acct_other", True)
