import pytest

from tests.api.world import MODEL, problem

READS = ["/admin/users?email=alice@example.com", "/admin/users/{uid}", "/admin/models/gpt-4o-mini"]
ACTS = [
    ("PUT", "/admin/users/{uid}/roles", {"roles": ["support"]}),
    ("POST", "/admin/users/{uid}/credits", {"amount": "5", "reason": "sorry"}),
    ("POST", "/admin/users/{uid}/freeze", {"reason": "a dispute"}),
    ("POST", "/admin/users/{uid}/unfreeze", {"reason": "solved"}),
    ("PUT", "/admin/models/new", MODEL),
]


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_operators_may_read(world, alice, path, role, status):
    assert world.person(role).get(path.format(uid=alice.uid)).status_code == status


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 403), ("auditor", 200), ("admin", 200)])
def test_auditors_read_what_operators_did(world, role, status):
    assert world.person(role).get("/admin/audit").status_code == status


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
@pytest.mark.parametrize("role", ["user", "support", "auditor"])
def test_only_admins_act(world, alice, method, path, body, role):
    refused = world.person(role).call(method, path.format(uid=alice.uid), body=body)

    assert problem(refused) == (403, "forbidden")


def test_a_user_is_found_by_address(admin, alice):
    (row,) = admin.get("/admin/users?email=ALICE@example.com").json["items"]
    found = admin.get(f"/admin/users/{alice.uid}").json

    assert (found["uid"], found["email"], found["status"]) == (alice.uid, "alice@example.com", "open")
    assert (found["roles"], found["disabled"], found["balance"]["available"]) == ([], False, "10")
    assert {**row, "balance": 0} == {**found, "balance": 0}
    assert row["balance"].items() <= found["balance"].items()
    assert admin.get("/admin/users?email=nobody@example.com").json == {"items": [], "next_cursor": None}


def test_nobody_is_not_found(admin):
    assert problem(admin.get("/admin/users/nobody")) == (404, "user_not_found")


def test_roles_are_replaced(world, admin, alice):
    changed = admin.call("PUT", f"/admin/users/{alice.uid}/roles", body={"roles": ["support"], "reason": "new hire"})

    assert changed.json["roles"] == ["support"]
    assert world.identity.get_user(alice.uid).roles == {"support"}


def test_nobody_changes_their_own_roles(admin):
    refused = admin.call("PUT", f"/admin/users/{admin.uid}/roles", body={"roles": ["admin", "auditor"]})

    assert problem(refused) == (403, "own_role")


@pytest.mark.parametrize(
    ("path", "body"),
    [("credits", {"amount": "5", "reason": "a gift"}), ("unfreeze", {"reason": "solved"})],
)
def test_an_act_for_the_own_account_needs_another_admin(world, admin, path, body):
    refused = admin.post(f"/admin/users/{admin.uid}/{path}", body)

    assert problem(refused) == (403, "own_account")
    assert world.person("admin").post(f"/admin/users/{admin.uid}/{path}", body).status_code < 300


@pytest.mark.parametrize("roles", [["king"], "admin", [1], None, ["admin"] * 9])
def test_roles_are_a_list_of_roles(admin, alice, roles):
    refused = admin.call("PUT", f"/admin/users/{alice.uid}/roles", body={"roles": roles})

    assert problem(refused) == (422, "invalid_request")


@pytest.mark.parametrize(("amount", "available"), [("5", "15"), ("-2.5", "7.5")])
def test_a_balance_is_corrected_with_a_reason(admin, alice, amount, available):
    body = {"amount": amount, "reason": "angry", "note_to_user": "sorry"}
    done = admin.post(f"/admin/users/{alice.uid}/credits", body, key="k")
    again = admin.post(f"/admin/users/{alice.uid}/credits", body, key="k")

    assert (done.status_code, done.json["amount"], done.json["balance"]["available"]) == (201, amount, available)
    assert again.json == done.json
    entry = alice.get("/credits/history").json["items"][0]
    assert (entry["kind"], entry["amount"], entry["note"]) == ("adjustment", amount, "sorry")


@pytest.mark.parametrize(
    "body",
    [{"amount": "5"}, {"amount": "5", "reason": ""}, {"amount": "0", "reason": "x"}, {"amount": "--5", "reason": "x"}],
)
def test_a_correction_says_how_much_and_why(admin, alice, body):
    assert problem(admin.post(f"/admin/users/{alice.uid}/credits", body)) == (422, "invalid_request")


