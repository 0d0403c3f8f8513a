"""Offers of a 402: what an agent may pay, for whom an offer is made, and what an offer costs us."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import MINUTE, SystemClock
from shared.kernel.documents import Query
from shared.payments.chains.x402 import OFFERS_MAX
from tests.api.world import World, problem
from tests.api.x402.world import (
    BODY,
    CALL,
    CAP,
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
from tests.support.x402_payers import decoded, offers_in, signed_header


def test_refusal_for_missing_credits_offers_a_dollar_and_the_packages(world, agent, admin):
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200

    answer = refused(agent)

    told = decoded(answer.headers["PAYMENT-REQUIRED"])
    assert answer.json["error"]["code"] == "insufficient_credits"
    assert (told["x402Version"], told["resource"]["url"]) == (2, f"https://api.example/api/v1{CALL}")
    assert [(each["network"], each["amount"], each["extra"]["credits"]) for each in told["accepts"]] == [
        ("eip155:8453", "1000000", "100"),
        ("eip155:137", "1000000", "100"),
        ("eip155:8453", "10000000", "1050"),
        ("eip155:137", "10000000", "1050"),
    ]
    assert {each["payTo"] for each in told["accepts"]} == {told["accepts"][0]["payTo"]}
    assert len(told["accepts"]) <= OFFERS_MAX


def test_refusals_take_one_address_per_user(world, agent):
    first = {each["payTo"] for each in offers_in(refused(agent))}

    again = {each["payTo"] for _ in range(5) for each in offers_in(refused(agent))}
    other = {each["payTo"] for each in offers_in(refused(world.person().key("chat", "top_up", spend_cap=CAP)))}

    assert first == again
    assert first.isdisjoint(other)
    assert len(world.services.ports.documents().query(Query(collection="crypto_addresses", limit=9))) == 2


def test_token_that_told_nothing_once_is_offered_again_later(world, agent):
    base = chains_of(world)["base"]
    base.unread.add("USDC")
    assert {each["network"] for each in offers_in(refused(agent))} == {"eip155:137"}

    base.unread.clear()
    world.clock.advance(11 * MINUTE)
    base.mine()
    chains_of(world)["polygon"].mine()

    assert {each["network"] for each in offers_in(refused(agent))} == {"eip155:137", "eip155:8453"}


def test_keys_without_the_scope_are_offered_nothing(world):
    alice = world.person()

    assert offers_in(refused(alice.key("chat"))) == []
    assert offers_in(refused(alice)) == []


def test_keys_that_may_top_up_need_a_cap(world):
    answer = world.person().post("/api-keys", {"name": "k", "scopes": ["chat", "top_up"]})

    assert problem(answer) == (422, "invalid_value")
    assert "spend_cap" in answer.json["errors"]


def test_key_without_the_scope_cannot_pay(world, agent):
    header = header_for(world, agent)
    other = world.person().key("chat")

    answer = paid(other, header)

    assert answer.status_code == 403
    assert facilitator_of(world).asked == []


def test_payment_by_somebody_without_offers_takes_no_address(world, agent):
    header = header_for(world, agent)

    answers = [paid(world.person(), header) for _ in range(3)]

    assert {each.json["error"]["code"] for each in answers} == {"payment_invalid"}
    assert len(world.services.ports.documents().query(Query(collection="crypto_addresses", limit=9))) == 1


def test_a_package_has_its_gift_and_waits_for_its_depth(world, agent, admin):
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    offer = next(each for each in offers_in(refused(agent)) if each["amount"] == "10000000")
    header = signed_header(offer, now(world))

    assert paid(agent, header).json["error"]["code"] == "top_up_under_way"
    chains_of(world)["base"].mine(10)
    answer = paid(agent, header)

    assert answer.status_code == 200
    (payment,) = world.services.payments.store.history(agent.uid, limit=9, after=None).items
    assert (payment.data["credits"], payment.data["bonus"], payment.data["status"]) == ("1000", "50", "settled")


@pytest.mark.parametrize(("package", "credits_"), [("small", 1050), ("twin", 990), (None, 1050), (7, 1050)])
def test_package_that_the_client_accepted_is_bought(world, agent, admin, package, credits_):
    for name, changes in (("small", {}), ("twin", {"credits": "990", "bonus": "0"})):
        assert admin.call("PUT", f"/admin/packages/{name}", body={**PACKAGE, **changes}).status_code == 200
    offer = next(each for each in offers_in(refused(agent)) if each["amount"] == "10000000")
    header = signed_header({**offer, "extra": {**offer["extra"], "package_id": package}}, now(world))
    assert paid(agent, header).status_code == 503
    chains_of(world)["base"].mine(10)

    assert paid(agent, header).status_code == 200

    assert world.services.credits.ledger.balance(agent.uid).total > (credits_ - 1) * 1_000_000
    assert world.services.credits.ledger.balance(agent.uid).total < credits_ * 1_000_000


def test_an_address_that_was_emptied_is_replaced(world, agent):
    first = offers_in(refused(agent))[0]
    assert paid(agent, signed_header(first, now(world))).status_code == 200
    chain = chains_of(world)["base"]
    chain.mine(10)
    chain.sweep(first["payTo"])
    chain.mine(10)
    world.clock.advance(MINUTE)
    for each in chains_of(world).values():
        each.mine()

    offers = offers_in(agent.post("/payments/x402"))

    assert offers[0]["payTo"] != first["payTo"]


def test_without_a_facilitator_nothing_is_offered_or_taken():
    world = World({**ENV, "X402_FACILITATOR_URL": ""})
    agent = world.person().key("chat", "top_up", spend_cap=CAP)

    answer = refused(agent)

    assert offers_in(answer) == []
    assert problem(agent.post("/payments/x402")) == (409, "method_not_configured")


def test_nobody_is_asked_to_pay_again_while_a_payment_is_on_its_way(world, agent):
    header = header_for(world, agent)
    facilitator_of(world).ways = ["unmined"]
    assert paid(agent, header).status_code == 503

    other = agent.post(CALL, BODY)
    chains_of(world)["base"].mine()
    world.services.crypto.follower.follow("evm", 0)

    assert (other.status_code, other.json["error"]["code"]) == (503, "top_up_under_way")
    assert offers_in(other) == []
    assert other.headers["Retry-After"]
    assert agent.post(CALL, BODY).status_code == 200


def test_networks_that_the_facilitator_does_not_settle_have_no_offers(world, agent):
    facilitator_of(world).known = {"eip155:137"}

    assert {each["network"] for each in offers_in(refused(agent))} == {"eip155:137"}


def test_a_facilitator_that_is_down_leaves_the_refusal_without_offers(world, agent):
    facilitator_of(world).known = None

    assert offers_in(refused(agent)) == []


def test_a_large_request_is_offered_and_paid_as_well(world, agent):
    body = {**BODY, "messages": [{"role": "user", "content": "word " * 20_000}]}
    asked = agent.post(CALL, body)  # refused before the body is parsed

    answer = paid(agent, signed_header(offers_in(asked)[0], now(world)), body)

    assert asked.status_code == 402
    assert answer.json["error"]["code"] == "context_length_exceeded"
    assert grants(agent) == ["settled"]


def test_many_first_refusals_at_once_take_one_address():
    world = rich(World(ENV, clock=SystemClock()))
    agent = world.person().key("chat", "top_up")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refused(agent), range(8)))

    documents = world.services.ports.documents()
    assert len({each["payTo"] for answer in answers for each in offers_in(answer)}) == 1
    assert len(documents.query(Query(collection="crypto_addresses", limit=9))) == 1
