"""The ledger's periodic jobs: relay news, expire holds and lots that are due, audit every chain."""

from functools import partial

from shared.kernel.documents import Documents
from shared.ledger.account_documents import uid_of
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.ledger.relay import Relay
from shared.sagas.accounts.audit_sweep import AuditSweep
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.accounts.relay_sweep import RelaySweep
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun

PAGE = 50


class LedgerJobs:
    """The periodic work of the ledger."""

    def __init__(self, documents: Documents, ledger: Ledger, relay: Relay, watch: LedgerWatch, losses: Losses) -> None:
        self._documents = documents
        self._ledger = ledger
        self._relay_sweep = RelaySweep(relay, watch)
        self._watch = watch
        self._losses = losses

    def relay(self, run: JobRun) -> None:
        """Publish entries that the trigger has not published, the oldest first; see `RelaySweep.sweep`."""
        self._relay_sweep.sweep(run)

    def expire(self, run: JobRun) -> None:
        """End holds and lots whose time is up: charge the accrued part and give the rest back."""
        old = partial(self._ledger.due, is_old=True)
        attempt_due(
            run, "expire", [self._ledger.due], lambda account, _: self._ledger.expire_due(uid_of(account.path)), [old]
        )

    def audit(self, run: JobRun) -> None:
        """Verify every account's chain against the account's documents. A finding freezes the account and alerts."""
        AuditSweep(self._documents, self._ledger, self._watch).audit(run)

    def audit_lost(self, run: JobRun) -> None:
        """Find accounts whose document is gone although their journal or other documents are there, and alert."""
        AuditSweep(self._documents, self._ledger, self._watch).audit_lost(run)

    def report_losses(self, run: JobRun) -> None:
        """Log the sum of the platform's losses on each model."""
        report = self._losses.report(run.cursor, run.deadline)
        run.cursor = report.after
        run.done += len(report.totals)
