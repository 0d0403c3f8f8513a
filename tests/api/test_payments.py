"""Payments over HTTP: what is sold, buying it, the receipt, and what operators do."""

import json
from pathlib import Path

import pytest

from functions.commands import main
from functions.http import docs
from shared.payments.fiat import Fiat
from shared.payments.ports import ProviderRefused
from shared.payments.providers import PROVIDERS
from tests.api.world import World, problem
from tests.support.earlier_payments import store_as_before

PACKAGE = {
    "title": "1,000 credits",
    "description": "Enough for a while",
    "price": "9.99",
    "currency": "usd",
    "credits": "1000",
    "bonus": "50",
    "bonus_days": 30,
}
PAY = {"package_id": "small", "provider": "stripe"}


@pytest.fixture
def world():
    return World({"CORS_ORIGINS": "https://app.example", "PUBLIC_URL": "https://api.example/api"})


@pytest.fixture
def shop(world, admin):
    """One package on sale."""
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    return world


@pytest.fixture
def stripe(world):
    return world.services.ports.payment_providers()["stripe"]


def bought(alice, provider, **more):
    payment = alice.post("/payments/traditional", {**PAY, **more}).json["payment_id"]
    provider.approve(payment)
    assert alice.get(f"/payments/status/{payment}").json["status"] == "settled"
    return payment


def test_what_is_sold_and_how_it_is_paid_is_told_to_any_user(shop):
    told = shop.guest().get("/payments/options").json

    assert told == {
        "packages": [
            {
                "id": "small",
                "title": "1,000 credits",
                "description": "Enough for a while",
                "price": {"amount": "9.99", "currency": "USD"},
                "credits": "1000",
                "bonus": "50",
                "bonus_days": 30,
                "per_user_limit": None,
            }
        ],
        "methods": [{"provider": name, "flows": ["redirect", "intent"], "is_test": True} for name in PROVIDERS],
        "crypto": [],
        **{record.app_key: None for record in PROVIDERS.values()},
    }
    assert told["stripe_publishable_key"] is told["paypal_client_id"] is None


def test_a_user_buys_a_package_and_sees_the_balance(shop, alice, stripe):
    begun = alice.post("/payments/traditional", PAY)

    assert begun.status_code == 201
    assert (begun.json["status"], begun.json["client_secret"]) == ("pending", None)
    assert begun.json["checkout_url"].startswith("https://")
    stripe.approve(begun.json["payment_id"])
    settled = alice.get(f"/payments/status/{begun.json['payment_id']}").json
    assert (settled["status"], settled["under_review"], settled["credits"]) == ("settled", False, "1000")
    assert (settled["price"], settled["refunded"]) == (
        {"amount": "9.99", "currency": "USD"},
        {"amount": "0.00", "currency": "USD"},
    )
    assert settled["receipt_url"] is not None
    assert settled["transaction_id"] == shop.services.payments.store.get(begun.json["payment_id"]).refs["intent"]
    assert alice.available == "1060"


def test_an_app_gets_a_secret_instead_of_a_page(shop, alice):
    begun = alice.post("/payments/traditional", {**PAY, "flow": "intent"}).json

    assert begun["checkout_url"] is None
    assert begun["client_secret"]


def test_the_same_key_is_the_same_payment(shop, alice, stripe):
    first, second = (alice.post("/payments/traditional", PAY, key="k").json for _ in range(2))

    assert first == second
    other = alice.post("/payments/traditional", {**PAY, "provider": "paypal"}, key="k")
    assert problem(other) == (409, "idempotency_mismatch")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/thanks",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "https://user@app.example/",
        "https://app.example\\@evil.example/",
        "javascript:alert(1)",
        "//app.example/",
        "https://api.example/apievil",
        "https://app.example/\nx",
        "",
    ],
)
@pytest.mark.parametrize("name", ["success_url", "cancel_url"])
def test_users_are_sent_to_configured_origins_only(shop, alice, name, url):
    refused = alice.post("/payments/traditional", {**PAY, name: url})

    assert problem(refused) == (422, "invalid_request")
    assert list(refused.json["errors"]) == [name]


