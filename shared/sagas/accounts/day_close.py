"""The close of a day: all accounts as of the day, in one signed record and one leaf of the log.

The accounts are read page by page, over several runs if need be, and compared with the close before: no account may be
missing or count fewer entries, and an account without new entries must have the same state.
"""

from dataclasses import dataclass, replace

from shared.kernel.clock import DAY, MINUTE, Clock, Millis, to_datetime
from shared.kernel.documents import Document, Documents, Query, Write
from shared.kernel.events import Alerts, log, log_error
from shared.kernel.ids import Uid
from shared.ledger.account_documents import state_path, uid_of
from shared.ledger.account_seals import AccountSeals
from shared.ledger.document_paths import entry_path
from shared.ledger.errors import IntegrityFailed, UnknownKey
from shared.ledger.fold import FOLD_VERSION
from shared.ledger.log.day_store import ClosedDay, CloseProgress, DayBroken, DaysState, DayStore
from shared.ledger.log.days import PAGE_ACCOUNTS, Changes, DayAccount, account_of, changes_since
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun

GRACE: Millis = 10 * MINUTE
"""Time after midnight (UTC) until a day is closed: commits of the day have ended, and the log has their entries."""
READ_AT_ONCE = 64
"""Accounts of one read: a sealed state may have almost a megabyte."""


@dataclass(slots=True, eq=False, repr=False)
class KnownAccounts:
    """Accounts of the close before, in order, read page by page. `page` and `offset` are the place of the next one."""

    days: DayStore
    closed: ClosedDay | None
    page: int
    offset: int
    _accounts: list[DayAccount] | None = None

    def next(self) -> DayAccount | None:
        """Return the next account without moving on, None behind the last. Raises DayBroken, StoreUnavailable."""
        if self.closed is None or self.page >= len(self.closed.roots):
            return None
        if self._accounts is None:
            self._accounts = self.days.page(self.closed, self.page)
        return self._accounts[self.offset]

    def move_on(self) -> None:
        """Move behind the next account."""
        self.offset += 1
        if self._accounts is not None and self.offset >= len(self._accounts):
            self.page, self.offset, self._accounts = self.page + 1, 0, None


@dataclass(frozen=True, slots=True, kw_only=True)
class _AccountAtClose:
    """Account with its state at both closes. A state is None if there is no such account, or if it cannot be read.

    `is_read`: a document of the account was found now.
    """

    uid: Uid
    before: DayAccount | None
    now: DayAccount | None
    is_read: bool = False


@dataclass(frozen=True, slots=True)
class _PageOfClose:
    """Accounts of a page, and the path of the last account that was read. `is_last`: no others follow."""

    found: list[_AccountAtClose]
    after: str
    is_last: bool = False


