"""The payer's page over HTTP: who may open the page, what the page tells in every state, and what it never tells."""

import json
import re
from dataclasses import replace

import pytest
import zxingcpp

from functions.http.app import create_app
from shared.kernel.clock import SECOND
from shared.kernel.documents import Put
from shared.payments.chains.availability import PATH, NetworkAvailability, states_data
from shared.payments.chains.payer import PHASES
from shared.payments.chains.presets import PRESETS
from tests.api.world import World, problem
from tests.support import payer_states as known
from tests.support.coins import FEE_CREDITS, CoinShop
from tests.support.qr_pixels import pixels_of

ENV = {"CRYPTO_NETWORKS": "base,bitcoin"}
PHASE_BY_STATE = {
    "bitcoin": "waiting",
    "bitcoin_partial": "partial",
    "tagged": "confirming",
    "over": "settled",
    "unavailable": "waiting",
}
"""Phases of the states that have not the phase's name."""


@pytest.fixture(scope="module")
def world():
    made = World(env=ENV)
    now = made.clock.now()
    known.store(made.services.ports.documents(), known.states(now), now)
    return made


STATES = sorted(known.states(0))


def page(world, state, key=known.KEY, more=""):
    return world.call("GET", f"/payments/crypto/pay_{state}/page/{key}{more}")


def told(world, state):
    answer = page(world, state, more="/state")
    assert answer.status_code == 200, answer.json
    return answer.json


@pytest.mark.parametrize("state", STATES)
def test_page_tells_the_phase_of_each_state_with_a_sentence(world, state):
    seen = told(world, state)

    assert seen["phase"] == PHASE_BY_STATE.get(state, state)
    assert seen["phase"] in PHASES
    assert re.fullmatch(r"[A-Z0-9].*\.", seen["crypto"]["sentence"])
    assert (seen["title"], seen["price"]) == ("Standard", {"amount": "9.00", "currency": "USD"})


@pytest.mark.parametrize("state", STATES)
def test_page_names_the_user_in_no_state(world, state):
    assert known.UID not in json.dumps(told(world, state))


def test_page_and_its_key_need_no_sign_in_and_no_user(world):
    shown = page(world, "waiting")

    html = shown.get_data(as_text=True)
    assert (shown.status_code, shown.mimetype) == (200, "text/html")
    assert "Standard" not in html
    assert known.ADDRESS not in html


def test_page_is_kept_by_no_cache_frame_or_search_engine(world):
    for more in ("", "/qr"):
        headers = page(world, "waiting", more=more).headers

        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
        assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert page(world, "waiting", more="/state").headers["Cache-Control"] == "no-store"


def test_page_brings_no_inline_code_and_loads_only_files_of_this_api(world):
    shown = page(world, "waiting")

    html = shown.get_data(as_text=True)
    assert "script-src 'self'; style-src 'self'; img-src 'self' data:;" in shown.headers["Content-Security-Policy"]
    assert re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|https?://", html) is None
    files = re.findall(r'(?:src|href)="(?:\.\./){4}docs/assets/([^"]+)"', html)
    assert len(files) >= 6
    for name in files:
        assert world.call("GET", f"/docs/assets/{name}").status_code == 200, name


@pytest.mark.parametrize("key", ["x" * 32, known.KEY[:-1], f"{known.KEY}k", known.KEY.upper(), "0"])
@pytest.mark.parametrize("more", ["", "/state", "/qr"])
def test_wrong_key_opens_nothing(world, key, more):
    assert page(world, "waiting", key, more).status_code == 404


def test_wrong_key_and_unknown_payment_answer_the_same(world):
    wrong, unknown = page(world, "waiting", "x"), page(world, "nothing", known.KEY)

    assert wrong.get_data() == unknown.get_data()
    assert wrong.mimetype == "text/html"
    assert problem(page(world, "nothing", more="/state")) == (404, "payment_not_found")


def test_payment_without_a_key_has_no_page(world):
    now = world.clock.now()
    known.store(world.services.ports.documents(), {"x": known.payment("keyless", now, page_key="")}, now)

    assert page(world, "keyless", "k").status_code == 404
    assert world.call("GET", "/payments/crypto/pay_keyless/page/").status_code == 404