@pytest.mark.parametrize(
    ("url", "is_welcome"),
    [
        ("myapp://paid", True),
        ("myapp://paid?a=1", True),
        ("myapp://paid/thanks", True),
        ("myapp://paidx", False),
        ("otherapp://paid", False),
        ("https://link.example/paid/x", True),
        ("https://link.example/", False),
        ("javascript://paid", False),
    ],
)
def test_apps_are_come_back_to_at_configured_addresses_only(url, is_welcome):
    world = World({"APP_RETURN_URLS": "myapp://paid, https://link.example/paid"})
    world.person("admin").call("PUT", "/admin/packages/small", body=PACKAGE)

    answer = world.person().post("/payments/traditional", {**PAY, "success_url": url, "cancel_url": url})

    assert answer.status_code == (201 if is_welcome else 422)


def test_an_app_is_given_what_its_form_needs(shop, alice, stripe):
    begun = alice.post("/payments/traditional", {**PAY, "flow": "intent"}, key="k").json
    again = alice.post("/payments/traditional", {**PAY, "flow": "intent"}, key="k").json

    assert begun["customer_id"] in stripe.customers
    assert again == begun
    assert all(begun[name] for name in ("client_secret", "customer_session_client_secret"))


def test_an_app_s_form_works_without_saved_means(shop, alice, stripe):
    stripe.fail_next("customer_session")

    begun = alice.post("/payments/traditional", {**PAY, "flow": "intent"}).json

    assert (begun["customer_session_client_secret"], bool(begun["client_secret"])) == (None, True)


def test_a_payer_on_a_page_needs_no_customer(shop, alice):
    begun = alice.post("/payments/traditional", PAY).json

    assert (begun["customer_id"], begun["customer_session_client_secret"]) == (None, None)


def test_a_cancelled_checkout_comes_back_cancelled(shop, alice):
    begun = alice.post("/payments/traditional", {**PAY, "cancel_url": "https://app.example/shop?a=1#b"}).json

    stored = shop.services.payments.store.get(begun["payment_id"])
    assert stored.cancel_url == f"https://app.example/shop?a=1&payment_id={begun['payment_id']}&cancelled=true#b"
    assert "cancelled" not in stored.success_url


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
@pytest.mark.parametrize("added", ["", "?token=5O190127TN364715T"])
def test_who_turns_back_lands_at_the_app_and_reads_cancelled(shop, alice, provider, added):
    wanted = {**PAY, "provider": provider, "cancel_url": "https://app.example/shop"}
    payment = alice.post("/payments/traditional", wanted).json["payment_id"]

    landed = shop.client.get(way_back(shop, payment) + added)

    assert landed.status_code == 303
    assert landed.headers["Location"] == f"https://app.example/shop?payment_id={payment}&cancelled=true"
    assert landed.headers["Referrer-Policy"] == "no-referrer"
    told = alice.get(f"/payments/status/{payment}").json
    assert (told["status"], bool(told["checkout_url"])) == ("cancelled", True)
    assert shop.services.ports.documents().get(f"payments/{payment}").data["status"] == "cancelled"
    assert [one["status"] for one in alice.get("/payments/history").json["items"]] == ["cancelled"]


def test_app_with_its_own_scheme_is_returned_to_from_a_cancelled_checkout():
    world = World({"APP_RETURN_URLS": "myapp://pay", "PUBLIC_URL": "https://api.example/api"})
    assert world.person("admin").call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    person = world.person()
    payment = person.post("/payments/traditional", {**PAY, "cancel_url": "myapp://pay/back"}).json["payment_id"]

    landed = world.client.get(way_back(world, payment))

    assert landed.headers["Location"] == f"myapp://pay/back?payment_id={payment}&cancelled=true"


