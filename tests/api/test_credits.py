import json

import pytest

from shared.kernel.clock import SECOND
from shared.ledger.verify.exports import verify_account
from tests.api.world import problem


def test_the_balance_says_what_there_is_and_in_which_lots(alice):
    balance = alice.get("/credits/balance").json

    (lot,) = balance.pop("lots")
    assert (lot["available"], lot["held"], lot["granted"], lot["is_paid"]) == ("10", "0", "10", False)
    assert balance.pop("updated_at").endswith("Z")
    assert balance.pop("other_lots") == {"count": 0, "available": "0"}
    assert balance == {"available": "10", "held": "0", "total": "10", "debt": "0", "status": "open", "seq": 1}


def test_a_new_user_has_an_open_account_with_nothing_in_it(world):
    balance = world.person().get("/credits/balance").json

    assert (balance["total"], balance["lots"], balance["status"]) == ("0", [], "open")


def test_a_reservation_sets_credits_aside(alice):
    made = alice.post("/credits/reserve", {"amount": "2.5", "ttl_seconds": 60, "description": "a video"})

    assert made.status_code == 201
    reservation = made.json
    assert reservation["id"].startswith("hold_")
    assert {name: reservation[name] for name in ("amount", "captured", "released", "status")} == {
        "amount": "2.5",
        "captured": "0",
        "released": "0",
        "status": "active",
    }
    assert made.headers["X-Credits-Available"] == "7.5"
    assert alice.get(f"/credits/reservations/{reservation['id']}").json == reservation
    assert alice.available == "7.5"


def test_a_reservation_ends_by_itself_when_its_time_is_up(world, alice):
    made = alice.post("/credits/reserve", {"amount": "2.5", "ttl_seconds": 60}).json

    world.clock.advance(61 * SECOND)

    assert alice.get(f"/credits/reservations/{made['id']}").json["status"] == "expired"
    assert alice.available == "10"


def test_a_capture_charges_what_was_used_and_gives_back_the_rest(alice):
    made = alice.post("/credits/reserve", {"amount": "4"}).json

    captured = alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1.25"})

    assert captured.status_code == 200
    assert captured.json == {
        "id": made["id"],
        "status": "captured",
        "captured": "1.25",
        "released": "2.75",
        "balance": {"available": "8.75", "held": "0"},
    }
    assert captured.headers["X-Credits-Cost"] == "1.25"
    assert captured.headers["X-Credits-Available"] == "8.75"


def test_a_capture_that_is_not_final_leaves_the_rest_reserved(alice):
    made = alice.post("/credits/reserve", {"amount": "4"}).json

    captured = alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1", "final": False}).json

    assert (captured["status"], captured["captured"], captured["balance"]["held"]) == ("active", "1", "3")
    assert alice.get(f"/credits/reservations/{made['id']}").json["status"] == "active"


def test_a_release_gives_everything_back(alice):
    made = alice.post("/credits/reserve", {"amount": "4"}).json

    released = alice.post(f"/credits/reservations/{made['id']}/release").json

    assert (released["status"], released["released"], released["balance"]["available"]) == ("released", "4", "10")


def test_a_reservation_resolves_once(alice):
    made = alice.post("/credits/reserve", {"amount": "4"}).json
    alice.post(f"/credits/reservations/{made['id']}/release")

    again = alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1"})

    assert problem(again) == (409, "hold_resolved")
    assert again.json["params"] == {"status": "released"}


def test_more_than_there_is_cannot_be_reserved(alice):
    refused = alice.post("/credits/reserve", {"amount": "10.000001"})

    assert problem(refused) == (402, "insufficient_credits")
    told = {name: refused.json[name] for name in ("available", "held", "required")}
    assert told == {"available": "10", "held": "0", "required": "10.000001"} == refused.json["params"]


@pytest.mark.parametrize("act", ["", "/capture", "/release"])
def test_a_strangers_reservation_does_not_exist(world, alice, act):
    made = alice.post("/credits/reserve", {"amount": "4"}).json
    path = f"/credits/reservations/{made['id']}{act}"
    bob = world.person(credits_=10)

    refused = bob.post(path, {"amount": "1"} if act == "/capture" else None) if act else bob.get(path)

    assert problem(refused) == (404, "hold_not_found")


@pytest.mark.parametrize("act", ["", "/capture", "/release"])
def test_the_hold_of_a_model_call_is_nobodys_reservation(world, alice, act):
    """Whoever could release it would chat for nothing."""
    hold = world.services.credits.ledger.holding(alice.uid, 1_000_000, operation="op_model_call", expected_step=1)
    path = f"/credits/reservations/{hold.id}{act}"

    refused = alice.post(path, {"amount": "1"} if act == "/capture" else None) if act else alice.get(path)

    assert problem(refused) == (404, "hold_not_found")


