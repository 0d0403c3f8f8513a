"""The periodic jobs of leaving: finish crashed leavings, and find users whose login is gone without an event."""

from shared.kernel.ids import Uid
from shared.sagas.accounts.leaving import Leaving
from shared.sagas.engine.jobs import JobRun

RESUME_PAGE = 20


class LeavingJobs:
    """The periodic work for users who leave."""

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving

    def resume(self, run: JobRun) -> None:
        """Continue the erasure of users who leave, if a step failed, a worker died, or the last erasure is due."""
        while not run.is_over():
            taken = self._leaving.resume(RESUME_PAGE)
            run.done += taken
            if taken < RESUME_PAGE:
                return

    def reconcile(self, run: JobRun) -> None:
        """Find users whose login is gone without an event, from the cursor on, and let them leave."""
        while not run.is_over():
            after = self._leaving.reconcile(after=Uid(run.cursor) if run.cursor else None)
            run.cursor = after or ""
            run.done += 1
            if after is None:
                return
