"""Documents that the owner of an agent task listens to: `agent_tasks/{id}`, and `steps/{number}` below.

They are derived, and have the names, units and times of `GET /v1/chat/agent-tasks/{id}` and of its `steps`.
"""

from typing import Any

from shared.ai.agents.documents import task_path
from shared.ai.agents.task import Task, TaskStep, step_id
from shared.kernel.clock import rfc3339
from shared.kernel.documents import Data, Put, Value
from shared.kernel.money import format_credits


def shown_task(task: Task) -> Put:
    """Build the write of the document `agent_tasks/{id}`, which the owner's app listens to.

    The write belongs in each commit that changes the task.
    """
    return Put(task_path(task.id), task_data(task))


def shown_step(task: Task, step: TaskStep) -> Put:
    """Build the write of the step's document, which the owner's app listens to.

    The write belongs in the commits that record the step and the step's charge.
    """
    return Put(f"{task_path(task.id)}/steps/{step_id(step.number)}", step_data(task, step))


def task_data(task: Task) -> dict[str, Value]:
    """Return the document `agent_tasks/{id}`."""
    return {
        "uid": task.uid,
        "id": task.id,
        "goal": task.goal,
        "model": task.model,
        "tools": list(task.tools),
        "status": task.status,
        "reason": task.reason,
        "is_cancel_asked": task.is_cancel_asked,
        "budget": format_credits(task.budget),
        "spent": format_credits(task.spent_or_due),
        "max_steps": task.max_steps,
        "thoughts": task.thoughts,
        "steps": task.steps,
        "plan": [dict(step) for step in task.plan],
        "files": [dict(fact) for fact in task.files],
        "result": _result(task) if task.status == "completed" else None,
        "created_at": rfc3339(task.created_at),
        "updated_at": rfc3339(task.updated_at),
    }


def _result(task: Task) -> Data:
    return {
        "answer": task.answer,
        "sources": list(task.sources),
        "artifacts": [dict(fact) for fact in task.artifacts],
        "images": list(task.images),
        "steps": [_step_cost(task, number, named) for number, named in enumerate(task.trail, start=1)],
        "cost": format_credits(task.spent),
    }


def _step_cost(task: Task, number: int, named: str) -> Data:
    kind, _, tool = named.partition(" ")
    return {"number": number, "kind": kind, "tool": tool or None, "cost": format_credits(task.charge_of(number))}


def step_data(task: Task, step: TaskStep) -> dict[str, Value]:
    """Return the document `agent_tasks/{id}/steps/{number}`. `cost` is the charge so far, or due."""
    body = step.body
    return {
        "uid": task.uid,
        "number": step.number,
        "kind": step.kind,
        "tool": body.get("tool"),
        "cost": format_credits(task.charge_of(step.number)),
        "at": rfc3339(step.at),
        "text": body.get("text", ""),
        "calls": [_call(call) for call in body.get("calls", ())],
        "arguments": body.get("arguments"),
        "failure": body.get("failure"),
        "sources": list(body.get("sources", ())),
        "model": body.get("model"),
    }


def _call(call: Any) -> Data:
    return {name: call[name] for name in ("id", "name", "arguments")}
