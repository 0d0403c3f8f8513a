"""Buying a package with coins: options, the quote, its edges to the second, refusals, and a change of coins."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import pytest

from shared.kernel.clock import MINUTE, SECOND, parse_rfc3339
from shared.kernel.documents import Write
from shared.kernel.ids import operation_id
from shared.kernel.money import format_credits
from shared.payments.chains.availability import KEPT, LOOK_LIFETIME
from shared.payments.chains.quotes import RATE_LIFETIME
from shared.payments.payment import Payment
from shared.platform.memory.chain import MemoryChain
from shared.sagas.payments.crypto_checkout import CoinOrderRequest, CryptoCheckouts
from shared.sagas.payments.crypto_places import CryptoPlaces
from shared.sagas.payments.purchase_places import PurchasePlaces
from tests.api.world import World, problem
from tests.support.keys import OWN_XPUB, OWN_ZPUB

ENV = {
    "CRYPTO_NETWORKS": "base,polygon,ethereum,bitcoin",
    "EVM_XPUB": OWN_XPUB,
    "BITCOIN_KEY": OWN_ZPUB,
    "PUBLIC_URL": "https://api.example/api",
}
PACKAGE = {"title": "1,000 credits", "price": "10.00", "currency": "usd", "credits": "1000", "bonus": "50"}
USDC = {"package_id": "small", "network": "base", "asset": "USDC"}
ETH = {"package_id": "small", "network": "ethereum", "asset": "ETH"}
BTC = {"package_id": "small", "network": "bitcoin", "asset": "BTC"}
POL = {"package_id": "small", "network": "polygon", "asset": "POL"}
CONTRACT = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"


def chains_of(world: World) -> Mapping[str, MemoryChain]:
    return cast("Mapping[str, MemoryChain]", world.services.ports.chains())


@pytest.fixture
def world() -> World:
    made = World(ENV)
    for chain in chains_of(made).values():
        chain.mine(12)
    return made


@pytest.fixture
def alice(world):
    return world.person()


@pytest.fixture
def bob(world):
    return world.person()


@pytest.fixture
def shop(world, admin):
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    return world


def begun(person, body=USDC, **options):
    answer = person.post("/payments/crypto", body, **options)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer.json


def credits_of(shop, person) -> str:
    return format_credits(shop.services.credits.ledger.balance(person.uid).available)


def code(answer):
    return problem(answer)[:2]


def later(world):
    world.clock.advance(max(LOOK_LIFETIME, KEPT, RATE_LIFETIME))
    for chain in chains_of(world).values():
        chain.mine()


def send(world, payment, amount, asset=None, network=None):
    chain = chains_of(world)[network or payment["network"]]
    chain.send(payment["address"], asset or payment["asset"], amount)
    chain.mine()


def settle(world, person, payment):
    for chain in chains_of(world).values():
        chain.mine(20)
    return person.get(f"/payments/status/{payment['payment_id']}").json


def test_options_list_what_works_now_and_why_not(shop, alice):
    chains_of(shop)["polygon"].is_unavailable(True)

    networks = {each["network"]: each for each in alice.get("/payments/options").json["crypto"]}

    assert networks["base"] == {
        "network": "base",
        "title": "Base",
        "is_test": False,
        "chain_id": 8453,
        "minimum": {"amount": "0.10", "currency": "USD"},
        "confirmations": 10,
        "wait_seconds": 20,
        "assets": [
            {"asset": "ETH", "decimals": 18, "contract": None, "is_available": True, "reason": None},
            {"asset": "USDC", "decimals": 6, "contract": CONTRACT, "is_available": True, "reason": None},
        ],
    }
    assert {each["reason"] for each in networks["polygon"]["assets"]} == {"the network cannot be asked"}
    assert (networks["polygon"]["confirmations"], networks["polygon"]["wait_seconds"]) == (None, 5)
    assert networks["bitcoin"]["chain_id"] is None


def test_options_ask_no_network_again_within_a_minute(shop, alice):
    alice.get("/payments/options")
    chains = chains_of(shop)
    before = {name: chain.calls for name, chain in chains.items()}

    for _ in range(10):
        alice.get("/payments/options")

    assert {name: chain.calls for name, chain in chains.items()} == before


def test_a_purchase_tells_address_amount_and_links(shop, alice):
    told = begun(alice)

    now = shop.clock.now()
    key = told["checkout_url"].rsplit("/", 1)[1]
    assert told == {
        "payment_id": told["payment_id"],
        "status": "pending",
        "package_id": "small",
        "price": {"amount": "10.00", "currency": "USD"},
        "credits": "1000",
        "bonus": "50",
        "network": "base",
        "network_title": "Base",
        "asset": "USDC",
        "decimals": 6,
        "address": told["address"],
        "amount": "10",
        "amount_atomic": "10000000",
        "rate": "1",
        "locked_until": told["locked_until"],
        "expires_at": told["expires_at"],
        "confirmations": 10,
        "wait_seconds": 20,
        "uri": f"ethereum:{CONTRACT}@8453/transfer?address={told['address']}&uint256=10000000",
        "checkout_url": f"https://api.example/api/v1/payments/crypto/{told['payment_id']}/page/{key}",
    }
    assert parse_rfc3339(told["locked_until"]) == now + 15 * MINUTE
    assert parse_rfc3339(told["expires_at"]) == now + 75 * MINUTE
    assert len(key) >= 20


@pytest.mark.parametrize(
    ("body", "amount", "rate", "uri"),
    [
        (ETH, "0.004", "2500", "ethereum:{address}@1?value=4000000000000000"),
        (BTC, "0.0001667", "60000", "bitcoin:{address}?amount=0.0001667"),
        (
            {**USDC, "network": "polygon", "asset": "POL"},
            "25",
            "0.4",
            "ethereum:{address}@137?value=25000000000000000000",
        ),
    ],
)
def test_coins_of_each_kind_are_due_in_what_people_type(shop, alice, body, amount, rate, uri):
    told = begun(alice, body)

    assert (told["amount"], told["rate"]) == (amount, rate)
    assert told["uri"] == uri.format(address=told["address"])


def test_a_user_pays_with_coins_and_has_the_package(shop, alice):
    payment = begun(alice)
    send(shop, payment, 10_000_000)

    told = settle(shop, alice, payment)

    assert (told["status"], told["crypto"]["state"]) == ("settled", "settled")
    assert credits_of(shop, alice) == "1050"


@pytest.mark.parametrize(
    ("after", "credited"),
    [
        (15 * MINUTE - SECOND, "1050"),
        (75 * MINUTE - SECOND, "1050"),
        (75 * MINUTE + SECOND, "1000"),
    ],
)
def test_coins_count_by_arrival_to_the_second_at_the_end_of_grace(shop, alice, after, credited):
    payment = begun(alice)
    chain = chains_of(shop)["base"]
    while after > MINUTE:
        shop.clock.advance(MINUTE)
        after -= MINUTE
        chain.mine()
    shop.clock.advance(after)
    send(shop, payment, 10_000_000)
    shop.clock.advance(2 * MINUTE)
    chain.mine(20)

    shop.services.crypto.follower.follow("evm", index_of(shop, payment))

    assert credits_of(shop, alice) == credited


@pytest.mark.parametrize(
    ("after", "rate", "credited"),
    [
        (15 * MINUTE - SECOND, "1250", "1050"),
        (15 * MINUTE + SECOND, "2475", "1050"),
        (15 * MINUTE + SECOND, "2425", "970"),
    ],
)
def test_the_rate_holds_for_coins_that_arrive_before_the_lock_ends(shop, alice, after, rate, credited):
    payment = begun(alice, {**ETH, "network": "base"})
    chain = chains_of(shop)["base"]
    shop.clock.advance(after)
    send(shop, payment, 4 * 10**15)
    for source in shop.services.ports.price_sources():
        source.set_rate("ETH", rate)
    for each in chains_of(shop).values():
        each.rates["ETH"] = rate
    for _ in range(80):
        shop.clock.advance(MINUTE)
        chain.mine()

    shop.services.crypto.follower.follow("evm", index_of(shop, payment))

    assert credits_of(shop, alice) == credited


def index_of(shop, payment) -> int:
    return shop.services.payments.store.get(payment["payment_id"]).quote.index


def test_the_same_key_is_the_same_payment_and_another_body_a_conflict(shop, alice):
    headers = {"Idempotency-Key": "one"}
    first = begun(alice, headers=headers)
    later(shop)

    assert begun(alice, headers=headers) == first
    assert code(alice.post("/payments/crypto", ETH, headers=headers)) == (409, "idempotency_mismatch")


def test_one_intention_at_once_takes_one_payment_and_one_address(shop, alice):
    def pay(_):
        return alice.post("/payments/crypto", USDC, headers={"Idempotency-Key": "one"})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(pay, range(6)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["payment_id"] for answer in answers}) == 1
    assert len({answer.json["address"] for answer in answers}) == 1


class RacedPlaces(CryptoPlaces):
    """Places of which another order takes the first before the commit."""

    def place(self, payment: Payment) -> Write:
        places = super().place(payment)
        if not hasattr(self, "lost"):
            self.lost = self._documents.commit([places])
        return places


def test_an_order_that_lost_its_place_takes_no_second_address(shop, alice):
    services = shop.services
    crypto, documents = services.crypto, services.ports.documents()
    raced = RacedPlaces(documents, shop.clock)
    purchases = PurchasePlaces(documents, shop.clock, services.payments.cancellations)
    checkouts = CryptoCheckouts(
        documents,
        services.payments.packages,
        services.credits.ledger,
        (purchases, raced),
        crypto.terms,
        shop.clock,
        "u",
    )
    order = CoinOrderRequest(uid=alice.uid, package="small", network="base", asset="USDC")

    payment = checkouts.begin(order, operation_id("test", "raced"), "f")

    assert raced.lost
    assert payment.refs["index"] == "0"


def test_a_user_has_at_most_three_open_payments_with_coins(shop, alice, bob):
    for _ in range(3):
        begun(alice)

    assert code(alice.post("/payments/crypto", USDC)) == (429, "too_many_crypto_payments")
    begun(bob)


def test_a_refused_fourth_payment_takes_no_address(shop, alice, bob):
    for _ in range(3):
        begun(alice)
    before = shop.services.crypto.index_tables.with_index("evm", 0).next

    for _ in range(5):
        alice.post("/payments/crypto", USDC)

    assert shop.services.crypto.index_tables.with_index("evm", 0).next == before


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({**USDC, "network": "solana"}, (422, "invalid_value")),
        ({**USDC, "asset": "DOGE"}, (422, "invalid_value")),
        ({**USDC, "asset": "USDT"}, (422, "invalid_value")),
        ({**USDC, "package_id": "none"}, (404, "package_not_found")),
        ({**USDC, "price": "1"}, (422, "invalid_request")),
        ({"package_id": "small"}, (422, "invalid_request")),
    ],
)
def test_an_order_that_cannot_be_is_refused(shop, alice, body, refusal):
    assert code(alice.post("/payments/crypto", body)) == refusal


def test_guests_and_frozen_users_buy_nothing_with_coins(shop, alice, admin):
    admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "A stolen card."})

    assert code(shop.guest().post("/payments/crypto", USDC))[0] == 403
    assert code(alice.post("/payments/crypto", USDC)) == (403, "account_frozen")


def test_a_price_below_the_minimum_of_a_network_is_refused_there(shop, alice, admin):
    admin.call("PUT", "/admin/packages/small", body={**PACKAGE, "price": "1.00", "credits": "10", "bonus": "0"})

    refused = alice.post("/payments/crypto", BTC)

    assert code(refused) == (422, "below_network_minimum")
    assert refused.json["detail"] == (
        "On Bitcoin a payment must be at least 5.00 USD. Choose another network or package."
    )
    begun(alice)


def test_a_price_in_another_currency_cannot_be_paid_with_coins(shop, alice, admin):
    admin.call("PUT", "/admin/packages/small", body={**PACKAGE, "currency": "eur"})

    assert code(alice.post("/payments/crypto", USDC)) == (422, "price_not_in_dollars")


def test_a_limited_package_is_bought_with_coins_as_often_as_allowed(shop, alice, admin):
    admin.call("PUT", "/admin/packages/small", body={**PACKAGE, "per_user_limit": 1})
    begun(alice)

    assert code(alice.post("/payments/crypto", USDC)) == (409, "package_limit_reached")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda feed, one, two: (feed.clear(), two.fail("it is down")), "Chainlink's feed on Ethereum cannot be read"),
        (lambda feed, one, two: (feed.clear(), two.age(10 * MINUTE)), "Chainlink's feed on Ethereum cannot be read"),
        (lambda feed, one, two: (one.fail("it is down"), two.age(10 * MINUTE)), "it is down"),
        (lambda feed, one, two: (one.age(10 * MINUTE), two.age(10 * MINUTE)), "the price of one is out of date"),
        (lambda feed, one, two: two.set_rate("ETH", "2525.01"), "the sources are more than 1 % apart"),
        (lambda feed, one, two: feed.update(ETH="2474"), "the sources are more than 1 % apart"),
    ],
)
def test_no_reliable_price_means_no_quote_and_the_reason(shop, alice, fault, reason):
    fault(chains_of(shop)["ethereum"].rates, *shop.services.ports.price_sources())

    refused = alice.post("/payments/crypto", ETH)

    assert code(refused) == (503, "network_unavailable")
    assert f"right now: {reason}." in refused.json["detail"]
    assert alice.get("/payments/history").json["items"] == []


def test_a_silent_network_takes_no_orders(shop, alice):
    chains_of(shop)["base"].is_unavailable(True)

    refused = alice.post("/payments/crypto", USDC)

    assert code(refused) == (503, "network_unavailable")
    assert "USDC on Base cannot be used right now: the network cannot be asked." in refused.json["detail"]


def signed_in(person):
    """The same person with a fresh token: tokens live for an hour."""
    return replace(person, token=person.world.identity.token(person.uid))


def change(person, payment, network, asset):
    return person.post(f"/payments/crypto/{payment['payment_id']}/change", {"network": network, "asset": asset})


def test_a_change_between_evm_networks_keeps_the_address(shop, alice):
    payment = begun(alice)
    shop.clock.advance(10 * MINUTE)
    later(shop)

    changed = change(alice, payment, "ethereum", "ETH").json

    for name in ("payment_id", "address", "checkout_url", "price", "credits"):
        assert changed[name] == payment[name]
    assert (changed["network"], changed["asset"], changed["amount"]) == ("ethereum", "ETH", "0.004")
    assert parse_rfc3339(changed["locked_until"]) == shop.clock.now() + 15 * MINUTE
    send(shop, changed, 4 * 10**15)
    assert settle(shop, alice, changed)["status"] == "settled"
    assert credits_of(shop, alice) == "1050"


def test_a_change_to_bitcoin_and_back_uses_each_address_again(shop, alice):
    payment = begun(alice)

    there = change(alice, payment, "bitcoin", "BTC").json
    back = change(alice, payment, "polygon", "USDT").json
    again = change(alice, payment, "bitcoin", "BTC").json

    assert there["address"].startswith("bc1")
    assert (back["address"], again["address"]) == (payment["address"], there["address"])
    send(shop, again, 16_670)
    shop.services.crypto.follower.follow("bitcoin", index_of(shop, payment))
    assert settle(shop, alice, again)["status"] == "settled"


def test_coins_on_the_network_that_was_left_become_a_deposit(shop, alice):
    payment = begun(alice)
    change(alice, payment, "bitcoin", "BTC")
    send(shop, payment, 10_000_000)
    chains_of(shop)["base"].mine(20)

    shop.services.crypto.follower.follow("evm", 0)

    assert credits_of(shop, alice) == "1000"


def test_the_same_change_twice_is_one_quote(shop, alice):
    payment = begun(alice)
    first = change(alice, payment, "ethereum", "ETH").json
    shop.clock.advance(MINUTE)

    assert change(alice, payment, "ethereum", "ETH").json == first


def test_nothing_changes_once_coins_have_come(shop, alice):
    payment = begun(alice)
    send(shop, payment, 1_000_000)
    alice.get(f"/payments/status/{payment['payment_id']}")

    assert code(change(alice, payment, "ethereum", "ETH")) == (409, "coins_have_come")


def test_nothing_changes_after_the_end_or_for_another_user(shop, alice, bob):
    payment = begun(alice)

    assert code(change(bob, payment, "ethereum", "ETH")) == (404, "payment_not_found")

    shop.clock.advance(75 * MINUTE)
    later(shop)
    assert code(change(signed_in(alice), payment, "ethereum", "ETH")) == (409, "payment_not_changeable")


def test_an_order_is_not_held_at_its_price_for_ever_by_changes(shop, alice):
    payment = begun(alice)
    answers = []
    for number in range(48):
        network, asset = [("ethereum", "ETH"), ("base", "USDC")][number % 2]
        answers.append(change(signed_in(alice), payment, network, asset))
        shop.clock.advance(60 * MINUTE)
        later(shop)

    assert [answer.status_code for answer in answers[:24]] == [201] * 24
    assert code(answers[-1]) == (409, "payment_not_changeable")


def test_a_payment_of_a_provider_has_no_coins_to_change(shop, alice):
    card = alice.post("/payments/traditional", {"package_id": "small", "provider": "stripe"}).json

    assert code(change(alice, card, "ethereum", "ETH")) == (404, "payment_not_found")


def test_a_changed_payment_holds_its_place_until_its_new_end(shop, alice):
    payments = [begun(alice) for _ in range(3)]
    shop.clock.advance(60 * MINUTE)
    later(shop)
    alice = signed_in(alice)
    for payment in payments:
        assert change(alice, payment, "ethereum", "ETH").status_code == 201
    shop.clock.advance(20 * MINUTE)
    later(shop)

    assert code(signed_in(alice).post("/payments/crypto", USDC)) == (429, "too_many_crypto_payments")
