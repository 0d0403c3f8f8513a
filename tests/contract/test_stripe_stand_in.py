"""The stand-in Stripe speaks as Stripe's own SDK expects: every state it has, every misbehaviour on command."""

import json
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest
import requests
import stripe

from emulator.stand_ins import deliveries
from emulator.stand_ins.stand_in import Misuse
from emulator.stand_ins.stripe import StripeStandIn
from tests.support.endpoint import Endpoint
from tests.support.processes import wait_for
from tests.support.published import departures

PATIENCE_SECONDS = 120
PRICE = 1000
PAID = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]


def client_of(stand_in: StripeStandIn, *, key: str = "", timeout: float = PATIENCE_SECONDS, retries: int = 0):
    return stripe.StripeClient(
        key or stand_in.secret_key,
        base_addresses={"api": stand_in.url},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout),
    ).v1


@pytest.fixture
def client(stripe_stand_in: StripeStandIn):
    return client_of(stripe_stand_in)


def session_params(**more) -> Any:
    item = {"price_data": {"currency": "usd", "unit_amount": PRICE, "product_data": {"name": "1,000 credits"}}}
    return {
        "mode": "payment",
        "line_items": [{**item, "quantity": 1}],
        "client_reference_id": "pay_1",
        "metadata": {"payment_id": "pay_1"},
        "payment_intent_data": {"metadata": {"payment_id": "pay_1"}},
        "success_url": "https://app.example.com/done?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://app.example.com/cancelled",
        **more,
    }


def new_session(client, **more):
    return client.checkout.sessions.create(session_params(**more))


def types(stand_in: StripeStandIn) -> list[str]:
    return [event["type"] for event in stand_in.events()]


def paid(stand_in: StripeStandIn, client) -> tuple[str, str, str]:
    """A session that was paid, with its intent and its charge."""
    session = stand_in.pay(session=new_session(client).id)
    charge = stand_in.get(id=session["payment_intent"])["latest_charge"]
    return session["id"], session["payment_intent"], charge


# ── checkout ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_that_is_paid_is_complete_and_tells_everything(stripe_stand_in, client):
    created = new_session(client)
    stripe_stand_in.pay(session=created.id, email="ada@example.com")
    session = client.checkout.sessions.retrieve(
        created.id, {"expand": ["payment_intent.latest_charge.balance_transaction", "line_items"]}
    )

    assert (created.status, created.payment_status, created.payment_intent) == ("open", "unpaid", None)
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert (session.amount_total, session.currency, session.client_reference_id) == (PRICE, "usd", "pay_1")
    assert session.customer_details.email == "ada@example.com"
    assert session.line_items.data[0].description == "1,000 credits"
    intent = session.payment_intent
    assert (intent.status, intent.amount_received, intent.metadata.payment_id) == ("succeeded", PRICE, "pay_1")
    assert intent.latest_charge.paid
    assert intent.latest_charge.balance_transaction.net == PRICE - intent.latest_charge.balance_transaction.fee
    assert types(stripe_stand_in) == PAID


def test_what_was_paid_has_a_receipt_that_says_how_it_stands_now(stripe_stand_in, client):
    session = new_session(client)
    intent = stripe_stand_in.decline(session=session.id)["payment_intent"]
    declined = stripe_stand_in.get(id=stripe_stand_in.get(id=intent)["latest_charge"])
    stripe_stand_in.pay(session=session.id)
    charge = stripe_stand_in.charges_for(reference=session.id)[-1]
    stripe_stand_in.refund(of=charge["id"], amount=100)

    shown = requests.get(charge["receipt_url"], timeout=PATIENCE_SECONDS)
    unknown = requests.get(charge["receipt_url"] + "x", timeout=PATIENCE_SECONDS)

    assert declined["receipt_url"] is None
    assert (shown.status_code, unknown.status_code) == (200, 404)
    assert "Refunded" in shown.text
    assert charge["id"] in shown.text


def test_a_declined_card_leaves_the_session_open(stripe_stand_in, client):
    session = new_session(client)
    stripe_stand_in.decline(session=session.id)
    declined = client.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    stripe_stand_in.pay(session=session.id)

    assert (declined.status, declined.payment_status) == ("open", "unpaid")
    assert declined.payment_intent.last_payment_error.code == "card_declined"
    assert types(stripe_stand_in) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        *PAID[1:],
    ]
    assert len(stripe_stand_in.charges_for(reference="pay_1")) == 1


