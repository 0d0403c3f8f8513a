"""Agent tasks over HTTP: begin, look, download, cancel, resume; each with its typed refusals."""

import pytest

from shared.ai.agents.thinking import Thought, ToolCall
from shared.ai.tokens import Usage
from shared.platform.memory.thinking import ScriptedThinkingModel
from tests.api.world import MODEL, problem
from tests.support.adapters import replace_adapters

PATH = "/chat/agent-tasks"
WANTED = {"goal": "Count the people.", "budget": "5"}


def thought(text: str, *calls: tuple[str, str]) -> Thought:
    told = tuple(ToolCall(id="c", name=name, arguments=given) for name, given in calls)
    return Thought(text=text, calls=told, usage=Usage(input_tokens=100, output_tokens=10))


@pytest.fixture
def world(world):
    steps = [
        thought(
            "", ("calculator", '{"expression": "1/4"}'), ("write_artifact", '{"name": "a.html", "content": "<b>x"}')
        ),
        thought("A quarter."),
    ]
    replace_adapters(world.services, thinking_model=ScriptedThinkingModel(steps))
    world.services.models.catalogue.put(
        "gpt-4o-mini", {**MODEL, "capabilities": ["chat", "tools"], "context_window": 32_000}
    )
    return world


def run(world, task_id: str) -> None:
    for _ in range(5):
        world.services.agents.slice.run(task_id)


def test_a_task_from_its_goal_to_its_result(world, alice):
    begun = alice.post(PATH, WANTED)
    assert begun.status_code == 202
    assert (begun.json["status"], begun.json["budget"], begun.json["spent"], begun.json["result"]) == (
        "queued",
        "5",
        "0",
        None,
    )

    run(world, begun.json["id"])
    task = alice.get(f"{PATH}/{begun.json['id']}").json
    steps = alice.get(f"{PATH}/{task['id']}/steps").json["items"]

    assert (task["status"], task["reason"], task["result"]["answer"]) == ("completed", None, "A quarter.")
    assert [step["number"] for step in steps] == list(range(1, task["steps"] + 1))
    assert {step["number"]: step["cost"] for step in steps} == {
        step["number"]: step["cost"] for step in task["result"]["steps"]
    }
    assert task["result"]["cost"] == task["spent"] != "0"
    assert [step["text"] for step in steps if step["tool"] == "calculator" and step["kind"] == "observe"] == ["0.25"]


def test_steps_come_in_pages(world, alice):
    begun = alice.post(PATH, WANTED).json
    run(world, begun["id"])

    first = alice.get(f"{PATH}/{begun['id']}/steps?limit=2").json
    second = alice.get(f"{PATH}/{begun['id']}/steps?limit=100&cursor={first['next_cursor']}").json

    assert [step["number"] for step in (*first["items"], *second["items"])] == [1, 2, 3, 4, 5, 6]
    assert second["next_cursor"] is None


def test_an_artifact_is_downloaded_and_never_shown(world, alice):
    begun = alice.post(PATH, WANTED).json
    run(world, begun["id"])

    listed = alice.get(f"{PATH}/{begun['id']}/artifacts").json["items"]
    file = alice.get(f"{PATH}/{begun['id']}/artifacts/a.html")

    assert listed == [{"name": "a.html", "content_type": "text/plain", "bytes": 4, "is_artifact": True}]
    assert (file.get_data(as_text=True), file.mimetype) == ("<b>x", "text/plain")
    assert file.headers["Content-Disposition"] == 'attachment; filename="a.html"'
    assert "sandbox" in file.headers["Content-Security-Policy"]
    assert problem(alice.get(f"{PATH}/{begun['id']}/artifacts/none.md")) == (404, "file_not_found")


def test_tasks_are_listed(world, alice):
    ids = []
    for _ in range(3):
        ids.append(alice.post(PATH, WANTED).json["id"])
        world.clock.advance(1)

    first = alice.get(f"{PATH}?limit=2").json
    second = alice.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json

    assert [task["id"] for task in (*first["items"], *second["items"])] == ids[::-1]


def test_the_same_key_is_the_same_task(alice):
    first = alice.post(PATH, WANTED, key="k").json
    second = alice.post(PATH, WANTED, key="k").json

    assert first["id"] == second["id"]
    assert problem(alice.post(PATH, {**WANTED, "budget": "6"}, key="k")) == (409, "idempotency_mismatch")


def test_cancel_and_resume(world, alice):
    task = alice.post(PATH, {**WANTED, "budget": "0.000001"}).json
    run(world, task["id"])
    paused = alice.get(f"{PATH}/{task['id']}").json
    assert (paused["status"], paused["reason"]) == ("paused", "budget_exceeded")

    resumed = alice.post(f"{PATH}/{task['id']}/resume", {"budget": "5"})
    assert (resumed.status_code, resumed.json["status"], resumed.json["budget"]) == (202, "queued", "5")
    assert problem(alice.post(f"{PATH}/{task['id']}/resume", {})) == (409, "task_running")

    cancelled = alice.post(f"{PATH}/{task['id']}/cancel", {})
    assert (cancelled.status_code, cancelled.json["status"]) == (202, "cancelled")
    assert problem(alice.post(f"{PATH}/{task['id']}/resume", {})) == (409, "task_ended")


