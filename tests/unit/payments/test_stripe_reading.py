"""What Stripe's objects say of a payment, in every combination that a session and its intent can be found in."""

import pytest

from shared.payments.fiat import Fiat
from shared.platform.stripe.reading import Found, refund_of, truth_of


def session(status):
    return {"id": "cs_1", "object": "checkout.session", "status": status, "livemode": False, "metadata": {}}


def intent(status, **changes):
    made = {"id": "pi_1", "object": "payment_intent", "status": status, "livemode": False, "currency": "usd"}
    return {**made, "amount": 1250, "amount_received": 1250 if status == "succeeded" else 0, **changes}


def truth(of_session, of_intent):
    return truth_of(Found(session=of_session, intent=of_intent), [], [], [])


@pytest.mark.parametrize(
    ("of_session", "of_intent", "stage"),
    [
        ("open", None, "open"),
        ("open", "requires_payment_method", "open"),
        ("open", "requires_action", "open"),
        ("open", "processing", "pending"),
        ("complete", "succeeded", "paid"),
        ("complete", "processing", "pending"),
        ("complete", "requires_action", "pending"),
        ("complete", "requires_payment_method", "failed"),
        ("complete", "canceled", "cancelled"),
        ("complete", None, "failed"),
        ("expired", None, "expired"),
        ("expired", "requires_payment_method", "expired"),
        ("expired", "canceled", "expired"),
        ("expired", "succeeded", "paid"),
        ("expired", "processing", "pending"),
        (None, "requires_payment_method", "open"),
        (None, "requires_confirmation", "open"),
        (None, "requires_action", "open"),
        (None, "requires_capture", "approved"),
        (None, "processing", "pending"),
        (None, "succeeded", "paid"),
        (None, "canceled", "cancelled"),
    ],
)
def test_a_session_and_its_intent_say_one_thing(of_session, of_intent, stage):
    found = truth(of_session and session(of_session), of_intent and intent(of_intent))

    assert found.stage == stage
    assert (found.money, found.paid) == (("pi_1", Fiat(1250, "USD")) if stage == "paid" else (None, None))


def test_an_intent_that_ended_with_its_session_has_expired():
    assert truth(None, intent("canceled", cancellation_reason="expired")).stage == "expired"


def test_only_what_was_received_counts():
    assert truth(None, intent("succeeded", amount_received=1)).paid == Fiat(1, "USD")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("succeeded", "succeeded"),
        ("pending", "pending"),
        ("requires_action", "pending"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("something_new", "pending"),
    ],
)
def test_a_refund_that_is_on_its_way_counts_as_gone(said, status):
    assert refund_of({"id": "re_1", "status": said, "amount": 5, "currency": "usd"}).status == status


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("needs_response", "open"),
        ("under_review", "open"),
        ("warning_needs_response", "open"),
        ("warning_under_review", "open"),
        ("something_new", "open"),
        ("won", "won"),
        ("lost", "withdrawn"),
        ("warning_closed", "withdrawn"),
        ("prevented", "withdrawn"),
    ],
)
def test_dispute_without_movements_takes_nothing(said, status):
    dispute = {"id": "du_1", "status": said, "amount": 5, "currency": "usd"}

    [found] = truth_of(Found(session=None, intent=intent("succeeded")), [], [dispute], []).disputes

    assert (found.status, found.amount) == (status, Fiat(5, "USD"))


@pytest.mark.parametrize(
    ("said", "moved", "status"),
    [
        ("needs_response", [-5], "open"),
        ("lost", [-5], "lost"),
        ("prevented", [-5], "lost"),
        ("won", [-5, 5], "won"),
        ("won", [-5], "open"),
        ("lost", [-5, 5, -5], "lost"),
        ("lost", [-4], "lost"),
        ("warning_closed", [], "withdrawn"),
    ],
)
def test_balance_transactions_say_whether_disputed_money_is_gone(said, moved, status):
    movements = [{"amount": amount, "currency": "eur"} for amount in moved]
    dispute = {"id": "du_1", "status": said, "amount": 5, "currency": "usd", "balance_transactions": movements}

    [found] = truth_of(Found(session=None, intent=intent("succeeded")), [], [dispute], []).disputes

    assert (found.status, found.amount) == (status, Fiat(5, "USD"))