@pytest.mark.parametrize(
    ("is_paid", "ending", "charge", "status"),
    [(True, "succeeded", "succeeded", "paid"), (False, "failed", "failed", "unpaid")],
)
def test_a_payment_that_comes_later_comes_or_fails(stripe_stand_in, client, is_paid, ending, charge, status):
    session = new_session(client)
    stripe_stand_in.pay_later(session=session.id)
    between = client.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    stripe_stand_in.settle_later(session=session.id, is_paid=is_paid)

    assert (between.status, between.payment_status, between.payment_intent.status) == (
        "complete",
        "unpaid",
        "processing",
    )
    assert client.checkout.sessions.retrieve(session.id).payment_status == status
    assert types(stripe_stand_in)[-3:] == [
        f"charge.{charge}",
        f"payment_intent.{'succeeded' if is_paid else 'payment_failed'}",
        f"checkout.session.async_payment_{ending}",
    ]


def test_a_session_expires_by_command_by_request_and_by_time(stripe_stand_in, client):
    by_command, by_request, by_time = (new_session(client, expires_at=int(time.time()) + 1900) for _ in range(3))
    stripe_stand_in.expire_session(session=by_command.id)
    client.checkout.sessions.expire(by_request.id)
    stripe_stand_in.advance(seconds=2000)

    assert [client.checkout.sessions.retrieve(each.id).status for each in (by_command, by_request, by_time)] == [
        "expired"
    ] * 3
    assert types(stripe_stand_in) == ["checkout.session.expired"] * 3
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.checkout.sessions.expire(by_time.id)


def test_a_session_that_expires_after_a_declined_card_cancels_its_intent(stripe_stand_in, client):
    session = new_session(client)
    stripe_stand_in.decline(session=session.id)
    client.checkout.sessions.expire(session.id)

    intent = client.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]}).payment_intent
    assert (intent.status, intent.cancellation_reason) == ("canceled", "expired")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"succes_url": "https://x"}, "unknown parameter: succes_url"),
        ({"line_items": []}, "line item"),
        ({"line_items": [{"price_data": {"currency": "usd", "unit_amount": "ten"}}]}, r"Invalid integer: ten"),
        ({"line_items": [{"price_data": {"currency": "usd", "sum": 1}}]}, r"line_items\[0\]\[price_data\]\[sum\]"),
        ({"mode": "loan"}, "payments only"),
        ({"expires_at": 1}, "between 30 minutes and 24 hours"),
        ({"customer": "cus_nobody"}, "No such customer: 'cus_nobody'"),
        ({"success_url": ""}, "success_url"),
    ],
)
def test_a_session_is_refused_as_stripe_refuses_it(client, changes, message):
    with pytest.raises(stripe.InvalidRequestError, match=message):
        new_session(client, **changes)


def test_sessions_are_found_by_their_intent_and_their_customer(stripe_stand_in, client):
    customer = client.customers.create({"email": "ada@example.com"})
    mine = new_session(client, customer=customer.id)
    new_session(client)
    intent = stripe_stand_in.pay(session=mine.id)["payment_intent"]

    by_intent = client.checkout.sessions.list({"payment_intent": intent})
    by_customer = client.checkout.sessions.list({"customer": customer.id})
    assert [each.id for each in by_intent] == [each.id for each in by_customer] == [mine.id]


def test_customers_are_kept_changed_and_deleted(stripe_stand_in, client):
    customer = client.customers.create({"email": "ada@example.com", "metadata": {"uid": "u1"}})
    client.customers.update(customer.id, {"name": "Ada", "metadata": {"plan": "pro"}})
    changed = client.customers.retrieve(customer.id)
    client.customers.delete(customer.id)

    assert (changed.name, changed.metadata.to_dict()) == ("Ada", {"uid": "u1", "plan": "pro"})
    assert client.customers.retrieve(customer.id).deleted
    assert list(client.customers.list({"email": "ada@example.com"})) == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        new_session(client, customer=customer.id)


