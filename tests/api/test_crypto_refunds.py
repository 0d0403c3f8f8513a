"""Refunds in coins over HTTP: the user names an address, the operator sends, the chain tells."""

from dataclasses import replace

import pytest

from shared.kernel.clock import DAY, MINUTE
from tests.api import test_crypto_payments as buying
from tests.api.world import World, problem

WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
REASON = {"reason": "ticket 4711"}
CALL = "0xa9059cbb" + "0" * 24 + WALLET[2:].lower()


@pytest.fixture
def shop():
    world = World(buying.ENV)
    for chain in buying.chains_of(world).values():
        chain.mine(12)
    assert world.person("admin").call("PUT", "/admin/packages/small", body=buying.PACKAGE).status_code == 200
    return world


@pytest.fixture
def admin(shop):
    return shop.person("admin")


@pytest.fixture
def alice(shop):
    return shop.person()


def bought(shop, person, body=buying.USDC):
    payment = buying.begun(person, body)
    buying.send(shop, payment, int(payment["amount_atomic"]))
    for chain in buying.chains_of(shop).values():
        chain.mine(20)
    shop.services.crypto.follower.follow_payment(payment["payment_id"])
    assert person.get(f"/payments/status/{payment['payment_id']}").json["status"] == "settled"
    return payment["payment_id"]


def named(person, payment, address=WALLET):
    return person.call("PUT", f"/payments/{payment}/refund-address", body={"address": address})


def asked(admin, payment, **more):
    return admin.post(f"/admin/payments/{payment}/refund", {**REASON, **more})


def sent(shop, admin, payment, payout, more=0):
    chain = buying.chains_of(shop)[payout["network"]]
    transaction = chain.send(payout["address"], payout["asset"], int(payout["amount_atomic"]) + more)
    chain.mine(20)
    return admin.post(f"/admin/payments/{payment}/refunds/{payout['id']}/sent", {"tx": transaction})


def test_refund_tells_an_unsigned_transaction_and_is_sent_by_the_chain(shop, admin, alice):
    payment = bought(shop, alice)
    assert problem(asked(admin, payment)) == (409, "refund_address_missing")
    assert named(alice, payment).json["counts"] is True

    answer = asked(admin, payment, amount="10.00").json
    (payout,) = answer["payouts"]
    done = sent(shop, admin, payment, payout).json

    unsigned = payout["unsigned"]
    assert (answer["status"], buying.credits_of(shop, alice)) == ("refunded", "0")
    assert (payout["price"], payout["address"], payout["state"]) == (
        {"amount": "10.00", "currency": "USD"},
        WALLET,
        "waiting",
    )
    assert (unsigned["to"], unsigned["value"], unsigned["chainId"]) == (buying.CONTRACT, "0x0", hex(8453))
    assert unsigned["data"] == f"{CALL}{int(payout['amount_atomic']):064x}"
    assert (done["payouts"][0]["state"], done["payouts"][0]["unsigned"], done["status"]) == ("sent", None, "refunded")
    assert answer["refund_address"]["address"] == WALLET
    assert "for a refund" in alice.get(f"/payments/status/{payment}").json["crypto"]["sentence"]


def test_bitcoin_refund_is_a_link_with_address_and_amount(shop, admin, alice):
    payment = bought(shop, alice, buying.BTC)
    address = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
    assert named(alice, payment, address.upper()).json["address"] == address

    (payout,) = asked(admin, payment).json["payouts"]

    assert payout["uri"] == f"bitcoin:{address}?amount={payout['amount']}"
    assert payout["unsigned"] is None


def test_cancelled_refund_returns_the_credits_and_records_both_acts(shop, admin, alice):
    payment = bought(shop, alice)
    named(alice, payment)
    before = buying.credits_of(shop, alice)
    (payout,) = asked(admin, payment).json["payouts"]

    answer = admin.post(f"/admin/payments/{payment}/refunds/{payout['id']}/cancel", REASON)

    assert (answer.status_code, answer.json["status"]) == (200, "settled")
    assert (answer.json["payouts"][0]["state"], buying.credits_of(shop, alice)) == ("cancelled", before)
    acts = {each["act"] for each in admin.get("/admin/audit").json["items"] if each["target"] == payment}
    assert acts == {"cancel_payout", "refund"}


def test_wrong_amount_is_refused_with_a_sentence(shop, admin, alice):
    payment = bought(shop, alice)
    named(alice, payment)
    (payout,) = asked(admin, payment).json["payouts"]

    refused = sent(shop, admin, payment, payout, more=-1)

    assert problem(refused) == (409, "payout_not_shown")
    assert "another amount" in refused.json["detail"]


def test_address_counts_after_a_day_unless_the_sign_in_is_fresh(shop, admin, alice):
    payment = bought(shop, alice)
    old = replace(alice, token=shop.identity.token(alice.uid, signed_in_at=shop.clock.now() - 6 * MINUTE))

    told = named(old, payment).json
    refused = asked(admin, payment)
    shop.clock.advance(DAY)
    later = replace(alice, token=shop.identity.token(alice.uid))

    assert (told["counts"], problem(refused)) == (False, (409, "refund_address_missing"))
    assert later.get(f"/payments/{payment}/refund-address").json["counts"] is True


def test_refund_address_is_for_the_owner_and_for_coins(shop, alice):
    bob, payment = shop.person(), bought(shop, alice)

    assert problem(named(bob, payment)) == (404, "payment_not_found")
    assert problem(bob.get(f"/payments/{payment}/refund-address")) == (404, "payment_not_found")
    assert problem(alice.get(f"/payments/{payment}/refund-address")) == (404, "no_refund_address")
    assert problem(named(alice, payment, WALLET[:-1] + "e")) == (422, "invalid_value")
    own = alice.get(f"/payments/status/{payment}").json["crypto"]["address"]
    assert problem(named(alice, payment, own)) == (422, "invalid_value")


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 403), ("auditor", 403), ("admin", 404)])
def test_only_admins_send_and_cancel_refunds(shop, role, status):
    for act, body in (("sent", {"tx": "0x" + "0" * 64}), ("cancel", REASON)):
        answer = shop.person(role).post(f"/admin/payments/pay_none/refunds/refund_none/{act}", body)

        assert answer.status_code == status


def test_admin_refunds_no_coins_to_themselves(shop, admin):
    payment = bought(shop, admin)
    named(admin, payment)

    assert problem(asked(admin, payment)) == (403, "own_account")
