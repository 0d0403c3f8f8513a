"""`/v1/chat/agent-tasks`: a goal that a model works on by itself, step by step, within a budget."""

from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.chat_schemas import ModelId
from functions.http.fields import (
    Amount,
    Answer,
    Choice,
    Credits,
    Cursor,
    Items,
    Limit,
    NextCursor,
    Request,
    Text,
    Time,
    Whole,
    page_answer,
)
from functions.http.routes import AGENTS, AGENTS_OR_READ, MEMBER, Call, Routes
from shared.ai.agents.task import (
    FileNotInTask,
    ModelWithoutTools,
    Task,
    TaskEnded,
    TaskNotFound,
    TaskRunning,
    TaskStep,
    TooManyTasks,
)
from shared.ai.chat.keeping import TooManyTasksToday
from shared.ai.models.catalogue import ModelNotFound, ModelUnpriced
from shared.kernel.errors import IdempotencyMismatch, InvalidValue
from shared.ledger.errors import InsufficientCredits
from shared.sagas.agents.tasks import (
    GIVEN_BYTES_MAX,
    STEPS_MAX_DEFAULT,
    ResumeRequest,
    TaskRequest,
    ToolNeedsScope,
)
from shared.sagas.agents.toolbox import CHOICES
from shared.sagas.agents.tools.write_artifact import FILES_MAX, NAME_CHARACTERS_MAX

GOAL_BYTES_MAX = 20_000
STEPS_MAX = 100
BEGIN_ERRORS = (
    ModelNotFound,
    ModelUnpriced,
    ModelWithoutTools,
    ToolNeedsScope,
    TooManyTasks,
    TooManyTasksToday,
    InsufficientCredits,
    InvalidValue,
    IdempotencyMismatch,
)

routes = Routes("agents")


class AgentDocumentIn(Request):
    """A text that the task may read."""

    name = Text(length_min=1, length_max=NAME_CHARACTERS_MAX, required=True)
    content = Text(length_min=1, bytes_max=GIVEN_BYTES_MAX, required=True)


