"""Agent tasks and their steps as they are stored: `agent_tasks/{id}`, below it `steps/{number}` and `files/{id}`.

The task's document is small and changes; a step is written once and never again. What is to be done next stands in the
task, so that any worker can go on from it: `pending` are tool calls without an observation, `owed` is what recorded
steps are still to be charged for.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from shared.ai.tokens import Usage
from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Order,
    Patch,
    PreconditionFailed,
    Put,
    Query,
    Value,
    Version,
    Where,
    Write,
)
from shared.kernel.errors import Conflict, NotFound, Rejected
from shared.kernel.ids import OperationId, Uid, derived_id, random_token
from shared.kernel.money import Micro

Status = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
StepKind = Literal["think", "act", "observe", "answer"]

COLLECTION = "agent_tasks"
SHARDS = 8
LIVE: frozenset[Status] = frozenset({"queued", "running"})
ENDED: frozenset[Status] = frozenset({"completed", "cancelled"})
FILES_BYTES_MAX = 2_000_000
STEPS_READ_MAX = 5_000
NUMBER_DIGITS = 6
ERASE_BATCH = 100
FAR = 2**45
"""A lease that nobody outlives (the year 3084): of a task that is being erased."""


class TaskNotFound(NotFound):
    """There is no such agent task, or it is another user's."""

    code = "task_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such agent task.")


class FileNotInTask(NotFound):
    """This task has no file of that name."""

    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("This task has no such file.")


class TaskEnded(Conflict):
    """The agent task has come to its end and cannot go on."""

    code = "task_ended"

    def __init__(self, status: str) -> None:
        super().__init__(f"This task is {status}.", status=status)


class TaskRunning(Conflict):
    """The agent task is under way: there is nothing to resume."""

    code = "task_running"

    def __init__(self) -> None:
        super().__init__("This task is running already.")


class TooManyTasks(Rejected):
    """This user has as many agent tasks under way as one may have."""

    code = "too_many_tasks"

    def __init__(self, limit: int) -> None:
        super().__init__(f"At most {limit} tasks may be under way at once.", limit=limit)


