"""A goal of several steps, from the app's request through Pub/Sub and the functions to its result, on the emulators."""

import threading
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest
import requests

from emulator.seed import seed_models

SECONDS_MAX = 300
GOAL = "Work out what the trip costs"
NOTES = "Two nights at 119.50 each, three trains at 24.90 each."
QUESTION = "Is that a lot for a weekend?"
REPORT = "# The trip\n\n313.70 in all."


class App:
    """What an app does over HTTP."""

    def __init__(self, suite: Any) -> None:
        self._api = f"{suite.endpoints.api}/v1"
        address = {"email": f"{uuid.uuid4().hex}@example.com", "password": "long enough", "returnSecureToken": True}
        url = f"{suite.endpoints.auth}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=test"
        token = requests.post(url, json=address, timeout=SECONDS_MAX).json()["idToken"]
        self._headers = {"Authorization": f"Bearer {token}"}

    def post(self, path: str, body: Any) -> Any:
        answer = requests.post(self._api + path, json=body, headers=self._headers, timeout=SECONDS_MAX)
        assert answer.ok, answer.text
        return answer.json()

    def get(self, path: str) -> requests.Response:
        answer = requests.get(self._api + path, headers=self._headers, timeout=SECONDS_MAX)
        assert answer.ok, answer.text
        return answer

    def ended(self, task_id: str) -> Any:
        """The task, once it rests."""
        deadline, pause = time.monotonic() + SECONDS_MAX, threading.Event()
        task: Any = None
        while time.monotonic() < deadline:
            task = self.get(f"/chat/agent-tasks/{task_id}").json()
            if task["status"] not in {"queued", "running"}:
                return task
            pause.wait(0.2)
        raise AssertionError(f"the task does not end: {task}")


@pytest.fixture(scope="module")
def story(suite, suite_upstream):
    seed_models(suite.project)
    app = App(suite)
    app.post("/credits/welcome-bonus", {})
    goal = f"{GOAL} ({uuid.uuid4().hex[:8]})"

    def says(*calls: tuple[str, dict[str, Any]]) -> None:
        told = [{"name": name, "arguments": given} for name, given in calls]
        suite_upstream.script(contains=goal, tool_calls=told)

    plan = [{"title": "read the notes", "status": "doing"}, {"title": "sum up", "status": "open"}]
    says(("plan", {"steps": plan}))
    says(("read_document", {"name": "notes.txt"}))
    says(("calculator", {"expression": "2 * 119.50 + 3 * 24.90"}), ("ask_model", {"question": QUESTION}))
    says(
        ("write_artifact", {"name": "trip.md", "content": REPORT}),
        ("plan", {"steps": [{**step, "status": "done"} for step in plan]}),
    )
    suite_upstream.script(contains=goal, reply="The trip costs 313.70, see trip.md.")
    suite_upstream.script(contains=QUESTION, reply="It is fair.")
    before = app.get("/credits/balance").json()
    wanted = {"goal": goal, "budget": "5", "documents": [{"name": "notes.txt", "content": NOTES}]}
    task = app.ended(app.post("/chat/agent-tasks", wanted)["id"])
    path = f"/chat/agent-tasks/{task['id']}"
    return {
        "task": task,
        "steps": app.get(f"{path}/steps?limit=100").json()["items"],
        "file": app.get(f"{path}/artifacts/trip.md").text,
        "before": before,
        "after": app.get("/credits/balance").json(),
    }


def test_it_reaches_its_goal_by_its_plan(story):
    task = story["task"]

    assert (task["status"], task["reason"]) == ("completed", None), task
    assert task["result"]["answer"] == "The trip costs 313.70, see trip.md."
    assert [step["status"] for step in task["plan"]] == ["done", "done"]


def test_its_tools_answered(story):
    seen = {step["tool"]: step["text"] for step in story["steps"] if step["kind"] == "observe"}

    assert seen["calculator"] == "313.7"
    assert seen["read_document"] == NOTES
    assert seen["ask_model"] == "It is fair."


def test_it_names_its_sources_and_artifacts(story):
    result = story["task"]["result"]

    assert result["sources"] == ["notes.txt"]
    assert [file["name"] for file in result["artifacts"]] == ["trip.md"]
    assert story["file"] == REPORT


def test_its_steps_are_contiguous_and_say_what_they_cost(story):
    task, steps = story["task"], story["steps"]
    costs = {step["number"]: Decimal(step["cost"]) for step in steps}

    assert list(costs) == list(range(1, task["steps"] + 1))
    assert {step["kind"] for step in steps if Decimal(step["cost"])} == {"think", "observe", "answer"}
    assert sum(costs.values()) == Decimal(task["spent"]) == Decimal(task["result"]["cost"])


def test_it_stayed_within_its_budget_and_cost_what_it_says(story):
    spent = Decimal(story["before"]["available"]) - Decimal(story["after"]["available"])

    assert 0 < spent == Decimal(story["task"]["spent"]) <= Decimal(story["task"]["budget"])
    assert Decimal(story["after"]["held"]) == 0