# ── payment intents ──────────────────────────────────────────────────────────────────────────────────────────────────


def new_intent(client, **more):
    params: Any = {"amount": PRICE, "currency": "usd", "automatic_payment_methods": {"enabled": True}}
    return client.payment_intents.create({**params, "metadata": {"payment_id": "pay_2"}, **more})


@pytest.mark.parametrize(
    ("outcome", "status"), [("paid", "succeeded"), ("declined", "requires_payment_method"), ("later", "processing")]
)
def test_a_mobile_app_confirms_with_its_client_secret(stripe_stand_in, client, outcome, status):
    intent = new_intent(client)
    stripe_stand_in.confirm(client_secret=intent.client_secret, outcome=outcome)

    assert client.payment_intents.retrieve(intent.id).status == status
    assert len(stripe_stand_in.charges_for(reference="pay_2")) == (outcome == "paid")


def test_a_mobile_sdk_confirms_over_http_with_the_publishable_key_and_nothing_else(stripe_stand_in, client):
    intent = new_intent(client)
    mobile = client_of(stripe_stand_in, key=stripe_stand_in.publishable_key)

    with pytest.raises(stripe.AuthenticationError):
        mobile.payment_intents.retrieve(intent.id)
    with pytest.raises(stripe.AuthenticationError):
        mobile.refunds.create({"payment_intent": intent.id})
    params: Any = {"client_secret": intent.client_secret, "payment_method": "pm_card_visa"}
    assert mobile.payment_intents.confirm(intent.id, params).status == "succeeded"


def test_an_intent_is_settled_later_or_cancelled(stripe_stand_in, client):
    later, cancelled = new_intent(client), new_intent(client)
    stripe_stand_in.confirm(client_secret=later.client_secret, outcome="later")
    stripe_stand_in.settle_intent(intent=later.id, is_paid=True)
    client.payment_intents.cancel(cancelled.id, {"cancellation_reason": "abandoned"})

    assert client.payment_intents.retrieve(later.id).status == "succeeded"
    assert client.payment_intents.retrieve(cancelled.id).cancellation_reason == "abandoned"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.payment_intents.cancel(later.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_a_declined_confirmation_is_a_card_error(client):
    with pytest.raises(stripe.CardError) as declined:
        new_intent(client, confirm=True, payment_method="pm_card_chargeDeclined")

    assert (declined.value.code, declined.value.http_status) == ("card_declined", 402)


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_partial_refunds_add_up_and_no_cent_more_goes_back(stripe_stand_in, client):
    _, intent, charge = paid(stripe_stand_in, client)
    client.refunds.create({"payment_intent": intent, "amount": 300})
    with pytest.raises(stripe.InvalidRequestError, match=r"\$8.00\) is greater than unrefunded amount .*\$7.00"):
        client.refunds.create({"charge": charge, "amount": 800})
    client.refunds.create({"charge": charge})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.refunds.create({"charge": charge})

    seen = client.charges.retrieve(charge, {"expand": ["refunds"]})
    assert refused.value.code == "charge_already_refunded"
    assert (seen.amount_refunded, seen.refunded) == (PRICE, True)
    assert [refund.amount for refund in seen.refunds] == [700, 300]
    assert [refund.amount for refund in client.refunds.list({"payment_intent": intent})] == [700, 300]
    assert (
        types(stripe_stand_in)[len(PAID) :]
        == [
            "charge.refunded",
            "refund.created",
            "refund.updated",
            "charge.refund.updated",
        ]
        * 2
    )


def test_a_refund_that_was_pending_arrives_or_fails(stripe_stand_in, client):
    _, intent, charge = paid(stripe_stand_in, client)
    stripe_stand_in.refunds_start(status="pending")
    first = client.refunds.create({"payment_intent": intent, "amount": 400})
    second = client.refunds.create({"payment_intent": intent, "amount": 100})
    counted = client.charges.retrieve(charge).amount_refunded
    stripe_stand_in.settle_refund(refund=first.id)
    stripe_stand_in.fail_refund(refund=second.id)

    assert (first.status, first.pending_reason, counted) == ("pending", "processing", 500)
    assert client.refunds.retrieve(first.id).status == "succeeded"
    assert client.refunds.retrieve(second.id).failure_reason == "expired_or_canceled_card"
    assert client.charges.retrieve(charge).amount_refunded == 400
    assert "refund.failed" in types(stripe_stand_in)


def test_a_refund_may_fail_long_after_it_succeeded(stripe_stand_in, client):
    _, intent, _ = paid(stripe_stand_in, client)
    refund = client.refunds.create({"payment_intent": intent})
    stripe_stand_in.fail_refund(refund=refund.id)

    failed = client.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction", "charge"]})
    assert (failed.status, failed.failure_balance_transaction.amount) == ("failed", PRICE)
    assert (failed.charge.amount_refunded, failed.charge.refunded) == (0, False)
    with pytest.raises(Misuse):
        stripe_stand_in.fail_refund(refund=refund.id)


def test_an_unpaid_intent_cannot_be_refunded(client):
    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        client.refunds.create({"payment_intent": new_intent(client).id})


# ── disputes and warnings ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "status", "ending"),
    [
        ("won", "won", ["charge.dispute.funds_reinstated", "charge.dispute.closed"]),
        ("withdrawn", "won", ["charge.dispute.funds_reinstated", "charge.dispute.closed"]),
        ("lost", "lost", ["charge.dispute.closed"]),
    ],
)
def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back(stripe_stand_in, client, outcome, status, ending):
    session, intent, charge = paid(stripe_stand_in, client)
    opened = stripe_stand_in.dispute(of=session)
    stripe_stand_in.review_dispute(dispute=opened["id"])
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.refunds.create({"payment_intent": intent})
    stripe_stand_in.close_dispute(dispute=opened["id"], outcome=outcome)

    (dispute,) = client.disputes.list({"payment_intent": intent})
    assert refused.value.code == "charge_disputed"
    assert (dispute.status, client.charges.retrieve(charge).disputed) == (status, True)
    assert sum(moved.amount for moved in dispute.balance_transactions) == (0 if status == "won" else -PRICE)
    assert types(stripe_stand_in)[len(PAID) :] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        *ending,
    ]
    with pytest.raises(Misuse):
        stripe_stand_in.close_dispute(dispute=opened["id"], outcome="won")


