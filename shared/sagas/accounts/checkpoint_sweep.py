"""The job `checkpoint`: signs the head of the log if the head grew."""

from collections.abc import Callable

from shared.ledger.log.signer import CheckpointSigner
from shared.sagas.engine.jobs import JobRun


class CheckpointSweep:
    """The job that signs checkpoints. A wrong setting of the log stops this job alone."""

    def __init__(self, signer: Callable[[], CheckpointSigner]) -> None:
        self._signer = signer

    def sign(self, run: JobRun) -> None:
        """Sign the head, at most once in a run. Reads one document if the head did not grow."""
        before, run.cursor = run.cursor, self._signer().sign(run.cursor, run.deadline)
        run.done += run.cursor != before