def test_a_capped_key_resumes_within_its_cap(world, alice):
    task = alice.post(PATH, {**WANTED, "budget": "0.000001"}).json
    run(world, task["id"])
    server = alice.key("agents", spend_cap={"amount": "0.000001"})

    resumed = server.post(f"{PATH}/{task['id']}/resume", {"budget": "1000"})
    run(world, task["id"])

    paused = alice.get(f"{PATH}/{task['id']}").json
    assert (resumed.status_code, paused["status"], paused["reason"]) == (202, "paused", "budget_exceeded")
    assert (paused["budget"], paused["spent"]) == ("1000", "0")


def test_a_key_counts_what_it_resumed_against_its_cap(world, alice):
    task = alice.post(PATH, {**WANTED, "budget": "0.000001"}).json
    run(world, task["id"])
    server = alice.key("agents", spend_cap={"amount": "5"})

    server.post(f"{PATH}/{task['id']}/resume", {"budget": "5"})
    run(world, task["id"])

    (key,) = alice.get("/api-keys").json["items"]
    done = alice.get(f"{PATH}/{task['id']}").json
    assert (done["status"], done["spent"]) == ("completed", key["spend_cap"]["used"])


def test_a_revoked_key_pauses_its_tasks_with_a_reason(world, alice):
    task = alice.key("agents").post(PATH, WANTED).json
    (key,) = alice.get("/api-keys").json["items"]

    alice.call("DELETE", f"/api-keys/{key['id']}")

    paused = alice.get(f"{PATH}/{task['id']}").json
    assert (paused["status"], paused["reason"], paused["spent"]) == ("paused", "api_key_revoked", "0")
    assert alice.post(f"{PATH}/{task['id']}/resume", {}).status_code == 202
    run(world, task["id"])
    assert alice.get(f"{PATH}/{task['id']}").json["status"] == "completed"


@pytest.mark.parametrize(("tool", "scope"), [("ask_model", "chat"), ("generate_image", "images")])
def test_a_tool_beyond_the_scopes_of_the_key_is_refused_by_name(alice, tool, scope):
    wanted = {**WANTED, "tools": ["calculator", tool]}

    refused = alice.key("agents").post(PATH, wanted)

    assert problem(refused) == (403, "tool_needs_scope")
    assert refused.json["params"] == {"tool": tool, "scope": scope}
    assert alice.key("agents", scope).post(PATH, wanted).status_code == 202


def test_documents_are_given_and_read(world, alice):
    given = {**WANTED, "documents": [{"name": "notes.txt", "content": "42"}]}
    task = alice.post(PATH, given).json

    assert task["files"] == [{"name": "notes.txt", "content_type": "text/plain", "bytes": 2, "is_artifact": False}]
    twice = {**WANTED, "documents": [{"name": "a", "content": "x"}] * 2}
    assert problem(alice.post(PATH, twice)) == (422, "invalid_value")


@pytest.mark.parametrize(
    "wrong",
    [
        {"goal": ""},
        {"goal": "x" * 30_000},
        {"budget": "0"},
        {"budget": "-1"},
        {"budget": 5},
        {"tools": ["shell"]},
        {"tools": "calculator"},
        {"max_steps": 0},
        {"max_steps": 101},
        {"max_steps": True},
        {"uid": "eve"},
        {"documents": [{"name": "x"}]},
        {"documents": [{"name": "x" * 200, "content": "y"}]},
    ],
    ids=str,
)
def test_what_is_wrong_is_named(alice, wrong):
    assert problem(alice.post(PATH, {**WANTED, **wrong})) == (422, "invalid_request")


def test_another_user_s_task_is_not_there(world, alice):
    task = alice.post(PATH, WANTED).json["id"]
    run(world, task)
    eve = world.person(credits_=1)

    for answer in (
        eve.get(f"{PATH}/{task}"),
        eve.get(f"{PATH}/{task}/steps"),
        eve.get(f"{PATH}/{task}/artifacts"),
        eve.get(f"{PATH}/{task}/artifacts/a.html"),
        eve.post(f"{PATH}/{task}/cancel", {}),
        eve.post(f"{PATH}/{task}/resume", {}),
    ):
        assert problem(answer) == (404, "task_not_found")


def test_a_guest_begins_nothing(world):
    assert problem(world.guest().post(PATH, WANTED)) == (403, "forbidden")


def test_a_model_without_tools_is_refused(world, alice):
    world.services.models.catalogue.put("plain", MODEL)

    assert problem(alice.post(PATH, {**WANTED, "model": "plain"})) == (422, "model_without_tools")
    assert problem(alice.post(PATH, {**WANTED, "model": "none"})) == (404, "model_not_found")