def test_address_of_a_cancelled_checkout_is_no_one_s_to_guess(shop, alice):
    payment = alice.post("/payments/traditional", PAY).json["payment_id"]
    other = alice.post("/payments/traditional", PAY).json["payment_id"]
    key = way_back(shop, other).rpartition("/")[2]

    for path in (f"/{payment}/cancelled/{key}", f"/{payment}/cancelled/x", f"/pay_none/cancelled/{key}"):
        assert problem(shop.client.get(f"/v1/payments{path}")) == (404, "payment_not_found")

    assert alice.get(f"/payments/status/{payment}").json["status"] == "pending"


def test_mere_look_at_the_address_cancels_nothing(shop, alice):
    payment = alice.post("/payments/traditional", PAY).json["payment_id"]

    assert shop.client.head(way_back(shop, payment)).status_code == 303

    assert alice.get(f"/payments/status/{payment}").json["status"] == "pending"


def test_who_paid_and_follows_the_address_keeps_what_was_paid(shop, alice, stripe):
    payment = bought(alice, stripe)

    assert shop.client.get(way_back(shop, payment)).status_code == 303

    assert alice.get(f"/payments/status/{payment}").json["status"] == "settled"


def test_user_lands_at_the_app_although_the_payment_cannot_be_marked(shop, alice, stripe):
    payment = alice.post("/payments/traditional", PAY).json["payment_id"]
    stripe.fail_next("truth", 2)

    landed = shop.client.get(way_back(shop, payment))

    assert landed.status_code == 303
    assert alice.get(f"/payments/status/{payment}").json["status"] == "cancelled"


def way_back(world, payment):
    """The path to which the provider sends a user who turns back."""
    key = world.services.payments.store.get(payment).back_key
    assert len(key) == 32
    return f"/v1/payments/{payment}/cancelled/{key}"


def test_apps_read_the_keys_that_their_forms_need():
    world = World({"STRIPE_PUBLISHABLE_KEY": "pk_test_1", "PAYPAL_CLIENT_ID": "paypal_1"})

    told = world.person().get("/payments/options").json

    assert (told["stripe_publishable_key"], told["paypal_client_id"]) == ("pk_test_1", "paypal_1")


@pytest.mark.parametrize("url", ["https://app.example/thanks?a=1#b", "https://api.example/api/v1/docs/playground"])
def test_users_come_back_to_the_app_with_the_payment_s_name(shop, alice, url):
    begun = alice.post("/payments/traditional", {**PAY, "success_url": url}).json

    stored = shop.services.payments.store.get(begun["payment_id"])
    assert f"payment_id={begun['payment_id']}" in stored.success_url
    assert stored.success_url.startswith(url.partition("?")[0].partition("#")[0])


@pytest.mark.parametrize(("folder", "page"), [(docs.STATIC, "playground"), (Path("nowhere"), "returned")])
def test_users_come_back_to_a_page_that_is_there(shop, alice, monkeypatch, folder, page):
    monkeypatch.setattr(docs, "STATIC", folder)

    payment = alice.post("/payments/traditional", PAY).json["payment_id"]

    stored = shop.services.payments.store.get(payment)
    for url in (stored.success_url, stored.cancel_url):
        assert url.partition("?")[0] == f"{shop.services.settings.public_url}/v1/docs/{page}"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({**PAY, "package_id": "none"}, (404, "package_not_found")),
        ({**PAY, "provider": "barter"}, (422, "invalid_request")),
        ({**PAY, "flow": "post"}, (422, "invalid_request")),
        ({**PAY, "amount": "1"}, (422, "invalid_request")),
        ({"provider": "stripe"}, (422, "invalid_request")),
    ],
)
def test_what_cannot_be_bought_is_refused(shop, alice, body, answer):
    assert problem(alice.post("/payments/traditional", body)) == answer


