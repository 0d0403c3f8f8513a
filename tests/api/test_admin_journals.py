"""A user's journal as support and auditors read it: the user's own, and each export on record."""

import pytest

from shared.ledger.keys import PublicKey, Verifier
from shared.ledger.verify.exports import verify_account
from tests.api.world import problem


@pytest.fixture
def support(world):
    return world.person("support")


def test_operators_read_the_entries_that_the_user_reads(support, alice):
    alice.post("/credits/reserve", {"amount": "1"})

    for query in ("", "?kind=hold", "?kind=grant&limit=1"):
        told = support.get(f"/admin/users/{alice.uid}/entries{query}")
        assert told.status_code == 200
        assert told.json == alice.get(f"/credits/history{query}").json
    assert support.get(f"/admin/users/{alice.uid}/entries").json["items"] != []


def test_operators_export_what_the_user_exports(world, support, alice):
    exported = support.get(f"/admin/users/{alice.uid}/export")

    assert exported.get_data() == alice.get("/credits/export").get_data()
    registry = world.call("GET", "/ledger/keys").json["items"]
    keys = [PublicKey.from_json(key) for key in registry]
    assert verify_account(exported.get_data(as_text=True).splitlines(keepends=True), Verifier(keys)) == []


def test_an_export_by_operators_is_on_record(admin, support, alice):
    support.get(f"/admin/users/{alice.uid}/export")

    (record,) = [each for each in admin.get("/admin/audit").json["items"] if each["act"] != "look"]

    assert (record["act"], record["actor"], record["target"]) == ("export_journal", support.uid, alice.uid)
    assert record["state"] == "done"


@pytest.mark.parametrize("what", ["entries", "export"])
def test_a_journal_of_nobody_is_not_found(admin, support, what):
    assert problem(support.get(f"/admin/users/nobody/{what}")) == (404, "user_not_found")
    assert admin.get("/admin/audit").json["items"] == []


@pytest.mark.parametrize("what", ["entries", "export"])
@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_a_journal_is_for_operators(world, alice, role, status, what):
    assert world.person(role).get(f"/admin/users/{alice.uid}/{what}").status_code == status
