"""The nightly audit: every account in turn, first the many with few entries, then the few with many."""

from dataclasses import dataclass
from itertools import count

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document, Documents, Query
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.listings import InvalidToken, list_page
from shared.kernel.schemas import RefusedData
from shared.ledger.account_audit import UNREAD_RULES
from shared.ledger.account_documents import uid_of
from shared.ledger.findings import Finding
from shared.ledger.ledger import Ledger
from shared.sagas.accounts.ledger_watch import DERIVED_RULES, LedgerWatch
from shared.sagas.engine.jobs import ALERTS_MAX, ITEMS_AT_ONCE, JobRun

PAGE = 50
LISTED_PAGE = 300
LOST = "account"
"""Law that an account breaks whose document is gone, although no other law is broken."""
LARGE_ENTRIES = 1_000
"""Number of entries beyond which an account is large, and is audited after the accounts that are not."""
SMALL_SHARE = 0.6
"""Most of the time that is left for accounts that are not large, so that the large ones go on in every run."""
LARGE_SECONDS_MIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeAccount:
    """Account with many entries. `before` is the cursor in front of the account."""

    uid: Uid
    before: str


class AuditSweep:
    """Audit of all accounts over several runs. A large account stores a position of its own and continues there."""

    def __init__(
        self, documents: Documents, ledger: Ledger, watch: LedgerWatch, large_entries: int = LARGE_ENTRIES
    ) -> None:
        self._large_entries = large_entries
        self._documents = documents
        self._ledger = ledger
        self._watch = watch
        self._count = count()

    def audit(self, run: JobRun) -> None:
        """Audit the accounts behind the cursor until the run is over or all are audited.

        A finding freezes the account and alerts. No account waits for the end of a large account.
        """
        while not run.is_over():
            is_end, large = self._audit_small(run)
            missed = self._audit_large(run, large)
            if missed is not None:
                run.cursor = missed.before
            if missed is not None or is_end:
                return

    def audit_lost(self, run: JobRun) -> None:
        """Audit the accounts whose document is gone, although other documents of theirs are there.

        The cursor is the place in the listing of all accounts. A place that the store has forgotten is the start.
        """
        while not run.is_over():
            try:
                page = list_page(self._documents, "accounts", LISTED_PAGE, run.cursor)
            except InvalidToken:
                run.cursor = ""
                return
            lost = [uid_of(path) for path in page.missing]
            if run.attempt_all("lost_accounts", lost, self._audit_lost) < len(lost):
                return
            run.cursor = page.token
            if not page.token:
                return

    def _audit_lost(self, uid: Uid, deadline: Deadline) -> None:
        findings = self._ledger.audit(uid, deadline).findings
        seq, rule = (findings[0].seq, findings[0].rule) if findings else (0, LOST)
        self._watch.lost(uid, seq, rule)

    def _audit_small(self, run: JobRun) -> tuple[bool, list[LargeAccount]]:
        """Audit the next accounts that are not large, and move the cursor.

        Return True at the end of all accounts, and the large accounts on the way.
        """
        until = run.deadline.or_within(run.deadline.seconds_left() * SMALL_SHARE)
        large: list[LargeAccount] = []
        while True:
            after = (run.cursor,) if run.cursor else None
            accounts = self._documents.query(Query(collection="accounts", limit=PAGE, after=after))
            small = [Uid(account.id) for account in accounts if not self._is_large(account)]
            left = set(small[run.attempt_all("audit", small, self._audit_one) :])
            for account in accounts:
                if account.id in left:
                    return False, large
                if self._is_large(account):
                    large.append(LargeAccount(uid=Uid(account.id), before=run.cursor))
                run.cursor = account.path
            if len(accounts) < PAGE:
                run.cursor = ""
                return True, large
            if until.is_over():
                return False, large

    def _audit_large(self, run: JobRun, large: list[LargeAccount]) -> LargeAccount | None:
        """Audit the large accounts, each for an equal share of the time, and go on with unfinished ones.

        Return the first account that had no turn; None if each had one.
        """
        unfinished, is_first = {account.uid for account in large}, True
        while unfinished and (is_first or not run.is_over()):
            going = [account for account in large if account.uid in unfinished]
            begun = self._go_on(run, going, unfinished)
            if begun < len(going):
                return going[begun] if is_first else None
            is_first = False
        return None

    def _go_on(self, run: JobRun, going: list[LargeAccount], unfinished: set[Uid]) -> int:
        """Give each account one turn, take finished accounts out of `unfinished`, and return the number of turns."""
        share = max(LARGE_SECONDS_MIN, run.deadline.seconds_left() * ITEMS_AT_ONCE / len(going))

        def work(uid: Uid, deadline: Deadline) -> None:
            unfinished.discard(uid)
            if not self._audit_one(uid, deadline.or_within(share)):
                unfinished.add(uid)

        return run.attempt_all("audit", [account.uid for account in going], work)

    def _audit_one(self, uid: Uid, deadline: Deadline) -> bool:
        """Audit one account until the deadline, act on a finding, and return False if entries are left."""
        turn = self._ledger.audit(uid, deadline)
        tampering = [each for each in turn.findings if each.rule not in UNREAD_RULES]
        if tampering:
            worst = min(tampering, key=lambda each: each.rule in DERIVED_RULES)
            self._watch.found(uid, worst.seq, worst.rule)
        elif turn.findings:
            self._not_audited(uid, turn.findings[0])
        return turn.is_complete or bool(turn.findings)

    def _not_audited(self, uid: Uid, finding: Finding) -> None:
        """Alert operators; for accounts beyond ALERTS_MAX only log, since a key that is missing here concerns all."""
        if next(self._count) < ALERTS_MAX:
            self._watch.not_audited(uid, finding.seq, finding.rule)
        else:
            log("account_not_audited", "ERROR", uid=uid, seq=finding.seq, reason=finding.rule)

    def _is_large(self, account: Document) -> bool:
        """Return True if the account has many entries. An account that cannot be read fails alone, as a small one."""
        if isinstance(account.data, RefusedData):
            return False
        seq = account.data.get("seq")
        return isinstance(seq, int) and seq > self._large_entries