def test_code_is_the_bare_address_on_evm_and_bip21_on_bitcoin(world):
    texts = {}
    for state in ("waiting", "partial", "bitcoin", "bitcoin_partial"):
        drawn = page(world, state, more="/qr")
        assert drawn.mimetype == "image/svg+xml"
        (found,) = zxingcpp.read_barcodes(pixels_of(drawn.get_data(as_text=True)))
        texts[state] = found.text

    assert texts == {
        "waiting": known.ADDRESS,
        "partial": known.ADDRESS,
        "bitcoin": known.BITCOIN_URI,
        "bitcoin_partial": f"bitcoin:{known.BITCOIN_ADDRESS}?amount=0.00000312",
    }


def test_wallet_is_told_the_missing_amount_of_the_right_token(world):
    whole, part = told(world, "waiting")["wallet"], told(world, "partial")["wallet"]

    assert (whole["chain_id"], whole["chain_name"]) == ("0x2105", "Base")
    assert whole["transaction"]["to"] == PRESETS["base"].assets["USDC"].contract
    assert int(whole["transaction"]["data"][-64:], 16) == known.DUE
    assert int(part["transaction"]["data"][-64:], 16) == known.DUE - known.PART
    assert part["transaction"]["data"][34:74].lower() == known.ADDRESS[2:].lower()


def test_link_asks_for_the_missing_part_alone(world):
    links = {state: told(world, state)["crypto"]["uri"] for state in ("waiting", "partial", "bitcoin_partial")}

    token = PRESETS["base"].assets["USDC"].contract
    assert links == {
        "waiting": f"ethereum:{token}@8453/transfer?address={known.ADDRESS}&uint256={known.DUE}",
        "partial": f"ethereum:{token}@8453/transfer?address={known.ADDRESS}&uint256={known.DUE - known.PART}",
        "bitcoin_partial": f"bitcoin:{known.BITCOIN_ADDRESS}?amount=0.00000312",
    }


def test_nothing_can_be_sent_once_everything_has_come(world):
    payable = {state: told(world, state)["is_payable"] for state in STATES}
    wallets = {state for state in STATES if told(world, state)["wallet"] is not None}

    assert {state for state, is_payable in payable.items() if is_payable} == {
        "waiting",
        "bitcoin",
        "bitcoin_partial",
        "partial",
        "unavailable",
    }
    assert wallets == {"waiting", "partial", "unavailable"}


def test_page_leads_back_as_the_purchase_went(world):
    backs = {state: told(world, state)["back_url"] for state in STATES}

    unpaid = {state for state, url in backs.items() if url == known.CANCEL}
    assert unpaid == {"waiting", "bitcoin", "unavailable", "expired"}
    assert {url for state, url in backs.items() if state not in unpaid} == {known.SUCCESS}


def test_over_has_a_line_for_the_package_and_a_line_for_the_deposit(world):
    lines = told(world, "over")["crypto"]["lines"]

    assert [(each["package_id"], each["amount"], each["credits"]) for each in lines] == [
        ("standard", "9", "1000"),
        ("deposit", "2.5", "250"),
    ]


def test_page_of_a_network_that_is_no_longer_listed_shows_but_takes_nothing():
    world = World()
    now = world.clock.now()
    known.store(world.services.ports.documents(), known.states(now), now)

    seen = told(world, "waiting")
    assert (seen["phase"], seen["is_payable"], seen["wallet"]) == ("waiting", False, None)


# ── acts of the page, on chains in memory ───────────────────────────────────────────────────────────────────────────


class WatchedShop(CoinShop):
    """Payments at addresses of the operator's wallet, so that the watch finds what comes there."""

    def address(self, network, index):
        crypto = self.services().crypto
        while crypto.indices.take(network.family) < index:
            pass
        return crypto.address_book.address(network.family, index)


@pytest.fixture
def shop():
    made = WatchedShop()
    made.price("USDC", "1")
    working = {
        name: NetworkAvailability(assets=dict.fromkeys(network.assets, "")) for name, network in made.networks.items()
    }
    documents = made.services().ports.documents()
    documents.commit([Put(PATH, states_data(working, made.clock.now()))])
    return made


@pytest.fixture
def client(shop):
    return create_app(shop.services()).test_client()


def act(client, payment, path, body=None, method="POST"):
    place = f"/v1/payments/crypto/{payment.id}/page/{payment.page_key}/{path}"
    return client.open(place, method=method, json=body)


