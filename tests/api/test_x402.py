"""Agents that pay with the call that needs credits: offers, the payment, the call, and everything that may fail."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from shared.kernel.clock import MINUTE, SECOND, SystemClock
from shared.kernel.documents import Query
from shared.payments.chains.x402 import OFFERS_MAX
from shared.platform.memory.chain import MemoryChain
from shared.platform.memory.facilitator import MemoryFacilitator
from shared.sagas.payments.agent_payments import OPEN_MAX
from tests.api.world import World, problem
from tests.support.keys import OWN_XPUB
from tests.support.x402_payers import PAYER, STRANGER, decoded, header_of, offers_in, signed_header

ENV = {
    "CRYPTO_NETWORKS": "base,polygon",
    "EVM_XPUB": OWN_XPUB,
    "X402_FACILITATOR_URL": "https://facilitator.example",
    "PUBLIC_URL": "https://api.example/api",
}
PACKAGE = {"title": "1,000 credits", "price": "10.00", "currency": "usd", "credits": "1000", "bonus": "50"}
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CALL = "/openai/chat/completions"
CAP = {"amount": "2000", "period": "day"}
DOLLAR = 1_000_000


@pytest.fixture
def world() -> World:
    return rich(World(ENV))


def rich(world: World) -> World:
    """A world whose payer has coins on all networks."""
    for chain in chains_of(world).values():
        chain.mine(12)
        chain.send(PAYER.address.lower(), "USDC", 100 * DOLLAR)
        chain.mine()
    return world


@pytest.fixture
def agent(world):
    return world.person().key("chat", "top_up", spend_cap=CAP)


def chains_of(world: World) -> Mapping[str, MemoryChain]:
    return cast("Mapping[str, MemoryChain]", world.services.ports.chains())


def facilitator_of(world: World) -> MemoryFacilitator:
    return cast("MemoryFacilitator", world.services.ports.facilitator())


def now(world: World) -> int:
    return int(world.clock.now() // SECOND)


def refused(agent: Any, **options: Any) -> Any:
    """A call without credits, which has offers."""
    answer = agent.post(CALL, BODY, **options)
    assert answer.status_code == 402
    return answer


def paid(agent: Any, header: str, body: Any = None, **options: Any) -> Any:
    return agent.post(CALL, body or BODY, headers={"PAYMENT-SIGNATURE": header}, **options)


def header_for(world: World, agent: Any, number: int = 0, **options: Any) -> str:
    return signed_header(offers_in(refused(agent))[number], now(world), **options)


def grants(agent: Any) -> list[str]:
    history = agent.world.services.payments.store.history(agent.uid, limit=100, after=None)
    return [str(each.data["status"]) for each in history.items]


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


def test_payment_by_somebody_without_offers_takes_no_address(world, agent):
    header = header_for(world, agent)

    answers = [paid(world.person(), header) for _ in range(3)]

    assert {each.json["error"]["code"] for each in answers} == {"payment_invalid"}
    assert len(world.services.ports.documents().query(Query(collection="crypto_addresses", limit=9))) == 1


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


def test_a_frozen_account_buys_nothing(world, agent, admin):
    header = header_for(world, agent)
    assert admin.post(f"/admin/users/{agent.uid}/freeze", {"reason": "r"}).status_code in {200, 201}

    answer = paid(agent, header)

    assert answer.status_code == 403
    assert facilitator_of(world).asked == []


def test_without_a_facilitator_nothing_is_offered_or_taken():
    world = World({**ENV, "X402_FACILITATOR_URL": ""})
    agent = world.person().key("chat", "top_up", spend_cap=CAP)

    answer = refused(agent)

    assert offers_in(answer) == []
    assert problem(agent.post("/payments/x402")) == (409, "method_not_configured")


def test_payments_of_one_user_at_once_become_credits_each(world, agent):
    headers = [header_for(world, agent) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda header: paid(agent, header), headers))
    answers = [paid(agent, header) for header in headers]

    assert [each.status_code for each in answers] == [200] * 4
    assert grants(agent) == ["settled"] * 4
    assert len(world.passthrough.requests) == 4


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


def test_many_first_refusals_at_once_take_one_address():
    world = rich(World(ENV, clock=SystemClock()))
    agent = world.person().key("chat", "top_up")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refused(agent), range(8)))

    documents = world.services.ports.documents()
    assert len({each["payTo"] for answer in answers for each in offers_in(answer)}) == 1
    assert len(documents.query(Query(collection="crypto_addresses", limit=9))) == 1


def test_wallet_of_agents_is_erased_when_the_user_leaves(world, agent):
    refused(agent)
    documents = world.services.ports.documents()
    assert documents.get(f"agent_wallets/{agent.uid}") is not None

    world.services.leaving.leave(agent.uid)

    assert documents.get(f"agent_wallets/{agent.uid}") is None