def test_history_lists_what_moved_credits_newest_first(alice):
    made = alice.post("/credits/reserve", {"amount": "4"}).json
    alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1.5"})

    charge, grant = alice.get("/credits/history").json["items"]

    assert (charge["kind"], charge["amount"], charge["balance_after"], charge["held_after"]) == (
        "charge",
        "-1.5",
        "8.5",
        "0",
    )
    assert charge["hold"] == made["id"]
    assert (grant["kind"], grant["amount"]) == ("grant", "10")


def test_history_of_holds_shows_the_rest(alice):
    made = alice.post("/credits/reserve", {"amount": "4", "description": "a video"}).json
    alice.post(f"/credits/reservations/{made['id']}/release")

    items = alice.get("/credits/history?kind=hold").json["items"]

    assert [(item["kind"], item["amount"], item["held_after"]) for item in items] == [
        ("release", "0", "0"),
        ("hold", "0", "4"),
    ]
    assert items[1]["note"] == "a video"


def test_history_comes_in_pages_that_miss_nothing(world):
    alice = world.person()
    for _ in range(5):
        world._with_credits(alice, 1)

    first = alice.get("/credits/history?limit=2").json
    second = alice.get(f"/credits/history?limit=2&cursor={first['next_cursor']}").json
    third = alice.get(f"/credits/history?limit=2&cursor={second['next_cursor']}").json

    assert [item["seq"] for page in (first, second, third) for item in page["items"]] == [5, 4, 3, 2, 1]
    assert third["next_cursor"] is None


def test_the_welcome_bonus_is_given_once(world):
    alice = world.person()

    claimed = alice.post("/credits/welcome-bonus", key="claim")
    again = alice.post("/credits/welcome-bonus", key="another")

    assert (claimed.status_code, claimed.json["amount"]) == (201, "1000")
    assert claimed.json["balance"] == {"available": "1000", "held": "0"}
    assert problem(again) == (409, "already_claimed")
    assert alice.available == "1000"


def test_another_spelling_of_the_same_mailbox_gets_no_second_bonus(world):
    world.person(email="an.na+1@gmail.com").post("/credits/welcome-bonus")

    again = world.person(email="anna@googlemail.com").post("/credits/welcome-bonus")

    assert problem(again) == (409, "already_claimed")


def test_an_unverified_address_gets_no_bonus_where_that_is_asked(world):
    strict = type(world)(env={"WELCOME_BONUS_REQUIRES": "verified"})

    refused = strict.person(is_email_verified=False).post("/credits/welcome-bonus")

    assert problem(refused) == (403, "bonus_not_allowed")


@pytest.mark.parametrize("path", ["/credits/welcome-bonus", "/credits/reserve", "/chat/conversations"])
def test_anonymous_users_neither_claim_nor_spend(world, path):
    guest = world.guest()

    assert problem(guest.post(path, {})) == (403, "forbidden")
    assert guest.get("/credits/balance").status_code == 200


def test_an_account_survives_that_its_owner_links_an_address(world):
    guest = world.guest()
    guest.get("/me")

    world.identity.link_email(guest.uid, "later@example.com")
    named = type(guest)(world=world, uid=guest.uid, token=world.identity.token(guest.uid))

    assert named.post("/credits/welcome-bonus").status_code == 201


def test_an_export_verifies_offline_with_the_public_keys(world, alice):
    made = alice.post("/credits/reserve", {"amount": "4"}).json
    alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1.5"})

    exported = alice.get("/credits/export")

    lines = exported.get_data(as_text=True).splitlines(keepends=True)
    assert exported.mimetype == "application/x-ndjson"
    public = world.call("GET", "/ledger/keys").json["items"]
    assert [key["public_key"] for key in json.loads(lines[0])["keys"]] == [key["public_key"] for key in public]
    assert verify_account(iter(lines), world.services.credits.ledger._keys) == []


def test_a_frozen_account_may_look_but_not_spend(admin, alice):
    alice.get("/me")
    admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "a dispute"})

    refused = alice.post("/credits/reserve", {"amount": "1"})

    assert problem(refused) == (403, "account_frozen")
    assert alice.get("/credits/balance").json["status"] == "frozen"


def test_spending_is_limited_per_user_exactly(world):
    strict = type(world)(env={"RATE_LIMIT_PER_MINUTE": "60", "RATE_LIMIT_BURST": "2"})
    alice = strict.person(credits_=10)

    answers = [alice.post("/credits/reserve", {"amount": "1"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert problem(answers[2]) == (429, "rate_limited")
    assert answers[2].headers["Retry-After"] == "1"