def test_an_inquiry_takes_no_money_until_it_escalates(stripe_stand_in, client):
    first, _, _ = paid(stripe_stand_in, client)
    second, _, _ = paid(stripe_stand_in, client)
    closed = stripe_stand_in.dispute(of=first, is_inquiry=True)
    escalated = stripe_stand_in.dispute(of=second, is_inquiry=True, amount=400)
    stripe_stand_in.close_dispute(dispute=closed["id"], outcome="warning_closed")
    stripe_stand_in.escalate_dispute(dispute=escalated["id"])

    assert client.disputes.retrieve(closed["id"]).status == "warning_closed"
    assert client.disputes.retrieve(closed["id"]).balance_transactions == []
    assert [each.amount for each in client.disputes.retrieve(escalated["id"]).balance_transactions] == [-400]


def test_an_early_fraud_warning_is_settled_by_a_full_refund(stripe_stand_in, client):
    _, intent, charge = paid(stripe_stand_in, client)
    warning = stripe_stand_in.warn_of_fraud(of=intent)
    stripe_stand_in.refund(of=charge)

    (seen,) = client.radar.early_fraud_warnings.list({"charge": charge})
    assert (warning["actionable"], seen.actionable) == (True, False)
    assert types(stripe_stand_in)[-1] == "radar.early_fraud_warning.updated"


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_object_and_event_is_as_stripe_publishes_it(stripe_stand_in, client):
    customer = client.customers.create({"email": "ada@example.com"})
    one, two, three = (new_session(client, customer=customer.id) for _ in range(3))
    stripe_stand_in.pay(session=one.id)
    stripe_stand_in.decline(session=two.id)
    stripe_stand_in.pay_later(session=two.id)
    stripe_stand_in.settle_later(session=two.id, is_paid=False)
    stripe_stand_in.expire_session(session=three.id)
    refund = stripe_stand_in.refund(of=one.id, amount=300)
    stripe_stand_in.fail_refund(refund=refund["id"])
    dispute = stripe_stand_in.dispute(of=one.id)
    stripe_stand_in.review_dispute(dispute=dispute["id"])
    stripe_stand_in.close_dispute(dispute=dispute["id"], outcome="won")
    stripe_stand_in.warn_of_fraud(of=one.id)
    stripe_stand_in.refund(of=one.id)
    expanded = client.checkout.sessions.retrieve(one.id, {"expand": ["line_items", "payment_intent.latest_charge"]})
    moved = client.balance_transactions.list({"limit": 100})
    answers = [client.accounts.retrieve_current(), client.balance.retrieve(), expanded, customer]
    others = [json.loads(answer.last_response.body) for answer in answers]
    others += json.loads(moved.last_response.body)["data"]

    events = stripe_stand_in.events()
    told = [departures(event) + departures(event["data"]["object"]) for event in events]
    assert {event["type"]: wrong for event, wrong in zip(events, told, strict=True) if wrong} == {}
    assert [departures(each) for each in others] == [[]] * len(others)
    assert len({event["type"] for event in events}) == 23


