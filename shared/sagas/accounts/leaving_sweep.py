"""The periodic jobs of leaving: finish crashed leavings, and find users whose login is gone without an event."""

from shared.kernel.ids import Uid
from shared.sagas.accounts.leaving import Leaving
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun


class LeavingJobs:
    """The periodic work for users who leave."""

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving

    def resume(self, run: JobRun) -> None:
        """Continue the erasure of users who leave, if a step failed, a worker died, or the last erasure is due."""
        attempt_due(run, "leavings", [], self._leaving.resume, seldom=[self._leaving.due])

    def reconcile(self, run: JobRun) -> None:
        """Find users whose login is gone without an event, from the cursor on, and let them leave."""
        while not run.is_over():
            gone, after = self._leaving.gone(after=Uid(run.cursor) if run.cursor else None)
            if run.attempt_all("reconcile_users", gone, self._leaving.leave) < len(gone):
                return
            run.cursor = after or ""
            if after is None:
                return
