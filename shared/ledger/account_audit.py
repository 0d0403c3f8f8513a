"""Audit of one account in turns: new entries from the last position on, and a part of the older entries again.

The position is stored after every page, so that a killed audit continues there. Older entries are verified again by
their signatures and links, each at least once in `SAMPLE_TURNS` complete turns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, OutcomeUnknown, PreconditionFailed, StoreUnavailable, Version
from shared.kernel.events import Alerts, log, log_error
from shared.kernel.ids import Uid
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account_documents import StoredAccount
from shared.ledger.audit_pages import PositionUnusable
from shared.ledger.audit_past import NAME_BYTES, AuditPast
from shared.ledger.audit_position import AuditPosition, AuditPositions
from shared.ledger.errors import UNREADABLE, IntegrityFailed, UnknownKey
from shared.ledger.export import account_record, entry_pages, uncounted_entries
from shared.ledger.findings import Finding
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.key_ring import KeyRing
from shared.ledger.markers import marker_path
from shared.ledger.past import MemoryPast
from shared.ledger.positions import position_path
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry

SAMPLE_TURNS = 30
"""Complete turns within which each older entry is verified again."""
FOLDED_RULES = frozenset({"postings", "balance_after", "state"})
"""Laws that depend on the stored fold. A finding of these alone is confirmed from the first entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSizes:
    """Sizes of the parts of a turn, in entries.

    `page` is read at once and followed by a stored position. `sample_min` is the fewest older entries that are verified
    again, if there are as many. `names_at_once` is the number of new names that are compared with all older names.
    """

    page: int = 500
    sample_min: int = 500
    names_at_once: int = 100_000