# ── lists and events ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_come_in_pages_the_newest_first(client):
    made = [new_intent(client).id for _ in range(7)]

    page = client.payment_intents.list({"limit": 3})
    assert [intent.id for intent in page.data] == made[:-4:-1]
    assert page.has_more
    assert [intent.id for intent in page.auto_paging_iter()] == made[::-1]
    before = client.payment_intents.list({"limit": 2, "ending_before": made[0]})
    assert [intent.id for intent in before.data] == [made[2], made[1]]


def test_events_are_found_by_type_and_time(stripe_stand_in, client):
    paid(stripe_stand_in, client)
    stripe_stand_in.advance(seconds=100)
    paid(stripe_stand_in, client)
    later = int(stripe_stand_in.now()) - 50

    assert [event.type for event in client.events.list({"created": {"gte": later}})] == PAID[::-1]
    assert len(list(client.events.list({"types": ["charge.succeeded", "charge.failed"]}))) == 2
    assert len(list(client.events.list({"type": "payment_intent.*"}))) == 4
    newest = client.events.list({"limit": 1}).data[0]
    assert client.events.retrieve(newest.id).data.object["object"] == "checkout.session"
    stripe_stand_in.advance(seconds=31 * 86_400)
    assert list(client.events.list()) == []


def test_an_event_remembers_the_request_that_caused_it(stripe_stand_in, client):
    client.customers.create({"email": "ada@example.com"}, {"idempotency_key": "mine"})
    paid(stripe_stand_in, client)

    (created,) = stripe_stand_in.events(type="customer.created")
    (completed,) = stripe_stand_in.events(type="checkout.session.completed")
    assert created["request"]["idempotency_key"] == "mine"
    assert completed["request"] == {"id": None, "idempotency_key": None}


@pytest.mark.parametrize("path", ["nonsense", "customer.nonsense", "line_items"])
def test_what_cannot_be_expanded_is_refused(client, path):
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.payment_intents.retrieve(
            new_intent(client, customer=client.customers.create().id).id, {"expand": [path]}
        )


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_key_is_refused(stripe_stand_in):
    with pytest.raises(stripe.AuthenticationError) as refused:
        client_of(stripe_stand_in, key="sk_test_somebody_else").customers.list()

    assert refused.value.http_status == 401
    assert "somebody" not in str(refused.value)


def test_the_same_idempotency_key_replays_the_first_answer(stripe_stand_in, client):
    params = session_params()
    first, again = (client.checkout.sessions.create(params, {"idempotency_key": "k"}) for _ in range(2))

    assert first.to_dict() == again.to_dict()
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert [seen["outcome"] for seen in stripe_stand_in.journal] == ["answered", "replayed"]
    assert len(list(client.checkout.sessions.list())) == 1


def test_an_idempotency_key_with_another_body_is_an_error(client):
    client.checkout.sessions.create(session_params(), {"idempotency_key": "k"})

    with pytest.raises(stripe.IdempotencyError) as refused:
        client.checkout.sessions.create(session_params(client_reference_id="pay_9"), {"idempotency_key": "k"})
    assert refused.value.http_status == 400


