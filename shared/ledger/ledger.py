"""The ledger's interface for all other packages: balances, operations on accounts, holds, history, export."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document, Documents, PreconditionFailed, Version, Write
from shared.kernel.due import DuePlace
from shared.kernel.events import Alerts
from shared.kernel.ids import HoldId, LotId, OperationId, Uid, random_token
from shared.kernel.money import Micro
from shared.kernel.tracing import in_this_work
from shared.ledger.account import Account, Budget, Hold
from shared.ledger.archives import ARCHIVED
from shared.ledger.charge_room import ChargeRoom, charge_room
from shared.ledger.commands import (
    AccountCommand,
    BudgetClaim,
    CallBound,
    Command,
    Expire,
    PlaceHold,
    RateLimit,
    RecordLifetime,
    Tags,
)
from shared.ledger.committer import Committer
from shared.ledger.decide import settled
from shared.ledger.document_paths import SEQ_MAX, entry_path
from shared.ledger.entries import POSTED_KINDS
from shared.ledger.errors import HoldNotFound, IntegrityFailed
from shared.ledger.fold import live_budgets
from shared.ledger.history import EntryFilter, EntryHistory
from shared.ledger.hold_names import hold_id
from shared.ledger.holding import Holding, Outcome
from shared.ledger.key_ring import KeyRing
from shared.ledger.lanes import CommandAnswer, ExtraWrites
from shared.ledger.links import EntryChecks, entry_rule, sound_entries
from shared.ledger.receipts import AccountTotals, Receipt
from shared.ledger.redactions import usage_body
from shared.ledger.rest import RestNotRead
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry, stored_entry
from shared.ledger.views import Balance, EntryView, HistoryPage, HoldView, OpenHolds, balance_of, entry_view, hold_view

if TYPE_CHECKING:
    from shared.ledger.account_audit import AuditTurn
    from shared.ledger.archive_store import Archives
    from shared.ledger.findings import Finding
    from shared.ledger.log.proof_receipts import ProofReceipt
    from shared.ledger.redacting import EntryRedactor
    from shared.ledger.redaction_store import Redactions

T = TypeVar("T")
R = TypeVar("R", bound=Receipt)


class Ledger:
    """Credits of all users. Safe to share between threads and instances. Amounts are µcr."""

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        keys: KeyRing,
        *,
        ledger_id: str,
        hold_lifetime_seconds: int,
        rate: RateLimit | None = None,
        alerts: Alerts | None = None,
        spawn: Callable[..., None] | None = None,
    ) -> None:
        """Make a ledger. `rate` limits spending calls per user; None: no limit. `spawn` starts a background thread."""
        self._documents = documents
        self._store = AccountStore(documents, keys, ledger_id)
        self._checks = EntryChecks(verifier=keys, ledger=ledger_id)
        self._history = EntryHistory(self._store, self._checks)
        self._committer = Committer(self._store, clock)
        self._clock = clock
        self._keys = keys
        self._ledger_id = ledger_id
        self._hold_lifetime = hold_lifetime_seconds * SECOND
        self._rate = rate
        self._alerts = alerts
        self._spawn = spawn or _in_thread

    def open(self, uid: Uid) -> None:
        """Open the account unless open. The account's document exists afterwards."""
        try:
            self._store.create(uid, random_token(), self._clock.now())
        except PreconditionFailed:
            return

    def execute(self, uid: Uid, command: AccountCommand[R], extra_writes: ExtraWrites[R] | None = None) -> Outcome[R]:
        """Execute `command` exactly once for its operation, and return the receipt.

        Raises the errors of `Committer.execute`.
        """
        return self._outcome(self._watched(lambda: self._committer.execute(uid, command, extra_writes)))

    def execute_together(self, uid: Uid, commands: Sequence[Command], writes: Sequence[Write]) -> Mapping[str, Version]:
        """Execute the commands and the caller's own writes in one commit, or none of them.

        The commands leave no record (`record` is `none`), so one of the writes must be a Create that is refused for
        ever after. Return the versions of the written documents, by path; empty if the outcome was unclear at first and
        then found in the journal. Raises PreconditionFailed, with nothing done, if one of the writes is refused, and
        the errors of `Committer.execute`.
        """
        first, *beside = commands
        answer: CommandAnswer[Receipt] = self._watched(
            lambda: self._committer.execute(uid, first, lambda _: writes, beside)
        )
        return answer.versions

    def execute_all(self, uid: Uid, commands: Sequence[Command]) -> list[Outcome[Receipt]]:
        """Execute each command exactly once, in one commit if possible, and return the outcomes in the order of the
        commands.

        A refused command does not stop the others. Raises the first refusal after all commands were tried.
        """
        return [self._outcome(each) for each in self._watched(lambda: self._committer.execute_all(uid, commands))]

    def _outcome(self, answer: CommandAnswer[R]) -> Outcome[R]:
        """Return the answer with the balance recorded in its receipt, the same at every replay."""
        balance = _balance(answer.receipt.after, self._clock)
        return Outcome(receipt=answer.receipt, is_replay=answer.is_replay, balance=balance)

    def _watched(self, work: Callable[[], T]) -> T:
        """Run `work`, and raise an alert if an account fails its integrity check."""
        try:
            return work()
        except IntegrityFailed as failure:
            self._alarm(failure)
            raise

    def balance(self, uid: Uid) -> Balance:
        """Return the balance after all due lots and holds have expired. Zero for an account that is not open."""
        return balance_of(self._watched(lambda: self._settled(uid)))

    def shown_status(self, uid: Uid) -> str | None:
        """Return `open`, `frozen` or `closed` as the account's owner sees the status; None without an account.

        One read, and not verified: for a refusal ahead of time, never instead of a command.
        """
        return self._store.shown_status(uid)

    @property
    def rate(self) -> RateLimit | None:
        """Limit of a user's spending calls; None: no limit."""
        return self._rate

    def charge_room(self, uid: Uid, claims: tuple[BudgetClaim, ...], *, principal: str) -> ChargeRoom:
        """Return the room for a charge that follows a call, from the state that this instance knows.

        `principal` is empty for the user. The state may be a few seconds old.
        """
        now = self._clock.now()
        account = self._watched(lambda: self._known_settled(uid, now))
        return charge_room(account, claims, principal=principal or uid, rate=self._rate, now=now)

    def budgets(self, uid: Uid) -> Mapping[str, Budget]:
        """Return the caps that are in force now, by id; amounts in µcr."""
        account = self._watched(lambda: self._settled(uid))
        return live_budgets(account.budgets, account.holds, self._clock.now())

    def holding(  # noqa: PLR0913  # a hold says what it is for
        self,
        uid: Uid,
        amount: Micro,
        *,
        operation: OperationId,
        purpose: str = "chat",
        expected_step: Micro,
        principal: str = "",
        call: CallBound | None = None,
        budgets: tuple[BudgetClaim, ...] = (),
        tags: Tags = (),
        about: Tags = (),
        record: RecordLifetime = "kept",
    ) -> Holding:
        """Place a hold of `amount` (µcr) that grows by at least `expected_step` (µcr) at a time, and return the
        holding.

        Use the result in a `with` block. With `call`, more is held if the call's bound does not fit the free credits;
        see `shared.ledger.exposure`. If nobody can place this hold again, `record` is `none`: then the records of the
        hold's later operations are passing. Counts against the rate limit. Raises InsufficientCredits, BudgetExceeded,
        RateLimited, AccountFrozen, …
        """
        command = PlaceHold(
            operation=operation,
            amount=amount,
            hold=hold_id(operation),
            purpose=purpose,
            lifetime=self._hold_lifetime,
            principal=principal or uid,
            call=call,
            budgets=budgets,
            rate=self._rate,
            tags=tags,
            about=about,
            record=record,
        )
        return Holding(self, self._clock, uid, command, step=expected_step, spawn=self._spawn)

    def hold(self, uid: Uid, name: HoldId) -> HoldView:
        """Return an open or resolved hold. Raises HoldNotFound."""
        hold = self._watched(lambda: self._hold(uid, name))
        if hold.status == "active" and hold.expires_at <= self._clock.now():
            self.expire_due(uid)
            hold = self._watched(lambda: self._hold(uid, name))
        return hold_view(hold)

    def open_holds(self, uid: Uid) -> OpenHolds:
        """Return the holds whose time is not up, and the seq of the account's last entry."""
        account, now = self._watched(lambda: self._account(uid)), self._clock.now()
        open_ = [hold for hold in account.holds.values() if hold.expires_at > now]
        return OpenHolds(seq=account.seq, holds=tuple(map(hold_view, open_)))

    def is_done(self, uid: Uid, operation: OperationId) -> bool:
        """Return True if this operation was executed."""
        return self._store.is_done(uid, operation)

    def history(
        self,
        uid: Uid,
        *,
        before: int | None,
        limit: int,
        kinds: frozenset[str] | None = None,
        wanted: EntryFilter | None = None,
    ) -> HistoryPage:
        """Return entries below seq `before`, newest first.

        `wanted` selects the entries. Without `wanted`, `kinds` selects the entries. Without both, the entries are
        limited to kinds that move posted credits. One call reads a bounded number of entries. So a page may be short or
        empty and still have a `before` to continue from.
        """
        asked = wanted or EntryFilter(kinds=POSTED_KINDS if kinds is None else kinds)
        return self._watched(lambda: self._history.page(self._store.read(uid).head, asked, before=before, limit=limit))

    def entry(self, uid: Uid, seq: int) -> EntryView:
        """Return one entry of any kind. Raises EntryNotFound."""
        return self._watched(lambda: self._history.entry(self._account(uid), seq))

    def has_entry(self, uid: Uid, seq: int) -> bool:
        """Return True if the database has the document of this entry, sound by itself. Raises UnknownKey."""
        found = self._documents.get(entry_path(uid, seq)) if 1 <= seq <= SEQ_MAX else None
        if found is None or found.version is ARCHIVED:
            return False
        entry = stored_entry(found)
        is_whole = entry.redaction is None and entry.schema >= 0
        return is_whole and entry_rule([entry], self._keys, ledger=self._ledger_id, uid=uid, seq=seq) is None

    def entries(self, uid: Uid, first: int, last: int) -> list[EntryView]:
        """Return the entries `first` to `last` as they are stored, oldest first."""
        return [entry_view(entry) for entry in self._store.entries(uid, first, last)]

    def bodies(self, uid: Uid, first: int, last: int) -> list[Mapping[str, Any]]:
        """Return the parsed bodies of the entries `first` to `last`, oldest first, for folds of the journal.

        Raises IntegrityFailed for an entry that the ledger did not write at this place; UnknownKey.
        """
        entries = self._store.entries(uid, first, last)
        bodies = self._checks.bodies(uid, first, entries)
        if all(entry.redaction is None for entry in entries):
            return bodies
        opened = self.redactions.opened(uid, entries)
        return [usage_body(body, entry.redaction) for body, entry in zip(bodies, opened, strict=True)]

    def export(self, uid: Uid) -> Iterator[str]:
        """Return the account as one self-contained NDJSON, line by line, with all that an offline verifier needs."""
        from shared.ledger.export import export_lines

        return export_lines(self._documents, self._keys, self._ledger_id, uid)

    def receipt(self, uid: Uid, seq: int) -> "ProofReceipt":
        """Return one entry with the proof that the log holds the entry; see `EntryProofs.receipt`."""
        from shared.ledger.log.entry_proofs import EntryProofs

        return self._watched(lambda: EntryProofs(self._documents, self._keys, self._ledger_id).receipt(uid, seq))

    @property
    def redactions(self) -> "Redactions":
        """Reader of the entries whose bodies were deleted."""
        from shared.ledger.redaction_store import Redactions

        return Redactions(self._documents, self._keys, self._ledger_id)

    @property
    def archives(self) -> "Archives":
        """Reader of the archives of journals."""
        from shared.ledger.archive_store import Archives

        return Archives(self._documents, self._keys, self._ledger_id)

    @property
    def redactor(self) -> "EntryRedactor":
        """Deleter of entries' bodies."""
        from shared.ledger.redacting import EntryRedactor

        return EntryRedactor(self._documents, self._keys, self._ledger_id, self._clock)

    def keys(self) -> list[Mapping[str, Any]]:
        """Return the public keys of the signatures of entries and seals."""
        return [key.to_json() for key in self._keys.registry]

    def verify(self, uid: Uid) -> "list[Finding]":
        """Audit one account from its first entry, and return every law that its documents break.

        Empty if none is broken.
        """
        from shared.ledger.verify.exports import verify_account

        return verify_account(self.export(uid), self._keys, now=self._clock.now(), uid=uid)

    def audit(self, uid: Uid, deadline: Deadline) -> "AuditTurn":
        """Audit one account from its last position on, until the deadline; see `AccountAudits.audit`."""
        from shared.ledger.account_audit import AccountAudits

        return AccountAudits(self._documents, self._keys, self._ledger_id, self._alerts).audit(uid, deadline)

    def sound_entries(self, uid: Uid, first: int, last: int, *, least: int, before: str) -> list[StoredEntry]:
        """Return the stored entries `first` to `last` for a relay, verified; see `shared.ledger.links`."""
        entries = sound_entries(
            self._store,
            self._keys,
            ledger=self._ledger_id,
            uid=uid,
            first=first,
            last=last,
            least=least,
            before=before,
        )
        return entries if all(each.redaction is None for each in entries) else self.redactions.opened(uid, entries)

    def check_links(self, uid: Uid, entries: Sequence[StoredEntry], first: int, before: str) -> None:
        """Raise IntegrityFailed for the first of these new entries that breaks a law; see `shared.ledger.links`."""
        from shared.ledger.links import check_links

        check_links(entries, self._keys, ledger=self._ledger_id, uid=uid, first=first, before=before)

    def expire_due(self, uid: Uid) -> None:
        """Expire all due holds and lots."""
        self.execute(uid, Expire())

    def covered(self, uid: Uid, lots: Sequence[LotId]) -> Mapping[LotId, int]:
        """Return the amount of each lot that its user did not gain: forfeited, taken back or owed, in µcr.

        Archived lots are included. Unknown lots are missing in the answer.
        """
        account = self._watched(lambda: self._account(uid))
        known = {**self._store.archived_lots(uid, lots), **account.lots}
        return {lot: known[lot].granted - known[lot].spent + known[lot].owed for lot in lots if lot in known}

    def due(self, limit: int, after: DuePlace | None = None, *, is_old: bool = False) -> list[Document]:
        """Return documents of accounts for which `expire_due` has work, behind `after`; see `LedgerStore.due`."""
        return self._store.due(self._clock.now(), limit, after, is_old=is_old)

    def move(self, uid: Uid) -> None:
        """Store an account of the old form in the present form, with the same state. Raises the errors of `balance`."""
        self._watched(lambda: self._store.move(uid))

    def _settled(self, uid: Uid) -> Account:
        """Return the account after all due lots and holds have expired.

        Lots of the rest that are due stand outside the state, so their expiry is committed first.
        """
        now = self._clock.now()
        try:
            return settled(self._account(uid), now)
        except RestNotRead:
            self.expire_due(uid)
        return settled(self._account(uid), now)

    def _known_settled(self, uid: Uid, now: Millis) -> Account:
        """Return the account as this instance knows the account, after all due lots and holds have expired."""
        try:
            return settled(self._committer.known_account(uid), now)
        except RestNotRead:
            self.expire_due(uid)
        return settled(self._committer.known_account(uid), now)

    def _account(self, uid: Uid) -> Account:
        return self._store.read(uid).head.account

    def _hold(self, uid: Uid, name: HoldId) -> Hold:
        hold = self._account(uid).holds.get(name) or self._store.archived_hold(uid, name)
        if hold is None:
            raise HoldNotFound
        return hold

    def _alarm(self, failure: IntegrityFailed) -> None:
        if self._alerts is not None:
            self._alerts.alert("integrity_failed", **failure.params)


def _balance(totals: AccountTotals, clock: Clock) -> Balance:
    return Balance(
        available=totals.available,
        held=totals.held,
        debt=totals.debt,
        status=totals.status,
        seq=totals.seq,
        updated_at=clock.now(),
    )


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=in_this_work(work), daemon=True).start()