SIZES = AuditSizes()
UNREAD_RULES = frozenset({"unknown_key", "schema_unknown", "unreadable"})
"""Findings that say why an account could not be audited, and not that somebody changed the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTurn:
    """Outcome of one turn: the broken laws, and whether the turn came to the end of the journal."""

    findings: tuple[Finding, ...] = ()
    is_complete: bool = False


class AccountAudits:
    """Audits of all accounts. Safe to share between threads and instances: of two turns at once, one stores."""

    def __init__(
        self,
        documents: Documents,
        keys: KeyRing,
        ledger: str,
        alerts: Alerts | None = None,
        sizes: AuditSizes = SIZES,
    ) -> None:
        self._documents = documents
        self._alerts = alerts
        self._sizes = sizes
        self._keys = keys
        self._ledger = ledger
        self._store = AccountStore(documents, keys, ledger)
        self._positions = AuditPositions(documents, keys, ledger)

    def audit(self, uid: Uid, deadline: Deadline) -> AuditTurn:
        """Verify the account from its position on until the deadline, and at least one page. See `AuditTurn`.

        A position that cannot be used is left aside, and the audit begins at the first entry. The same holds after a
        finding that depends on the stored fold. Documents of a stranger end the audit with a finding, and no work
        depends on a stored number. Raises PreconditionFailed if another worker audits the account, and the errors of
        the store.
        """
        try:
            return self._audit(uid, deadline)
        except IntegrityFailed as failure:
            return _found(uid, int(failure.params["seq"]), str(failure.params["rule"]), failure.detail)
        except (SchemaUnknown, UnknownKey) as error:
            return _found(uid, 0, error.code, error.detail)
        except (PreconditionFailed, StoreUnavailable, OutcomeUnknown):
            raise
        except Exception as error:  # noqa: BLE001  # a document of a stranger must not end the audit of all accounts
            log_error("audit_failed", error, uid=uid)
            return _found(uid, 0, "unreadable", type(error).__name__)

    def _audit(self, uid: Uid, deadline: Deadline) -> AuditTurn:
        known = self._positions.read(uid)
        seen = max(known.position.account.seq, self._announced(uid))
        if known.refused:
            self._refused(uid, known.refused)
        try:
            turn = self._turn(known.position, known.version, seen).run(deadline)
        except PositionUnusable as error:
            self._refused(uid, error.reason)
            return self._from_the_start(uid, seen, deadline)
        is_confirmed = known.position.account.seq == 0 or {each.rule for each in turn.findings} - FOLDED_RULES
        if turn.findings and not is_confirmed:
            log("audit_begins_again", "WARNING", uid=uid, seq=turn.findings[0].seq, rule=turn.findings[0].rule)
            return self._from_the_start(uid, seen, deadline)
        return turn

    def _turn(self, position: AuditPosition, version: Version | None, seen: int) -> "_Turn":
        return _Turn(self._store, self._positions, self._keys, self._sizes, position, version, seen)

    def _announced(self, uid: Uid) -> int:
        """Return the number of entries that were announced or published: the account had as many once."""
        found = self._documents.get_all([marker_path(uid), position_path(uid)])
        marker, relay = ({} if each is None else each.data for each in found)
        published = relay.get("relay")
        return max(_seq_in(marker), _seq_in(published if isinstance(published, Mapping) else {}))

    def _refused(self, uid: Uid, reason: str) -> None:
        """Log that a position is not used, and tell operators if the ledger did not write the documents."""
        log("audit_position_refused", "WARNING", uid=uid, reason=reason)
        if self._alerts is not None and reason in {"forged", "damaged"}:
            self._alerts.alert("integrity_failed", uid=uid, seq=0, rule="audit_position")

    def _from_the_start(self, uid: Uid, seen: int, deadline: Deadline) -> AuditTurn:
        """Verify the account from the first entry on, in place of the stored position."""
        version, first = self._positions.read(uid).version, AuditPosition.first(self._ledger, uid)
        return self._turn(first, version, seen).run(deadline)


class _Turn:
    """One turn of an account's audit, from `position` on. `version` is the version of the stored position.

    `seen` is a number of entries that the account had before.
    """

    def __init__(
        self,
        store: AccountStore,
        positions: AuditPositions,
        keys: KeyRing,
        sizes: AuditSizes,
        position: AuditPosition,
        version: Version | None,
        seen: int,
    ) -> None:
        self._store = store
        self._positions = positions
        self._keys = keys
        self._sizes = sizes
        self._position = position
        self._version = version
        self._seen = seen
        self._uid: Uid = position.account.uid
        names = positions.pages(self._uid, "names", position.names)
        lots = positions.pages(self._uid, "lots", position.lots)
        self._past = AuditPast(names, lots, position.salt)
        self._journal = JournalAudit.behind(position.account, self._past, keys)

    def run(self, deadline: Deadline) -> AuditTurn:
        """Verify a part of the older entries, the new entries, and the account's documents. Raises PositionUnusable."""
        before = self._position
        self._sample(deadline.or_within(deadline.seconds_left() / 2))
        stored = self._store.stored(self._uid)
        is_at_end = self._has_no_finding and self._follow(stored, deadline)
        if is_at_end:
            self._compare_names()
            self._finish(stored)
        if self._has_no_finding and self._position != before:
            self._keep()
        return AuditTurn(findings=tuple(self._journal.findings.items), is_complete=is_at_end)

    @property
    def _has_no_finding(self) -> bool:
        return not self._journal.findings.items

    # ── older entries ────────────────────────────────────────────────────────────────────────────────────────────────

    def _sample(self, deadline: Deadline) -> None:
        """Verify the next part of the older entries again, each by its own words and its link."""
        audited, done = self._position.account, self._position.sampled
        if audited.seq == 0:
            return
        last = min(audited.seq, done + max(self._sizes.sample_min, -(-audited.seq // SAMPLE_TURNS)))
        sample = JournalAudit.unfolded(audited.ledger, self._uid, MemoryPast(), self._keys, done, self._hash_of(done))
        for page in self._pages(done + 1, last):
            _follow_all(sample, page)
            if deadline.is_over():
                break
        if sample.seq < last and not deadline.is_over():
            sample.findings.report(sample.seq + 1, "sequence", f"entry {sample.seq + 1} is missing")
        if sample.seq == audited.seq and sample.head != audited.head:
            sample.findings.report(audited.seq, "link", "the entry is another than the audit has seen")
        self._take_sample(sample)

    def _pages(self, first: int, last: int) -> Iterator[list[StoredEntry]]:
        return entry_pages(self._store, self._uid, first, last, self._sizes.page)

    def _hash_of(self, seq: int) -> str:
        """Return the hash that the document of an older entry tells; empty if there is no such document."""
        entries = self._store.entries(self._uid, seq, seq) if seq > 0 else []
        return entries[0].hash if entries else ""

    def _take_sample(self, sample: JournalAudit) -> None:
        """Take over the findings, and remember where the next sample begins.

        A key that has left the ring is no finding about an older entry: the entry's link is checked, and the signature
        was checked when the entry was new.
        """
        for each in sample.findings.items:
            if each.rule != "unknown_key":
                self._journal.findings.report(each.seq, each.rule, each.detail)
        sampled = 0 if sample.seq >= self._position.account.seq else sample.seq
        self._position = replace(self._position, sampled=sampled)

    # ── new entries ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, stored: StoredAccount, deadline: Deadline) -> bool:
        """Verify the new entries page by page, and return True at the end of the journal."""
        last = _seq_in(stored.plain)
        if last < self._seen:
            detail = f"the account had {self._seen} entries and counts {last}"
            self._journal.findings.report(0, "sequence", detail)
            return False
        for page in self._pages(self._journal.seq + 1, last):
            _follow_all(self._journal, page)
            if not self._has_no_finding:
                return False
            self._move_on()
            if self._journal.seq < last:
                self._keep()
                if deadline.is_over():
                    return False
        _follow_all(self._journal, uncounted_entries(self._store, self._uid, last))
        return True

    def _move_on(self) -> None:
        """Move the position behind the last verified page, and compare names once there are many."""
        account = self._journal.account
        assert account is not None, "an entry that cannot be folded is a finding"
        self._past.settle()
        names, lots = self._past.names, self._past.lots
        self._position = replace(self._position, account=account.account(), names=names.marks, lots=lots.marks)
        if names.size - self._position.names_checked >= self._sizes.names_at_once * NAME_BYTES:
            self._compare_names()

    def _keep(self) -> None:
        past = self._past
        self._version = self._positions.store(self._uid, self._position, self._version, past.names, past.lots)

    def _compare_names(self) -> None:
        """Report operations and holds of new entries whose names an earlier entry has."""
        position = self._position
        if self._past.names.size == position.names_checked:
            return
        twice = self._past.repeated(position.names_checked)
        if not twice:
            checked = self._past.names.size
            self._position = replace(position, names_checked=checked, seq_checked=position.account.seq)
            return
        for page in self._pages(position.seq_checked + 1, position.account.seq):
            for seq, name in self._past.entries_named(twice, page):
                self._journal.findings.report(seq, "operation", f"{name} has an effect twice")

    def _finish(self, stored: StoredAccount) -> None:
        """Check the account's documents against the fold, unless the account has none."""
        if stored.state is None:
            return
        try:
            self._journal.finish(account_record(stored))
        except UNREADABLE as error:
            self._journal.findings.report(0, "format", f"{type(error).__name__}: {error}")


def _found(uid: Uid, seq: int, rule: str, detail: str) -> AuditTurn:
    return AuditTurn(findings=(Finding(uid=uid, seq=max(seq, 0), rule=rule, detail=detail),))


def _follow_all(journal: JournalAudit, entries: Sequence[StoredEntry]) -> None:
    for entry in entries:
        try:
            journal.follow(entry)
        except UNREADABLE as error:
            journal.findings.report(max(entry.seq, 0), "format", f"{type(error).__name__}: {error}")


def _seq_in(data: Mapping[str, Any]) -> int:
    seq = data.get("seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) else 0