def test_a_key_whose_first_request_still_runs_is_a_conflict(stripe_stand_in, client):
    stripe_stand_in.slow(seconds=PATIENCE_SECONDS, times=2, path="/refunds")
    _, intent, _ = paid(stripe_stand_in, client)

    def refund() -> str:
        try:
            other = client_of(stripe_stand_in)
            return str(other.refunds.create({"payment_intent": intent}, {"idempotency_key": "k"}).status)
        except stripe.StripeError as error:
            return f"{error.http_status} {json.loads(str(error.http_body))['error']['code']}"

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(refund) for _ in range(2)]
        wait(asked, return_when=FIRST_COMPLETED)
        stripe_stand_in.hurry()
    assert sorted(each.result() for each in asked) == ["409 idempotency_key_in_use", "succeeded"]


@pytest.mark.parametrize("how", ["by command", "by time"])
def test_an_expired_idempotency_key_acts_again(stripe_stand_in, client, how):
    client.checkout.sessions.create(session_params(), {"idempotency_key": "k"})
    if how == "by command":
        assert stripe_stand_in.expire_idempotency_keys() == 1
    else:
        stripe_stand_in.advance(seconds=25 * 3600)
    client.checkout.sessions.create(session_params(), {"idempotency_key": "k"})

    assert len(list(client.checkout.sessions.list())) == 2


def test_a_refusal_is_not_remembered_but_a_declined_card_is(client):
    with pytest.raises(stripe.InvalidRequestError):
        client.checkout.sessions.create(session_params(mode="loan"), {"idempotency_key": "k"})
    client.checkout.sessions.create(session_params(), {"idempotency_key": "k"})
    declined: Any = {"amount": PRICE, "currency": "usd", "confirm": True, "payment_method": "pm_card_chargeDeclined"}
    headers = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as error:
            client.payment_intents.create(declined, {"idempotency_key": "d"})
        headers.append("Idempotent-Replayed" in (error.value.headers or {}))

    assert headers == [False, True]


# ── misbehaviour of the API ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, stripe.APIError), (429, stripe.RateLimitError), (401, stripe.AuthenticationError)],
)
def test_it_fails_before_anything_happened(stripe_stand_in, client, status, error):
    stripe_stand_in.fail(status=status, path="/customers")
    with pytest.raises(error):
        client.customers.create({"email": "ada@example.com"})

    assert list(client.customers.list()) == []
    assert stripe_stand_in.requests(path="/customers")[0]["outcome"] == "failed"


@pytest.mark.parametrize("how", ["status", "reset"])
def test_it_fails_after_it_happened_and_the_key_finds_the_answer(stripe_stand_in, client, how):
    stripe_stand_in.fail(how=how, when="after", method="POST")
    with pytest.raises(stripe.StripeError):
        client.customers.create({"email": "ada@example.com"}, {"idempotency_key": "k"})
    again = client.customers.create({"email": "ada@example.com"}, {"idempotency_key": "k"})

    assert [each.id for each in client.customers.list()] == [again.id]


def test_a_failure_may_be_what_the_key_remembers(stripe_stand_in, client):
    stripe_stand_in.fail(when="after", is_remembered=True)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.customers.create({"email": "ada@example.com"}, {"idempotency_key": "k"})

    assert len(list(client.customers.list())) == 1


def test_it_hangs_longer_than_the_caller_waits(stripe_stand_in):
    impatient = client_of(stripe_stand_in, timeout=0.3)
    stripe_stand_in.fail(how="hang", seconds=PATIENCE_SECONDS, when="after")

    with pytest.raises(stripe.APIConnectionError):
        impatient.customers.create({"email": "ada@example.com"})
    client = client_of(stripe_stand_in)
    wait_for(lambda: len(list(client.customers.list())) == 1, seconds=PATIENCE_SECONDS, what="there is one customer")
    stripe_stand_in.hurry()


def test_the_sdk_survives_two_failures_with_its_own_retries(stripe_stand_in):
    stripe_stand_in.fail(times=2)

    assert client_of(stripe_stand_in, retries=2).customers.create({"email": "ada@example.com"}).id
    assert [seen["outcome"] for seen in stripe_stand_in.journal] == ["failed", "failed", "answered"]


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hooked(stripe_stand_in: StripeStandIn, endpoint: Endpoint) -> Endpoint:
    stripe_stand_in.target(urls=[endpoint.url])
    return endpoint


