"""Sweep of image tasks whose message or worker was lost: call for a worker again."""

from dataclasses import replace
from functools import partial

from shared.ai.images.documents import is_old, task_of, work_data
from shared.ai.images.task_store import ImageTasks
from shared.ai.images.tasks import ImageTask
from shared.kernel.clock import HOUR, MINUTE, Clock, Millis
from shared.kernel.documents import Data, Document, Documents, Patch, PreconditionFailed
from shared.kernel.events import log
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun
from shared.sagas.images.job import ImageJob
from shared.sagas.images.start import ImageStart

WAKE_PAUSE: Millis = MINUTE
WAKE_PAUSE_MAX: Millis = HOUR
WAKES_COUNTED_MAX = 6


class ImageSweep:
    """The periodic work for image tasks."""

    def __init__(
        self, *, documents: Documents, tasks: ImageTasks, start: ImageStart, job: ImageJob, clock: Clock
    ) -> None:
        self._documents = documents
        self._tasks = tasks
        self._start = start
        self._job = job
        self._clock = clock

    def sweep(self, run: JobRun) -> None:
        """Call for a worker of image tasks whose message was lost or whose worker died."""
        due = partial(self._tasks.due, self._clock.now())
        attempt_due(run, "image_tasks", [due], lambda task, _: self._wake(task), [partial(due, is_old=True)])

    def _wake(self, document: Document) -> None:
        """Postpone the next look, each time for longer, then call for a worker. A task of the old form is moved first.

        If the task's time is up, end the task here without a message: nothing more is painted.
        """
        if is_old(document):
            moved = self._tasks.for_work(document.id)
            if moved is None:
                return
            document = moved
        task = task_of(document)
        now = self._clock.now()
        pause = min(WAKE_PAUSE << min(task.wakes, WAKES_COUNTED_MAX), WAKE_PAUSE_MAX)
        due_at = min(now + pause, max(task.deadline_at, now + WAKE_PAUSE))
        changes: Data = {**work_data(replace(task, wakes=task.wakes + 1)), "due_at": due_at}
        try:
            self._documents.commit([Patch(document.path, changes, document.version)])
        except PreconditionFailed:
            return  # somebody works on it after all
        log("image_task_woken", "WARNING", task_id=task.id, status=task.status, wakes=task.wakes + 1)
        self._end_or_call(task)

    def _end_or_call(self, task: ImageTask) -> None:
        if self._clock.now() >= task.deadline_at:
            self._job.run(task.id)
        else:
            self._start.publish(task)
