"""Paying from a wallet of the user's own over HTTP, and the watch that finds the coins."""

from typing import Any, cast

import pytest

from shared.kernel.clock import MINUTE, SECOND
from tests.api.test_crypto_payments import ENV, PACKAGE, begun
from tests.api.world import World, problem
from tests.support.wallets import OTHER, WALLET, WalletChain, signed

BLOCKS = 12
RICH = 10**24


@pytest.fixture
def world() -> World:
    made = World(ENV)
    chains = cast("dict[str, Any]", made.services.ports.chains())
    for name, network in made.services.crypto.networks.items():
        if network.family == "evm":
            chains[name] = WalletChain(network, made.clock)
        chains[name].mine(BLOCKS)
    assert made.person("admin").call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    return made


@pytest.fixture
def chain(world) -> WalletChain:
    found = world.services.ports.chains()["base"]
    for asset in ("ETH", "USDC"):
        found.send(WALLET.address, asset, RICH)
    found.mine()
    return found


def prepared(person, payment, sender=WALLET.address):
    return person.call("POST", f"/payments/crypto/{payment}/transaction", body={"from": sender})


def sent(person, payment, raw):
    return person.call("POST", f"/payments/crypto/{payment}/broadcast", body={"raw": raw})


def minute(world, chain):
    world.clock.advance(MINUTE)
    chain.mine(BLOCKS)
    world.services.jobs.run_schedule("every_minute")


def test_a_wallet_pays_and_the_schedule_credits_the_package(world, chain):
    ann = world.person()
    begun_ = begun(ann)
    offer = prepared(ann, begun_["payment_id"]).json

    answer = sent(ann, begun_["payment_id"], signed(offer["transaction"]))
    chain.send(begun_["address"], "USDC", int(begun_["amount_atomic"]))
    minute(world, chain)
    minute(world, chain)

    assert (answer.status_code, answer.json["transaction"]) == (202, next(iter(chain.taken)))
    assert (offer["can_afford"], offer["lacks"], offer["fee"]["asset"]) == (True, None, "ETH")
    assert offer["amount_atomic"] == begun_["amount_atomic"]
    assert ann.get(f"/payments/status/{begun_['payment_id']}").json["status"] == "settled"
    assert ann.get("/credits/balance").json["available"] == "1050"


def test_a_status_shows_coins_at_the_next_look(world, chain):
    ann = world.person()
    payment = begun(ann)
    world.services.jobs.run_schedule("every_minute")
    chain.send(payment["address"], "USDC", int(payment["amount_atomic"]))
    chain.mine()
    world.clock.advance(4 * SECOND)

    shown = ann.get(f"/payments/status/{payment['payment_id']}").json

    assert shown["crypto"]["received_atomic"] == payment["amount_atomic"]


def test_a_wallet_that_has_too_little_is_told(world, chain):
    ann = world.person()

    offer = prepared(ann, begun(ann)["payment_id"], OTHER.address).json

    assert (offer["can_afford"], offer["lacks"]) == (False, "USDC")


def test_no_other_transaction_is_relayed(world, chain):
    ann = world.person()
    payment = begun(ann)["payment_id"]
    transaction = prepared(ann, payment).json["transaction"]
    others = [{"to": OTHER.address}, {"chainId": 1}, {"value": 1}, {"data": "0x"}, {"to": None, "data": "0x6001"}]

    answers = [problem(sent(ann, payment, signed(transaction, **changes))) for changes in others]

    assert answers == [(422, "transaction_refused")] * len(others)
    assert chain.taken == {}


def test_a_transaction_of_one_payment_pays_no_other(world, chain):
    ann, ben = world.person(), world.person()
    first, second = begun(ann)["payment_id"], begun(ben)["payment_id"]
    raw = signed(prepared(ann, first).json["transaction"])

    assert problem(sent(ben, second, raw)) == (422, "transaction_refused")
    assert problem(sent(ben, first, raw)) == (404, "payment_not_found")
    assert problem(prepared(ben, first)) == (404, "payment_not_found")


def test_a_lost_answer_may_be_repeated_and_a_second_transaction_waits(world, chain):
    ann = world.person()
    payment = begun(ann)["payment_id"]
    transaction = prepared(ann, payment).json["transaction"]
    chain.answers = ["lost"]

    lost = sent(ann, payment, signed(transaction))
    again = sent(ann, payment, signed(transaction))
    other = sent(ann, payment, signed(transaction, nonce=9))

    assert problem(lost) == (503, "chain_unavailable")
    assert again.status_code == 202
    assert problem(other) == (409, "transaction_under_way")
    assert len(chain.taken) == 1


def test_bitcoin_and_bad_input_are_refused_by_name(world, chain):
    ann = world.person()
    bitcoin = begun(ann, {"package_id": "small", "network": "bitcoin", "asset": "BTC"})["payment_id"]
    token = begun(ann)["payment_id"]

    assert problem(prepared(ann, bitcoin)) == (409, "nothing_to_pay")
    assert problem(sent(ann, token, "0xzz"))[0] == 422
    assert problem(prepared(ann, token, "0x" + "g" * 40))[0] == 422
