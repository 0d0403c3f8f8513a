"""Coins that came, as operators see them, and their decisions about coins under review."""

import csv
import io

import pytest

from functions.commands import main
from tests.api import test_crypto_payments as buying
from tests.api.test_crypto_refunds import bought
from tests.api.world import World, problem

REASON = {"reason": "ticket 4711"}


@pytest.fixture
def shop():
    world = World(buying.ENV)
    for chain in buying.chains_of(world).values():
        chain.mine(12)
    assert world.person("admin").call("PUT", "/admin/packages/small", body=buying.PACKAGE).status_code == 200
    return world


@pytest.fixture
def admin(shop):
    return shop.person("admin")


@pytest.fixture
def alice(shop):
    return shop.person()


def listed(admin, **wanted):
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    answer = admin.get(f"/admin/crypto/deposits?{query}")
    assert answer.status_code == 200, answer.json
    return answer.json["items"]


def after_a_sweep(shop, alice, amount=20_000_000):
    """An address whose coins were sent away, and to which coins came since."""
    payment = bought(shop, alice)
    address = alice.get(f"/payments/status/{payment}").json["crypto"]["address"]
    chain, follower = buying.chains_of(shop)["base"], shop.services.crypto.follower
    chain.sweep(address)
    chain.mine(20)
    follower.follow_payment(payment)
    chain.send(address, "USDC", amount)
    chain.mine(20)
    follower.follow_payment(payment)
    return payment


def test_deposits_tell_value_rate_sources_and_transactions(shop, admin, alice):
    payment = bought(shop, alice)

    (row,) = listed(admin, uid=alice.uid)

    assert (row["state"], row["payment_id"], row["package_id"], row["status"]) == (
        "credited",
        payment,
        "small",
        "settled",
    )
    assert (row["value"], row["network"], row["asset"]) == ({"amount": "10.00", "currency": "USD"}, "base", "USDC")
    assert row["sources"]
    assert len(row["transactions"]) == 1


def test_deposit_tells_the_sources_of_its_rate_in_the_book_too(shop, admin, alice):
    payment = bought(shop, alice)
    chain = buying.chains_of(shop)["base"]
    chain.send(alice.get(f"/payments/status/{payment}").json["crypto"]["address"], "USDC", 3_000_000)
    chain.mine(20)
    shop.services.crypto.follower.follow_payment(payment)

    rows = {row["package_id"]: row for row in listed(admin, uid=alice.uid)}
    book = csv.DictReader(io.StringIO(admin.get("/admin/crypto/deposits?format=csv").get_data(as_text=True)))

    assert rows["deposit"]["sources"] == rows["small"]["sources"] == ["chainlink", "one", "two"]
    assert {line["sources"] for line in book} == {"chainlink one two"}


def test_dust_is_told_to_operators_only(shop, admin, alice):
    payment = bought(shop, alice)
    address = alice.get(f"/payments/status/{payment}").json["crypto"]["address"]
    buying.chains_of(shop)["base"].send(address, "USDC", 7)
    buying.chains_of(shop)["base"].mine(20)
    shop.services.crypto.follower.follow_payment(payment)

    (dust,) = listed(admin, state="dust")

    assert (dust["amount"], dust["payment_id"], dust["value"]) == ("0.000007", None, None)
    assert listed(admin, state="dust", network="polygon") == []


def test_coins_under_review_are_credited_once_by_the_click_of_an_operator(shop, admin, alice):
    after_a_sweep(shop, alice)
    before = buying.credits_of(shop, alice)
    (row,) = listed(admin, state="review")

    answers = [admin.post(f"/admin/crypto/deposits/{row['id']}/assign", REASON) for _ in range(2)]

    assert (answers[0].status_code, problem(answers[1])) == (200, (409, "nothing_under_review"))
    assert [each["state"] for each in answers[0].json["items"]] == ["credited", "credited"]
    assert float(buying.credits_of(shop, alice)) > float(before)
    assert listed(admin, state="review") == []
    acts = {each["act"] for each in admin.get("/admin/audit").json["items"] if each["target"] == row["id"]}
    assert acts == {"assign_coins"}


def test_ignored_coins_are_credited_to_nobody_and_can_be_assigned_later(shop, admin, alice):
    after_a_sweep(shop, alice)
    before = buying.credits_of(shop, alice)
    (row,) = listed(admin, state="review")

    ignored = admin.post(f"/admin/crypto/deposits/{row['id']}/ignore", REASON)
    left = buying.credits_of(shop, alice)
    admin.post(f"/admin/crypto/deposits/{row['id']}/assign", REASON)

    assert [each["state"] for each in ignored.json["items"]] == ["credited", "ignored"]
    assert left == before
    assert float(buying.credits_of(shop, alice)) > float(before)


def test_deposits_as_a_table_have_a_line_for_each_and_run_no_formula(shop, admin, alice):
    for _ in range(2):
        bought(shop, alice)

    answer = admin.get("/admin/crypto/deposits?format=csv&limit=1")
    lines = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    more = admin.get(f"/admin/crypto/deposits?format=csv&cursor={answer.headers['X-Next-Cursor']}")
    rest = list(csv.DictReader(io.StringIO(more.get_data(as_text=True))))

    assert answer.mimetype == "text/csv"
    assert [line["value"] for line in (*lines, *rest)] == ["10.00", "10.00"]
    assert len({line["id"] for line in (*lines, *rest)}) == 2
    assert "X-Next-Cursor" not in more.headers


@pytest.mark.parametrize("address", ["evm:999", "evm:x", "evm", "dog:1", "evm:-1"])
def test_decision_about_an_unknown_address_is_not_found(admin, address):
    answer = admin.post(f"/admin/crypto/deposits/{address}/assign", REASON)

    assert problem(answer) == (404, "crypto_address_not_found")


def test_admin_assigns_no_coins_to_themselves(shop, admin):
    after_a_sweep(shop, admin)
    (row,) = listed(admin, state="review")

    assert problem(admin.post(f"/admin/crypto/deposits/{row['id']}/assign", REASON)) == (403, "own_account")


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_deposits_are_for_operators(shop, role, status):
    assert shop.person(role).get("/admin/crypto/deposits").status_code == status


def said(shop, capsys, *arguments: str) -> list[str]:
    capsys.readouterr()
    assert main(arguments, shop.services) == 0
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]


def test_balances_tell_coins_by_path_and_their_sum(shop, alice, capsys):
    payments = [bought(shop, alice) for _ in range(2)]
    first = alice.get(f"/payments/status/{payments[0]}").json["crypto"]["address"]

    told = said(shop, capsys, "balances", "base")

    assert any(line.endswith(payments[0]) and first in line and "USDC" in line for line in told)
    assert told[2].startswith("Base: 20 USDC")


def test_unlisted_token_is_found_at_the_address_it_was_sent_to(shop, alice, capsys):
    payment = bought(shop, alice)
    address, token = alice.get(f"/payments/status/{payment}").json["crypto"]["address"], "0x" + "12" * 20
    buying.chains_of(shop)["base"].send(address, token, 5 * 10**18)
    buying.chains_of(shop)["base"].mine()

    found = said(shop, capsys, "find-token", "base", token)

    assert found[0].endswith(f"{address}  5 {token}  {payment}")
    assert said(shop, capsys, "find-token", "polygon", token) == ["Nothing was found."]
    assert main(("find-token", "dogecoin", token), shop.services) == 1
