"""The ledger's periodic work: relay its news, let time do its part, audit every chain."""

from shared.kernel.documents import Documents, Query
from shared.kernel.ids import Uid
from shared.ledger.account_documents import DUE_SHARDS
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.ledger.relay import Relay
from shared.sagas.jobs import Job, Turn
from shared.sagas.ledger_watch import LedgerWatch

PAGE = 50
RELAY_SECONDS = 60.0
EXPIRE_SECONDS = 60.0
AUDIT_SECONDS = 150.0
LOSSES_SECONDS = 30.0


class LedgerJobs:
    """What `every_minute` and `every_day` do for the ledger."""

    def __init__(self, documents: Documents, ledger: Ledger, relay: Relay, watch: LedgerWatch, losses: Losses) -> None:
        self._documents = documents
        self._ledger = ledger
        self._relay = relay
        self._watch = watch
        self._losses = losses

    def every_minute(self) -> tuple[Job, ...]:
        """Publish what the triggers lost; expire what is due."""
        return (
            Job(name="relay", seconds=RELAY_SECONDS, run=self.relay),
            Job(name="expire", seconds=EXPIRE_SECONDS, run=self.expire),
        )

    def every_day(self) -> tuple[Job, ...]:
        """Verify chains, as many as a turn has time for; the next turn goes on behind them. Report losses."""
        return (
            Job(name="audit", seconds=AUDIT_SECONDS, run=self.audit),
            Job(name="losses", seconds=LOSSES_SECONDS, run=self.report_losses),
        )

    def relay(self, turn: Turn) -> None:
        """Relay all accounts with news, from the cursor on; a marker that moves meanwhile comes again."""
        while not turn.is_over():
            pending = self._relay.pending(turn.cursor or None, PAGE)
            for path, uid in pending:
                turn.attempt("relay", uid, self._relay_one)
                turn.cursor = path
            if len(pending) < PAGE:
                turn.cursor = ""
                return

    def expire(self, turn: Turn) -> None:
        """Settle what is due, shard by shard."""
        first = int(turn.cursor or 0)
        for shard in range(first, first + DUE_SHARDS):
            if turn.is_over():
                return
            turn.cursor = str(shard % DUE_SHARDS)
            self._expire_shard(turn, shard % DUE_SHARDS)
        turn.cursor = "0"

    def audit(self, turn: Turn) -> None:
        """Verify every account's chain against its documents, and act on what is found."""
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
        """Log what each model has cost the platform."""
        turn.done += len(self._losses.report())

    def _relay_one(self, uid: Uid) -> None:
        try:
            self._relay.relay(uid)
        except IntegrityFailed as failure:
            self._watch.found(uid, int(failure.params["seq"]), str(failure.params["rule"]))

    def _expire_shard(self, turn: Turn, shard: int) -> None:
        """Page by page, as long as a page brings something new: an account that fails is not tried again this turn."""
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
