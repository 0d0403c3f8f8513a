"""What PayPal's objects say of a payment, in every combination that an order and its captures can be found in."""

import pytest

from shared.kernel.errors import InvalidValue
from shared.payments.fiat import Fiat
from shared.platform.paypal.reading import amount_of, best_capture, truth_of, written

AMOUNT = {"currency_code": "USD", "value": "12.50"}


def capture(status, number=1):
    return {"id": f"CAP{number}", "status": status, "amount": AMOUNT, "custom_id": "pay_1"}


def order(status, *captures):
    made = [capture(each, number) for number, each in enumerate(captures, 1)]
    return {"id": "ORD1", "status": status, "purchase_units": [{"custom_id": "pay_1", "payments": {"captures": made}}]}


@pytest.mark.parametrize(
    ("status", "captures", "stage", "money"),
    [
        ("CREATED", [], "open", None),
        ("SAVED", [], "open", None),
        ("PAYER_ACTION_REQUIRED", [], "open", None),
        ("APPROVED", [], "approved", None),
        ("VOIDED", [], "cancelled", None),
        ("SOMETHING_NEW", [], "open", None),
        ("COMPLETED", [], "failed", None),
        ("COMPLETED", ["COMPLETED"], "paid", "CAP1"),
        ("COMPLETED", ["PARTIALLY_REFUNDED"], "paid", "CAP1"),
        ("COMPLETED", ["REFUNDED"], "paid", "CAP1"),
        ("COMPLETED", ["PENDING"], "pending", None),
        ("COMPLETED", ["SOMETHING_NEW"], "pending", None),
        ("COMPLETED", ["DECLINED"], "failed", None),
        ("COMPLETED", ["DENIED"], "failed", None),
        ("COMPLETED", ["FAILED"], "failed", None),
        ("COMPLETED", ["DECLINED", "COMPLETED"], "paid", "CAP2"),
        ("APPROVED", ["DECLINED"], "approved", None),
        ("APPROVED", ["COMPLETED"], "paid", "CAP1"),
    ],
)
def test_an_order_and_its_captures_say_one_thing(status, captures, stage, money):
    found = order(status, *captures)

    truth = truth_of(found, best_capture(found), [], is_live=False)

    assert (truth.stage, truth.money, truth.payment) == (stage, money, "pay_1")
    assert truth.paid == (Fiat(1250, "USD") if stage == "paid" else None)


@pytest.mark.parametrize(("status", "stage"), [("COMPLETED", "paid"), ("PENDING", "pending"), ("DECLINED", "failed")])
def test_a_capture_whose_order_is_gone_speaks_for_itself(status, stage):
    assert truth_of(None, capture(status), [], is_live=True).stage == stage


def test_a_lost_dispute_is_as_large_as_what_was_given_back():
    dispute = {"dispute_id": "PP-1", "status": "RESOLVED", "dispute_amount": AMOUNT}
    outcome = {"outcome_code": "RESOLVED_BUYER_FAVOUR", "amount_refunded": {**AMOUNT, "value": "5.00"}}

    [found] = truth_of(None, capture("COMPLETED"), [{**dispute, "dispute_outcome": outcome}], is_live=False).disputes

    assert (found.status, found.amount) == ("lost", Fiat(500, "USD"))


@pytest.mark.parametrize("value", ["12.505", "-1.00", "1e3", "", "12,50"])
def test_an_amount_that_is_none_is_refused(value):
    with pytest.raises(InvalidValue):
        amount_of({**AMOUNT, "value": value})


@pytest.mark.parametrize(
    ("amount", "value"), [(Fiat(1250, "USD"), "12.50"), (Fiat(1200, "HUF"), "12"), (Fiat(1250, "JPY"), "1250")]
)
def test_amounts_are_written_as_paypal_reads_them(amount, value):
    assert written(amount) == {"currency_code": amount.currency, "value": value}
    assert amount_of(written(amount)) == amount