def test_a_provider_that_is_not_set_up_is_named(shop, alice):
    del shop.services.ports.payment_providers()["paypal"]

    refused = alice.post("/payments/traditional", {**PAY, "provider": "paypal"})

    assert problem(refused) == (409, "method_not_configured")


def test_a_provider_that_is_down_is_said_to_be(shop, alice, stripe):
    stripe.fail_next("open")

    assert problem(alice.post("/payments/traditional", PAY, key="k")) == (502, "provider_unavailable")
    assert alice.post("/payments/traditional", PAY, key="k").status_code == 201


def test_a_provider_that_refuses_is_told_of_alike_however_often_the_same_key_asks(shop, alice, stripe, monkeypatch):
    def refuse(checkout):
        raise ProviderRefused("stripe", "amount_too_large")

    monkeypatch.setattr(stripe, "open", refuse)
    first, again = (alice.post("/payments/traditional", PAY, key="k") for _ in range(2))

    assert problem(first) == (502, "provider_refused")
    assert (first.status_code, first.json["params"]) == (again.status_code, again.json["params"])


def test_payments_are_their_owner_s_alone(shop, alice, stripe):
    payment = bought(alice, stripe)

    assert problem(shop.person().get(f"/payments/status/{payment}")) == (404, "payment_not_found")
    assert shop.person().get("/payments/history").json["items"] == []
    assert problem(alice.get("/payments/status/pay_none")) == (404, "payment_not_found")


def test_anonymous_users_look_but_do_not_buy(shop):
    assert problem(shop.guest().post("/payments/traditional", PAY)) == (403, "forbidden")


def test_no_api_key_buys(shop, alice):
    assert problem(alice.key("chat", "read").post("/payments/traditional", PAY))[0] == 403


def test_history_is_paged_newest_first(shop, alice, stripe):
    made = []
    for _ in range(5):
        shop.clock.advance(1_000)
        made.append(alice.post("/payments/traditional", PAY).json["payment_id"])

    seen, cursor, page = [], "", {}
    for _ in range(3):
        page = alice.get(f"/payments/history?limit=2{cursor}").json
        seen += [item["id"] for item in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"

    assert seen == made[::-1]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "MTIz", "IjEyMyI", "Ijk5OTk5OTk5OTk5OTk5OTk5Onh4Ig"])
def test_a_cursor_that_was_never_given_is_refused(alice, cursor):
    assert problem(alice.get(f"/payments/history?cursor={cursor}")) == (422, "invalid_request")


def test_an_operator_refunds_in_part_and_it_is_on_record(shop, admin, alice, stripe):
    payment = bought(alice, stripe)

    refunded = admin.post(f"/admin/payments/{payment}/refund", {"amount": "4.99", "reason": "half"}, key="r")

    assert refunded.status_code == 201
    assert (refunded.json["status"], refunded.json["refunded"]["amount"]) == ("partially_refunded", "4.99")
    again = admin.post(f"/admin/payments/{payment}/refund", {"amount": "4.99", "reason": "half"}, key="r")
    assert again.json["refunded"] == refunded.json["refunded"]
    acts = [(record["act"], record["target"], record["reason"]) for record in admin.get("/admin/audit").json["items"]]
    assert ("refund", payment, "half") in acts


def test_an_operator_refunds_no_payment_of_their_own(shop, admin, stripe):
    payment = bought(admin, stripe)

    refused = admin.post(f"/admin/payments/{payment}/refund", {"amount": "4.99", "reason": "half"})

    assert problem(refused) == (403, "own_account")
    assert admin.get(f"/payments/status/{payment}").json["status"] == "settled"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"amount": "10.00", "reason": "r"}, (422, "invalid_value")),
        ({"amount": "0.00", "reason": "r"}, (422, "invalid_value")),
        ({"amount": "-1.00", "reason": "r"}, (422, "invalid_value")),
        ({"amount": "1.001", "reason": "r"}, (422, "invalid_value")),
        ({"amount": "1.00"}, (422, "invalid_request")),
    ],
)
def test_a_refund_is_of_what_is_there_and_has_a_reason(shop, admin, alice, stripe, body, answer):
    payment = bought(alice, stripe)

    assert problem(admin.post(f"/admin/payments/{payment}/refund", body)) == answer
    assert alice.available == "1060"


