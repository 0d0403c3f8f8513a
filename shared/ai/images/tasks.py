"""Image tasks (`image_tasks/{id}`): the request, the outcome of each image so far, and the time of the next check.

A task is decided image by image, in order. `images` holds the images that were made, `failures` the images that were
not; the rest is still to come. The owner listens to the document, so the owner may see every field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.documents import Data, Delete, Document, Documents, Order, Query, Value, Where
from shared.kernel.errors import NotFound
from shared.kernel.ids import HoldId, OperationId, Uid, derived_id, is_safe_id
from shared.kernel.money import Micro

COLLECTION = "image_tasks"
ASKS = "image_asks"
DUE_SHARDS = 8
"""Number of shards of the due times. Due times grow, so that a single index would take every write."""
ERASE_BATCH = 50
IMAGES_MAX = 10
PROMPT_BYTES_MAX = 32_000
TASK_LIFETIME: Millis = 60 * MINUTE
"""Time after which no more images of a task are made."""

Status = Literal["queued", "running", "done", "failed"]
OPEN: frozenset[Status] = frozenset({"queued", "running"})


class ImageTaskNotFound(NotFound):
    """Refusal: the image task does not exist or belongs to another user."""

    code = "image_task_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such image task.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Image that was not made, with the code of the reason.

    `is_charged`: the image is paid for all the same, as the provider can have billed the attempt. `words` are the
    provider's own, for a refused prompt; empty for any other failure.
    """

    index: int
    code: str
    is_charged: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTask:
    """Stored task. `price` is the price of one image, `cost` the whole charge; both in µcr.

    `spender` is the principal of the request: the user, or one of the user's API keys.

    `tries` counts the runs since the last decision, `wakes` how often the sweep has called for a run.
    """

    id: str
    uid: Uid
    spender: str
    status: Status
    prompt: str
    model: str
    upstream_model: str
    """Upstream's name of the model. Only `image_asks/{id}` holds the name, so a task that is read alone has an empty
    name.
    """
    wants_base64: bool
    size: str
    n: int
    price: Micro
    price_snapshot: Mapping[str, str]
    hold: HoldId
    hold_until: Millis
    fingerprint: str
    images: tuple[str, ...]
    failures: tuple[Failure, ...]
    tries: int
    wakes: int
    cost: Micro
    created_at: Millis
    updated_at: Millis
    deadline_at: Millis
    finished_at: Millis | None
    quality: str | None = None
    """Requested and priced quality; None leaves the quality to the provider."""

    @property
    def decided(self) -> int:
        """Number of images that were made or given up; also the index of the next image."""
        return len(self.images) + len(self.failures)

    @property
    def due(self) -> Micro:
        """Price so far (µcr): of images that were made, and of failures that the provider can have billed."""
        charged = sum(failure.is_charged for failure in self.failures)
        return Micro(self.price * (len(self.images) + charged))

    @property
    def is_open(self) -> bool:
        """True if something is still to be done."""
        return self.status in OPEN


class ImageTasks:
    """Repository for readers. The job of a task makes all changes."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def get(self, uid: Uid, task_id: str) -> ImageTask:
        """Return the user's task. Raises ImageTaskNotFound, also for another user's task."""
        found = self._documents.get(path_of(task_id)) if is_safe_id(task_id) else None
        if found is None or found.data["uid"] != uid:
            raise ImageTaskNotFound
        return task_of(found)

    def open_of(self, spender: str, limit: int) -> list[str]:
        """Return the ids of open tasks that this principal requested, at most `limit`."""
        where = (Where("spender", "==", spender), Where("status", "in", sorted(OPEN)))
        return [found.id for found in self._documents.query(Query(collection=COLLECTION, limit=limit, where=where))]

    def due(self, shard: int, now: Millis, limit: int) -> list[Document]:
        """Return the open tasks of a shard whose due time has come, the longest waiting first."""
        query = Query(
            collection=COLLECTION,
            where=(Where("due_shard", "==", shard), Where("due_at", "<=", now)),
            order_by=(Order("due_at"),),
            limit=limit,
        )
        return self._documents.query(query)

    def erase(self, uid: Uid) -> None:
        """Delete all tasks of a user who leaves. A run under way cannot record anything afterwards."""
        for collection in (COLLECTION, ASKS):
            query = Query(collection=collection, where=(Where("uid", "==", uid),), limit=ERASE_BATCH)
            while found := self._documents.query(query):
                self._documents.commit([Delete(document.path) for document in found])


def path_of(task_id: str) -> str:
    """Return the path of a task's document."""
    return f"{COLLECTION}/{task_id}"


