"""Repository of image tasks, for readers and for the worker that claims a task.

The worker, the deletion of an image and the sweep change a task. Each change requires the version that was read.
"""

from collections.abc import Sequence
from contextlib import suppress

from shared.ai.images.documents import (
    ASKS,
    COLLECTION,
    DUE_OLD_TASKS,
    DUE_TASKS,
    JOBS,
    ask_path_of,
    is_old,
    job_path_of,
    moved,
    path_of,
    task_of,
)
from shared.ai.images.store import facts_of, image_in
from shared.ai.images.store import path_of as image_path
from shared.ai.images.tasks import OPEN, ImageTask, ImageTaskNotFound
from shared.kernel.clock import Millis
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Delete, Document, Documents, PreconditionFailed, Query, Where
from shared.kernel.due import DuePlace
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.ids import Uid, is_safe_id


class ImageTasks:
    """Repository of image tasks. Safe to share between threads."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def get(self, uid: Uid, task_id: str) -> ImageTask:
        """Return the user's task. Raises ImageTaskNotFound, also for another user's task."""
        found = self._read(task_id) if is_safe_id(task_id) else None
        if found is None or found.data["uid"] != uid:
            raise ImageTaskNotFound
        return task_of(found)

    def for_work(self, task_id: str) -> Document | None:
        """Return the document that workers claim; None if there is no such task. A task of the old form is moved."""
        found = self._read(task_id)
        if found is None or not is_old(found):
            return found
        with suppress(PreconditionFailed):
            return self._moved(found)
        return self._documents.get(job_path_of(task_id))

    def open_of(self, spender: str, limit: int) -> list[str]:
        """Return the ids of open tasks that this principal requested, at most `limit`."""
        where = (Where("spender", "==", spender), Where("status", "in", sorted(OPEN)))
        return [found.id for found in self._of_both_forms(Query(collection=JOBS, limit=limit, where=where))]

    def due(self, now: Millis, limit: int, after: DuePlace | None = None, *, is_old: bool = False) -> list[Document]:
        """Return the open tasks of one form whose due time has come, behind `after`, the longest waiting first."""
        return (DUE_OLD_TASKS if is_old else DUE_TASKS).page(self._documents, now, limit, after)

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all tasks of a user who leaves. A run under way cannot record anything afterwards.

        All documents of a task go in one commit, so that no worker and no move writes one of them again.
        """
        where = (Where("uid", "==", uid),)
        return all(
            delete_matching(
                self._documents, Query(collection=collection, where=where, limit=ERASE_PAGE), deadline, _paths_of_task
            )
            for collection in (COLLECTION, JOBS, ASKS)
        )

    def _of_both_forms(self, query: Query) -> list[Document]:
        """Return what the query finds of tasks, then of tasks of the old form: their fields have the same names."""
        found = self._documents.query(query)
        old = Query(collection=COLLECTION, limit=query.limit, where=query.where, order_by=query.order_by)
        return [*found, *self._documents.query(old)][: query.limit]

    def _read(self, task_id: str) -> Document | None:
        """Return the document that workers claim, or that of a task of the old form."""
        found = self._documents.get(job_path_of(task_id))
        if found is not None:
            return found
        old = self._documents.get(path_of(task_id))
        # Moved since the first read, if what the owner listens to is there.
        return old if old is None or is_old(old) else self._documents.get(job_path_of(task_id))

    def _moved(self, old: Document) -> Document:
        """Move a task of the old form. Raises PreconditionFailed if the task has changed, moved or gone meanwhile."""
        task = task_of(old)
        ask, *images = self._documents.get_all([ask_path_of(task.id), *map(image_path, task.images)])
        kept = [image_in(image) for image in images if image is not None]
        job, *rest = moved(old, ask, {image.id: facts_of(image) for image in kept})
        version, *_ = self._documents.commit([job, *rest])
        assert not isinstance(job, Delete), "the document that workers claim is created first"
        return Document(path=job.path, data=job.data, version=version)


def _paths_of_task(document: Document) -> Sequence[str]:
    return [path_of(document.id), job_path_of(document.id), ask_path_of(document.id)]
