"""Agent tasks in the playground, in a browser, at a desk and on a phone: steps appear, cancel and resume work."""

import os
import uuid
from pathlib import Path

import pytest

from emulator.seed import seed_models
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "agents.mjs"
SECONDS_MAX = 600
SLOW_MS = 15_000
THINKING_MS = 1_500
"""So slow that a busy machine's browser still shows the steps one after the other."""
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
PLAN = [{"title": "compute", "status": "doing"}, {"title": "write it down", "status": "open"}]


def scripted(upstream, goals):
    """What the model will say to each goal."""

    def says(goal, *calls, delay_ms=0):
        upstream.script(contains=goal, tool_calls=[{"name": n, "arguments": a} for n, a in calls], delay_ms=delay_ms)

    says(goals["whole"], ("plan", {"steps": PLAN}))
    sums = [("calculator", {"expression": expression}) for expression in ("1.15^30", "2^40")]
    says(goals["whole"], *sums, delay_ms=THINKING_MS)
    says(goals["whole"], ("write_artifact", {"name": "growth.md", "content": "# Growth"}), delay_ms=THINKING_MS)
    upstream.script(contains=goals["whole"], reply="It is in growth.md.", delay_ms=THINKING_MS // 4)
    says(goals["slow"], ("calculator", {"expression": "1"}), delay_ms=SLOW_MS)
    upstream.script(contains=goals["poor"], reply="Here it is.")
    upstream.script(contains=goals["away"], times=0, error={"status": 503, "message": "away"})


@pytest.fixture(scope="module", params=WIDTHS)
def story(request, suite, suite_upstream, browser):
    seed_models(suite.project)
    width, height = WIDTHS[request.param]
    goals = {name: f"{name} goal {uuid.uuid4().hex[:8]}" for name in ("whole", "slow", "poor", "away")}
    goals["played"] = f"Paint 2^12 lighthouses and note it in sea-{uuid.uuid4().hex[:8]}.md"
    scripted(suite_upstream, goals)
    return run_script(
        SCRIPT,
        {
            "chromium": browser,
            "docsUrl": f"{suite.endpoints.api}/v1/docs",
            "email": f"agent-{uuid.uuid4().hex[:8]}@example.com",
            "width": width,
            "height": height,
            "goals": goals,
            "screenshots": os.environ.get("SCREENSHOTS"),
            "name": request.param,
        },
        timeout_seconds=SECONDS_MAX,
    )


def test_steps_appear_as_they_are_done_until_the_answer(story):
    whole = story["whole"]

    assert (whole["status"], whole["answer"]) == ("completed", "It is in growth.md.")
    assert whole["steps"] == list(range(1, 13))
    assert len(set(story["counts"])) > 3
    assert whole["plan"] == ["compute", "write it down"]


def test_its_file_is_downloaded(story):
    assert story["whole"]["files"][0].startswith("growth.md")
    assert story["file"] == "growth.md"


def test_a_running_task_is_cancelled(story):
    assert story["cancelled"]["status"] == "cancelled"


def test_a_task_without_budget_says_why_and_goes_on_with_one(story):
    assert story["paused"]["status"] == "paused"
    assert "budget" in story["paused"]["reason"].lower()
    assert (story["resumed"]["status"], story["resumed"]["answer"]) == ("completed", "Here it is.")


def test_a_task_that_waits_for_its_model_says_so(story):
    assert story["waiting"]["status"] == "queued"
    assert story["waiting"]["reason"] == "The model does not answer. It is tried again by itself."


def test_what_it_painted_is_shown_and_its_answer_told_once(story):
    played = story["played"]

    assert (played["status"], played["reason"]) == ("completed", "")
    assert played["answer"].startswith("2^12 is 4096. ")
    assert [step for step in played["steps"] if "2^12 is 4096" in step] == []
    assert any(step.endswith("expression: 2^12") for step in played["steps"])
    assert played["files"][0].startswith("sea-")


def test_what_is_refused_is_told_with_its_field_and_a_lost_connection_in_words(story):
    assert story["refused"].startswith("budget: must be ")
    assert story["offline"] == "The API cannot be reached. Check the connection, then try again."


def test_who_signs_out_leaves_nothing_on_the_page(story):
    assert story["left"] == 0


def test_nothing_hangs_over_the_edge_and_nothing_complains(story):
    assert story["overflow"] <= 0
    assert story["errors"] == []
