"""Payments of agents with the call that needs credits: once, as the payer accepted, for that user alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import SystemClock
from tests.api.world import World, problem
from tests.api.x402.world import (
    BODY,
    CALL,
    CAP,
    DOLLAR,
    ENV,
    PACKAGE,
    chains_of,
    facilitator_of,
    grants,
    header_for,
    now,
    paid,
    refused,
    rich,
)
from tests.support.x402_payers import PAYER, decoded, offers_in, signed_header


def test_agent_buys_and_calls_in_one_go(world, agent):
    answer = paid(agent, header_for(world, agent))

    told = decoded(answer.headers["PAYMENT-RESPONSE"])
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.json["choices"]
    assert (told["success"], told["network"], told["payer"]) == (True, "eip155:8453", PAYER.address.lower())
    assert told["transaction"].startswith("0x")
    assert grants(agent) == ["settled"]
    assert agent.post(CALL, BODY).status_code == 200
    assert len(facilitator_of(world).asked) == 1


@pytest.mark.parametrize(("way", "is_told"), [("settled", True), ("mislabelled", False)])
def test_transaction_is_told_if_the_chain_has_shown_the_coins_there(world, agent, way, is_told):
    facilitator_of(world).ways = [way]
    header = signed_header(offers_in(agent.post("/payments/x402"))[0], now(world))

    answer = agent.post("/payments/x402", headers={"PAYMENT-SIGNATURE": header})

    told = decoded(answer.headers["PAYMENT-RESPONSE"])
    assert (answer.status_code, told["success"]) == (201, True)
    assert (told["transaction"] != "", answer.json["transaction"] is not None) == (is_told, is_told)


def test_same_header_five_times_at_once_pays_and_calls_once():
    world = rich(World(ENV, clock=SystemClock()))
    agent = world.person().key("chat", "top_up", spend_cap=CAP)
    header = header_for(world, agent)

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: paid(agent, header), range(5)))

    assert {each.status_code for each in answers} == {200}
    assert len({each.json["id"] for each in answers}) == 1
    assert grants(agent) == ["settled"]
    assert len(world.passthrough.requests) == 1


def test_same_header_with_another_call_is_refused(world, agent):
    header = header_for(world, agent)
    assert paid(agent, header).status_code == 200

    other = paid(agent, header, {**BODY, "messages": [{"role": "user", "content": "Other"}]})
    keyed = paid(agent, header, key="another")

    assert [each.json["error"]["code"] for each in (other, keyed)] == ["idempotency_mismatch"] * 2
    assert len(world.passthrough.requests) == 1


def test_coins_that_came_as_a_deposit_before_pay_the_call(world, agent):
    header = header_for(world, agent)
    signed = decoded(header)["payload"]["authorization"]
    chain = chains_of(world)["base"]
    chain.authorize("USDC", (signed["from"].lower(), signed["nonce"]), signed["to"], int(signed["value"]))
    chain.mine()
    world.services.crypto.follower.follow("evm", 0)

    answer = paid(agent, header)

    assert answer.status_code == 200
    assert sorted(grants(agent)) == ["failed", "settled"]
    assert len(world.passthrough.requests) == 1


def test_the_cap_of_a_key_limits_what_it_buys(world, admin):
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    agent = world.person().key("chat", "top_up", spend_cap={"amount": "150", "period": "day"})
    offers = offers_in(refused(agent))
    assert {each["amount"] for each in offers} == {"1000000"}
    ten = signed_header({**offers[0], "amount": "10000000"}, now(world))

    assert paid(agent, ten).json["error"]["code"] == "top_up_cap_reached"
    assert paid(agent, signed_header(offers[0], now(world))).status_code == 200
    second = paid(agent, signed_header(offers[0], now(world)))

    assert second.json["error"]["code"] == "top_up_cap_reached"
    assert grants(agent) == ["settled"]


def test_cap_of_a_key_counts_coins_beyond_the_offer(world):
    agent = world.person().key("chat", "top_up", spend_cap={"amount": "150", "period": "day"})
    header = header_for(world, agent, signed={"value": 3 * DOLLAR})

    answer = paid(agent, header)

    assert answer.json["error"]["code"] == "top_up_cap_reached"
    assert (facilitator_of(world).asked, grants(agent)) == ([], [])


def test_more_than_the_offer_is_a_deposit(world, agent):
    header = header_for(world, agent, signed={"value": 3 * DOLLAR})

    assert paid(agent, header).status_code == 200
    world.services.crypto.follower.follow("evm", 0)

    assert grants(agent) == ["settled", "settled"]
    assert world.services.credits.ledger.balance(agent.uid).total > 299 * 1_000_000


def test_purchase_without_a_call_is_the_same(world, agent):
    asked = agent.post("/payments/x402")
    header = signed_header(offers_in(asked)[0], now(world))

    answer = agent.post("/payments/x402", headers={"PAYMENT-SIGNATURE": header})
    again = agent.post("/payments/x402", headers={"PAYMENT-SIGNATURE": header})

    assert problem(asked) == (402, "payment_required")
    assert answer.status_code == again.status_code == 201
    assert answer.json == again.json
    assert (answer.json["status"], answer.json["credits"], answer.json["network"]) == ("settled", "100", "base")
    assert grants(agent) == ["settled"]


def test_a_stream_is_paid_the_same_way(world, agent):
    header = header_for(world, agent)

    answer = paid(agent, header, {**BODY, "stream": True})

    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    assert decoded(answer.headers["PAYMENT-RESPONSE"])["success"] is True


def test_a_frozen_account_buys_nothing(world, agent, admin):
    header = header_for(world, agent)
    assert admin.post(f"/admin/users/{agent.uid}/freeze", {"reason": "r"}).status_code in {200, 201}

    answer = paid(agent, header)

    assert answer.status_code == 403
    assert facilitator_of(world).asked == []


def test_payments_of_one_user_at_once_become_credits_each(world, agent):
    headers = [header_for(world, agent) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda header: paid(agent, header), headers))
    answers = [paid(agent, header) for header in headers]

    assert [each.status_code for each in answers] == [200] * 4
    assert grants(agent) == ["settled"] * 4
    assert len(world.passthrough.requests) == 4


@pytest.mark.parametrize("key", [None, "my-key"])
def test_a_conversation_is_begun_and_paid_in_one_go(world, agent, key):
    body = {"message": "Hi"}
    asked = agent.post("/chat/conversations", body, key=key)
    header = signed_header(offers_in(asked)[0], now(world))

    answer, again = (
        agent.post("/chat/conversations", body, key=key, headers={"PAYMENT-SIGNATURE": header}) for _ in "ab"
    )

    assert asked.status_code == 402
    assert answer.status_code == again.status_code == 201
    assert answer.json["id"] == again.json["id"]
    assert grants(agent) == ["settled"]


def test_the_user_of_a_payment_cannot_change_its_coins(world, agent):
    owner = world.person()
    agent = owner.key("chat", "top_up")
    facilitator_of(world).ways = ["unmined"]
    assert paid(agent, header_for(world, agent)).status_code == 503
    (payment,) = world.services.payments.store.history(owner.uid, limit=9, after=None).items

    answer = owner.post(f"/payments/crypto/{payment.id}/change", {"network": "polygon", "asset": "POL"})

    assert answer.status_code == 404


def test_payments_of_agents_are_shown_as_others_are(world):
    owner = world.person()
    assert paid(owner.key("chat", "top_up"), header_for(world, owner.key("chat", "top_up"))).status_code == 200
    (payment,) = world.services.payments.store.history(owner.uid, limit=9, after=None).items

    shown = owner.get(f"/payments/status/{payment.id}").json

    assert (shown["status"], shown["package_id"], shown["price"]["amount"]) == ("settled", "deposit", "1.00")
    assert (shown["crypto"]["state"], shown["crypto"]["received"]) == ("settled", "1")
    assert len(shown["crypto"]["transactions"]) == 1


def test_wallet_of_agents_is_erased_when_the_user_leaves(world, agent):
    refused(agent)
    documents = world.services.ports.documents()
    assert documents.get(f"agent_wallets/{agent.uid}") is not None

    world.services.leaving.leave(agent.uid)

    assert documents.get(f"agent_wallets/{agent.uid}") is None