def test_a_blank_reason_is_none(admin, alice):
    refused = admin.post(f"/admin/users/{alice.uid}/credits", {"amount": "5", "reason": "  "})

    assert problem(refused) == (422, "invalid_value")
    assert list(refused.json["errors"]) == ["reason"]


def test_more_than_there_is_cannot_be_taken_away(admin, alice):
    refused = admin.post(f"/admin/users/{alice.uid}/credits", {"amount": "-11", "reason": "x"})

    assert problem(refused) == (402, "insufficient_credits")


def test_a_frozen_user_can_be_unfrozen(admin, alice):
    frozen = admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "a dispute"})
    unfrozen = admin.post(f"/admin/users/{alice.uid}/unfreeze", {"reason": "solved"})

    assert (frozen.status_code, frozen.json["status"]) == (200, "frozen")
    assert (unfrozen.status_code, unfrozen.json["status"]) == (200, "open")


def test_a_model_is_created_and_replaced(admin, alice):
    created = admin.call("PUT", "/admin/models/new", body={**MODEL, "reason": "cheaper"})
    dearer = admin.call("PUT", "/admin/models/new", body={**MODEL, "input_usd_per_mtok": "0.3", "is_enabled": False})

    assert (created.status_code, created.json["id"], created.json["price_version"]) == (200, "new", 1)
    assert (dearer.json["price_version"], dearer.json["is_enabled"]) == (2, False)
    assert admin.get("/admin/models/new").json == dearer.json
    assert [model["id"] for model in alice.get("/models").json["items"]] == ["gpt-4o-mini"]


def test_a_model_says_what_an_image_takes(admin):
    said = admin.call("PUT", "/admin/models/new", body={**MODEL, "image_tokens": {"base": 85, "tile": 170}})

    assert (said.status_code, said.json["image_tokens"]) == (200, {"base": 85, "tile": 170})
    assert admin.get("/admin/models/new").json == said.json


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"input_usd_per_mtok": "-1"}, "invalid_value"),
        ({"input_usd_per_mtok": "NaN"}, "invalid_value"),
        ({"input_usd_per_mtok": None}, "invalid_value"),
        ({"input_usd_per_mtok": 0.15}, "invalid_request"),
        ({"max_output_tokens": 9_000}, "invalid_value"),
        ({"kind": "poem"}, "invalid_request"),
        ({"free": True}, "invalid_request"),
        ({"image_tokens": {"base": 85}}, "invalid_value"),
        ({"image_tokens": {"base": 85, "tile": "170"}}, "invalid_request"),
        ({"image_tokens": {"base": 1, "tile": 1, "square": 1}}, "invalid_request"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(admin, change, code):
    assert problem(admin.call("PUT", "/admin/models/new", body={**MODEL, **change})) == (422, code)


def test_a_model_that_is_not_there_is_not_found(admin):
    assert problem(admin.get("/admin/models/nothing")) == (404, "model_not_found")


def test_every_act_is_on_record_newest_first(admin, alice):
    admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "a dispute"})
    admin.post(f"/admin/users/{alice.uid}/credits", {"amount": "5", "reason": "sorry"})

    first = admin.get("/admin/audit?limit=1").json
    second = admin.get(f"/admin/audit?limit=1&cursor={first['next_cursor']}").json

    records = first["items"] + second["items"]
    told = {(record["act"], record["actor"], record["target"], record["reason"], record["state"]) for record in records}
    assert told == {
        ("adjust", admin.uid, alice.uid, "sorry", "done"),
        ("freeze", admin.uid, alice.uid, "a dispute", "done"),
    }
    assert {record["act"]: record["after"] for record in records}["freeze"] == {"status": "frozen"}
    assert second["next_cursor"] is None


def test_an_admin_who_signed_out_everywhere_is_one_no_more(world, admin):
    world.identity.revoke(admin.uid)
    world.clock.advance(1)
    world.identity.revoke(admin.uid)

    assert problem(admin.get("/admin/audit")) == (401, "token_revoked")


def test_an_admin_whose_role_was_taken_away_acts_no_more(world, admin, alice):
    world.identity.set_roles(admin.uid, frozenset())

    refused = admin.post(f"/admin/users/{alice.uid}/credits", {"amount": "5", "reason": "x"})

    assert problem(refused) == (403, "forbidden")
