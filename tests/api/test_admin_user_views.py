"""Operators' views of one user: everything about the account, and nothing that was said to a model."""

import pytest

from tests.api.world import MODEL, problem

MARK = "marked-words-of-the-user"
VIEWS = ("holds", "keys", "tasks", "usage", "sign-ins", "audit")


@pytest.fixture
def auditor(world):
    return world.person("auditor")


@pytest.fixture
def busy(world, alice):
    """Alice, with a key, a conversation, a task and a reservation, each with marked words."""
    model = {**MODEL, "capabilities": ["chat", "tools"], "context_window": 32_000}
    world.services.models.catalogue.put("gpt-4o-mini", model)
    alice.post("/api-keys", {"name": "till", "scopes": ["chat"]})
    alice.post("/chat/conversations", {"title": MARK, "system_prompt": MARK})
    task = {"goal": MARK, "budget": "1", "documents": [{"name": "a.txt", "content": MARK}]}
    assert alice.post("/chat/agent-tasks", task).status_code == 202
    assert alice.post("/credits/reserve", {"amount": "1", "description": MARK}).status_code == 201
    return alice


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_shows_what_the_user_said(auditor, busy, view):
    answer = auditor.get(f"/admin/users/{busy.uid}/{view}")

    assert answer.status_code == 200
    assert MARK not in answer.text
    assert answer.json.keys() & {"goal", "title", "prompt", "content", "label"} == set()


def test_views_show_holds_keys_and_tasks(auditor, busy):
    told = {view: auditor.get(f"/admin/users/{busy.uid}/{view}").json["items"] for view in ("holds", "keys", "tasks")}

    assert [each["amount"] for each in told["holds"]] == ["1"]
    assert [each["name"] for each in told["keys"]] == ["till"]
    assert "key" not in told["keys"][0]
    assert [each["budget"] for each in told["tasks"]] == ["1"]


def test_sign_ins_tell_since_when_tokens_count(world, admin, auditor, alice):
    before = auditor.get(f"/admin/users/{alice.uid}/sign-ins").json
    admin.post(f"/admin/users/{alice.uid}/sign-out", {"reason": "stolen phone"})

    after = auditor.get(f"/admin/users/{alice.uid}/sign-ins").json

    assert (before["tokens_valid_after"], after["tokens_valid_after"] is None) == (None, False)


def test_audit_of_a_user_shows_acts_and_looks(auditor, admin, alice):
    admin.post(f"/admin/users/{alice.uid}/freeze", {"reason": "a dispute"})
    auditor.get(f"/admin/users/{alice.uid}/keys")

    items = auditor.get(f"/admin/users/{alice.uid}/audit").json["items"]

    assert {(each["act"], each["target"]) for each in items} == {("freeze", alice.uid), ("look", alice.uid)}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_nobody_is_not_found(auditor, view):
    assert problem(auditor.get(f"/admin/users/nobody/{view}")) == (404, "user_not_found")
