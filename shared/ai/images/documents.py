"""Documents of an image task: `image_jobs/{id}` for the server alone, and `image_tasks/{id}` for the owner's listener.

`image_jobs/{id}` is the truth: `ask` never changes, `work` changes with each save of a worker. One commit writes both
documents. `image_tasks/{id}` is derived and has the names, units and times of `GET /v1/images/generate/{id}`.

A task of the old form has all fields in `image_tasks/{id}`, some in `image_asks/{id}`. The next worker moves the task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from shared.ai.images.tasks import Failure, ImageFacts, ImageTask
from shared.kernel.clock import Millis, rfc3339
from shared.kernel.documents import Create, Data, Delete, Document, Put, Value, Write
from shared.kernel.due import DueList
from shared.kernel.ids import OperationId, Uid, derived_id
from shared.kernel.money import format_credits

COLLECTION = "image_tasks"
JOBS = "image_jobs"
ASKS = "image_asks"
DUE_SHARDS = 8
"""Number of shards of the due times. Due times grow, so that a single index would take every write."""
DUE_TASKS = DueList(collection=JOBS, shards=DUE_SHARDS, is_in_millis=True)
DUE_OLD_TASKS = DueList(collection=COLLECTION, shards=DUE_SHARDS, is_in_millis=True)
"""Due tasks of the old form."""
ASK_FIELDS = (
    *("prompt", "model", "upstream_model", "wants_base64", "size", "quality", "n", "price", "price_snapshot", "hold"),
    *("fingerprint", "created_at", "deadline_at"),
)
"""Fields of `ask`: set when the task is created."""
WORK_FIELDS = ("hold_until", "tries", "wakes", "cost", "updated_at", "finished_at")
"""Fields of `work` that are stored as they are."""


def path_of(task_id: str) -> str:
    """Return the path of the document that the owner listens to."""
    return f"{COLLECTION}/{task_id}"


def job_path_of(task_id: str) -> str:
    """Return the path of the document that workers claim."""
    return f"{JOBS}/{task_id}"


def ask_path_of(task_id: str) -> str:
    """Return the path of the document that the server alone reads of a task of the old form."""
    return f"{ASKS}/{task_id}"


def task_id_of(operation: OperationId) -> str:
    """Return the id of the task of this operation. A repeated request gives the same id."""
    return derived_id("imgtask", operation)


def shard_of(task_id: str) -> int:
    """Return the shard of the task's due time."""
    return int(task_id[-4:], 16) % DUE_SHARDS


def created(task: ImageTask, lease: Value, *, due_at: Millis) -> Sequence[Write]:
    """Build the writes of a new task, due at `due_at`. The commit fails if the task exists."""
    return [
        Create(job_path_of(task.id), job_data(task, lease, due_at=due_at)),
        Create(path_of(task.id), shown_data(task)),
    ]


def shown(task: ImageTask) -> Write:
    """Build the write of the document `image_tasks/{id}`, which the owner's app listens to.

    The write belongs in each commit that changes the task.
    """
    return Put(path_of(task.id), shown_data(task))


def moved(old: Document, ask: Document | None, facts: Mapping[str, ImageFacts]) -> Sequence[Write]:
    """Build the writes that give a task of the old form its two documents, the one for workers first.

    `facts` are those of the images that still exist. The commit fails if the task has changed or has moved.
    """
    task = replace(with_ask(task_of(old), ask), facts=facts)
    due_at = cast("Millis", old.data["due_at"])
    return [
        Create(job_path_of(task.id), job_data(task, old.data["lease"], due_at=due_at)),
        Put(path_of(task.id), shown_data(task), old.version),
        Delete(ask_path_of(task.id)),
    ]


def job_data(task: ImageTask, lease: Value, *, due_at: Millis | None) -> dict[str, Value]:
    """Return the whole document `image_jobs/{id}`."""
    return {
        "uid": task.uid,
        "spender": task.spender,
        "ask": {name: getattr(task, name) for name in ASK_FIELDS},
        **work_data(task),
        "due_shard": shard_of(task.id),
        "due_at": due_at,
        "lease": lease,
    }


