"""The hosted payment pages, as a person meets them on a desk and on a phone: one button for each way it can end."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.endpoint import Endpoint
from tests.support.node import run_script
from tests.support.processes import wait_for

SCRIPT = Path(__file__).parent / "js" / "hosted.mjs"
SECONDS_MAX = 600
PATIENCE_SECONDS = 60
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 812}
TOUCHABLE_PIXELS = 44
PACKAGE = "1,000 credits & a <b>bonus</b> “für Zoë”"
STRIPE_PRESSES = {
    "desk": ["paid"],
    "phone": ["declined", "paid"],
    "later": ["later_paid"],
    "never": ["later_failed"],
    "cancel": ["cancel"],
}
PAYPAL_PRESSES = {
    "desk": ["completed"],
    "phone": ["pending_paid"],
    "denied": ["pending_denied"],
    "declined": ["declined"],
    "cancel": ["cancel"],
}


@pytest.fixture(scope="module")
def shop():
    with Endpoint() as it:
        yield it


def new_session(stand_in, shop) -> str:
    answer = requests.post(
        f"{stand_in.url}/v1/checkout/sessions",
        headers={"Authorization": f"Bearer {stand_in.secret_key}"},
        data={
            "mode": "payment",
            "line_items[0][price_data][currency]": "eur",
            "line_items[0][price_data][unit_amount]": "123456",
            "line_items[0][price_data][product_data][name]": PACKAGE,
            "line_items[0][quantity]": "2",
            "success_url": f"{shop.origin}/done?session={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{shop.origin}/cancelled",
        },
        timeout=PATIENCE_SECONDS,
    )
    return answer.json()["id"]


def ask_paypal(stand_in, path: str, body: dict[str, object]) -> dict[str, str]:
    given = requests.post(
        f"{stand_in.url}/v1/oauth2/token",
        auth=(stand_in.client_id, stand_in.client_secret),
        data={"grant_type": "client_credentials"},
        timeout=PATIENCE_SECONDS,
    )
    token = {"Authorization": f"Bearer {given.json()['access_token']}"}
    return requests.post(f"{stand_in.url}{path}", headers=token, json=body, timeout=PATIENCE_SECONDS).json()


def pay(stand_in, order: str) -> None:
    assert ask_paypal(stand_in, f"/v2/checkout/orders/{order}/capture", {})["status"] == "COMPLETED"


def new_order(stand_in, shop) -> str:
    amount = {"currency_code": "EUR", "value": "1234.50"}
    context = {"return_url": f"{shop.origin}/done?p=1", "cancel_url": f"{shop.origin}/cancelled"}
    wanted: dict[str, object] = {
        "intent": "CAPTURE",
        "purchase_units": [{"amount": amount, "description": PACKAGE}],
        "payment_source": {"paypal": {"experience_context": context}},
    }
    return ask_paypal(stand_in, "/v2/checkout/orders", wanted)["id"]


@pytest.fixture(scope="module")
def ids(stripe_server, paypal_server, shop):
    """One session and one order for each visit."""
    stripe_server.reset()
    paypal_server.reset()
    sessions = {f"stripe-{name}": new_session(stripe_server, shop) for name in STRIPE_PRESSES}
    return sessions | {f"paypal-{name}": new_order(paypal_server, shop) for name in PAYPAL_PRESSES}


@pytest.fixture(scope="module")
def seen(stripe_server, paypal_server, shop, ids, browser):
    def visit(name: str, address: str, presses: list[str]) -> dict[str, object]:
        size = PHONE if "phone" in name else DESK
        return {"name": name, "url": address, "presses": presses, "email": "zoe@example.com", **size}

    stripe_page, paypal_page = f"{stripe_server.url}/c/pay/", f"{paypal_server.url}/checkoutnow?token="
    visits = [
        visit(f"stripe-{name}", stripe_page + ids[f"stripe-{name}"], presses)
        for name, presses in STRIPE_PRESSES.items()
    ]
    visits += [
        visit(f"paypal-{name}", paypal_page + ids[f"paypal-{name}"], presses)
        for name, presses in PAYPAL_PRESSES.items()
    ]
    paid = new_order(paypal_server, shop)
    paypal_server.approve(order=paid)
    pay(paypal_server, paid)
    visits += [
        visit("stripe-again", stripe_page + ids["stripe-desk"], []),
        visit("stripe-declined-phone", stripe_page + new_session(stripe_server, shop), ["declined"]),
        visit("stripe-unknown-phone", stripe_page + "cs_test_nobody", []),
        visit("paypal-again-phone", paypal_page + paid, []),
        visit("paypal-unknown", paypal_page + "NOBODY", []),
    ]
    given = {"chromium": browser, "screenshots": os.environ.get("SCREENSHOTS"), "visits": visits}
    return run_script(SCRIPT, given, timeout_seconds=SECONDS_MAX)


def test_a_page_says_what_it_is_what_is_bought_and_what_it_costs(seen):
    for name, provider, total in (("stripe-desk", "Stripe", "€2,469.12"), ("paypal-desk", "PayPal", "€1,234.50")):
        text = seen[name]["first"]["text"]
        assert f"This is a stand-in for {provider}" in text
        assert "no money moves" in text
        assert PACKAGE in text, "shown as text, not taken for markup"
        assert total in text


def test_a_page_fits_a_desk_and_a_phone_and_asks_no_other_host(seen, stripe_server, paypal_server, shop):
    ours = {urlsplit(url).netloc for url in (stripe_server.url, paypal_server.url, shop.origin)}
    for name, visit in seen.items():
        assert visit["first"]["overflow"] == 0, name
        assert visit["first"]["smallest"] is None or visit["first"]["smallest"] >= TOUCHABLE_PIXELS, name
        assert {urlsplit(url).netloc for url in visit["requests"] if not url.startswith("data:")} <= ours, name


def test_no_page_has_an_error_in_its_console(seen):
    errors = {name: visit["errors"] for name, visit in seen.items() if visit["errors"]}
    assert {name for name in errors if "unknown" not in name} == set(), errors


@pytest.mark.parametrize(
    ("name", "status", "payment"),
    [
        ("desk", "complete", "paid"),
        ("phone", "complete", "paid"),
        ("later", "complete", "unpaid"),
        ("never", "complete", "unpaid"),
        ("cancel", "open", "unpaid"),
    ],
)
def test_every_button_at_stripe_does_what_it_says(seen, ids, stripe_server, shop, name, status, payment):
    session = stripe_server.get(id=ids[f"stripe-{name}"])
    landed = seen[f"stripe-{name}"]["last"]["url"]

    assert (session["status"], session["payment_status"]) == (status, payment)
    assert landed == (f"{shop.origin}/cancelled" if name == "cancel" else f"{shop.origin}/done?session={session['id']}")
    assert (session["customer_details"] or {}).get("email") == (None if name == "cancel" else "zoe@example.com")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("desk", "APPROVED"),
        ("phone", "APPROVED"),
        ("denied", "APPROVED"),
        ("declined", "APPROVED"),
        ("cancel", "PAYER_ACTION_REQUIRED"),
    ],
)
def test_every_button_at_paypal_does_what_it_says(seen, ids, paypal_server, shop, name, status):
    order = paypal_server.get(id=ids[f"paypal-{name}"])
    landed = urlsplit(seen[f"paypal-{name}"]["last"]["url"])

    assert order["status"] == status
    assert landed.path == ("/cancelled" if name == "cancel" else "/done")
    assert parse_qs(landed.query)["token"] == [order["id"]]
    assert ("PayerID" in parse_qs(landed.query)) == (name != "cancel")


def test_a_declined_card_is_told_on_the_page_which_may_be_used_again(seen):
    last = seen["stripe-declined-phone"]["last"]

    assert "Your card was declined. Nothing was charged; try again." in last["text"]
    assert "paid" in last["buttons"]


def test_what_is_done_or_unknown_says_so_and_offers_no_second_payment(seen):
    told = {name: visit["first"] for name, visit in seen.items() if visit["first"]["buttons"] == []}

    assert told.keys() == {"stripe-again", "stripe-unknown-phone", "paypal-again-phone", "paypal-unknown"}
    assert "nothing was charged twice" in told["stripe-again"]["text"]
    assert "nothing was charged twice" in told["paypal-again-phone"]["text"]
    assert "No such payment" in told["stripe-unknown-phone"]["text"]
    assert "No such order" in told["paypal-unknown"]["text"]


def test_what_was_put_off_is_decided_by_itself_on_a_laptop(shop):
    from emulator.stand_ins.stripe import StripeStandIn

    with StripeStandIn(later_seconds=0.05) as stand_in:
        session = new_session(stand_in, shop)
        page = f"{stand_in.url}/c/pay/{session}"
        answer = requests.post(page, data={"action": "later_paid"}, allow_redirects=False, timeout=PATIENCE_SECONDS)
        wait_for(
            lambda: stand_in.get(id=session)["payment_status"] == "paid", seconds=PATIENCE_SECONDS, what="it is paid"
        )

    assert answer.status_code == 303
