"""The payer's page as people meet it: every state, a phone, the keyboard, a screen reader, and a browser's wallet."""

import base64
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from werkzeug.serving import make_server

from shared.kernel.clock import SystemClock
from tests.api.world import World
from tests.support import payer_states as known
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "payer.mjs"
SECONDS_MAX = 300
VIEWPORTS = {"phone": {"width": 360, "height": 740}, "desk": {"width": 1280, "height": 900}}
SCENARIOS = ("rejects", "poor", "busy", "locked", "stays", "keeps", "unknown", "wrong", "twice")
HEADLINES = {
    "waiting": "Waiting for your coins",
    "bitcoin": "Waiting for your coins",
    "pool": "On the way, not in a block yet",
    "seen": "Your coins have arrived",
    "confirming": "The network is confirming",
    "tagged": "The network is confirming",
    "partial": "A part has come",
    "late": "Time is up",
    "settled": "Paid",
    "over": "Paid",
    "review": "We are looking at this payment",
    "taken_back": "The network took it back",
    "unavailable": "The network does not answer",
    "expired": "Time is up",
}
DESK_STATES = ["waiting", "confirming", "partial", "over"]
"""States with different parts of the page: a code, a bar, sums and lines. The others share their layout."""


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The API over memory adapters with a payment in each state; the address of the API."""
    world = World(env={"CRYPTO_NETWORKS": "base,bitcoin"}, clock=SystemClock())
    now = world.clock.now()
    known.store(world.services.ports.documents(), known.states(now), now)
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def payer(served, browser) -> Any:
    return run_script(
        SCRIPT,
        {
            "chromium": browser,
            "pages": {state: f"{served}/payments/crypto/pay_{state}/page/{known.KEY}" for state in HEADLINES},
            "viewports": VIEWPORTS,
            "states": {"phone": list(HEADLINES), "desk": DESK_STATES},
            "scenarios": SCENARIOS,
            "screenshots": os.environ.get("SCREENSHOTS"),
        },
        timeout_seconds=SECONDS_MAX,
    )


def test_each_state_has_its_headline_and_is_read_out(payer):
    phone = payer["seen"]["phone"]

    assert {state: seen["headline"] for state, seen in phone.items()} == HEADLINES
    assert {seen["live"] for seen in phone.values()} == {"polite"}
    assert all(seen["sentence"] for seen in phone.values())
    assert {state: seen["title"] for state, seen in phone.items()} == {
        state: f"{headline} · Standard" for state, headline in HEADLINES.items()
    }


def test_nothing_is_wider_than_a_phone_or_a_desk(payer):
    overflows = {(name, state): one["overflow"] for name, seen in payer["seen"].items() for state, one in seen.items()}

    assert overflows == dict.fromkeys(overflows, 0)


def test_page_follows_the_system_s_light_and_dark(payer):
    assert {name: seen["waiting"]["theme"] for name, seen in payer["seen"].items()} == {
        "phone": "dark",
        "desk": "light",
    }


def test_page_has_no_error_in_its_console(payer):
    assert payer["errors"] == []


def test_confirmations_are_told_with_the_time_that_is_left(payer):
    depths = {state: seen["depth"] for state, seen in payer["seen"]["phone"].items() if seen["depth"]}

    assert depths == {
        "seen": "1 of 10 confirmations · about 18 seconds",
        "confirming": "3 of 10 confirmations · about 14 seconds",
        "tagged": "Waiting until the network calls it final · about 15 minutes",
    }


def test_part_is_shown_with_the_rest_and_over_with_two_lines(payer):
    partial, over = payer["seen"]["phone"]["partial"], payer["seen"]["phone"]["over"]

    assert partial["sums"].split("\n") == ["Came", "5.5 USDC", "Missing", "3.5 USDC"]
    assert 'button "Take what came"' in partial["names"]
    assert [each.split("\n")[0] for each in over["lines"]] == ["Standard", "Deposit"]


def test_page_leads_back_to_the_app_in_every_state(payer):
    backs = {state: seen["back"] for state, seen in payer["seen"]["phone"].items()}

    assert all(len(links) == 1 for links in backs.values())
    assert (backs["settled"], backs["expired"]) == ([known.SUCCESS], [known.CANCEL])


def test_screen_reader_hears_a_name_for_everything(payer):
    waiting = payer["seen"]["phone"]["waiting"]["names"]

    assert {
        'button "Light or dark"',
        'button "Change"',
        'button "Copy the amount": Copy',
        'button "Copy the address": Copy',
        'link "Open in a wallet app":',
        f'img "QR code of the address {known.ADDRESS}"',
        'heading "Standard" [level=1]',
    } <= set(waiting)
    pressed = ("button", "link", "img", "progressbar", "heading")
    names = [name for seen in payer["seen"]["phone"].values() for name in seen["names"] if name.startswith(pressed)]
    assert [name for name in names if '"' not in name] == []


@pytest.mark.parametrize(("state", "text"), [("waiting", known.ADDRESS), ("bitcoin", known.BITCOIN_URI)])
def test_code_on_a_photograph_of_the_screen_reads_as_the_address(payer, state, text):
    code = payer["codes"][state]
    grey = memoryview(base64.b64decode(code["grey"])).cast("B", (code["height"], code["width"]))

    (found,) = zxingcpp.read_barcodes(grey)

    assert found.text == text


def test_keyboard_reaches_everything_in_the_order_of_the_page(payer):
    keyboard = payer["keyboard"]

    assert keyboard["order"] == ["leave", "theme", "change", "copy-amount", "copy-address", "tap", "wallet"]
    assert keyboard["copied"] == {
        "amount": ["9", "The amount is copied."],
        "address": [known.ADDRESS, "The address is copied."],
    }
    assert keyboard["outlined"] == "solid"


def test_part_is_taken_only_after_a_question(payer):
    taking = payer["keyboard"]["taking"]

    assert "5.5 USDC of 9 USDC came" in taking["asked"]
    assert (taking["isBack"], taking["sent"]) == ("take", [])


def test_wallet_s_refusal_is_a_sentence_and_may_be_tried_again(payer):
    said = {name: payer["wallets"][name]["said"] for name in SCENARIOS if name not in {"unknown", "wrong", "twice"}}

    assert said == {
        "rejects": "You declined in Fox. Nothing was sent.",
        "poor": "The account has too little for the amount and the network's fee. Nothing was sent.",
        "busy": "Fox is asking already: open it and answer there.",
        "locked": "Fox has shared no account. Unlock it, then try again.",
        "stays": "Fox is still on another network. Choose Base there, then try again.",
        "keeps": "You declined in Fox. Nothing was sent.",
    }
    assert all(payer["wallets"][name]["isAgain"] for name in said)


def test_wallet_on_another_chain_is_switched_before_it_sends(payer):
    wrong, unknown = payer["wallets"]["wrong"], payer["wallets"]["unknown"]

    assert methods(wrong) == [
        "eth_requestAccounts",
        "eth_chainId",
        "wallet_switchEthereumChain",
        "eth_chainId",
        "eth_sendTransaction",
    ]
    assert "wallet_addEthereumChain" in methods(unknown)
    (added,) = [call["params"][0] for call in unknown["calls"] if call["method"] == "wallet_addEthereumChain"]
    assert (added["chainId"], added["chainName"], added["rpcUrls"]) == ("0x2105", "Base", ["https://mainnet.base.org"])
    assert methods(unknown)[-1] == "eth_sendTransaction"


def test_nothing_is_sent_on_another_chain(payer):
    for scenario in ("stays", "keeps"):
        assert "eth_sendTransaction" not in methods(payer["wallets"][scenario])


def test_sent_payment_is_not_sent_again_after_a_reload(payer):
    twice = payer["wallets"]["twice"]

    assert twice["said"].startswith("Sent, and on its way to the network: 0xcdcd")
    assert (twice["isAgain"], twice["isChangeable"]) == (False, False)
    assert payer["wallets"]["rejects"]["isChangeable"] is True


def methods(seen: Any) -> list[str]:
    return [call["method"] for call in seen["calls"]]
