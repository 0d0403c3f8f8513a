"""Random sample of the last closed day: accounts that are verified from their first entry, within a stated budget.

The nightly audit continues from positions that stand beside the accounts. The sample uses no position: it verifies the
whole journal of an account, and holds the journal against the account's leaf of the closed day.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.clock import Clock, Millis, from_datetime, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Data, Documents, Put
from shared.kernel.events import log, log_error
from shared.kernel.ids import Uid
from shared.ledger.account_audit import UNREAD_RULES
from shared.ledger.document_paths import entry_path
from shared.ledger.ledger import Ledger
from shared.ledger.log.day_store import ClosedDay, DayBroken, DayStore
from shared.ledger.log.days import PAGE_ACCOUNTS, DayAccount
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun

SAMPLE_PATH = "ledger_log/sample"
ACCOUNTS_MAX = 100
"""Most accounts of one day's sample."""
ENTRIES_MAX = 20_000
"""Most entries of one day's sample, which are also the reads that the sample costs."""
DRAWS_MAX = 3 * ACCOUNTS_MAX
"""Most draws of one day. An account with more entries than are left is passed over, and counted as such."""
JOB = "day_sample"

Draw = Callable[[int], int]
"""Function that returns a random number from 0 up to, and without, its argument."""


@dataclass(slots=True, kw_only=True)
class DaySample:
    """Numbers of the sample of one closed day. `passed_over` had more entries than the budget had left."""

    day: str
    at: Millis
    accounts: int = 0
    entries: int = 0
    findings: int = 0
    passed_over: int = 0


@dataclass(slots=True, eq=False, repr=False)
class _AccountDraws:
    """Accounts that were drawn from a closed day, with the pages that were read for them."""

    days: DayStore
    closed: ClosedDay
    draw: Draw
    pages: dict[int, list[DayAccount]] = field(default_factory=dict)
    seen: set[Uid] = field(default_factory=set)

    def next(self) -> DayAccount | None:
        """Return an account that was not drawn before; None if this draw met a known one. Raises DayBroken."""
        number = self.draw(self.closed.record.totals.accounts)
        page, offset = divmod(number, PAGE_ACCOUNTS)
        if page not in self.pages:
            self.pages = {page: self.days.page(self.closed, page)}
        account = self.pages[page][offset]
        if account.uid in self.seen:
            return None
        self.seen.add(account.uid)
        return account


class SampleSweep:
    """The daily verification of a random sample of accounts."""

    def __init__(
        self,
        documents: Documents,
        days: DayStore,
        ledger: Ledger,
        watch: LedgerWatch,
        clock: Clock,
        draw: Draw = secrets.randbelow,
    ) -> None:
        self._documents = documents
        self._days = days
        self._ledger = ledger
        self._watch = watch
        self._clock = clock
        self._draw = draw

    def verify(self, run: JobRun) -> None:
        """Verify random accounts of the last closed day until the budget is used, and store the sample's numbers.

        The run's cursor is the day of the last sample. A day that cannot be read is left: its close alerts. Raises
        UnknownKey.
        """
        try:
            self._verify(run)
        except DayBroken as error:
            log_error("day_not_sampled", error, code=error.code)

    def _verify(self, run: JobRun) -> None:
        """Draw accounts of the last closed day until the budget is used. Raises DayBroken, UnknownKey."""
        day = self._days.state().last
        if not day or run.cursor == day:
            return
        closed = self._days.closed(day)
        drawn = _AccountDraws(self._days, closed, self._draw)
        sample = DaySample(day=day, at=self._clock.now())
        wanted = min(ACCOUNTS_MAX, closed.record.totals.accounts)
        for _ in range(DRAWS_MAX):
            if run.is_over() or sample.accounts + sample.passed_over >= wanted:
                break
            if (account := drawn.next()) is not None:
                self._take(run, sample, account)
        self._documents.commit([Put(SAMPLE_PATH, {"state": _stored(sample)})])
        log("day_sampled", day=day, accounts=sample.accounts, entries=sample.entries, findings=sample.findings)
        run.cursor = day

    def _take(self, run: JobRun, sample: DaySample, account: DayAccount) -> None:
        if sample.entries + account.seq > ENTRIES_MAX:
            sample.passed_over += 1
            return

        def work(uid: Uid, _: Deadline) -> None:
            sample.findings += self._is_broken(uid, account)

        sample.entries += account.seq
        sample.accounts += run.attempt(JOB, account.uid, work)

    def _is_broken(self, uid: Uid, account: DayAccount) -> bool:
        """Verify one account, and return True if a law is broken, which is reported to the watch."""
        found = next(iter(self._ledger.verify(uid)), None)
        if found is not None and found.rule in UNREAD_RULES:
            self._watch.not_audited(uid, found.seq, found.rule)
        elif found is not None:
            self._watch.found(uid, found.seq, found.rule)
        elif not self._has_leaf(account):
            self._watch.found(uid, account.seq, "rewritten")
        else:
            return False
        return True

    def _has_leaf(self, account: DayAccount) -> bool:
        """Return True if the account still has the last entry of the closed day."""
        if account.seq == 0:
            return True
        entry = self._documents.get(entry_path(account.uid, account.seq))
        return self._ledger.redactions.is_entry(account.uid, account.seq, entry, account.head)


def stored_sample(documents: Documents) -> DaySample | None:
    """Return the numbers of the last sample, None before the first. Raises KeyError, TypeError, StoreUnavailable."""
    document = documents.get(SAMPLE_PATH)
    if document is None:
        return None
    told: Mapping[str, Any] = document.data["state"]  # type: ignore[assignment]
    return DaySample(
        day=str(told["day"]),
        at=from_datetime(told["at"]),
        accounts=int(told["accounts"]),
        entries=int(told["entries"]),
        findings=int(told["findings"]),
        passed_over=int(told["passed_over"]),
    )


def _stored(sample: DaySample) -> Data:
    return {
        "day": sample.day,
        "at": to_datetime(sample.at),
        "accounts": sample.accounts,
        "entries": sample.entries,
        "findings": sample.findings,
        "passed_over": sample.passed_over,
    }
