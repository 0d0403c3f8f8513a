"""Repository of agent tasks, with steps and files."""

from collections.abc import Sequence
from contextlib import suppress

from shared.ai.agents.documents import (
    COLLECTION,
    DUE_OLD_TASKS,
    DUE_TASKS,
    JOBS,
    file_id,
    file_of,
    is_old,
    job_path,
    pack_data,
    steps_of,
    task_of,
    task_path,
)
from shared.ai.agents.live import shown_step, shown_task
from shared.ai.agents.task import LIVE, FileNotInTask, StoredFile, Task, TaskNotFound, TaskStep, step_id
from shared.kernel.clock import Millis, to_datetime
from shared.kernel.deadline import NEVER, Deadline
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
from shared.kernel.due import DuePlace
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.ids import Uid, random_token
from shared.kernel.pages import Page, owner_query, page_of
from shared.kernel.side_by_side import side_by_side

STEPS_READ_MAX = 5_000
FILES_READ_MAX = 1_000
ERASE_BATCH = 100
MOVE_BATCH = 4
"""Parts of a task of the old form that move in one commit: four of the largest stay below a commit's 10 MiB."""
FAR = 2**45
"""End of a lease beyond any worker's life (the year 3084), for a task that is being erased."""
ORDER = (Order("position", descending=True),)