def test_what_is_not_paid_is_not_refunded(shop, admin, alice):
    payment = alice.post("/payments/traditional", PAY).json["payment_id"]

    refused = admin.post(f"/admin/payments/{payment}/refund", {"reason": "r"})

    assert problem(refused) == (409, "not_refundable")
    assert problem(admin.post("/admin/payments/pay_none/refund", {"reason": "r"})) == (404, "payment_not_found")


def test_operators_see_all_payments_and_those_that_need_them(shop, admin, alice, stripe):
    paid = bought(alice, stripe)
    odd = alice.post("/payments/traditional", PAY).json["payment_id"]
    stripe.approve(odd, received=Fiat(1, "USD"))
    assert alice.get(f"/payments/status/{odd}").json["under_review"] is True

    everything = admin.get("/admin/payments").json["items"]
    settled = admin.get("/admin/payments?status=settled").json["items"]
    odd_ones = admin.get("/admin/payments?under_review=true").json["items"]

    assert {item["id"] for item in everything} == {paid, odd}
    assert [(item["id"], item["uid"]) for item in settled] == [(paid, alice.uid)]
    assert [item["id"] for item in odd_ones] == [odd]
    assert admin.post(f"/admin/payments/{odd}/replay", {"reason": "look"}).json["under_review"] is True


@pytest.mark.parametrize("role", ["user", "support", "auditor"])
def test_only_admins_act_on_payments(shop, role):
    person = shop.person(role)
    for method, path, body in (
        ("POST", "/admin/payments/p/refund", {"reason": "r"}),
        ("POST", "/admin/payments/p/replay", {"reason": "r"}),
        ("PUT", "/admin/packages/p", PACKAGE),
    ):
        assert problem(person.call(method, path, body=body)) == (403, "forbidden")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"price": "0.00"}, 422),
        ({"price": "9.999"}, 422),
        ({"price": "nine"}, 422),
        ({"currency": "US1"}, 422),
        ({"currency": "US"}, 422),
        ({"credits": "0"}, 422),
        ({"bonus_days": 0}, 422),
        ({"per_user_limit": 0}, 422),
        ({"title": ""}, 422),
        ({"currency": "jpy", "price": "1000"}, 200),
    ],
)
def test_a_package_is_a_whole_package(admin, change, status):
    assert admin.call("PUT", "/admin/packages/p", body={**PACKAGE, **change}).status_code == status


def test_an_operator_who_prices_below_cost_is_warned_in_answer_and_log(admin, capsys):
    plain = {name: value for name, value in PACKAGE.items() if not name.startswith("bonus")} | {"credits": "500"}

    below = admin.call("PUT", "/admin/packages/p", body={**plain, "price": "1.99"})
    logged = [line for line in capsys.readouterr().out.splitlines() if "package_below_cost" in line]
    fair = admin.call("PUT", "/admin/packages/p", body={**plain, "price": "9.99"})

    assert (below.status_code, below.json["cost_usd"]) == (200, "5.00")
    assert below.json["warning"].startswith("Priced below cost: 1.99 USD")
    assert admin.get("/admin/packages/p").json["warning"] is None
    assert (len(logged), json.loads(logged[0])["cost_usd"]) == (1, "5.00")
    assert (fair.json["warning"], "package_below_cost" in capsys.readouterr().out) == (None, False)


def test_a_package_that_is_not_enabled_is_not_on_offer(shop, admin, alice):
    admin.call("PUT", "/admin/packages/small", body={**PACKAGE, "enabled": False})

    assert alice.get("/payments/options").json["packages"] == []
    assert problem(alice.post("/payments/traditional", PAY)) == (404, "package_not_found")
    assert admin.get("/admin/packages/small").json["enabled"] is False


