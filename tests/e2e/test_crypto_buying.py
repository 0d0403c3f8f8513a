"""Credits bought with a token in a real browser: playground, payer's page, a wallet on another chain, balance live."""

import os
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulator.chains.hands import Hands
from emulator.seed import PACKAGES, seed_packages
from tests.support.emulators import CONFIRMATIONS
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "crypto_buying.mjs"
SECONDS_MAX = 400
MICRO = 1_000_000
PACKAGE = "plus"
RICH = 1
"""Number of an account of the node that owns tokens."""


@pytest.fixture(scope="module")
def bought(suite, suite_chains, browser) -> Any:
    """What a person saw who bought a package with USDC, whose wallet neither was on the chain nor knew the chain."""
    seed_packages(suite.project)
    node = suite_chains.nodes[0]
    return run_script(
        SCRIPT,
        {
            "chromium": browser,
            "docsUrl": f"{suite.endpoints.api}/v1/docs",
            "email": f"coins-{uuid.uuid4().hex[:8]}@example.com",
            "package": PACKAGE,
            "coin": "local-base:USDC",
            "nodeUrl": node.url,
            "account": Hands(node).accounts[RICH],
            "screenshots": os.environ.get("SCREENSHOTS"),
        },
        timeout_seconds=SECONDS_MAX,
    )


def test_package_is_in_the_balance_of_an_open_tab_once_the_coins_count(bought):
    fields = PACKAGES[PACKAGE]

    gained = number(bought["after"]) - number(bought["before"])
    assert gained == (fields["credits"] + fields.get("bonus", 0)) // MICRO
    assert bought["live"] == "live"


def test_wallet_connects_learns_the_chain_switches_and_pays_once(bought):
    assert bought["calls"] == [
        "eth_requestAccounts",
        "eth_chainId",
        "wallet_switchEthereumChain",
        "wallet_addEthereumChain",
        "eth_chainId",
        "wallet_switchEthereumChain",
        "eth_chainId",
        "eth_sendTransaction",
    ]


def test_payer_changes_coins_and_network_and_keeps_the_address(bought):
    usd = Decimal(PACKAGES[PACKAGE]["price_minor"]) / 100
    first, polygon, ether, last = bought["changed"]

    assert [(one["asset"], one["network"]) for one in (first, polygon, ether, last)] == [
        ("USDC", "local-base"),
        ("USDC", "local-polygon"),
        ("ETH", "local-base"),
        ("USDC", "local-base"),
    ]
    assert len({one["address"] for one in bought["changed"]}) == 1
    assert Decimal(first["amount"]) == Decimal(polygon["amount"]) == Decimal(last["amount"]) == usd
    assert 0 < Decimal(ether["amount"]) < usd
    assert {one["focus"] for one in bought["changed"][1:]} == {"change"}


def test_wallet_is_asked_to_pay_the_address_that_the_page_shows(bought):
    data = bought["sent"]["data"]

    assert data[:10] == "0xa9059cbb"
    assert data[34:74].lower() == bought["address"][2:].lower()
    assert int(data[74:], 16) == PACKAGES[PACKAGE]["price_minor"] * 10_000


def test_page_shows_the_way_from_waiting_to_settled(bought):
    phases = [seen["phase"] for seen in bought["phases"]]
    depths = [seen["depth"] for seen in bought["phases"] if seen["depth"]]

    assert (phases[0], phases[-1]) == ("waiting", "settled")
    assert set(phases) - {"waiting", "settled"} <= {"pool", "seen", "confirming"}
    assert len(set(phases)) > 2
    assert all(f"of {CONFIRMATIONS} confirmations" in depth for depth in depths)
    assert "credited" in bought["receipt"]


def test_page_leads_back_to_the_playground_which_tells_of_the_payment(bought, suite):
    assert bought["back"] == f"{suite.endpoints.api}/v1/docs/playground"
    assert bought["told"].startswith("Paid")
    assert bought["payer"].startswith(f"{suite.endpoints.api}/v1/payments/crypto/")


def test_no_error_is_told_and_nothing_is_wider_than_the_phone(bought):
    assert (bought["errors"], bought["overflow"]) == ([], 0)


def number(text: str) -> Decimal:
    return Decimal("".join(character for character in text if character in "0123456789.-"))