def work_data(task: ImageTask) -> dict[str, Value]:
    """Return the fields of `image_jobs/{id}` that a worker changes, without lease and due time."""
    facts = {image_id: _facts_data(facts) for image_id, facts in task.facts.items()}
    work: Data = {
        **{name: getattr(task, name) for name in WORK_FIELDS},
        "images": list(task.images),
        "facts": facts,
        "failures": [_failure_data(failure) for failure in task.failures],
    }
    return {"status": task.status, "work": work}


def shown_data(task: ImageTask) -> dict[str, Value]:
    """Return the document `image_tasks/{id}`, without images that were deleted."""
    return {
        "uid": task.uid,
        "task_id": task.id,
        "status": task.status,
        "prompt": task.prompt,
        "model": task.model,
        "size": task.size,
        "n": task.n,
        "images": [_shown_image(task, each, task.facts[each]) for each in task.images if each in task.facts],
        "failures": [{"index": failure.index, "code": failure.code} for failure in task.failures],
        "cost": format_credits(task.cost),
        "created_at": rfc3339(task.created_at),
        "updated_at": rfc3339(task.updated_at),
        "finished_at": None if task.finished_at is None else rfc3339(task.finished_at),
    }


def _shown_image(task: ImageTask, image_id: str, facts: ImageFacts) -> Data:
    """Return an image as in `GET /v1/images/{id}`, without the link, which ends after some minutes."""
    return {
        "id": image_id,
        "task_id": task.id,
        "prompt": task.prompt,
        "model": task.model,
        "size": task.size,
        "content_type": facts.content_type,
        "bytes": facts.bytes,
        "width": facts.width,
        "height": facts.height,
        "cost": format_credits(task.price),
        "created_at": rfc3339(facts.created_at),
    }


def task_of(document: Document) -> ImageTask:
    """Return the task that `image_jobs/{id}` holds, or `image_tasks/{id}` of the old form."""
    # Written by us alone: every field is there and of its type.
    data = cast("Mapping[str, Any]", document.data)
    told = data if is_old(document) else {**data, **data["ask"], **data["work"]}
    return ImageTask(
        id=document.id,
        uid=Uid(data["uid"]),
        spender=data.get("spender", data["uid"]),
        status=data["status"],
        prompt=told["prompt"],
        model=told["model"],
        upstream_model=told.get("upstream_model", ""),
        wants_base64=told.get("wants_base64", False),
        size=told["size"],
        n=told["n"],
        price=told["price"],
        price_snapshot=told["price_snapshot"],
        hold=told["hold"],
        hold_until=told["hold_until"],
        fingerprint=told.get("fingerprint", ""),
        images=tuple(told["images"]),
        failures=tuple(map(_failure_of, told["failures"])),
        tries=told["tries"],
        wakes=told["wakes"],
        cost=told["cost"],
        created_at=told["created_at"],
        updated_at=told["updated_at"],
        deadline_at=told["deadline_at"],
        finished_at=told["finished_at"],
        facts={image_id: ImageFacts(**facts) for image_id, facts in told.get("facts", {}).items()},
        quality=told.get("quality"),
    )


def is_old(document: Document) -> bool:
    """Return True for a task of the old form; False also for the document that an owner listens to."""
    return document.path.startswith(f"{COLLECTION}/") and "lease" in document.data


def with_ask(task: ImageTask, ask: Document | None) -> ImageTask:
    """Return a task of the old form, completed by the fields of its separate document `ask`.

    If `ask` is None, the task has these fields already and is returned unchanged.
    """
    if ask is None:
        return task
    data = cast("Mapping[str, Any]", ask.data)
    return replace(task, **{name: data[name] for name in ("upstream_model", "wants_base64", "fingerprint")})


def _facts_data(facts: ImageFacts) -> Data:
    return {name: getattr(facts, name) for name in ImageFacts.__dataclass_fields__}


def _failure_data(failure: Failure) -> Data:
    return {
        "index": failure.index,
        "code": failure.code,
        **({"charged": True} if failure.is_charged else {}),
        **({"words": failure.words} if failure.words else {}),
    }


def _failure_of(data: Mapping[str, Any]) -> Failure:
    return Failure(
        index=data["index"],
        code=data["code"],
        is_charged=data.get("charged", False),
        words=data.get("words", ""),
    )