class ModelWithoutTools(Rejected):
    """This model cannot call tools, so it cannot work on a task."""

    code = "model_without_tools"

    def __init__(self, model: str) -> None:
        super().__init__("This model cannot call tools.", model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A recorded step that is to be charged: the hold that `operation` placed, captured for `cost` of this `usage`."""

    step: int
    operation: OperationId
    cost: Micro
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a new task is to be. `key_cap` is what the key it was asked for with may spend: `id, amount, period`."""

    uid: Uid
    goal: str
    model: str
    tools: Sequence[str]
    budget: Micro
    max_steps: int
    fingerprint: str
    spender: str
    key_cap: Mapping[str, Value] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task as stored; amounts are µcr. `trail` names each step so far, such as `act calculator`."""

    id: str
    uid: Uid
    goal: str
    model: str
    tools: tuple[str, ...]
    budget: Micro
    max_steps: int
    fingerprint: str
    spender: str
    key_cap: Mapping[str, Any] | None
    status: Status
    reason: str | None
    plan: tuple[Mapping[str, str], ...]
    trail: tuple[str, ...]
    thoughts: int
    spent: Micro
    charges: Mapping[str, int]
    pending: tuple[int, ...]
    owed: tuple[Owed, ...]
    sources: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    answer: str | None
    answer_step: int
    is_cancel_asked: bool
    attempts: int
    clean_fence: int
    epoch: int
    epoch_spent: Micro
    claimed_at: Millis
    resumed_by: tuple[str, ...]
    created_at: Millis
    updated_at: Millis
    due_at: Millis | None

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.trail)

    def charge_of(self, step: int) -> Micro:
        """What this step was charged."""
        return Micro(self.charges.get(step_id(step), 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `body` says what was thought, done or observed, by its kind."""

    number: int
    kind: StepKind
    at: Millis
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a task: given with it, or written by it."""

    name: str
    content: str
    content_type: str
    is_artifact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Tasks of a user, newest first."""

    items: tuple[Task, ...]
    next_cursor: str | None


class AgentTasks:
    """The repository. It decides nothing; only a worker with the lease writes steps."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(self, task_id: str, data: Data, files: Sequence[Write]) -> bool:
        """Create the task with its files; False if it exists already."""
        try:
            self._documents.commit([Create(task_path(task_id), data), *files])
        except PreconditionFailed:
            return False
        return True

    def read(self, task_id: str) -> tuple[Task, Version]:
        """The task and its version. Raises TaskNotFound."""
        document = self._documents.get(task_path(task_id))
        if document is None:
            raise TaskNotFound
        return task_of(document), document.version

    def get(self, uid: Uid, task_id: str) -> Task:
        """The user's task. Raises TaskNotFound."""
        task, _ = self.read(task_id)
        if task.uid != uid:
            raise TaskNotFound
        return task

    def patch(self, task_id: str, changes: Data, version: Version) -> None:
        """Change the task, if it is as it was read. Raises PreconditionFailed."""
        self._documents.commit([Patch(task_path(task_id), changes, version)])

    def page(self, uid: Uid, *, cursor: str | None, limit: int) -> TaskPage:
        """The user's tasks, newest first."""
        query = Query(
            collection=COLLECTION,
            limit=limit + 1,
            where=(Where("uid", "==", uid),),
            order_by=(Order("position", descending=True),),
            after=(cursor,) if cursor else None,
        )
        found = self._documents.query(query)
        more = str(found[limit - 1].data["position"]) if len(found) > limit else None
        return TaskPage(items=tuple(map(task_of, found[:limit])), next_cursor=more)

    def live(self, uid: Uid, limit: int) -> int:
        """How many tasks of the user are under way, counted up to `limit`."""
        where = (Where("uid", "==", uid), Where("status", "in", sorted(LIVE)))
        return len(self._documents.query(Query(collection=COLLECTION, limit=limit, where=where)))

    def steps(self, task_id: str, *, after: int = 0, limit: int = STEPS_READ_MAX) -> list[Step]:
        """The steps behind number `after`, in their order."""
        query = Query(collection=f"{task_path(task_id)}/steps", limit=limit, id_from=step_id(after + 1))
        return [step_of(document) for document in self._documents.query(query)]

    def files(self, task_id: str) -> list[StoredFile]:
        """All files of the task."""
        query = Query(collection=f"{task_path(task_id)}/files", limit=1_000)
        return [_file_of(document) for document in self._documents.query(query)]

    def file(self, task_id: str, name: str) -> StoredFile:
        """One file of the task. Raises FileNotInTask."""
        document = self._documents.get(file_path(task_id, name))
        if document is None:
            raise FileNotInTask
        return _file_of(document)

    def due(self, shard: int, now: Millis, limit: int) -> list[tuple[str, Uid]]:
        """Tasks of a shard that wait for a worker since before `now`, with their users."""
        query = Query(
            collection=COLLECTION,
            limit=limit,
            where=(Where("due_shard", "==", shard), Where("due_at", "<=", to_datetime(now))),
            order_by=(Order("due_at"),),
        )
        return [(document.id, Uid(str(document.data["uid"]))) for document in self._documents.query(query)]

    def erase(self, uid: Uid) -> None:
        """See `Erasable.erase`: each task is fenced first, so that its worker writes nothing behind the eraser."""
        query = Query(collection=COLLECTION, limit=ERASE_BATCH, where=(Where("uid", "==", uid),))
        while found := self._documents.query(query):
            for document in found:
                self._erase_one(document)

    def _erase_one(self, document: Document) -> None:
        lease: Value = {"token": random_token(), "until": to_datetime(FAR), "fence": 2**40, "stamp": ""}
        try:
            self._documents.commit([Patch(document.path, {"lease": lease, "status": "cancelled", "due_at": None})])
        except PreconditionFailed:
            return
        for name in ("steps", "files"):
            below = Query(collection=f"{document.path}/{name}", limit=ERASE_BATCH)
            while parts := self._documents.query(below):
                self._documents.commit([Delete(part.path) for part in parts])
        self._documents.commit([Delete(document.path)])


def task_path(task_id: str) -> str:
    """Where a task is."""
    return f"{COLLECTION}/{task_id}"


def step_id(number: int) -> str:
    """The id of a step: its number, so that a second step of that number cannot be."""
    return f"{number:0{NUMBER_DIGITS}d}"


def file_path(task_id: str, name: str) -> str:
    """Where a file of a task is; its name never becomes part of a path."""
    return f"{task_path(task_id)}/files/{derived_id('file', name)}"


def step_write(task: Task, step: Step) -> Write:
    """The write that records a step, once."""
    data: Data = {
        "v": 1,
        "uid": task.uid,
        "number": step.number,
        "kind": step.kind,
        "at": to_datetime(step.at),
        "body": dict(step.body),
    }
    return Create(f"{task_path(task.id)}/steps/{step_id(step.number)}", data)


def file_write(task_id: str, uid: Uid, file: StoredFile, at: Millis) -> Write:
    """The write that keeps a file, or replaces one of its name."""
    data: Data = {
        "v": 1,
        "uid": uid,
        "name": file.name,
        "content": file.content,
        "content_type": file.content_type,
        "is_artifact": file.is_artifact,
        "at": to_datetime(at),
    }
    return Put(file_path(task_id, file.name), data)


def owed_data(owed: Sequence[Owed]) -> Value:
    """As the task's document keeps it."""
    return [
        {"step": each.step, "operation": each.operation, "cost": each.cost, **dict(each.usage.counts)} for each in owed
    ]


def task_of(document: Document) -> Task:
    """The task that a document is."""
    data = cast("Mapping[str, Any]", document.data)
    return Task(
        id=document.id,
        uid=data["uid"],
        goal=data["goal"],
        model=data["model"],
        tools=tuple(data["tools"]),
        budget=data["budget"],
        max_steps=data["max_steps"],
        fingerprint=data["fingerprint"],
        spender=data["spender"],
        key_cap=data["key_cap"],
        status=data["status"],
        reason=data["reason"],
        plan=tuple(data["plan"]),
        trail=tuple(data["trail"]),
        thoughts=data["thoughts"],
        spent=data["spent"],
        charges=data["charges"],
        pending=tuple(data["pending"]),
        owed=tuple(map(_owed_of, data["owed"])),
        sources=tuple(data["sources"]),
        images=tuple(data["images"]),
        files=tuple(data["files"]),
        answer=data["answer"],
        answer_step=data["answer_step"],
        is_cancel_asked=data["is_cancel_asked"],
        attempts=data["attempts"],
        clean_fence=data["clean_fence"],
        epoch=data["epoch"],
        epoch_spent=data["epoch_spent"],
        claimed_at=data["claimed_at"],
        resumed_by=tuple(data["resumed_by"]),
        created_at=from_datetime(data["created_at"]),
        updated_at=from_datetime(data["updated_at"]),
        due_at=from_datetime(data["due_at"]) if isinstance(data["due_at"], datetime) else None,
    )


def _owed_of(data: Mapping[str, Any]) -> Owed:
    usage = Usage(input_tokens=data["input_tokens"], output_tokens=data["output_tokens"])
    return Owed(step=data["step"], operation=data["operation"], cost=data["cost"], usage=usage)


def step_of(document: Document) -> Step:
    """The step that a document is."""
    data = cast("Mapping[str, Any]", document.data)
    return Step(number=data["number"], kind=data["kind"], at=from_datetime(data["at"]), body=data["body"])


def _file_of(document: Document) -> StoredFile:
    data = cast("Mapping[str, Any]", document.data)
    return StoredFile(
        name=data["name"],
        content=data["content"],
        content_type=data["content_type"],
        is_artifact=data["is_artifact"],
    )


def new_task(task_id: str, wanted: Wanted, files: Sequence[StoredFile], *, at: Millis, due_at: Millis) -> Data:
    """The document of a task that nobody has worked on."""
    return {
        "v": 1,
        "uid": wanted.uid,
        "goal": wanted.goal,
        "model": wanted.model,
        "tools": list(wanted.tools),
        "spender": wanted.spender,
        "key_cap": wanted.key_cap,
        "budget": wanted.budget,
        "max_steps": wanted.max_steps,
        "fingerprint": wanted.fingerprint,
        "status": "queued",
        "reason": None,
        "plan": [],
        "trail": [],
        "thoughts": 0,
        "spent": 0,
        "charges": {},
        "pending": [],
        "owed": [],
        "sources": [],
        "images": [],
        "files": [file_fact(file) for file in files],
        "answer": None,
        "answer_step": 0,
        "is_cancel_asked": False,
        "attempts": 0,
        "clean_fence": 0,
        "epoch": 0,
        "epoch_spent": 0,
        "claimed_at": 0,
        "resumed_by": [],
        "position": f"{at:015d}_{task_id}",
        "created_at": to_datetime(at),
        "updated_at": to_datetime(at),
        "due_at": to_datetime(due_at),
        "due_shard": shard_of(task_id),
    }


def file_fact(file: StoredFile) -> Mapping[str, Value]:
    """What the task's document says of a file."""
    return {
        "name": file.name,
        "content_type": file.content_type,
        "bytes": len(file.content.encode()),
        "is_artifact": file.is_artifact,
    }


def shard_of(task_id: str) -> int:
    """Which shard's index a task stands in, so that no index is a hotspot."""
    return zlib.crc32(task_id.encode()) % SHARDS
