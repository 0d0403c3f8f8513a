"""What operators see of payments, and how they find one."""

from urllib.parse import urlencode

import pytest

from shared.kernel.documents import Put
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import ACCOUNT_CLOSED, NOT_RETURNED, OTHER_CURRENCY, REFUND_DUE
from shared.payments.problems import PROBLEMS
from tests.api.test_payments import PACKAGE, PAY, bought
from tests.api.world import problem


@pytest.fixture
def shop(world, admin):
    """One package on sale."""
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    return world


@pytest.fixture
def stripe(world):
    return world.services.ports.payment_providers()["stripe"]


def begun(person, **more):
    return person.post("/payments/traditional", {**PAY, **more}).json["payment_id"]


def found(admin, **wanted):
    page = admin.get(f"/admin/payments?{urlencode(wanted)}")
    assert page.status_code == 200, page.json
    return [item["id"] for item in page.json["items"]]


def test_a_parked_payment_says_its_problem_and_what_was_received(shop, admin, alice, stripe):
    odd = begun(alice)
    stripe.approve(odd, received=Fiat(1, "USD"))
    alice.get(f"/payments/status/{odd}")

    told = admin.get(f"/admin/payments/{odd}").json

    assert told["problem"]["code"] == "wrong_amount"
    assert "9.99 USD" in told["problem"]["message"]
    assert "0.01 USD" in told["problem"]["message"]
    assert told["received"] == {"amount": "0.01", "currency": "USD"}
    assert told["uid"] == alice.uid


def test_a_payment_in_order_has_no_problem(shop, admin, alice, stripe):
    paid = bought(alice, stripe)

    told = admin.get(f"/admin/payments/{paid}").json

    assert (told["problem"], told["received"]) == (None, {"amount": "9.99", "currency": "USD"})


def test_a_payment_not_yet_paid_received_nothing(shop, admin, alice):
    assert admin.get(f"/admin/payments/{begun(alice)}").json["received"] is None


def test_a_dispute_in_another_currency_is_told(shop, admin, alice, stripe):
    paid = bought(alice, stripe)
    stripe.dispute(paid, Fiat(500, "EUR"))
    shop.services.payments.settlement.settle(paid)

    told = admin.get(f"/admin/payments/{paid}").json

    assert told["problem"]["code"] == OTHER_CURRENCY
    assert "5.00 EUR" in told["problem"]["message"]
    assert [each["amount"] for each in told["movements"]] == [{"amount": "5.00", "currency": "EUR"}]


OF_CHAINS = {"address_swept", "ignored", "screened_sender"}


def test_every_problem_has_a_sentence():
    known = {"wrong_mode", "wrong_payment", "no_amount", "wrong_currency", "wrong_amount", "money_of_another"}

    assert PROBLEMS.keys() == known | {ACCOUNT_CLOSED, NOT_RETURNED, OTHER_CURRENCY, REFUND_DUE, *OF_CHAINS}


def test_a_payment_that_is_not_there_is_not_found(admin):
    assert problem(admin.get("/admin/payments/pay_none")) == (404, "payment_not_found")


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_a_payment_is_for_operators(shop, alice, role, status):
    assert shop.person(role).get(f"/admin/payments/{begun(alice)}").status_code == status


def test_payments_are_found_by_all_conditions_at_once(shop, admin, alice, stripe):
    bob = shop.person(credits_=1)
    paid, open_ = bought(alice, stripe), begun(alice, provider="paypal")
    of_bob = begun(bob)

    assert set(found(admin, uid=alice.uid)) == {paid, open_}
    assert found(admin, uid=alice.uid, provider="paypal") == [open_]
    assert found(admin, uid=alice.uid, status="settled", provider="stripe", under_review="false") == [paid]
    assert set(found(admin, status="pending")) == {open_, of_bob}
    assert found(admin, uid=alice.uid, to="2001-01-01") == []
    assert len(found(admin, **{"from": "2001-01-01", "to": "9998-01-01T00:00:00+02:00"})) == 3


def test_payments_of_one_condition_come_in_pages(shop, admin, alice):
    made = {begun(alice) for _ in range(3)}

    first = admin.get(f"/admin/payments?uid={alice.uid}&limit=2").json
    second = admin.get(f"/admin/payments?uid={alice.uid}&limit=2&cursor={first['next_cursor']}").json

    assert {item["id"] for item in (*first["items"], *second["items"])} == made
    assert second["next_cursor"] is None


def test_a_payment_is_found_by_each_id_of_its_provider(shop, admin, alice, stripe):
    paid, _ = bought(alice, stripe), bought(alice, stripe)
    stripe.refund_by_hand(paid, Fiat(100, "USD"))
    shop.services.payments.settlement.settle(paid)

    told = admin.get(f"/admin/payments/{paid}").json

    assert len(told["provider_ids"]) > 1
    assert all(found(admin, provider_id=each) == [paid] for each in told["provider_ids"])
    assert found(admin, provider_id=told["transaction_id"], status="failed") == []
    assert found(admin, provider_id="pi_of_nobody") == []
    assert found(admin, provider_id="a/b") == []


def test_a_payment_stored_before_its_ids_is_found_by_its_money(shop, admin, alice, stripe):
    paid = bought(alice, stripe)
    money = admin.get(f"/admin/payments/{paid}").json["transaction_id"]
    documents = shop.services.ports.documents()
    stored = documents.get(f"payment_sagas/{paid}")
    earlier = {name: value for name, value in stored.data.items() if name != "provider_ids"}
    documents.commit([Put(f"payment_sagas/{paid}", earlier)])

    assert found(admin, provider_id=money) == [paid]


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "2026-11-30T08:00:00", "1969-01-01", "9999-12-31", ""])
def test_a_time_that_is_none_is_refused(admin, when):
    assert problem(admin.get(f"/admin/payments?from={when}")) == (422, "invalid_request")


def test_a_frozen_user_begins_no_purchase(shop, admin, alice):
    before = alice.post("/payments/traditional", PAY, key="k")
    admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "a dispute"})

    assert problem(alice.post("/payments/traditional", PAY)) == (403, "account_frozen")
    assert alice.post("/payments/traditional", PAY, key="k").json == before.json
    assert len(found(admin, uid=alice.uid)) == 1


def test_a_refused_refund_names_the_amounts_in_decimals(shop, admin, alice, stripe):
    paid = bought(alice, stripe)

    refused = admin.post(f"/admin/payments/{paid}/refund", {"amount": "10.00", "reason": "r"}).json

    assert refused["detail"] == 'The value of "amount" must be from 0.01 to 9.99 USD.'


def test_the_record_of_a_refund_is_in_decimals(shop, admin, alice, stripe):
    paid = bought(alice, stripe)
    admin.post(f"/admin/payments/{paid}/refund", {"amount": "4.99", "reason": "r"})

    record = next(each for each in admin.get("/admin/audit").json["items"] if each["act"] == "refund")

    assert record["before"] == {"status": "settled", "refunded": "0.00 USD"}
    assert record["after"] == {"status": "partially_refunded", "refunded": "4.99 USD"}
