"""The payer's page over HTTP: who may open the page, what the page tells in every state, and what it never tells."""

import json
import re

import pytest
import zxingcpp

from shared.payments.chains.payer import PHASES
from shared.payments.chains.presets import PRESETS
from tests.api.world import World, problem
from tests.support import payer_states as known
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