class DayClose:
    """The periodic close of days."""

    def __init__(
        self,
        documents: Documents,
        days: DayStore,
        seals: AccountSeals,
        watch: LedgerWatch,
        alerts: Alerts,
        clock: Clock,
        fold: int = FOLD_VERSION,
    ) -> None:
        self._documents = documents
        self._days = days
        self._seals = seals
        self._watch = watch
        self._alerts = alerts
        self._clock = clock
        self._fold = fold

    def close(self, run: JobRun) -> None:
        """Close the last day that has ended, unless it is closed. Continues a close that was not finished.

        The run's cursor is the last closed day, so that a run without work reads nothing.
        """
        day = self._ended_day()
        if run.cursor >= day:
            return
        try:
            state = self._days.state()
            if state.progress is None and state.last < day:
                state = replace(state, progress=CloseProgress(day=day))
            if state.progress is None:
                run.cursor = state.last
            elif (closed := self._go_on(run, state)) is not None:
                run.cursor = closed
        except DayBroken as error:
            self._alerts.alert("closed_day_broken", detail=str(error))

    def _ended_day(self) -> str:
        return to_datetime(Millis(self._clock.now() - GRACE - DAY)).date().isoformat()

    def _go_on(self, run: JobRun, state: DaysState) -> str | None:
        """Read and compare pages until all accounts are read. Return the closed day, None if the run is over first."""
        progress = state.progress
        assert progress is not None, "a close is under way"
        closed = self._days.closed(state.last) if state.last else None
        known = KnownAccounts(self._days, closed, progress.known_page, progress.known_offset)
        is_same_fold = closed is not None and closed.record.fold == self._fold
        while not run.is_over():
            page = self._next_page(progress.after, known)
            progress = replace(progress, after=page.after, known_page=known.page, known_offset=known.offset)
            state, writes = self._days.progress_writes(
                state, progress, self._leaves(page, is_same_fold=is_same_fold), self._clock.now()
            )
            state, progress = self._stored(state, writes), state.progress or progress
            run.done += len(page.found)
            if page.is_last:
                return self._finish(state)
        return None

    def _next_page(self, after: str, known: KnownAccounts) -> _PageOfClose:
        """Read the accounts behind the path `after`, and those of the close before that stand between them."""
        found: list[_AccountAtClose] = []
        while len(found) < PAGE_ACCOUNTS:
            limit = min(READ_AT_ONCE, PAGE_ACCOUNTS - len(found))
            documents = self._documents.query(
                Query(collection="sealed", group=True, limit=limit, after=(after,) if after else None)
            )
            for document in documents:
                uid = uid_of(document.path)
                found += _missing(known, uid, PAGE_ACCOUNTS - len(found))
                if len(found) == PAGE_ACCOUNTS:
                    return _PageOfClose(found, after)
                after = document.path
                if document.path == state_path(uid):
                    found += self._found(document, uid, known)
            if len(documents) < limit:
                found += _missing(known, None, PAGE_ACCOUNTS - len(found))
                return _PageOfClose(found, after, is_last=known.next() is None)
        return _PageOfClose(found, after)

    def _found(self, document: Document, uid: Uid, known: KnownAccounts) -> list[_AccountAtClose]:
        """Return the account of a sealed document, beside its state at the close before. Empty without any state."""
        before = known.next()
        if before is not None and before.uid == uid:
            known.move_on()
        else:
            before = None
        now = self._read(document, uid)
        return [_AccountAtClose(uid=uid, before=before, now=now, is_read=True)] if before or now else []

    def _read(self, document: Document, uid: Uid) -> DayAccount | None:
        """Return the account in a sealed document. None, with an alert, if the document is not the ledger's."""
        try:
            account = self._seals.account(uid, document.data)
            return account_of(account, str(document.data["state"]))
        except IntegrityFailed as failure:
            self._watch.found(uid, 0, str(failure.params["rule"]))
        except UnknownKey as error:
            log_error("account_not_closed", error, uid=uid, code=error.code)
        except Exception as error:  # noqa: BLE001  # one account must not hold up the close of all others
            log_error("account_not_closed", error, uid=uid, code="unreadable")
        return None

    def _leaves(self, page: _PageOfClose, *, is_same_fold: bool) -> list[DayAccount]:
        """Compare the accounts of a page with the close before, and return their leaves.

        An account that breaks a law keeps the leaf of the close before, so that each close finds it again.
        """
        compared = [(each, _compared(each, is_same_fold=is_same_fold)) for each in page.found]
        moved = [each.before for each, changes in compared if changes.is_moved and each.before is not None]
        rewritten = self._rewritten(moved)
        return [self._leaf(each, "rewritten" if each.uid in rewritten else changes.rule) for each, changes in compared]

    def _leaf(self, each: _AccountAtClose, rule: str) -> DayAccount:
        if rule:
            self._watch.found(each.uid, 0 if each.before is None else each.before.seq, rule)
        leaf = each.before if rule or each.now is None else each.now
        assert leaf is not None, "an account that is found has a state"
        return leaf

    def _rewritten(self, moved: list[DayAccount]) -> set[Uid]:
        """Return the accounts whose last entry at the close before has another hash now, or is gone."""
        entries = self._documents.get_all([entry_path(each.uid, each.seq) for each in moved]) if moved else []
        is_entry = self._watch.redactions.is_entry
        pairs = zip(moved, entries, strict=True)
        return {each.uid for each, entry in pairs if not is_entry(each.uid, each.seq, entry, each.head)}

    def _stored(self, state: DaysState, writes: list[Write]) -> DaysState:
        return replace(state, version=self._documents.commit(writes)[0])

    def _finish(self, state: DaysState) -> str:
        record, writes = self._days.closing_writes(state, self._fold, self._clock.now())
        self._documents.commit(writes)
        if record.books.differences:
            self._alerts.alert("books_differ", day=record.day, sums=", ".join(record.books.differences))
        totals = record.totals
        log("day_closed", day=record.day, accounts=totals.accounts, posted=totals.posted, debt=totals.debt)
        return record.day


def _missing(known: KnownAccounts, until: Uid | None, room: int) -> list[_AccountAtClose]:
    """Return at most `room` accounts of the close before that stand before `until` and were not found now."""
    missing: list[_AccountAtClose] = []
    while len(missing) < room and (each := known.next()) is not None and (until is None or each.uid < until):
        missing.append(_AccountAtClose(uid=each.uid, before=each, now=None))
        known.move_on()
    return missing


def _compared(each: _AccountAtClose, *, is_same_fold: bool) -> Changes:
    """Compare the states of an account. An account that was found and cannot be read has been reported already."""
    if each.now is None and each.is_read:
        return Changes()
    return changes_since(each.before, each.now, is_same_fold=is_same_fold)
