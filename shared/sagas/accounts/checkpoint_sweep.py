"""The job `checkpoint`: signs the head of the log if the head grew."""

from collections.abc import Callable

from shared.ledger.log.signer import CheckpointSigner
from shared.sagas.accounts.log_sweep import LOG_GREW
from shared.sagas.accounts.relay_sweep import is_tenth_minute
from shared.sagas.engine.jobs import JobRun


class CheckpointSweep:
    """The job that signs checkpoints. A wrong setting of the log stops this job alone."""

    def __init__(self, signer: Callable[[], CheckpointSigner]) -> None:
        self._signer = signer

    def sign(self, run: JobRun) -> None:
        """Sign the head once the job `log` has ended, at most once in a run.

        Reads one document if the head did not grow, and none if that job has found nothing to append. In every tenth
        minute the head is read in any case, since a checkpoint of the minute before may have failed.
        """
        run.looks.wait_for("log", run.deadline.seconds_left())
        if not (run.looks.once(LOG_GREW, lambda: True) or is_tenth_minute(run.deadline.clock.now())):
            return
        before, run.cursor = run.cursor, self._signer().sign(run.cursor, run.deadline)
        run.done += run.cursor != before
