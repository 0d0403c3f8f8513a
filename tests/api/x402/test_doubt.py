"""Payments in doubt: a facilitator that lies, is slow or is silent, and payments that are refused or never come."""

import pytest

from shared.kernel.clock import MINUTE, SECOND
from shared.sagas.payments.agent_payments import OPEN_MAX
from tests.api.x402.world import chains_of, facilitator_of, grants, header_for, now, paid
from tests.support.x402_payers import STRANGER, decoded, offers_in, signed_header


@pytest.mark.parametrize(
    ("way", "status"),
    [("lost", 200), ("failed", 200), ("unmined", 503), ("lying", 503), ("silent", 503)],
)
def test_the_chain_is_believed_whatever_the_facilitator_says(world, agent, way, status):
    header = header_for(world, agent)
    facilitator_of(world).ways = [way] * 9

    answer = paid(agent, header)

    assert answer.status_code == status, answer.get_data(as_text=True)
    has_come = status == 200
    assert grants(agent) == ["settled" if has_come else "confirming"]
    assert len(world.passthrough.requests) == int(has_come)


def test_a_payment_that_is_slow_pays_the_same_call_later(world, agent):
    header = header_for(world, agent)
    facilitator_of(world).ways = ["unmined"]
    assert paid(agent, header).status_code == 503

    chains_of(world)["base"].mine()
    answer = paid(agent, header)

    assert answer.status_code == 200
    assert grants(agent) == ["settled"]
    assert len(world.passthrough.requests) == 1


def test_a_payment_whose_level_cannot_be_read_waits_for_an_answer(world, agent):
    header = header_for(world, agent)
    base = chains_of(world)["base"]
    facilitator_of(world).before_answer = lambda: base.unread.add("USDC")
    assert paid(agent, header).status_code == 503

    base.unread.clear()
    answer = paid(agent, header)

    assert answer.status_code == 200
    assert grants(agent) == ["settled"]
    assert len(world.passthrough.requests) == 1


def test_a_silent_facilitator_is_asked_again(world, agent):
    header = header_for(world, agent)
    facilitator_of(world).ways = ["silent"]

    answer = paid(agent, header)

    assert answer.status_code == 200
    assert len(facilitator_of(world).asked) == 2


def test_slow_facilitator_is_asked_with_pauses_and_the_caller_is_answered(world, agent):
    header = header_for(world, agent)
    facilitator = facilitator_of(world)
    facilitator.ways = ["silent"] * 50
    facilitator.before_answer = lambda: world.clock.advance(15 * SECOND)
    began = world.clock.now()

    answer = paid(agent, header)

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "top_up_under_way")
    assert world.clock.now() - began <= MINUTE
    assert len(facilitator.asked) <= 2


def test_refusal_of_a_repeated_sending_tells_nothing_about_the_first(world, agent):
    header = header_for(world, agent)
    signed, base = decoded(header)["payload"]["authorization"], chains_of(world)["base"]
    base.authorize("USDC", (signed["from"].lower(), signed["nonce"]), signed["to"], int(signed["value"]))
    facilitator_of(world).ways = ["silent", "refused", "refused", "refused"]

    first = paid(agent, header)
    base.mine()
    second = paid(agent, header)

    assert first.json["error"]["code"] == "top_up_under_way"
    assert second.status_code == 200
    assert grants(agent) == ["settled"]


def test_refused_payment_ends_and_is_offered_again(world, agent):
    header = header_for(world, agent)
    facilitator_of(world).ways = ["refused"]

    answer = paid(agent, header)

    assert answer.json["error"]["code"] == "top_up_failed"
    assert offers_in(answer)
    assert paid(agent, signed_header(offers_in(answer)[0], now(world))).status_code == 200


def test_many_refused_payments_lock_nobody_out_once_they_have_ended(world):
    agent = world.person().key("chat", "top_up", spend_cap={"amount": "9000", "period": "day"})
    facilitator_of(world).ways = ["refused"] * OPEN_MAX
    headers = [header_for(world, agent) for _ in range(OPEN_MAX)]
    assert {paid(agent, each).json["error"]["code"] for each in headers} == {"top_up_failed"}
    assert paid(agent, header_for(world, agent)).json["error"]["code"] == "too_many_top_ups"
    world.clock.advance(5 * MINUTE)
    for chain in chains_of(world).values():
        chain.mine()
    world.services.crypto.follower.follow("evm", 0)

    assert paid(agent, header_for(world, agent)).status_code == 200


def test_a_payment_that_never_comes_ends_and_costs_nothing(world, agent):
    header = header_for(world, agent)
    facilitator_of(world).ways = ["silent"] * 50
    assert paid(agent, header).status_code == 503
    world.clock.advance(5 * MINUTE)
    chains_of(world)["base"].mine(12)

    answer = paid(agent, header)

    assert (answer.status_code, answer.json["error"]["code"]) == (402, "top_up_failed")
    assert decoded(answer.headers["PAYMENT-RESPONSE"])["success"] is False
    assert grants(agent) == ["expired"]
    assert world.passthrough.requests == []
    assert world.services.credits.ledger.balance(agent.uid).total == 0
    assert offers_in(answer)


def test_a_cancelled_authorization_pays_nothing(world, agent):
    header = header_for(world, agent)
    signed = decoded(header)["payload"]["authorization"]
    chain = chains_of(world)["base"]
    chain.authorize("USDC", (signed["from"].lower(), signed["nonce"]), STRANGER.address, 1)
    chain.mine()

    answer = paid(agent, header)

    assert (answer.status_code, answer.json["error"]["code"]) == (402, "insufficient_credits")
    assert grants(agent) == ["failed"]
    assert world.passthrough.requests == []


def test_coins_that_the_chain_takes_back_take_their_credits(world, agent):
    assert paid(agent, header_for(world, agent)).status_code == 200
    chain = chains_of(world)["base"]

    chain.reorg(1, keep=[])
    for _ in range(3):
        world.clock.advance(MINUTE)
        chain.mine(20)
        world.services.crypto.follower.follow("evm", 0)

    balance = world.services.credits.ledger.balance(agent.uid)
    assert grants(agent) == ["taken_back"]
    assert (balance.available, balance.debt > 0) == (0, True)
