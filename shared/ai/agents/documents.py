"""Documents of an agent task for the server alone: `agent_jobs/{id}`, with `steps/{number}` and `files/{id}` below.

The task's document changes; a step is written once and never changes. `tail` holds the newest steps. Before the tail
grows beyond `TAIL_BYTES_MAX`, the commit moves its steps into a document of their own, a pack, named after the first.
The work to do next stands in the task's document, so that any worker can continue. `pending` holds tool calls without
an observation, `owed` the recorded steps that are still to be charged. Each commit also writes the documents that the
owner listens to: see `live`.

A task of the old form has all these documents below `agent_tasks/{id}`. The next worker moves the task.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from shared.ai.agents.task import DueCharge, StepPack, StoredFile, Task, TaskSpec, TaskStep, step_id
from shared.ai.tokens import Usage
from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Document, Put, Value, Write
from shared.kernel.due import DueList
from shared.kernel.ids import Uid, derived_id

COLLECTION = "agent_tasks"
JOBS = "agent_jobs"
SHARDS = 8
TAIL_BYTES_MAX = 64_000
"""Most bytes of the steps in the task's document, which each commit writes, and of a pack with several steps."""
DUE_TASKS = DueList(collection=JOBS, shards=SHARDS)
DUE_OLD_TASKS = DueList(collection=COLLECTION, shards=SHARDS)
"""Due tasks of the old form."""


def task_path(task_id: str) -> str:
    """Return the path of the document that the owner listens to, or of a task of the old form."""
    return f"{COLLECTION}/{task_id}"


def job_path(task_id: str) -> str:
    """Return the path of the document that workers claim."""
    return f"{JOBS}/{task_id}"


def file_id(name: str) -> str:
    """Return the id of a task's file. The file's name never becomes part of a path."""
    return derived_id("file", name)


def is_old(document: Document) -> bool:
    """Return True for a task of the old form; False also for the document that an owner listens to."""
    return document.path.startswith(f"{COLLECTION}/") and "fingerprint" in document.data


def new_task(task_id: str, wanted: TaskSpec, files: Sequence[StoredFile], *, at: Millis, due_at: Millis) -> Data:
    """Return the document of a task without any work done."""
    return {
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
        "has_read_private": False,
        "answer": None,
        "answer_step": 0,
        "is_cancel_asked": False,
        "attempts": 0,
        "unanswered": 0,
        "clean_fence": 0,
        "epoch": 0,
        "epoch_spent": 0,
        "claimed_at": 0,
        "resumed_by": [],
        "tail": [],
        "packs": [],
        "position": f"{at:015d}_{task_id}",
        "created_at": to_datetime(at),
        "updated_at": to_datetime(at),
        "due_at": to_datetime(due_at),
        "due_shard": shard_of(task_id),
    }


def file_fact(file: StoredFile) -> Mapping[str, Value]:
    """Return the entry for a file in the task's document."""
    return {
        "name": file.name,
        "content_type": file.content_type,
        "bytes": len(file.content.encode()),
        "is_artifact": file.is_artifact,
    }


def shard_of(task_id: str) -> int:
    """Return the shard of the index that holds a task, so that no index is a hotspot."""
    return zlib.crc32(task_id.encode()) % SHARDS


def recorded(task: Task, steps: Sequence[TaskStep]) -> tuple[Data, Sequence[Write]]:
    """Return the changes of the task's document that record new steps, and the writes of packs in the same commit."""
    full, tail = _arranged(task.tail, steps)
    packs = [*task.packs, *(StepPack(first=pack[0].number, bytes=_bytes_of(pack)) for pack in full)]
    changes: Data = {
        "tail": [_step_data(step) for step in tail],
        "packs": [{"first": pack.first, "bytes": pack.bytes} for pack in packs],
    }
    return changes, [_pack_write(task, pack) for pack in full]


def _arranged(tail: Sequence[TaskStep], new: Sequence[TaskStep]) -> tuple[list[list[TaskStep]], list[TaskStep]]:
    """Return the steps that move into packs, pack by pack, and the new tail. A large step alone fills a pack."""
    packs: list[list[TaskStep]] = []
    last: list[TaskStep] = list(tail)
    for step in new:
        if last and _bytes_of([*last, step]) > TAIL_BYTES_MAX:
            packs.append(last)
            last = []
        last.append(step)
    return ([*packs, last], []) if _bytes_of(last) > TAIL_BYTES_MAX else (packs, last)