class AgentTaskStore:
    """Repository of agent tasks. Callers decide; only a worker with the lease writes steps."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(self, task_id: str, data: Data, files: Sequence[Write]) -> None:
        """Create the task with the writes of `files`, all or none.

        Raises PreconditionFailed if the task exists or another write is refused.
        """
        path = job_path(task_id)
        task = task_of(Document(path=path, data=data, version=None))
        self._documents.commit([Create(path, data), Create(task_path(task_id), shown_task(task).data), *files])

    def exists(self, task_id: str) -> bool:
        """Return True if any user has a task of this id."""
        return any(self._documents.get_all([job_path(task_id), task_path(task_id)]))

    def get(self, uid: Uid, task_id: str) -> Task:
        """Return the user's task. Raises TaskNotFound, also for another user's task."""
        return _owned(self._read(task_id), uid)

    def find(self, uid: Uid, task_id: str) -> Task:
        """Return the user's task as `get` does, for a task that is probably missing: in one round trip."""
        job, old = self._documents.get_all([job_path(task_id), task_path(task_id)])
        return _owned(job if job is not None or old is None or not is_old(old) else old, uid)

    def for_work(self, task_id: str) -> Document | None:
        """Return the document that workers claim; None if there is no such task. A task of the old form is moved."""
        found = self._read(task_id)
        if found is None or not is_old(found):
            return found
        with suppress(PreconditionFailed):
            return self._moved(found)
        return self._documents.get(job_path(task_id))

    def patch(self, document: Document, changes: Data) -> None:
        """Change a task that `for_work` returned, if unchanged since. Raises PreconditionFailed."""
        task = task_of(Document(path=document.path, data={**document.data, **changes}, version=None))
        self._documents.commit([Patch(document.path, changes, document.version), shown_task(task)])

    def page(self, uid: Uid, *, cursor: str | None, limit: int) -> Page[Task]:
        """Return a page of the user's tasks, newest first."""
        query = owner_query(JOBS, uid, "position", cursor=cursor, limit=limit)
        found = sorted(self._of_both_forms(query), key=_position, reverse=True)
        page = page_of(found, limit, _position)
        return Page(items=tuple(map(task_of, page.items)), next_cursor=page.next_cursor)

    def live(self, uid: Uid, limit: int) -> int:
        """Return the number of the user's tasks under way, counted up to `limit`."""
        # What owners listen to and tasks of the old form have the same two fields: one query counts both.
        where = (Where("uid", "==", uid), Where("status", "in", sorted(LIVE)))
        return len(self._documents.query(Query(collection=COLLECTION, limit=limit, where=where)))

    def live_of(self, spender: str, limit: int) -> list[str]:
        """Return the ids of tasks under way that spend for this principal, at most `limit`."""
        where = (Where("spender", "==", spender), Where("status", "in", sorted(LIVE)))
        return [found.id for found in self._of_both_forms(Query(collection=JOBS, limit=limit, where=where))][:limit]

    def steps(self, task: Task, *, after: int = 0, limit: int = STEPS_READ_MAX) -> list[TaskStep]:
        """Return the steps after number `after`, in order."""
        found = {} if _is_in_tail(task, after + 1) else self._stored_steps(task, after + 1, limit)
        found |= {step.number: step for step in task.tail}
        return [found[number] for number in sorted(found) if number > after][:limit]

    def newest_steps(self, task: Task, *, bytes_most: int) -> list[TaskStep]:
        """Return the newest steps, in order: at least `bytes_most` bytes of them, or all.

        The last thought is among them, with all that follows, and each step whose charge is due.
        """
        return self.steps(task, after=_first_needed(task, bytes_most) - 1)

    def files(self, task: Task) -> list[StoredFile]:
        """Return all files of the task."""
        return [file_of(document) for document in self._parts(task, "files", FILES_READ_MAX)]

    def file(self, task: Task, name: str) -> StoredFile:
        """Return one file of the task. Raises FileNotInTask."""
        places = (job_path, task_path) if task.is_old else (job_path,)
        for found in self._documents.get_all([f"{place(task.id)}/files/{file_id(name)}" for place in places]):
            if found is not None:
                return file_of(found)
        raise FileNotInTask

    def due(self, now: Millis, limit: int, after: DuePlace | None = None, *, is_old: bool = False) -> list[Document]:
        """Return the tasks of one form that are due for a worker at `now`, behind `after`, the most overdue first."""
        return (DUE_OLD_TASKS if is_old else DUE_TASKS).page(self._documents, now, limit, after)

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Remove all data of the user; see `Erasable.erase`.

        Each task is fenced first, so that a worker writes nothing after the eraser.
        """
        for collection in (JOBS, COLLECTION):
            query = Query(collection=collection, limit=ERASE_BATCH, where=(Where("uid", "==", uid),))
            while found := self._documents.query(query):
                if not self._erase_tasks(found, deadline):
                    return False
        return True

    def _erase_tasks(self, tasks: Sequence[Document], deadline: Deadline) -> bool:
        """Erase tasks side by side. Return False if the deadline is over before all are erased."""
        return all(side_by_side(lambda task: self._erase_one(task, deadline), tasks))

    def _erase_one(self, document: Document, deadline: Deadline) -> bool:
        """Erase a task with all its documents. If the task moves or goes meanwhile, do nothing: it is found again.

        Return False if the deadline is over before that.
        """
        job, shown = job_path(document.id), task_path(document.id)
        if document.path == shown and not is_old(document):
            moved = self._documents.get(job)
            if moved is not None:
                return self._erase_one(moved, deadline)
        elif not deadline.is_over():
            lease: Value = {"token": random_token(), "until": to_datetime(FAR), "fence": 2**40, "stamp": ""}
            version = document.version if is_old(document) else None
            try:
                fence = {"lease": lease, "status": "cancelled", "due_at": None}
                self._documents.commit([Patch(document.path, fence, version)])
            except PreconditionFailed:
                return True
        for part in (f"{path}/{name}" for path in (job, shown) for name in ("steps", "files")):
            if not delete_matching(self._documents, Query(collection=part, limit=ERASE_PAGE), deadline):
                return False
        self._documents.commit([Delete(job), Delete(shown)])
        return True

    def _read(self, task_id: str) -> Document | None:
        """Return the document that workers claim, or that of a task of the old form."""
        found = self._documents.get(job_path(task_id))
        if found is not None:
            return found
        old = self._documents.get(task_path(task_id))
        # Moved since the first read, if what the owner listens to is there.
        return old if old is None or is_old(old) else self._documents.get(job_path(task_id))

    def _of_both_forms(self, query: Query) -> list[Document]:
        """Return what the query finds of tasks, then of tasks of the old form: their fields have the same names."""
        old = Query(
            collection=COLLECTION, limit=query.limit, where=query.where, order_by=query.order_by, after=query.after
        )
        return [*self._documents.query(query), *self._documents.query(old)]

    def _stored_steps(self, task: Task, first: int, limit: int) -> dict[int, TaskStep]:
        """Return stored steps by number, from `first` on, perhaps with earlier steps of the same pack."""
        start = max((pack.first for pack in task.packs if pack.first <= first), default=first)
        parts = self._parts(task, "steps", limit, first=step_id(start))
        return {step.number: step for part in parts for step in steps_of(part)}

    def _parts(self, task: Task, name: str, limit: int, *, first: str | None = None) -> list[Document]:
        """Return the documents below the task from id `first` on: for an old task also those that have not moved."""

        def below(path: str) -> list[Document]:
            return self._documents.query(Query(collection=f"{path}/{name}", limit=limit, id_from=first))

        moved = below(job_path(task.id))
        if not task.is_old:
            return moved
        old = [part for part in below(task_path(task.id)) if _is_old_part(part)]
        return sorted([*moved, *old], key=lambda part: part.id)[:limit]

    # Moving -------------------------------------------------------------------------------------------------------

    def _moved(self, old: Document) -> Document:
        """Move a task of the old form, parts first, and return the document that workers claim.

        Each commit requires the version that the commit before wrote, so that a second mover or an eraser wins or loses
        as a whole. Raises PreconditionFailed if the task has changed, moved or gone meanwhile.
        """
        task, version = task_of(old), old.version
        found = [*self._parts(task, "steps", STEPS_READ_MAX), *self._parts(task, "files", FILES_READ_MAX)]
        parts = [part for part in found if part.path.startswith(f"{old.path}/")]
        for start in range(0, len(parts), MOVE_BATCH):
            writes = [write for part in parts[start : start + MOVE_BATCH] for write in _moves(task, part)]
            version, *_ = self._documents.commit([Patch(old.path, {"moving": random_token()}, version), *writes])
        return self._renamed(task, old, version)

    def _renamed(self, task: Task, old: Document, version: Version) -> Document:
        data = {name: value for name, value in old.data.items() if name != "moving"}
        path = job_path(task.id)
        shown = Put(task_path(task.id), shown_task(task).data, version)
        return Document(path=path, data=data, version=self._documents.commit([Create(path, data), shown])[0])


def _owned(document: Document | None, uid: Uid) -> Task:
    if document is None or document.data["uid"] != uid:
        raise TaskNotFound
    return task_of(document)


def _is_old_part(document: Document) -> bool:
    """Return True for a step or file with its content; False for a step that owners listen to."""
    return "body" in document.data or "content" in document.data


def _moves(task: Task, part: Document) -> Sequence[Write]:
    """Build the writes that move a step or a file of a task of the old form."""
    _, _, name, part_id = part.path.split("/")
    path = f"{job_path(task.id)}/{name}/{part_id}"
    if name != "steps":
        return [Put(path, part.data), Delete(part.path)]
    steps = steps_of(part)
    return [Put(path, pack_data(task, steps)), *(shown_step(task, step) for step in steps)]


def _is_in_tail(task: Task, first: int) -> bool:
    """Return True if no step from number `first` on is stored outside the task's own document."""
    return first > task.steps or (bool(task.tail) and task.tail[0].number <= first)


def _first_needed(task: Task, bytes_most: int) -> int:
    """Return the number of the first step to read; see `newest_steps`."""
    thought = max((number for number, named in enumerate(task.trail, start=1) if named == "think"), default=1)
    needed = min([thought, *task.pending, *(owed.step for owed in task.owed)])
    first, size = (task.tail[0].number if task.tail else task.steps + 1), 0
    for pack in reversed(task.packs):
        if size >= bytes_most and first <= needed:
            return first
        first, size = pack.first, size + pack.bytes
    return first if size >= bytes_most and first <= needed else 1


def _position(document: Document) -> str:
    return str(document.data["position"])