def test_page_follows_the_coins_from_waiting_to_settled(shop, client):
    payment = shop.order()
    seen = [act(client, payment, "state", method="GET").json]

    shop.send(payment, payment.quote.due)
    for _ in range(3):
        shop.chains["base"].mine(4)
        shop.clock.advance(5 * SECOND)
        seen.append(act(client, payment, "state", method="GET").json)

    phases = [one["phase"] for one in seen]
    assert (phases[0], phases[3]) == ("waiting", "settled")
    assert {*phases[1:3]} <= {"seen", "confirming"}
    depths = [one["crypto"]["confirmations"] for one in seen[:3]]
    assert sorted(set(depths)) == depths
    assert [one["ask_again_seconds"] for one in seen] == [3, 3, 3, None]
    assert [one["credits"] for one in seen[3]["crypto"]["lines"]] == ["1100"]


def test_part_is_taken_once_and_without_the_gift(shop, client):
    payment = shop.order()
    shop.send(payment, payment.quote.due // 2)
    shop.chains["base"].mine(40)
    assert act(client, payment, "state", method="GET").json["is_takeable"]

    taken = act(client, payment, "take")
    again = act(client, payment, "take")

    assert (taken.status_code, taken.json["phase"], taken.json["bonus"]) == (200, "settled", "0")
    assert problem(again) == (409, "nothing_to_take")
    assert shop.money()[0] == FEE_CREDITS // 2


def test_nothing_is_taken_before_something_has_come(shop, client):
    payment = shop.order()

    assert problem(act(client, payment, "take")) == (409, "nothing_to_take")
    assert shop.money() == (0, 0, 0)


def test_wrong_key_takes_and_lists_nothing(shop, client):
    payment = replace(shop.order(), page_key="another")

    assert problem(act(client, payment, "take")) == (404, "payment_not_found")
    assert problem(act(client, payment, "networks", method="GET")) == (404, "payment_not_found")


def test_payer_reads_which_networks_and_assets_can_be_chosen(shop, client):
    listed = act(client, shop.order(), "networks", method="GET").json["items"]

    assert [network["network"] for network in listed] == ["base", "polygon", "ethereum", "bitcoin"]
    assert {asset["asset"] for asset in listed[0]["assets"]} == {"ETH", "USDC"}


def test_another_asset_of_the_family_keeps_payment_and_address(shop, client):
    payment = shop.order()
    shop.price("ETH", "2500")

    changed = act(client, payment, "change", {"network": "polygon", "asset": "USDC"}).json
    again = act(client, payment, "change", {"network": "base", "asset": "ETH"}).json

    assert changed["payment_id"] == again["payment_id"] == payment.id
    assert changed["crypto"]["address"] == again["crypto"]["address"] == payment.quote.address
    assert [(one["network_title"], one["asset"], one["amount"]) for one in (changed["crypto"], again["crypto"])] == [
        ("Polygon", "USDC", "10"),
        ("Base", "ETH", "0.004"),
    ]
    assert again["wallet"]["transaction"] == {"to": payment.quote.address, "value": "0xe35fa931a0000", "data": "0x"}


def test_another_family_has_another_address_on_the_same_page(shop, client):
    payment = shop.order()
    shop.price("BTC", "100000")

    changed = act(client, payment, "change", {"network": "bitcoin", "asset": "BTC"}).json

    assert (changed["phase"], changed["crypto"]["amount"], changed["wallet"]) == ("waiting", "0.0001", None)
    assert changed["crypto"]["uri"] == f"bitcoin:{changed['crypto']['address']}?amount=0.0001"
    assert act(client, payment, "qr", method="GET").status_code == 200


def test_nothing_is_changed_once_something_has_come(shop, client):
    payment = shop.order()
    shop.send(payment, payment.quote.due // 2)
    shop.chains["base"].mine(1)
    shop.follow(payment)

    refused = act(client, payment, "change", {"network": "polygon", "asset": "USDC"})

    assert problem(refused) == (409, "coins_have_come")
    assert act(client, payment, "state", method="GET").json["crypto"]["network"] == "base"


@pytest.mark.parametrize(
    "body", [{"network": "base", "asset": "DOGE"}, {"network": "moon", "asset": "ETH"}, {"network": "base"}, {}]
)
def test_coins_that_are_not_listed_cannot_be_chosen(shop, client, body):
    payment = shop.order()

    assert act(client, payment, "change", body).status_code == 422
    assert problem(act(client, replace(payment, page_key="another"), "change", body))[0] in {404, 422}


def test_page_leads_back_to_an_allowed_address_alone(world):
    buyer = world.person()
    order = {"package_id": "small", "network": "base", "asset": "USDC"}

    refused = buyer.post("/payments/crypto", {**order, "success_url": "https://evil.example/"}, key="k")

    assert problem(refused) == (422, "invalid_request")
    assert list(refused.json["errors"]) == ["success_url"]
