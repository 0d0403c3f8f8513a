"""Credits bought in a real browser: through each provider's page and back, the balance changing before one's eyes."""

import os
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from emulator.seed import PACKAGES, seed_packages
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "buying.mjs"
SECONDS_MAX = 600
MICRO = 1_000_000
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PURCHASES: tuple[dict[str, Any], ...] = (
    {"name": "desk-card", "package": "plus", "provider": "stripe", "press": "paid", **DESK},
    {
        "name": "desk-paypal",
        "package": "standard",
        "provider": "paypal",
        "press": "completed",
        "declined": "declined",
        **DESK,
    },
    {"name": "phone-card", "package": "taster", "provider": "stripe", "press": "paid", **PHONE},
    {"name": "phone-paypal", "package": "plus", "provider": "paypal", "press": "completed", **PHONE},
)


@pytest.fixture(scope="module")
def bought(suite, browser):
    seed_packages(suite.project)
    return run_script(
        SCRIPT,
        {
            "chromium": browser,
            "docsUrl": f"{suite.endpoints.api}/v1/docs",
            "email": f"buyer-{uuid.uuid4().hex[:8]}@example.com",
            "purchases": PURCHASES,
            "screenshots": os.environ.get("SCREENSHOTS"),
        },
        timeout_seconds=SECONDS_MAX,
    )


def test_a_package_bought_on_each_page_is_in_the_balance_when_its_buyer_is_back(bought):
    gained = {name: number(seen["after"]) - number(seen["before"]) for name, seen in bought["seen"].items()}

    assert gained == {one["name"]: credits_of(one["package"]) for one in PURCHASES}
    assert {seen["live"] for seen in bought["seen"].values()} == {"live"}


def test_the_page_of_the_provider_was_used_and_led_back(bought, suite, suite_payments):
    for one in PURCHASES:
        seen = bought["seen"][one["name"]]
        assert seen["shop"].startswith(suite_payments.addresses[one["provider"]])
        assert seen["back"] == f"{suite.endpoints.api}/v1/docs/playground"


def test_the_payment_is_told_and_stands_in_the_history(bought):
    for one in PURCHASES:
        seen, title = bought["seen"][one["name"]], PACKAGES[one["package"]]["title"]
        assert seen["told"].startswith("Paid")
        assert title in seen["told"]
        assert title in seen["row"]


def test_a_card_s_receipt_is_a_page_and_paypal_s_a_name_in_the_payer_s_account(bought, suite_payments):
    for one in PURCHASES:
        seen, fields = bought["seen"][one["name"]], PACKAGES[one["package"]]
        if one["provider"] == "stripe":
            assert seen["receipt"]["url"].startswith(f"{suite_payments.addresses['stripe']}/receipts/payment/")
            assert fields["title"] in seen["receipt"]["text"]
            assert f"${fields['price_minor'] / 100:.2f}" in seen["receipt"]["text"]
        else:
            assert seen["receipt"] is None
            assert "PayPal transaction " in seen["told"]


def test_who_was_declined_is_told_so_and_finds_the_way_back_to_the_page(bought):
    told = {name: (seen["refused"] or "").split("\n")[0] for name, seen in bought["seen"].items() if seen["refused"]}

    assert told == {"desk-paypal": "Declined: try another way of paying"}


def test_no_error_is_told_and_nothing_is_wider_than_the_screen(bought):
    assert bought["errors"] == []
    assert {name: seen["overflow"] for name, seen in bought["seen"].items()} == dict.fromkeys(bought["seen"], 0)


def credits_of(package: str) -> int:
    fields = PACKAGES[package]
    return (fields["credits"] + fields.get("bonus", 0)) // MICRO


def number(text: str) -> Decimal:
    return Decimal("".join(character for character in text if character in "0123456789.-"))
