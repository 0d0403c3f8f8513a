"""Whatever bytes and headers come: a webhook is refused in our own words, or it is an event that was truly signed."""

import hashlib
import hmac
import json

from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import SECOND
from shared.payments.ports import Notice, WebhookRefused
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.paypal.webhooks import HEADERS, PayPalWebhooks
from shared.platform.stripe.webhooks import StripeWebhooks

SECRET = b"whsec_ours"
NOW = ManualClock().now()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
things = st.fixed_dictionaries(
    {},
    optional={
        "object": st.sampled_from(["charge", "dispute", "checkout.session", "x"]) | values,
        "id": values,
        "charge": values,
        "payment_intent": values,
        "metadata": st.fixed_dictionaries({"payment_id": values}) | values,
        "links": values,
        "purchase_units": values,
        "disputed_transactions": values,
        "supplementary_data": values,
    },
)
events = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=8) | values,
        "type": st.text(max_size=8) | values,
        "created": st.integers(0, 2**40) | values,
        "livemode": st.booleans() | values,
        "account": values,
        "data": st.fixed_dictionaries({"object": things}) | values,
    },
)
bodies = st.binary(max_size=64) | (events | values).map(lambda value: json.dumps(value).encode())


def stripe_webhooks():
    return StripeWebhooks(SECRET.decode(), ManualClock())


def answer(webhooks, raw, headers):
    """What is made of it: nothing else than these two."""
    try:
        return webhooks.verify(raw, headers)
    except WebhookRefused as refused:
        return refused.params["reason"]


@given(bodies, st.text(max_size=80) | st.from_regex(r"(t=\d{1,12}|v1=[0-9a-f]{0,64}|,| )*", fullmatch=True))
def test_nothing_unsigned_is_stripe_s(raw, header):
    assert answer(stripe_webhooks(), raw, {"Stripe-Signature": header}) in {"header", "signature"}


@given(bodies)
def test_whatever_stripe_signs_is_read_or_refused(raw):
    stamp = NOW // SECOND
    digest = hmac.new(SECRET, f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()

    found = answer(stripe_webhooks(), raw, {"Stripe-Signature": f"t={stamp},v1={digest}"})

    assert found == "not_an_event" or isinstance(found, Notice)


@given(bodies, st.fixed_dictionaries({name: st.text(max_size=60) for name in HEADERS}))
def test_nothing_unsigned_is_paypal_s_and_nobody_is_asked(raw, headers):
    asked: list[str] = []

    def fetch(url):
        asked.append(url)
        return b""

    webhooks = PayPalWebhooks(
        webhook_id="WH",
        api_base="https://api-m.paypal.com",
        roots="",
        clock=ManualClock(),
        documents=MemoryDocuments(),
        alerts=MemoryAlerts(),
        fetch_certificate=fetch,
    )

    assert isinstance(answer(webhooks, raw, headers), str)
    assert asked == []
