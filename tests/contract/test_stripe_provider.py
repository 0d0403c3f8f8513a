"""Stripe's adapter on a stand-in, where it is Stripe's own: customers, keys, failures, times, modes, warnings."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from emulator.stand_ins.stripe import StripeStandIn
from emulator.stand_ins.wire import Answer, Server, json_answer
from shared.kernel.clock import DAY, HOUR, MINUTE, SystemClock
from shared.kernel.ids import Uid
from shared.payments.fiat import Fiat
from shared.payments.ports import Checkout, Notice, ProviderRefused, ProviderUnavailable, Truth, UnknownAtProvider
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.stripe import client
from shared.platform.stripe.provider import StripeProvider

PRICE = Fiat(1250, "USD")


def now():
    return time.time_ns() // 1_000_000


@pytest.fixture
def stripe():
    with StripeStandIn() as running:
        yield running


@pytest.fixture
def alerts():
    return MemoryAlerts()


@pytest.fixture
def provider(stripe, alerts):
    return StripeProvider(secret_key=stripe.secret_key, api_base=stripe.url, clock=SystemClock(), alerts=alerts)


def checkout(payment="pay_1", **changes):
    asked = {
        "payment": payment,
        "uid": Uid("ann"),
        "amount": PRICE,
        "title": "1,250 credits",
        "flow": "redirect",
        "success_url": "https://app.example.com/paid?payment=pay_1",
        "cancel_url": "https://app.example.com/cancelled",
        "expires_at": now() + HOUR,
    }
    return Checkout(**{**asked, **changes})


def paid(stripe, provider, payment="pay_1"):
    refs = provider.open(checkout(payment)).refs
    stripe.pay(session=refs["session"])
    return provider.truth(refs)


def made(stripe, path):
    """How many objects were created there: replays and failures are not."""
    return [seen for seen in stripe.requests(path=path, method="POST") if seen["outcome"] == "answered"]


# ── open ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_session_says_all_that_was_asked(stripe, provider):
    asked = checkout()

    session = stripe.get(id=provider.open(asked).refs["session"])

    assert (session["amount_total"], session["currency"], session["mode"]) == (1250, "usd", "payment")
    assert (session["metadata"], session["client_reference_id"]) == ({"payment_id": "pay_1"}, "pay_1")
    assert (session["success_url"], session["cancel_url"]) == (asked.success_url, asked.cancel_url)
    assert session["expires_at"] == asked.expires_at // 1_000


def test_the_money_itself_names_the_payment_too(stripe, provider):
    truth = paid(stripe, provider)

    assert stripe.get(id=truth.refs["intent"])["metadata"] == {"payment_id": "pay_1"}
    assert stripe.get(id=truth.refs["charge"])["metadata"] == {"payment_id": "pay_1"}


def test_a_user_is_one_customer(stripe, provider):
    opened = [provider.open(checkout(f"pay_{number}")) for number in range(3)]
    other = provider.open(checkout("pay_9", uid=Uid("bob")))

    assert len({each.customer for each in opened}) == 1
    assert other.customer != opened[0].customer


def test_a_customer_who_is_known_is_used(stripe, provider):
    customer = provider.open(checkout()).customer
    stripe.expire_idempotency_keys()

    again = provider.open(checkout("pay_2", customer=customer))

    assert again.customer == customer
    assert len(made(stripe, "/v1/customers")) == 1


@pytest.mark.parametrize("customer", ["cus_nobody", None])
def test_a_customer_who_is_gone_is_made_anew(stripe, provider, customer):
    gone = customer or provider.open(checkout()).customer
    provider.forget_customer(gone)

    asked = checkout("pay_2", customer=gone)
    opened = [provider.open(asked) for _ in range(2)]

    assert opened[0] == opened[1]
    assert opened[0].customer not in {gone, None}


def test_a_user_whose_customer_was_deleted_today_still_gets_a_session(stripe, provider):
    provider.forget_customer(provider.open(checkout()).customer)

    assert provider.open(checkout("pay_2")).checkout_url


@pytest.mark.parametrize("expires_in", [MINUTE, -HOUR, 2 * DAY])
def test_a_time_that_stripe_does_not_take_is_stripe_s_own(stripe, provider, expires_in):
    asked = checkout(expires_at=now() + expires_in)

    opened = [provider.open(asked) for _ in range(2)]

    assert opened[0] == opened[1]
    assert stripe.get(id=opened[0].refs["session"])["expires_at"] > now() // 1_000 + 23 * 3_600


@pytest.mark.parametrize("flow", ["redirect", "intent"])
def test_whoever_opens_at_once_gets_the_same(stripe, provider, flow):
    asked = checkout(flow=flow)

    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: provider.open(asked), range(6)))

    assert all(each == opened[0] for each in opened)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failure_that_stripe_repeats_from_memory_does_not_last(stripe, provider, when):
    stripe.fail(times=1, path="/v1/checkout/sessions", method="POST", when=when, is_remembered=True)

    refs = provider.open(checkout()).refs

    assert provider.truth(refs).payment == "pay_1"


def test_an_app_pays_with_a_secret(stripe, provider):
    opened = provider.open(checkout(flow="intent"))
    assert provider.truth(opened.refs).stage == "open"

    stripe.confirm(client_secret=opened.client_secret, outcome="declined")
    declined = provider.truth(opened.refs)
    stripe.confirm(client_secret=opened.client_secret)

    assert (declined.stage, declined.failure) == ("open", "generic_decline")
    assert provider.truth(opened.refs).paid == PRICE


# ── truth ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_expired_session_is_expired_and_one_cancelled_by_us_too(stripe, provider):
    first, second = (provider.open(checkout(f"pay_{number}")).refs for number in (1, 2))

    stripe.expire_session(session=first["session"])
    provider.cancel(second)

    assert [provider.truth(refs).stage for refs in (first, second)] == ["expired", "expired"]


def test_a_session_expires_by_itself_with_the_intent_of_a_declined_card(stripe, provider):
    refs = provider.open(checkout()).refs
    stripe.decline(session=refs["session"])
    stripe.advance(seconds=2 * 3_600)

    assert provider.truth(refs).stage == "expired"


def test_what_is_paid_stays_paid_when_it_is_cancelled(stripe, provider):
    refs = paid(stripe, provider).refs

    provider.cancel(refs)
    provider.cancel({"intent": refs["intent"]})

    assert provider.truth(refs).stage == "paid"


def test_cancelling_what_stripe_does_not_know_is_done(provider):
    provider.cancel({"session": "cs_nothing"})
    provider.cancel({"intent": "pi_nothing"})


def test_an_app_s_intent_can_be_cancelled(provider):
    refs = provider.open(checkout(flow="intent")).refs

    provider.cancel(refs)

    assert provider.truth(refs).stage == "cancelled"


def test_money_of_the_other_mode_says_so(stripe, provider):
    refs = paid(stripe, provider).refs
    stripe.alter(id=refs["intent"], changes={"livemode": True})

    assert (provider.is_live, provider.truth(refs).is_live) == (False, True)


def test_what_was_received_counts_not_what_was_asked(stripe, provider):
    refs = paid(stripe, provider).refs
    stripe.alter(id=refs["intent"], changes={"amount_received": 7, "currency": "eur"})

    assert provider.truth(refs).paid == Fiat(7, "EUR")


def test_warnings_of_fraud_are_told(stripe, provider):
    truth = paid(stripe, provider)
    warning = stripe.warn_of_fraud(of=truth.money)["id"]

    assert provider.truth(truth.refs).warnings == (warning,)
    assert provider.locate({"warning": warning}) == "pay_1"


def test_an_inquiry_is_a_dispute_until_it_is_closed(stripe, provider):
    truth = paid(stripe, provider)
    inquiry = stripe.dispute(of=truth.money, is_inquiry=True)["id"]
    assert [each.status for each in provider.truth(truth.refs).disputes] == ["open"]

    stripe.close_dispute(dispute=inquiry, outcome="warning_closed")

    assert [each.status for each in provider.truth(truth.refs).disputes] == ["withdrawn"]


def test_every_refund_is_told_beyond_the_first_page(stripe, provider):
    truth = paid(stripe, provider)
    for _ in range(105):
        stripe.refund(of=truth.money, amount=1)

    assert len({refund.id for refund in provider.truth(truth.refs).refunds}) == 105


def test_what_others_do_on_our_account_is_none_of_ours(stripe, provider):
    truth = paid(stripe, provider)
    for thing in (truth.refs["session"], truth.refs["intent"], truth.refs["charge"]):
        stripe.alter(id=thing, changes={"metadata": {}})

    assert provider.locate({"charge": truth.refs["charge"]}) is None
    assert provider.truth(truth.refs).payment is None


def test_a_charge_without_an_intent_is_none_of_ours(stripe, provider):
    truth = paid(stripe, provider)
    stripe.alter(id=truth.refs["charge"], changes={"payment_intent": None})

    assert provider.locate({"charge": truth.refs["charge"]}) is None
    with pytest.raises(UnknownAtProvider):
        provider.truth({"charge": truth.refs["charge"]})


def test_missed_events_are_listed_over_pages(stripe, provider):
    since = now() // 1_000 * 1_000
    for number in range(60):
        paid(stripe, provider, f"pay_{number}")

    found: list[Notice] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = provider.notices(since, cursor)
        found, cursor, pages = [*found, *page.items], page.cursor, pages + 1

    assert pages > 1
    assert len({notice.id for notice in found}) == len(found)
    completed = {notice.payment for notice in found if notice.type == "checkout.session.completed"}
    assert completed == {f"pay_{number}" for number in range(60)}


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_remembered", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_refund_whose_answer_was_lost_is_not_made_again(stripe, provider, when, is_remembered, times):
    truth = paid(stripe, provider)
    stripe.fail(times=times, path="/v1/refunds", method="POST", when=when, is_remembered=is_remembered)

    for _ in range(4):
        try:
            provider.refund(truth.refs, Fiat(250, "USD"), "r1")
        except ProviderUnavailable:
            stripe.expire_idempotency_keys()

    assert [refund.amount for refund in provider.truth(truth.refs).refunds] == [Fiat(250, "USD")]


def test_a_refund_is_found_after_its_key_is_forgotten(stripe, provider):
    truth = paid(stripe, provider)
    refund = provider.refund(truth.refs, Fiat(250, "USD"), "r1")
    stripe.expire_idempotency_keys()

    assert provider.refund(truth.refs, Fiat(250, "USD"), "r1") == refund
    assert len(provider.truth(truth.refs).refunds) == 1


def test_a_key_means_one_amount_for_ever(stripe, provider):
    truth = paid(stripe, provider)
    provider.refund(truth.refs, Fiat(250, "USD"), "r1")
    stripe.expire_idempotency_keys()

    with pytest.raises(ProviderRefused):
        provider.refund(truth.refs, Fiat(300, "USD"), "r1")


@pytest.mark.parametrize("amount", [Fiat(250, "EUR"), Fiat(1251, "USD")])
def test_what_was_not_paid_is_not_given_back(stripe, provider, amount):
    truth = paid(stripe, provider)

    with pytest.raises(ProviderRefused):
        provider.refund(truth.refs, amount, "r1")

    assert provider.truth(truth.refs).refunds == ()


def test_nothing_is_refunded_of_an_open_session(provider):
    with pytest.raises(ProviderRefused):
        provider.refund(provider.open(checkout()).refs, PRICE, "r1")


def test_a_disputed_payment_is_not_refunded(stripe, provider):
    truth = paid(stripe, provider)
    stripe.dispute(of=truth.money)

    with pytest.raises(ProviderRefused) as error:
        provider.refund(truth.refs, PRICE, "r1")

    assert error.value.params["reason"] == "charge_disputed"


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

CALLS = {
    "open": lambda provider, refs: provider.open(checkout("pay_9")),
    "truth": lambda provider, refs: provider.truth(refs),
    "capture": lambda provider, refs: provider.capture(refs, "k"),
    "refund": lambda provider, refs: provider.refund(refs, PRICE, "r1"),
    "cancel": lambda provider, refs: provider.cancel(refs),
    "locate": lambda provider, refs: provider.locate(refs),
    "notices": lambda provider, refs: provider.notices(0, None),
    "forget_customer": lambda provider, refs: provider.forget_customer("cus_1"),
}


@pytest.mark.parametrize(
    ("call", "status"), [*((call, 500) for call in CALLS), *(("truth", status) for status in (409, 429, 503, "reset"))]
)
def test_a_provider_that_fails_is_unavailable_whatever_was_asked(stripe, provider, alerts, call, status):
    refs = paid(stripe, provider).refs
    stripe.fail(times=99, **({"how": "reset"} if status == "reset" else {"status": status}))

    with pytest.raises(ProviderUnavailable):
        CALLS[call](provider, refs)

    assert alerts.raised == []


def test_nobody_waits_for_ever(stripe, alerts, monkeypatch):
    monkeypatch.setattr(client, "READ_SECONDS", 0.1)
    provider = StripeProvider(secret_key=stripe.secret_key, api_base=stripe.url, clock=SystemClock(), alerts=alerts)
    stripe.fail(times=9, how="hang", seconds=5)

    with pytest.raises(ProviderUnavailable):
        provider.truth({"session": "cs_1"})


@pytest.mark.parametrize("call", CALLS)
def test_a_key_that_is_not_accepted_fails_no_payment_and_tells_operators(stripe, provider, alerts, call):
    refs = paid(stripe, provider).refs
    locked_out = StripeProvider(secret_key="sk_test_wrong", api_base=stripe.url, clock=SystemClock(), alerts=alerts)

    with pytest.raises(ProviderUnavailable):
        CALLS[call](locked_out, refs)

    assert [(alert.event, alert.fields["call"]) for alert in alerts.raised] == [("provider_locked_out", call)]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"id": 7}', b'{"data": null}', b'"x"'])
@pytest.mark.parametrize("call", ["open", "truth", "locate", "notices", "refund"])
def test_an_answer_that_makes_no_sense_is_no_answer(alerts, call, body):
    server = Server(0, lambda request: Answer(body=body), name="nonsense")
    server.start()
    try:
        provider = StripeProvider(secret_key="sk_test_1", api_base=server.url, clock=SystemClock(), alerts=alerts)
        with pytest.raises(ProviderUnavailable):
            CALLS[call](provider, {"session": "cs_1"})
    finally:
        server.stop()


def test_a_list_without_an_end_is_no_answer(stripe, provider, alerts):
    refs = paid(stripe, provider).refs
    intent = stripe.get(id=refs["intent"])
    found = {**intent, "latest_charge": {**stripe.get(id=refs["charge"]), "refunds": {"data": [], "has_more": False}}}
    asked: list[str] = []

    def serve(request):
        asked.append(request.path)
        is_list = request.path.endswith("early_fraud_warnings")
        return json_answer({"data": [{"id": "issfr_1"}], "has_more": True} if is_list else found)

    server = Server(0, serve, name="endless")
    server.start()
    try:
        endless = StripeProvider(secret_key="sk_test_1", api_base=server.url, clock=SystemClock(), alerts=alerts)
        with pytest.raises(ProviderUnavailable):
            endless.truth({"intent": refs["intent"]})
    finally:
        server.stop()

    assert len(asked) == client.PAGES_MAX + 1


def test_a_price_that_stripe_does_not_take_is_refused(provider):
    with pytest.raises(ProviderRefused):
        provider.open(checkout(amount=Fiat(1, "USD")))


def test_a_truth_is_a_truth(stripe, provider):
    truth = paid(stripe, provider)

    assert truth == Truth(
        stage="paid",
        refs=truth.refs,
        is_live=False,
        payment="pay_1",
        money=truth.refs["intent"],
        paid=PRICE,
        receipt_url=stripe.get(id=truth.refs["charge"])["receipt_url"],
    )
    assert set(truth.refs) == {"session", "intent", "charge"}
