"""The ledger's periodic jobs: relay news, expire holds and lots that are due, audit every chain."""

from shared.kernel.documents import Documents, Query
from shared.kernel.ids import Uid
from shared.ledger.account_documents import DUE_SHARDS
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.ledger.relay import Relay
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import PeriodicJob, Turn

PAGE = 50
RELAY_SECONDS = 60.0
EXPIRE_SECONDS = 60.0
AUDIT_SECONDS = 150.0
LOSSES_SECONDS = 30.0


class LedgerJobs:
    """The jobs of the ledger, for `every_minute` and `every_day`."""

    def __init__(self, documents: Documents, ledger: Ledger, relay: Relay, watch: LedgerWatch, losses: Losses) -> None:
        self._documents = documents
        self._ledger = ledger
        self._relay = relay
        self._watch = watch
        self._losses = losses

    def every_minute(self) -> tuple[PeriodicJob, ...]:
        """Return the jobs that publish news that the triggers lost, and expire due items."""
        return (
            PeriodicJob(name="relay", seconds=RELAY_SECONDS, run=self.relay),
            PeriodicJob(name="expire", seconds=EXPIRE_SECONDS, run=self.expire),
        )

    def every_day(self) -> tuple[PeriodicJob, ...]:
        """Return the jobs that verify chains and report losses.

        One turn verifies as many chains as the time allows; the next turn continues after them.
        """
        return (
            PeriodicJob(name="audit", seconds=AUDIT_SECONDS, run=self.audit),
            PeriodicJob(name="losses", seconds=LOSSES_SECONDS, run=self.report_losses),
        )

    def relay(self, turn: Turn) -> None:
        """Publish new entries that the trigger has not published, and project usage, account by account.

        A marker that moves meanwhile is relayed again.
        """
        while not turn.is_over():
            pending = self._relay.pending(turn.cursor or None, PAGE)
            for path, uid in pending:
                turn.attempt("relay", uid, self._relay_one)
                turn.cursor = path
            if len(pending) < PAGE:
                turn.cursor = ""
                return

    def expire(self, turn: Turn) -> None:
        """End holds and lots whose time is up: charge the accrued part and give the rest back, shard by shard."""
        first = int(turn.cursor or 0)
        for shard in range(first, first + DUE_SHARDS):
            if turn.is_over():
                return
            turn.cursor = str(shard % DUE_SHARDS)
            self._expire_shard(turn, shard % DUE_SHARDS)
        turn.cursor = "0"

    def audit(self, turn: Turn) -> None:
        """Verify every account's chain against the account's documents. A finding freezes the account and alerts."""
        while not turn.is_over():
            after = (turn.cursor,) if turn.cursor else None
            accounts = self._documents.query(Query(collection="accounts", limit=PAGE, after=after))
            for account in accounts:
                turn.attempt("audit", Uid(account.id), self._audit_one)
                turn.cursor = account.path
                if turn.is_over():
                    return
            if len(accounts) < PAGE:
                turn.cursor = ""
                return

    def report_losses(self, turn: Turn) -> None:
        """Log the sum of the platform's losses on each model."""
        turn.done += len(self._losses.report())

    def _relay_one(self, uid: Uid) -> None:
        try:
            self._relay.relay(uid)
        except IntegrityFailed as failure:
            self._watch.found(uid, int(failure.params["seq"]), str(failure.params["rule"]))

    def _expire_shard(self, turn: Turn, shard: int) -> None:
        """Expire page by page, as long as a page has new accounts. A failed account is not tried again in this turn."""
        seen: set[Uid] = set()
        while not turn.is_over():
            due = [uid for uid in self._ledger.due(shard, PAGE + len(seen)) if uid not in seen]
            for uid in due:
                turn.attempt("expire", uid, self._ledger.expire_due)
            seen.update(due)
            if len(due) < PAGE:
                return

    def _audit_one(self, uid: Uid) -> None:
        findings = self._ledger.verify(uid)
        if findings:
            self._watch.found(uid, findings[0].seq, findings[0].rule)