def test_takings_are_told_by_day_provider_and_currency(shop, admin, alice, stripe):
    payment = bought(alice, stripe)
    alice.post("/payments/traditional", PAY)
    admin.post(f"/admin/payments/{payment}/refund", {"amount": "0.99", "reason": "r"})

    told = admin.get("/payments/analytics?days=7").json

    assert told["complete"] is True
    assert [{**item, "day": "-"} for item in told["items"]] == [
        {
            "day": "-",
            "provider": "stripe",
            "currency": "USD",
            "begun": 2,
            "paid": 1,
            "paid_amount": "9.99",
            "refunded_amount": "0.99",
            "credits": "1050",
        }
    ]
    assert problem(alice.get("/payments/analytics")) == (403, "forbidden")
    assert problem(admin.get("/payments/analytics?days=1000")) == (422, "invalid_request")


@pytest.mark.parametrize("refunded", [None, "4.00"])
def test_listener_reads_a_payment_as_rest_answers_it(shop, admin, alice, stripe, refunded):
    payment = bought(alice, stripe)
    if refunded:
        admin.post(f"/admin/payments/{payment}/refund", {"amount": refunded, "reason": "asked for"})
    listened = dict(shop.services.ports.documents().get(f"payments/{payment}").data)

    assert listened.pop("uid") == alice.uid
    assert listened == alice.get(f"/payments/status/{payment}").json
    assert [listened] == alice.get("/payments/history").json["items"]


def test_earlier_payment_reads_over_http_as_before_it_moved(shop, admin, alice, stripe):
    payment = bought(alice, stripe)
    before = alice.get(f"/payments/status/{payment}").json
    store_as_before(shop.services.ports.documents().inner.inner.inner, shop.services.payments.store.get(payment))

    assert alice.get(f"/payments/status/{payment}").json == before
    assert alice.get("/payments/history").json["items"] == [before]
    assert admin.get("/admin/payments?status=settled").json["items"][0]["price"] == before["price"]
    assert main(["migrate", "payments"], shop.services) == 0
    assert alice.get("/payments/history").json["items"] == [before]


def test_who_leaves_is_forgotten_by_the_provider_too(shop, alice, stripe):
    payment = bought(alice, stripe)
    assert stripe.customers

    assert alice.call("DELETE", "/me").status_code in {202, 204}

    assert not stripe.customers
    assert shop.services.payments.store.view(payment, alice.uid)["status"] == "settled"


def test_who_left_in_debt_pays_it_with_the_next_purchase_of_the_mailbox(shop, admin, stripe):
    ann = shop.person(email="ann@shop.example")
    payment = bought(ann, stripe)
    held = ann.post("/credits/reserve", {"amount": ann.available}).json
    ann.post(f"/credits/reservations/{held['id']}/capture", {"amount": held["amount"]})
    admin.post(f"/admin/payments/{payment}/refund", {"reason": "asked for"})
    owed = ann.get("/credits/balance").json["debt"]
    ann.call("DELETE", "/me")

    again = shop.person(email="ANN+again@shop.example")
    bought(again, stripe)

    assert owed == "1050"
    assert (again.available, again.get("/credits/balance").json["debt"]) == ("0", "0")


def test_who_left_before_the_money_went_back_pays_what_was_used_of_it(shop, admin, stripe):
    ann = shop.person(email="ann@shop.example")
    payment = bought(ann, stripe)
    held = ann.post("/credits/reserve", {"amount": "400"}).json
    ann.post(f"/credits/reservations/{held['id']}/capture", {"amount": "400"})
    ann.call("DELETE", "/me")
    admin.post(f"/admin/payments/{payment}/refund", {"reason": "asked for"})

    again = shop.person(email="ANN+again@shop.example")
    bought(again, stripe)

    assert again.available == "650"
