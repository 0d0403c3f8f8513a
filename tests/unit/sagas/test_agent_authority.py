"""Who causes a task to go on pays for it, and may: its key stands, its login stands, its scopes allow the tools."""

from typing import Any

import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.sagas.agents.tasks import ResumeRequest, ToolNeedsScope
from shared.users.key_lookup import ApiKeyExpired
from tests.support.agents import ANN, CREDIT, JOB_COST, THOUGHT, AgentWorld, thinks

CAP = 700_000
"""Cap of a key in µcr: enough for a thought or two, not for the job."""
QUICK = (thinks("", ("calculator", {"expression": "1+1"})), thinks("two"))


@pytest.fixture
def world():
    world = AgentWorld()
    world.user()
    return world


def resume(world: AgentWorld, task: Any, operation: str = "op_resume", **more: Any) -> Any:
    asked = ResumeRequest(uid=task.uid, task_id=task.id, operation=OperationId(operation), **more)
    return world.services.agents.tasks.resume(asked)


def used(world: AgentWorld, key: Any) -> int:
    """µcr that count against the cap of the key."""
    found = world.services.credits.ledger.budgets(ANN).get(f"{key.id}:total")
    return found.used + found.held if found else 0


def failures(world: AgentWorld, task: Any) -> dict[str, str | None]:
    return {step.body["tool"]: step.body["failure"] for step in world.steps(task) if step.kind == "observe"}


# ── who pays ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_resumed_task_spends_within_the_cap_of_the_resuming_key(world):
    paused = world.run(world.begin(budget=1))
    key = world.key("chat", "images", cap=CAP)

    resume(world, paused, budget=Micro(50 * CREDIT), **world.by(key))
    task = world.run(paused)

    assert (task.status, task.reason) == ("paused", "budget_exceeded")
    assert 0 < task.spent == used(world, key) <= CAP


def test_a_task_resumed_by_its_user_leaves_the_first_cap_alone(world):
    key = world.key("chat", "images", cap=CAP)
    paused = world.run(world.begin(**world.by(key)))
    assert (paused.reason, used(world, key)) == ("budget_exceeded", paused.spent)

    resume(world, paused)
    task = world.run(paused)

    assert (task.status, task.spent, used(world, key)) == ("completed", JOB_COST, paused.spent)


def test_a_second_key_pays_for_what_the_first_could_not(world):
    first, second = world.key("chat", "images", cap=CAP), world.key("chat", "images", cap=50 * CREDIT)
    paused = world.run(world.begin(**world.by(first)))

    resume(world, paused, **world.by(second))
    task = world.run(paused)

    assert task.status == "completed"
    assert (used(world, first), used(world, second)) == (paused.spent, JOB_COST - paused.spent)


def test_a_replayed_resume_moves_the_bill_to_nobody_else(world):
    paused = world.run(world.begin(budget=1))
    first, second = world.key("chat", "images"), world.key("chat", "images")

    resume(world, paused, budget=Micro(50 * CREDIT), **world.by(first))
    resume(world, paused, budget=Micro(60 * CREDIT), **world.by(second))

    assert (world.task(paused).spender, world.task(paused).budget) == (f"key:{first.id}", 50 * CREDIT)


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_waiting_task_pauses_at_once_when_its_key_is_revoked(world):
    key = world.key("chat", "images")
    task = world.begin(**world.by(key))

    world.services.key_revocation.revoke(ANN, key.id)
    task = world.task(task)

    assert (task.status, task.reason, task.due_at) == ("paused", "api_key_revoked", None)
    assert world.thinker.requests == []


def test_a_running_task_pauses_at_its_next_step_after_a_revocation(world):
    key = world.key("chat", "images")
    task = world.begin(**world.by(key))
    world.thinker.before = lambda request: world.services.users.api_keys.revoke(ANN, key.id)

    task = world.run(task)

    assert (task.status, task.reason, task.spent) == ("paused", "api_key_revoked", THOUGHT)
    assert (len(world.thinker.requests), len(task.pending)) == (1, 1)


def test_tasks_of_others_and_of_other_keys_go_on_after_a_revocation(world):
    world.user(uid=Uid("eve"))
    gone, other = world.key("chat", "images"), world.key("chat", "images")
    kept = [world.begin(), world.begin(**world.by(other)), world.begin(Uid("eve"))]

    world.services.key_revocation.revoke(ANN, gone.id)

    assert {world.task(task).status for task in kept} == {"queued"}
    assert {world.run(task).status for task in kept} == {"completed"}


def test_a_task_of_a_revoked_key_goes_on_once_resumed(world):
    key = world.key("chat", "images")
    task = world.begin(**world.by(key))
    world.services.key_revocation.revoke(ANN, key.id)

    resume(world, world.task(task))

    assert world.run(task).status == "completed"


def test_a_task_pauses_when_its_key_expires(world):
    key = world.key("chat", "images", expires_at=world.clock.now() + HOUR)
    task = world.begin(**world.by(key))
    world.clock.advance(HOUR)

    assert world.run(task).reason == ApiKeyExpired.code


@pytest.mark.parametrize("end", ["disabled", "deleted"])
def test_a_task_pauses_within_a_minute_of_its_login_ending(end):
    world = AgentWorld(job=QUICK)
    world.user()
    assert world.run(world.begin()).status == "completed"
    if end == "disabled":
        world.identity.disable(ANN)
    else:
        world.identity.delete_user(ANN)
    world.clock.advance(MINUTE)

    task = world.run(world.begin())

    assert (task.status, task.reason, task.spent) == ("paused", "login_disabled", 0)


def test_a_task_waits_while_identity_never_answered(world):
    world.identity.is_down = True
    task = world.begin()

    world.services.agents.slice.run(task.id)
    waiting = world.task(task)
    assert (waiting.status, waiting.reason, waiting.spent) == ("queued", "identity_unavailable", 0)

    world.identity.is_down = False
    world.clock.advance(15 * SECOND)
    assert world.run(task).status == "completed"


# ── what it may use ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("tool", "scope"), [("ask_model", "chat"), ("generate_image", "images")])
def test_a_tool_beyond_the_scopes_is_refused_by_name(world, tool, scope):
    with pytest.raises(ToolNeedsScope) as refused:
        world.begin(tools=("calculator", tool), **world.by(world.key()))

    assert refused.value.params == {"tool": tool, "scope": scope}
    assert tool in refused.value.detail


def test_a_task_without_named_tools_has_those_its_key_may_use(world):
    assert world.begin(**world.by(world.key("images"))).tools == (
        "plan", "calculator", "web_fetch", "read_document", "write_artifact", "generate_image",
    )  # fmt: skip


def test_a_resumed_task_uses_only_tools_of_the_resuming_key(world):
    paused = world.run(world.begin(budget=1))
    assert "ask_model" in paused.tools

    resume(world, paused, budget=Micro(50 * CREDIT), **world.by(world.key()))
    task = world.run(paused)

    assert task.status == "completed"
    assert failures(world, task) | {"plan": None} == {
        "plan": None,
        "web_fetch": None,
        "calculator": None,
        "ask_model": "no_such_tool",
        "write_artifact": None,
        "generate_image": "no_such_tool",
    }
    assert (world.chat_model.requests, world.objects.names("images/")) == ([], [])
    offered = {spec.name for spec in world.thinker.requests[-1].tools}
    assert offered == {"plan", "calculator", "web_fetch", "read_document", "write_artifact"}
