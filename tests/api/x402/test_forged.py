"""Payments that are not relayed: forged or foreign ones, and those of screened payers."""

from typing import Any

import pytest

from tests.api.world import World
from tests.api.x402.world import (
    CAP,
    DOLLAR,
    ENV,
    chains_of,
    facilitator_of,
    grants,
    header_for,
    now,
    paid,
    refused,
    rich,
)
from tests.support.x402_payers import PAYER, STRANGER, decoded, header_of, offers_in, signed_header


def _changed(offer: Any, **changes: Any) -> Any:
    return {**offer, **changes}


FORGERIES = {
    "another signer": lambda offer, at: signed_header(offer, at, key=STRANGER, authorization={"from": PAYER.address}),
    "another amount": lambda offer, at: signed_header(offer, at, authorization={"value": "2000000"}),
    "too little": lambda offer, at: signed_header(offer, at, signed={"value": 999_999}),
    "a stranger's address": lambda offer, at: signed_header(offer, at, signed={"to": STRANGER.address}),
    "another chain": lambda offer, at: signed_header(_changed(offer, network="eip155:1"), at),
    "another chain's domain": lambda offer, at: signed_header(
        _changed(offer, network="eip155:137"), at, accepted=offer
    ),
    "an unlisted token": lambda offer, at: signed_header(_changed(offer, asset=STRANGER.address), at),
    "another domain": lambda offer, at: signed_header(_changed(offer, extra={**offer["extra"], "version": "1"}), at),
    "ended": lambda offer, at: signed_header(offer, at, signed={"validBefore": at + 3}),
    "not yet valid": lambda offer, at: signed_header(offer, at, signed={"validAfter": at + 60}),
    "valid too long": lambda offer, at: signed_header(offer, at, signed={"validBefore": at + 86_400}),
    "a payer without coins": lambda offer, at: signed_header(offer, at, key=STRANGER),
}


def test_a_stranger_who_broadcasts_first_takes_nothing_from_the_payer(world, agent):
    header = header_for(world, agent)
    signed = decoded(header)["payload"]["authorization"]
    chain = chains_of(world)["base"]
    chain.authorize("USDC", (signed["from"].lower(), signed["nonce"]), signed["to"], int(signed["value"]))
    chain.mine()

    answer = paid(agent, header)

    assert answer.status_code == 200
    assert grants(agent) == ["settled"]
    assert facilitator_of(world).asked == []


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_is_sent_for_a_payment_that_does_not_fit(world, agent, forgery):
    header = FORGERIES[forgery](offers_in(refused(agent))[0], now(world))

    answer = paid(agent, header)

    assert (answer.status_code, answer.json["error"]["code"]) == (402, "payment_invalid"), forgery
    assert offers_in(answer)
    assert (facilitator_of(world).asked, grants(agent)) == ([], [])


@pytest.mark.parametrize(
    "header",
    ["no base64!", "e30", header_of([]), header_of({"x402Version": 1}), "A" * 9_000, header_of({"x402Version": 2})],
)
def test_a_header_that_cannot_be_read_is_refused(world, agent, header):
    answer = paid(agent, header)

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "payment_malformed")


def test_a_payment_to_another_user_is_not_relayed(world, agent):
    header = header_for(world, world.person().key("chat", "top_up", spend_cap=CAP))
    refused(agent)

    answer = paid(agent, header)

    assert (answer.status_code, answer.json["error"]["code"]) == (402, "payment_invalid")
    assert facilitator_of(world).asked == []


def test_nothing_is_sent_for_a_payer_on_the_screened_list():
    world = rich(World({**ENV, "CRYPTO_SCREENING": "chainalysis"}))
    agent = world.person().key("chat", "top_up", spend_cap=CAP)
    chains_of(world)["base"].sanctioned.add(PAYER.address.lower())

    answer = paid(agent, header_for(world, agent))

    assert answer.json["error"]["code"] == "payment_invalid"
    assert (facilitator_of(world).asked, grants(agent)) == ([], [])


def test_nobody_is_asked_to_pay_again_for_coins_under_review():
    world = rich(World({**ENV, "CRYPTO_SCREENING": "chainalysis"}))
    agent = world.person().key("chat", "top_up", spend_cap=CAP)
    listed = chains_of(world)["base"].sanctioned
    facilitator_of(world).before_answer = lambda: listed.add(PAYER.address.lower())
    header = header_for(world, agent)

    answers = [paid(agent, header) for _ in range(2)]

    assert [each.json["error"]["code"] for each in answers] == ["top_up_under_review"] * 2
    assert [offers_in(each) for each in answers] == [[], []]
    assert world.passthrough.requests == []


def test_address_that_a_listed_sender_paid_is_replaced():
    world = rich(World({**ENV, "CRYPTO_SCREENING": "chainalysis"}))
    agent = world.person().key("chat", "top_up", spend_cap=CAP)
    base, first = chains_of(world)["base"], offers_in(refused(agent))[0]
    base.sanctioned.add("0xlisted")
    base.send(first["payTo"], "USDC", DOLLAR, sender="0xlisted")
    base.mine()
    world.services.crypto.follower.follow("evm", 0)

    answer = paid(agent, header_for(world, agent))

    assert answer.status_code == 200, answer.text
    assert sorted(grants(agent)) == ["confirming", "settled"]