class AgentTaskIn(Request):
    """New agent task. `budget` is the most that the task may cost, `max_steps` the most questions to the model."""

    goal = Text(length_min=1, bytes_max=GOAL_BYTES_MAX, required=True)
    budget = Amount(required=True)
    model = ModelId(load_default=None, allow_none=True)
    tools = Items(Choice(*CHOICES), load_default=None, allow_none=True, length_max=len(CHOICES))
    max_steps = Whole(1, STEPS_MAX, load_default=STEPS_MAX_DEFAULT)
    documents = Items(fields.Nested(AgentDocumentIn), load_default=list, length_max=FILES_MAX // 2)


class AgentResumeIn(Request):
    """New limits of a task, if they are to change: the total budget, and the most questions to the model."""

    budget = Amount(load_default=None, allow_none=True)
    max_steps = Whole(1, STEPS_MAX, load_default=None, allow_none=True)


class AgentPlanStep(Answer):
    """Step of the task's plan."""

    title = fields.String(required=True)
    status = Choice("open", "doing", "done", "dropped", required=True)


class AgentFileOut(Answer):
    """File of the task. Artifacts are the files that the task wrote."""

    name = fields.String(required=True)
    content_type = fields.String(required=True)
    bytes = fields.Integer(required=True)
    is_artifact = fields.Boolean(required=True)


class AgentStepCost(Answer):
    """Step with the charged cost."""

    number = fields.Integer(required=True)
    kind = Choice("think", "act", "observe", "answer", required=True)
    tool = fields.String(required=True, allow_none=True)
    cost = Credits(required=True)


class AgentResult(Answer):
    """Result of the task, with the sources and the cost."""

    answer = fields.String(required=True)
    sources = fields.List(fields.String(), required=True)
    artifacts = fields.List(fields.Nested(AgentFileOut), required=True)
    images = fields.List(fields.String(), required=True)
    steps = fields.List(fields.Nested(AgentStepCost), required=True)
    cost = Credits(required=True)


class AgentTaskOut(Answer):
    """Agent task. `reason`: why the task paused, failed or is queued again.

    `reason` is the code of an error, or `step_limit`, `stuck`, `charged_without_result`. After `api_key_revoked`,
    `api_key_expired` or `login_disabled`, resume the task with a valid credential.
    """

    id = fields.String(required=True)
    goal = fields.String(required=True)
    model = fields.String(required=True)
    tools = fields.List(fields.String(), required=True)
    status = Choice("queued", "running", "paused", "completed", "failed", "cancelled", required=True)
    reason = fields.String(required=True, allow_none=True)
    is_cancel_asked = fields.Boolean(required=True)
    budget = Credits(required=True)
    spent = Credits(required=True)
    max_steps = fields.Integer(required=True)
    thoughts = fields.Integer(required=True)
    steps = fields.Integer(required=True)
    plan = fields.List(fields.Nested(AgentPlanStep), required=True)
    files = fields.List(fields.Nested(AgentFileOut), required=True)
    result = fields.Nested(AgentResult, required=True, allow_none=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class AgentTasks(Answer):
    """A page of tasks, newest first."""

    items = fields.List(fields.Nested(AgentTaskOut), required=True)
    next_cursor = NextCursor()


class AgentCallOut(Answer):
    """Tool call that a thought asked for."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    arguments = fields.String(required=True)


class AgentStepOut(AgentStepCost):
    """Step of a task: a thought, a tool call or a tool's answer."""

    at = Time(required=True)
    text = fields.String(required=True)
    calls = fields.List(fields.Nested(AgentCallOut), required=True)
    arguments = fields.String(required=True, allow_none=True)
    failure = fields.String(required=True, allow_none=True)
    sources = fields.List(fields.String(), required=True)
    model = fields.String(required=True, allow_none=True)


class AgentSteps(Answer):
    """A page of steps, in their order."""

    items = fields.List(fields.Nested(AgentStepOut), required=True)
    next_cursor = NextCursor()


class AgentFiles(Answer):
    """The task's files."""

    items = fields.List(fields.Nested(AgentFileOut), required=True)
    next_cursor = NextCursor()


class AgentTasksQuery(Request):
    """Page of the caller's tasks."""

    limit = Limit()
    cursor = Cursor(str)


class AgentStepsQuery(Request):
    """Page of a task's steps."""

    limit = Limit()
    cursor = Cursor(int)


@routes.post(
    "/chat/agent-tasks",
    status=202,
    access=MEMBER,
    scopes=AGENTS,
    body=AgentTaskIn,
    answer=AgentTaskOut,
    errors=BEGIN_ERRORS,
)
def begin(call: Call) -> Any:
    """Begin an agent task: a model works on a goal, with tools, within a budget.

    Each step appears when the step is done. The budget is not set aside. Each step holds the most that it may cost,
    and counts against the budget. Without `tools`, a task has all tools that the key may use.
    """
    body = call.body
    request = TaskRequest(
        uid=call.uid,
        goal=body["goal"],
        budget=body["budget"],
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        model=body["model"],
        tools=body["tools"],
        max_steps=body["max_steps"],
        files=tuple((each["name"], each["content"]) for each in body["documents"]),
        spender=call.principal.spender,
        key=call.principal.key,
    )
    return _shown(call.services.agents.tasks.begin_task(request))


@routes.get("/chat/agent-tasks", scopes=AGENTS_OR_READ, query=AgentTasksQuery, answer=AgentTasks)
def tasks(call: Call) -> Any:
    """List the caller's agent tasks, newest first."""
    page = call.services.agents.tasks.page(call.uid, cursor=call.query["cursor"], limit=call.query["limit"])
    return page_answer([_shown(task) for task in page.items], page.next_cursor)


@routes.get("/chat/agent-tasks/{id}", scopes=AGENTS_OR_READ, answer=AgentTaskOut, errors=(TaskNotFound,))
def task(call: Call) -> Any:
    """Show one agent task: status, plan, cost and result."""
    return _shown(call.services.agents.tasks.get(call.uid, call.path["id"]))


@routes.get(
    "/chat/agent-tasks/{id}/steps",
    scopes=AGENTS_OR_READ,
    query=AgentStepsQuery,
    answer=AgentSteps,
    errors=(TaskNotFound,),
)
def steps(call: Call) -> Any:
    """List the steps of an agent task, in order."""
    limit = call.query["limit"]
    of, found = call.services.agents.tasks.steps(
        call.uid, call.path["id"], after=call.query["cursor"] or 0, limit=limit + 1
    )
    more = found[limit - 1].number if len(found) > limit else None
    return page_answer([_step(of, step) for step in found[:limit]], more)


@routes.get("/chat/agent-tasks/{id}/artifacts", scopes=AGENTS_OR_READ, answer=AgentFiles, errors=(TaskNotFound,))
def artifacts(call: Call) -> Any:
    """List the files that an agent task has written."""
    found = call.services.agents.tasks.get(call.uid, call.path["id"])
    return page_answer(found.artifacts)


@routes.get(
    "/chat/agent-tasks/{id}/artifacts/{name}",
    scopes=AGENTS_OR_READ,
    answer="*/*",
    errors=(TaskNotFound, FileNotInTask),
)
def artifact(call: Call) -> Response:
    """Download one file of an agent task."""
    file = call.services.agents.tasks.file(call.uid, call.path["id"], call.path["name"])
    response = Response(file.content, mimetype=file.content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{file.name}"'
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@routes.post(
    "/chat/agent-tasks/{id}/cancel",
    status=202,
    access=MEMBER,
    scopes=AGENTS,
    answer=AgentTaskOut,
    errors=(TaskNotFound, TaskEnded),
)
def cancel(call: Call) -> Any:
    """Cancel an agent task. No further step begins; a step that is under way is still recorded and charged."""
    return _shown(call.services.agents.tasks.cancel(call.uid, call.path["id"]))


@routes.post(
    "/chat/agent-tasks/{id}/resume",
    status=202,
    access=MEMBER,
    scopes=AGENTS,
    body=AgentResumeIn,
    answer=AgentTaskOut,
    errors=(TaskNotFound, TaskEnded, TaskRunning, TooManyTasks, InvalidValue),
)
def resume(call: Call) -> Any:
    """Resume an agent task that paused or failed. A larger budget or more steps may be given.

    From now on the task spends for the caller of this request: within the cap of the API key of this request, and
    with the tools that the key has scopes for.
    """
    asked = ResumeRequest(
        uid=call.uid,
        task_id=call.path["id"],
        operation=call.asked.operation,
        budget=call.body["budget"],
        max_steps=call.body["max_steps"],
        spender=call.principal.spender,
        key=call.principal.key,
    )
    return _shown(call.services.agents.tasks.resume(asked))


def _shown(task: Task) -> dict[str, Any]:
    names = AgentTaskOut().fields.keys() - {"result"}
    return {name: getattr(task, name) for name in names} | {"spent": task.spent_or_due, "result": _result(task)}


def _result(task: Task) -> dict[str, Any] | None:
    if task.status != "completed":
        return None
    return {
        "answer": task.answer,
        "sources": task.sources,
        "artifacts": task.artifacts,
        "images": task.images,
        "steps": [_cost(task, number, named) for number, named in enumerate(task.trail, start=1)],
        "cost": task.spent,
    }


def _cost(task: Task, number: int, named: str) -> dict[str, Any]:
    kind, _, tool = named.partition(" ")
    return {"number": number, "kind": kind, "tool": tool or None, "cost": task.charge_of(number)}


def _step(task: Task, step: TaskStep) -> dict[str, Any]:
    body = step.body
    return {
        "number": step.number,
        "kind": step.kind,
        "tool": body.get("tool"),
        "cost": task.charge_of(step.number),
        "at": step.at,
        "text": body.get("text", ""),
        "calls": body.get("calls", []),
        "arguments": body.get("arguments"),
        "failure": body.get("failure"),
        "sources": body.get("sources", []),
        "model": body.get("model"),
    }