def _bytes_of(steps: Sequence[TaskStep]) -> int:
    return sum(len(json.dumps(dict(step.body), ensure_ascii=False).encode(errors="replace")) for step in steps)


def _step_data(step: TaskStep) -> Data:
    return {"number": step.number, "kind": step.kind, "at": to_datetime(step.at), "body": dict(step.body)}


def _pack_write(task: Task, steps: Sequence[TaskStep]) -> Write:
    """Build the write of a pack. The id is the number of the first step, so that no step is in two packs."""
    return Create(f"{job_path(task.id)}/steps/{step_id(steps[0].number)}", pack_data(task, steps))


def pack_data(task: Task, steps: Sequence[TaskStep]) -> Data:
    """Return the document of a pack with these steps."""
    return {"uid": task.uid, "steps": [_step_data(step) for step in steps]}


def file_write(task_id: str, uid: Uid, file: StoredFile, at: Millis) -> Write:
    """Build the write that stores a file, or replaces a file of the same name."""
    data: Data = {
        "uid": uid,
        "name": file.name,
        "content": file.content,
        "content_type": file.content_type,
        "is_artifact": file.is_artifact,
        "at": to_datetime(at),
    }
    return Put(f"{job_path(task_id)}/files/{file_id(file.name)}", data)


def owed_data(owed: Sequence[DueCharge]) -> Value:
    """Return the due charges as stored in the task's document."""
    return [
        {"step": each.step, "operation": each.operation, "cost": each.cost, **dict(each.usage.counts)} for each in owed
    ]


def task_of(document: Document) -> Task:
    """Return the task that a document holds."""
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
        has_read_private=data.get("has_read_private", _has_read_own_file(data)),
        answer=data["answer"],
        answer_step=data["answer_step"],
        is_cancel_asked=data["is_cancel_asked"],
        attempts=data["attempts"],
        unanswered=data.get("unanswered", 0),
        clean_fence=data["clean_fence"],
        epoch=data["epoch"],
        epoch_spent=data["epoch_spent"],
        claimed_at=data["claimed_at"],
        resumed_by=tuple(data["resumed_by"]),
        created_at=from_datetime(data["created_at"]),
        updated_at=from_datetime(data["updated_at"]),
        due_at=from_datetime(data["due_at"]) if isinstance(data["due_at"], datetime) else None,
        tail=tuple(map(_step_of, data.get("tail", ()))),
        packs=tuple(StepPack(first=each["first"], bytes=each["bytes"]) for each in data.get("packs", ())),
        is_old=is_old(document),
    )


def _has_read_own_file(data: Mapping[str, Any]) -> bool:
    """Return True if an older task's sources name a file of the user, so that the task has read private data.

    Older tasks were stored before `has_read_private` was recorded.
    """
    return any(not file["is_artifact"] and file["name"] in data["sources"] for file in data["files"])


def _owed_of(data: Mapping[str, Any]) -> DueCharge:
    usage = Usage(input_tokens=data["input_tokens"], output_tokens=data["output_tokens"])
    return DueCharge(step=data["step"], operation=data["operation"], cost=data["cost"], usage=usage)


def steps_of(document: Document) -> Sequence[TaskStep]:
    """Return the steps of a pack, or the one step of a document of the older form."""
    data = cast("Mapping[str, Any]", document.data)
    return [_step_of(each) for each in data.get("steps", (data,))]


def _step_of(data: Mapping[str, Any]) -> TaskStep:
    return TaskStep(number=data["number"], kind=data["kind"], at=from_datetime(data["at"]), body=data["body"])


def file_of(document: Document) -> StoredFile:
    """Return the file that a document holds."""
    data = cast("Mapping[str, Any]", document.data)
    return StoredFile(
        name=data["name"],
        content=data["content"],
        content_type=data["content_type"],
        is_artifact=data["is_artifact"],
    )