def ask_path_of(task_id: str) -> str:
    """Return the path of the part of a task that the owner does not read."""
    return f"{ASKS}/{task_id}"


def task_id_of(operation: OperationId) -> str:
    """Return the id of the task of this operation. A repeated request gives the same id."""
    return derived_id("imgtask", operation)


def shard_of(task_id: str) -> int:
    """Return the shard of the task's due time."""
    return int(task_id[-4:], 16) % DUE_SHARDS


def task_data(task: ImageTask, *, due_at: Millis) -> dict[str, Value]:
    """Return the document of a new task, without the lease."""
    return {
        "v": 1,
        "uid": task.uid,
        "spender": task.spender,
        "status": task.status,
        "prompt": task.prompt,
        "model": task.model,
        "size": task.size,
        "n": task.n,
        "price": task.price,
        "price_snapshot": task.price_snapshot,
        "hold": task.hold,
        "hold_until": task.hold_until,
        "images": list(task.images),
        "failures": failures_data(task.failures),
        "tries": task.tries,
        "wakes": task.wakes,
        "cost": task.cost,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "deadline_at": task.deadline_at,
        "finished_at": task.finished_at,
        **({"quality": task.quality} if task.quality else {}),
        "due_shard": shard_of(task.id),
        "due_at": due_at,
    }


def ask_data(task: ImageTask) -> dict[str, Value]:
    """Return the document `image_asks/{id}`: the fields of a task for the server alone."""
    return {
        "v": 1,
        "uid": task.uid,
        "upstream_model": task.upstream_model,
        "wants_base64": task.wants_base64,
        "fingerprint": task.fingerprint,
    }


def with_ask(task: ImageTask, ask: Document | None) -> ImageTask:
    """Return the task with the fields of `ask`. An older task has these fields in the task's document, and `ask` is
    None.
    """
    if ask is None:
        return task
    data = cast("Mapping[str, str]", ask.data)
    return replace(
        task,
        upstream_model=data["upstream_model"],
        wants_base64=bool(data["wants_base64"]),
        fingerprint=data["fingerprint"],
    )


def failures_data(failures: Sequence[Failure]) -> list[Data]:
    """Return the failures as stored."""
    return [
        {
            "index": failure.index,
            "code": failure.code,
            **({"charged": True} if failure.is_charged else {}),
            **({"words": failure.words} if failure.words else {}),
        }
        for failure in failures
    ]


def task_of(document: Document) -> ImageTask:
    """Return the task that a document holds."""
    # Written by us alone: every field is there and of its type.
    data, numbers = cast("Mapping[str, str]", document.data), cast("Mapping[str, int]", document.data)
    failures = cast("Sequence[Mapping[str, Value]]", document.data["failures"])
    return ImageTask(
        id=document.id,
        uid=Uid(data["uid"]),
        spender=data.get("spender", data["uid"]),
        status=cast("Status", data["status"]),
        prompt=data["prompt"],
        model=data["model"],
        upstream_model=data.get("upstream_model", ""),
        wants_base64=bool(data.get("wants_base64", False)),
        size=data["size"],
        n=numbers["n"],
        price=Micro(numbers["price"]),
        price_snapshot=cast("Mapping[str, str]", document.data["price_snapshot"]),
        hold=HoldId(data["hold"]),
        hold_until=numbers["hold_until"],
        fingerprint=data.get("fingerprint", ""),
        images=tuple(cast("Sequence[str]", document.data["images"])),
        failures=tuple(map(_failure_of, failures)),
        tries=numbers["tries"],
        wakes=numbers["wakes"],
        cost=Micro(numbers["cost"]),
        created_at=numbers["created_at"],
        updated_at=numbers["updated_at"],
        deadline_at=numbers["deadline_at"],
        finished_at=cast("int | None", document.data["finished_at"]),
        quality=cast("str | None", document.data.get("quality")),
    )


def _failure_of(data: Mapping[str, Value]) -> Failure:
    return Failure(
        index=cast("int", data["index"]),
        code=str(data["code"]),
        is_charged=bool(data.get("charged", False)),
        words=str(data.get("words", "")),
    )
