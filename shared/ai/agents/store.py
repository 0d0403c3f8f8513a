"""Repository of agent tasks, with steps and files."""

from collections.abc import Sequence

from shared.ai.agents.documents import COLLECTION, file_of, file_path, step_of, task_of, task_path
from shared.ai.agents.task import LIVE, FileNotInTask, StoredFile, Task, TaskNotFound, TaskPage, TaskStep, step_id
from shared.kernel.clock import Millis, to_datetime
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Order,
    Patch,
    PreconditionFailed,
    Query,
    Value,
    Version,
    Where,
    Write,
)
from shared.kernel.ids import Uid, random_token

STEPS_READ_MAX = 5_000
ERASE_BATCH = 100
FAR = 2**45
"""End of a lease beyond any worker's life (the year 3084), for a task that is being erased."""


class AgentTasks:
    """Repository of agent tasks. Callers decide; only a worker with the lease writes steps."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(self, task_id: str, data: Data, files: Sequence[Write]) -> bool:
        """Create the task with the writes of `files`, all or none. Return False if the task exists or another write is
        refused.
        """
        try:
            self._documents.commit([Create(task_path(task_id), data), *files])
        except PreconditionFailed:
            return False
        return True

    def exists(self, task_id: str) -> bool:
        """Return True if any user has a task of this id."""
        return self._documents.get(task_path(task_id)) is not None

    def read(self, task_id: str) -> tuple[Task, Version]:
        """Return the task and the version of the document. Raises TaskNotFound."""
        document = self._documents.get(task_path(task_id))
        if document is None:
            raise TaskNotFound
        return task_of(document), document.version

    def get(self, uid: Uid, task_id: str) -> Task:
        """Return the user's task. Raises TaskNotFound, also for another user's task."""
        task, _ = self.read(task_id)
        if task.uid != uid:
            raise TaskNotFound
        return task

    def patch(self, task_id: str, changes: Data, version: Version) -> None:
        """Change the task if the version is unchanged since the read. Raises PreconditionFailed."""
        self._documents.commit([Patch(task_path(task_id), changes, version)])

    def page(self, uid: Uid, *, cursor: str | None, limit: int) -> TaskPage:
        """Return a page of the user's tasks, newest first."""
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
        """Return the number of the user's tasks under way, counted up to `limit`."""
        where = (Where("uid", "==", uid), Where("status", "in", sorted(LIVE)))
        return len(self._documents.query(Query(collection=COLLECTION, limit=limit, where=where)))

    def live_of(self, spender: str, limit: int) -> list[str]:
        """Return the ids of tasks under way that spend for this principal, at most `limit`."""
        where = (Where("spender", "==", spender), Where("status", "in", sorted(LIVE)))
        return [found.id for found in self._documents.query(Query(collection=COLLECTION, limit=limit, where=where))]

    def steps(self, task_id: str, *, after: int = 0, limit: int = STEPS_READ_MAX) -> list[TaskStep]:
        """Return the steps after number `after`, in order."""
        query = Query(collection=f"{task_path(task_id)}/steps", limit=limit, id_from=step_id(after + 1))
        return [step_of(document) for document in self._documents.query(query)]

    def files(self, task_id: str) -> list[StoredFile]:
        """Return all files of the task."""
        query = Query(collection=f"{task_path(task_id)}/files", limit=1_000)
        return [file_of(document) for document in self._documents.query(query)]

    def file(self, task_id: str, name: str) -> StoredFile:
        """Return one file of the task. Raises FileNotInTask."""
        document = self._documents.get(file_path(task_id, name))
        if document is None:
            raise FileNotInTask
        return file_of(document)

    def due(self, shard: int, now: Millis, limit: int) -> list[tuple[str, Uid]]:
        """Return the tasks of a shard that are due for a worker at `now`, each with the user."""
        query = Query(
            collection=COLLECTION,
            limit=limit,
            where=(Where("due_shard", "==", shard), Where("due_at", "<=", to_datetime(now))),
            order_by=(Order("due_at"),),
        )
        return [(document.id, Uid(str(document.data["uid"]))) for document in self._documents.query(query)]

    def erase(self, uid: Uid) -> None:
        """See `Erasable.erase`. Each task is fenced first, so that a worker writes nothing after the eraser."""
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