def test_the_sdk_verifies_what_is_delivered(stripe_stand_in, client, hooked):
    client.customers.create({"email": "ada@example.com", "name": "Zoë Müller {} 1.0"})
    assert stripe_stand_in.drain()

    (request,) = hooked.received
    event = stripe.Webhook.construct_event(
        request.body, request.headers["stripe-signature"], stripe_stand_in.webhook_secret
    )
    assert (event.type, event.livemode, event.api_version) == ("customer.created", False, stripe.api_version)
    assert event.data.object["name"] == "Zoë Müller {} 1.0"
    assert "Zoë".encode() in request.body
    assert client.events.retrieve(event.id).pending_webhooks == 0


def test_a_delivery_that_is_not_taken_is_tried_again_and_signed_anew(stripe_stand_in, client, hooked):
    stripe_stand_in.retry(attempts=3, backoff_seconds=0.01)
    hooked.answers = [500, 404, 200, 500, 500, 500]
    client.customers.create({"email": "one@example.com"})
    assert stripe_stand_in.drain()
    client.customers.create({"email": "two@example.com"})
    assert stripe_stand_in.drain()

    told = stripe_stand_in.deliveries()
    assert [(each["state"], each["answers"]) for each in told] == [
        ("delivered", [500, 404, 200]),
        ("failed", [500, 500, 500]),
    ]
    assert client.events.list({"delivery_success": False}).data[0].data.object["email"] == "two@example.com"


@pytest.mark.parametrize(
    ("signing", "problem"),
    [
        ({"secret": "whsec_other"}, "No signatures found matching"),
        ({"ahead_seconds": -400}, "outside the tolerance"),
        ({"header": "t=1"}, "No signatures found with expected scheme"),
    ],
)
def test_a_delivery_may_be_signed_wrongly(stripe_stand_in, client, hooked, signing, problem):
    stripe_stand_in.hold()
    client.customers.create({"email": "ada@example.com"})
    stripe_stand_in.deliver(stripe_stand_in.pending()[0]["id"], **signing)

    (request,) = hooked.received
    with pytest.raises(stripe.SignatureVerificationError, match=problem):
        stripe.Webhook.construct_event(
            request.body, request.headers["stripe-signature"], stripe_stand_in.webhook_secret
        )


def test_held_deliveries_leave_in_the_order_a_test_chooses_and_as_often(stripe_stand_in, client, hooked):
    stripe_stand_in.hold()
    paid(stripe_stand_in, client)
    waiting = stripe_stand_in.pending()
    for each in waiting[::-1]:
        assert stripe_stand_in.deliver(each["id"]) == 200
    stripe_stand_in.deliver(waiting[0]["event"])

    assert [each["type"] for each in waiting] == PAID
    assert hooked.types() == [*PAID[::-1], PAID[0]]
    assert stripe_stand_in.pending() == []


def test_released_deliveries_all_arrive_and_dropped_ones_never(stripe_stand_in, client, hooked):
    stripe_stand_in.hold()
    paid(stripe_stand_in, client)
    stripe_stand_in.drop(stripe_stand_in.pending()[0]["id"])
    stripe_stand_in.release()
    assert stripe_stand_in.drain()

    assert sorted(hooked.types()) == sorted(PAID[1:])


def test_deliveries_are_duplicated_dropped_delayed_and_reordered(stripe_stand_in, client, hooked, monkeypatch):
    monkeypatch.setattr(deliveries, "REORDER_SECONDS", PATIENCE_SECONDS)
    stripe_stand_in.misdeliver(duplicate=2, drop=1, types=["charge"])
    paid(stripe_stand_in, client)
    assert stripe_stand_in.drain()
    counted = sorted(hooked.types())
    hooked.received.clear()
    stripe_stand_in.misdeliver(reorder=4)
    paid(stripe_stand_in, client)
    assert stripe_stand_in.drain()

    assert counted == sorted([*PAID, PAID[1]])
    assert hooked.types() == PAID[::-1]

    stripe_stand_in.misdeliver(delay_seconds=0.3)
    asked_at = time.monotonic()
    paid(stripe_stand_in, client)
    assert stripe_stand_in.drain()
    assert time.monotonic() - asked_at >= 0.3


