"""Search of operators: anything by its name, in few reads, on record."""

import pytest

from shared.kernel.documents import Create
from shared.sagas.search.lookup import KINDS
from tests.api.world import problem


def kinds(person, name):
    return [(each["kind"], each["id"]) for each in person.get(f"/admin/search?q={name}").json["items"]]


@pytest.fixture
def auditor(world):
    return world.person("auditor")


def test_a_user_is_found_by_uid_and_by_address(world, auditor, alice):
    email = world.services.ports.identity().get_user(alice.uid).email

    assert kinds(auditor, alice.uid) == [("user", alice.uid)]
    assert kinds(auditor, email) == [("user", alice.uid)]
    assert auditor.get(f"/admin/search?q={alice.uid}").json["items"][0]["path"] == f"/v1/admin/users/{alice.uid}"


def test_a_conversation_is_found_with_its_owner(auditor, alice):
    made = alice.post("/chat/conversations", {"title": "Mine"}).json

    (found,) = auditor.get(f"/admin/search?q={made['id']}").json["items"]

    assert found == {
        "kind": "conversation",
        "id": made["id"],
        "uid": alice.uid,
        "path": f"/v1/admin/users/{alice.uid}",
    }


def test_a_key_is_found_by_id_and_by_last_four(auditor, alice):
    made = alice.post("/api-keys", {"name": "k", "scopes": ["chat"]}).json

    assert kinds(auditor, made["id"]) == [("api_key", made["id"])]
    assert kinds(auditor, made["key"][-4:]) == [("api_key", made["id"])]
    assert made["key"] not in auditor.get(f"/admin/search?q={made['id']}").text


LIVE = {"agent_tasks", "conversations", "image_tasks", "payments"}
"""Collections whose documents clients listen to: the store of these tests refuses other fields."""


@pytest.mark.parametrize(
    "kind", [each for each in KINDS if each.collection not in LIVE], ids=lambda kind: kind.collection + kind.prefix
)
def test_each_kind_is_found_by_its_name(world, auditor, kind):
    world.services.ports.documents().commit([Create(kind.path("x_1"), {"uid": "bob"})])

    found = auditor.get("/admin/search?q=x_1").json["items"]

    assert [(each["kind"], each["id"]) for each in found] == [(kind.kind, f"{kind.prefix}x_1")]
    assert found[0]["path"].startswith("/v1/admin/")


@pytest.mark.parametrize(
    "name", ["nothing", "a%20b", "..", "__x__", "%F0%9F%98%80", "x" * 300, "a%2Fb", "nobody@example.com"]
)
def test_a_name_of_nothing_finds_nothing(auditor, name):
    assert auditor.get(f"/admin/search?q={name}").json == {"items": [], "next_cursor": None}


def test_searches_are_recorded_without_addresses_and_secrets(auditor, alice):
    auditor.get(f"/admin/search?q={alice.uid}")
    auditor.get("/admin/search?q=nobody@example.com")
    auditor.get("/admin/search?q=ics_a-secret-that-somebody-pasted")

    items = auditor.get("/admin/audit").json["items"]
    records = {each["target"]: each["after"] for each in items if each["act"] == "search"}

    assert records == {
        "address": {"found": []},
        "nothing": {"found": []},
        alice.uid: {"found": [f"user:{alice.uid}"]},
    }


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_search_is_for_operators(world, role, status):
    assert world.person(role).get("/admin/search?q=x").status_code == status


def test_a_search_without_a_name_is_refused(auditor):
    assert problem(auditor.get("/admin/search"))[0] == 422
    assert problem(auditor.get(f"/admin/search?q={'x' * 400}"))[0] == 422