def test_an_event_is_announced_again(stripe_stand_in, client, hooked):
    paid(stripe_stand_in, client)
    assert stripe_stand_in.drain()
    event = stripe_stand_in.events()[-1]["id"]
    stripe_stand_in.announce_again(event=event)
    assert stripe_stand_in.drain()

    assert [body["id"] for body in hooked.bodies].count(event) == 2


def test_it_lies_and_the_signature_is_true(stripe_stand_in, client, hooked):
    paid(stripe_stand_in, client)
    event = stripe_stand_in.events()[-1]["id"]
    assert stripe_stand_in.drain()
    hooked.received.clear()
    changes = {"livemode": True, "account": "acct_other", "data.object.amount_total": 1, "data.object.currency": "jpy"}
    lie = stripe_stand_in.lie(event=event, changes=changes)
    assert stripe_stand_in.drain()

    (request,) = hooked.received
    told = stripe.Webhook.construct_event(
        request.body, request.headers["stripe-signature"], stripe_stand_in.webhook_secret
    )
    assert (told.id, told.livemode, told.account, told.data.object["amount_total"]) == (lie, True, "acct_other", 1)
    with pytest.raises(stripe.InvalidRequestError):
        client.events.retrieve(lie)


def test_an_object_may_differ_from_what_was_asked(stripe_stand_in, client):
    session, _, _ = paid(stripe_stand_in, client)
    stripe_stand_in.alter(id=session, changes={"amount_total": 10, "currency": "eur", "livemode": True})

    seen = client.checkout.sessions.retrieve(session)
    assert (seen.amount_total, seen.currency, seen.livemode) == (10, "eur", True)


def test_any_bytes_can_be_signed(stripe_stand_in, hooked):
    raw = '{"id":"evt_1","object":"event","type":"x", "a": {}, "b": 1.0, "c": "é\\u00e9"}'
    assert stripe_stand_in.send_raw(body=raw) == 200

    (request,) = hooked.received
    assert request.body == raw.encode()
    stripe.WebhookSignature.verify_header(
        request.body, request.headers["stripe-signature"], stripe_stand_in.webhook_secret, 300
    )


# ── over HTTP, and many at once ──────────────────────────────────────────────────────────────────────────────────────


def test_every_control_is_there_over_http(stripe_stand_in, client):
    session = new_session(client)

    def control(name: str, **given: Any) -> requests.Response:
        return requests.post(f"{stripe_stand_in.url}/_control/{name}", json=given, timeout=PATIENCE_SECONDS)

    assert control("pay", session=session.id).json()["result"]["status"] == "complete"
    assert len(control("charges_for", reference="pay_1").json()["result"]) == 1
    assert [seen["path"] for seen in control("requests").json()["result"]] == ["/v1/checkout/sessions"]
    assert control("pay", session=session.id).status_code == 400
    assert control("pay", nonsense=1).status_code == 400
    assert control("sign").status_code == 404
    assert {name for name in stripe_stand_in.controls if not callable(getattr(stripe_stand_in, name))} == set()


def test_many_payments_at_once_are_each_paid_once(stripe_stand_in, hooked):
    stripe_stand_in.misdeliver(duplicate=1)
    local = threading.local()

    def buy(number: int) -> None:
        if not hasattr(local, "client"):
            local.client = client_of(stripe_stand_in)
        session = new_session(local.client, client_reference_id=f"pay_{number}", metadata={}, payment_intent_data={})
        stripe_stand_in.pay(session=session.id)
        assert local.client.checkout.sessions.retrieve(session.id).payment_status == "paid"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(buy, range(100)))
    assert stripe_stand_in.drain()

    assert [len(stripe_stand_in.charges_for(reference=f"pay_{number}")) for number in range(100)] == [1] * 100
    assert len(hooked.received) == 100 * len(PAID) * 2


def test_it_ends_with_its_owner_and_so_do_open_connections():
    with requests.Session() as session:
        with StripeStandIn() as stand_in:
            session.post(f"{stand_in.url}/_control/requests", timeout=PATIENCE_SECONDS)

        with pytest.raises(requests.ConnectionError):
            session.post(f"{stand_in.url}/_control/requests", timeout=PATIENCE_SECONDS)
