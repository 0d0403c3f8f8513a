"""One turn of an account's audit: a part of the older entries, the new entries, and the documents beside them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.kernel.canonical import parse_canonical
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Documents, Version
from shared.kernel.ids import HoldId
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account import Hold
from shared.ledger.account_documents import StoredAccount
from shared.ledger.analytics import RULE
from shared.ledger.archive_store import Archives
from shared.ledger.archives import RULE as ARCHIVE
from shared.ledger.audit_followers import FollowerAudit, Followers
from shared.ledger.audit_past import NAME_BYTES, AuditPast
from shared.ledger.audit_position import AuditPosition, AuditPositions
from shared.ledger.audit_records import RecordAudit
from shared.ledger.audit_usage import UsageAudit
from shared.ledger.entry_index import first_indexed
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.export import account_record, entry_pages, uncounted_entries
from shared.ledger.findings import Finding, Findings
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.key_ring import KeyRing
from shared.ledger.past import MemoryPast
from shared.ledger.record_seals import RecordSeals
from shared.ledger.redaction_store import Redactions
from shared.ledger.redactions import RULE as REDACTION
from shared.ledger.redactions import usage_body
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry

SAMPLE_TURNS = 30
"""Complete turns within which each older entry is verified again."""
NO_HOLDS: Mapping[HoldId, Hold] = {}
RECORD_ROUNDS = 5
"""Rounds of samples within which the records of each older entry are compared again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSizes:
    """Sizes of the parts of a turn, in entries.

    `page` is read at once and followed by a stored position. `sample_min` is the fewest older entries that are verified
    again, if there are as many. `names_at_once` is the number of new names that are compared with all older names.
    `records` is the fewest of the sampled entries, and the number of archived lots, whose records are compared.
    """

    page: int = 500
    sample_min: int = 500
    names_at_once: int = 100_000
    records: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTurn:
    """Outcome of one turn: the broken laws, and whether the turn came to the end of the journal."""

    findings: tuple[Finding, ...] = ()
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditParts:
    """Parts that all turns share."""

    documents: Documents
    store: AccountStore
    positions: AuditPositions
    keys: KeyRing
    records: RecordSeals
    redactions: Redactions
    archives: Archives
    sizes: AuditSizes


class AccountTurn:
    """One turn of an account's audit, from `position` on. `version` is the version of the stored position.

    `seen` is a number of entries that the account had before. Findings about records beside the journal do not stop
    the audit of the journal, so that the position moves on.
    """

    def __init__(self, parts: AuditParts, position: AuditPosition, version: Version | None, seen: int) -> None:
        self._parts = parts
        self._store = parts.store
        self._position = position
        self._version = version
        self._seen = seen
        self._last_unindexed = 0
        self._uid = position.account.uid
        names, lots, days = (
            parts.positions.pages(self._uid, kind, marks)
            for kind, marks in (("names", position.names), ("lots", position.lots), ("days", position.days))
        )
        self._past = AuditPast(names, lots, position.salt)
        self._usage = UsageAudit(position.usage, days)
        self._journal = JournalAudit.behind(position.account, self._past, parts.keys)
        self._beside = Findings(uid=self._uid)
        self._records = RecordAudit(parts.documents, parts.records, self._uid, self._beside)

    def run(self, deadline: Deadline) -> AuditTurn:
        """Verify a part of the older entries, the new entries, and the account's documents. Raises PositionUnusable."""
        before = self._position
        self._sample(deadline.or_within(deadline.seconds_left() / 2))
        stored = self._store.stored(self._uid)
        is_at_end = self._has_no_finding and self._follow(stored, deadline)
        self._check_indexed(stored)
        if is_at_end:
            self._compare_names()
            self._finish(stored)
            self._check_beside(stored, deadline)
        if self._has_no_finding and self._position != before:
            self._keep()
        found = (*self._journal.findings.items, *self._beside.items)
        return AuditTurn(findings=found, is_complete=is_at_end)

    @property
    def _has_no_finding(self) -> bool:
        return not self._journal.findings.items

    # ── older entries ────────────────────────────────────────────────────────────────────────────────────────────────

    def _sample(self, deadline: Deadline) -> None:
        """Verify the next part of the older entries again, each by its own words and its link."""
        audited, done = self._position.account, self._position.sampled
        if audited.seq == 0:
            return
        size = max(self._parts.sizes.sample_min, -(-audited.seq // SAMPLE_TURNS))
        last, keys = min(audited.seq, done + size), self._parts.keys
        sample = JournalAudit.unfolded(audited.ledger, self._uid, MemoryPast(), keys, done, self._hash_of(done))
        for page in self._pages(done + 1, last):
            _follow_all(sample, page)
            if deadline.is_over():
                break
            self._check_records(page, deadline, chosen=self._compared(page, last - done))
        if sample.seq < last and not deadline.is_over():
            sample.findings.report(sample.seq + 1, "sequence", f"entry {sample.seq + 1} is missing")
        if sample.seq == audited.seq and sample.head != audited.head:
            sample.findings.report(audited.seq, "link", "the entry is another than the audit has seen")
        self._take_sample(sample)

    def _pages(self, first: int, last: int) -> Iterator[list[StoredEntry]]:
        """Yield the entries in pages, and note the last of them that lacks its index fields.

        Of an entry without a body, the log must name the snapshot; of an entry in the bucket, the archive.
        """
        redactions = self._parts.redactions
        for page in entry_pages(self._store, self._uid, first, last, self._parts.sizes.page):
            self._last_unindexed = max((each.seq for each in page if not each.is_indexed), default=self._last_unindexed)
            opened = redactions.opened(self._uid, page)
            for entry in opened:
                problem = None if entry.redaction is None else redactions.problem(self._uid, entry)
                if problem is not None:
                    self._journal.findings.report(max(entry.seq, 0), REDACTION, problem)
            self._check_archived(opened)
            yield opened

    def _check_archived(self, page: Sequence[StoredEntry]) -> None:
        """Report entries that come from the bucket unless an archive that the log names has them."""
        last = max((each.seq for each in page if each.is_archived), default=0)
        problem = self._parts.archives.entry_problem(self._uid, last) if last else None
        if problem is not None:
            self._journal.findings.report(last, ARCHIVE, problem)

    def _check_indexed(self, stored: StoredAccount) -> None:
        """Report an entry without index fields if the account says that the entry has them."""
        first = None if stored.state is None else first_indexed(stored.state.data.get("nonce"))
        if first is not None and self._last_unindexed >= first:
            self._beside.report(self._last_unindexed, "format", "the document lacks fields of its index")

    def _compared(self, page: Sequence[StoredEntry], sampled: int) -> frozenset[int]:
        """Return the older entries whose records are compared in this round. All are if the sample is small."""
        rounds = min(RECORD_ROUNDS, -(-sampled // self._parts.sizes.records))
        return frozenset(each.seq for each in page if each.seq % rounds == self._position.round % rounds)

    def _hash_of(self, seq: int) -> str:
        """Return the hash that the document of an older entry tells; empty if there is no such document."""
        entries = self._store.entries(self._uid, seq, seq) if seq > 0 else []
        return entries[0].hash if entries else ""

    def _take_sample(self, sample: JournalAudit) -> None:
        """Take over the findings, and remember where the next sample begins.

        A key that has left the ring is no finding by itself about an older entry: the entry's link is checked, and the
        signature was checked when the entry was new.
        """
        is_broken = any(each.rule != "unknown_key" for each in sample.findings.items)
        for each in sample.findings.items if is_broken else ():
            self._journal.findings.report(each.seq, each.rule, each.detail)
        position, audited = self._position, self._position.account.seq
        is_round = sample.seq >= audited
        is_counted = is_round and audited > self._parts.sizes.records
        self._position = replace(
            position, sampled=0 if is_round else sample.seq, round=(position.round + is_counted) % RECORD_ROUNDS
        )

    # ── new entries ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, stored: StoredAccount, deadline: Deadline) -> bool:
        """Verify the new entries page by page, and return True at the end of the journal."""
        last = seq_in(stored.plain)
        if last < self._seen:
            detail = f"the account had {self._seen} entries and counts {last}"
            self._journal.findings.report(last + 1, "sequence", detail)
            return False
        for page in self._pages(self._journal.seq + 1, last):
            _follow_all(self._journal, page)
            if not self._has_no_finding:
                return False
            ended = self._past.take_ended()
            if not deadline.is_over():
                self._check_records(page, deadline, ended, frozenset(each.seq for each in page))
            self._move_on(page)
            if self._journal.seq < last:
                self._keep()
                if deadline.is_over():
                    return False
        _follow_all(self._journal, uncounted_entries(self._store, self._uid, last))
        return True

    def _move_on(self, page: Sequence[StoredEntry]) -> None:
        """Move the position behind the last verified page, and compare names once there are many."""
        account = self._journal.account
        assert account is not None, "an entry that cannot be folded is a finding"
        self._past.settle()
        self._usage.follow(_bodies(page))
        names, lots = self._past.names, self._past.lots
        self._position = replace(
            self._position,
            account=account.account(),
            names=names.marks,
            lots=lots.marks,
            usage=self._usage.usage,
            days=self._usage.digests.marks,
        )
        if names.size - self._position.names_checked >= self._parts.sizes.names_at_once * NAME_BYTES:
            self._compare_names()

    def _keep(self) -> None:
        pages = (self._past.names, self._past.lots, self._usage.digests)
        self._version = self._parts.positions.store(self._uid, self._position, self._version, *pages)

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
        """Check the account's documents against the fold, unless the account has neither documents nor entries."""
        if stored.state is None:
            if self._journal.seq > 0:
                self._journal.findings.report(0, "account", "the account's documents are gone")
            return
        try:
            self._journal.finish(account_record(stored))
        except UNREADABLE as error:
            self._journal.findings.report(0, "format", f"{type(error).__name__}: {error}")

    # ── documents beside the journal ─────────────────────────────────────────────────────────────────────────────────

    def _check_records(
        self,
        page: Sequence[StoredEntry],
        deadline: Deadline,
        ended: Mapping[HoldId, Hold] = NO_HOLDS,
        chosen: frozenset[int] = frozenset(),
    ) -> None:
        """Compare the records of the chosen entries' operations, and the holds that these entries ended."""
        try:
            self._records.check_entries(_bodies(page), ended, deadline.clock.now(), chosen)
        except UNREADABLE as error:
            self._beside.report(page[0].seq, "format", f"{type(error).__name__}: {error}")

    def _check_beside(self, stored: StoredAccount, deadline: Deadline) -> None:
        """Check archived lots, the marker, the relay's position and the usage, at the end of the journal, in time."""
        if not self._has_no_finding or deadline.is_over():
            return
        self._check_lots(stored)
        account, now = self._position.account, deadline.clock.now()
        followers = FollowerAudit(self._parts.documents, self._store, account, now)
        try:
            read = followers.read()
            if list(followers.broken(read)):
                read = followers.read()
            for each in followers.broken(read):
                self._beside.report(each.seq, each.rule, each.detail)
            self._check_usage(followers, read)
        except IntegrityFailed as failure:
            self._beside.report(0, str(failure.params["rule"]), failure.detail)
        except SchemaUnknown as error:
            self._beside.report(0, error.code, error.detail)

    def _check_lots(self, stored: StoredAccount) -> None:
        """Compare the lots that left the state in this turn, and some of those that left before.

        A lot of an account that was changed meanwhile may have changed as well, so that a difference proves nothing.
        """
        names, sampled = self._past.lots_to_compare(self._position.lots_sampled, self._parts.sizes.records)
        state = self._position.account.lots
        found = Findings(uid=self._uid)
        lots = [lot for lot in map(self._past.lot, names) if lot is not None and lot.id not in state]
        RecordAudit(self._parts.documents, self._parts.records, self._uid, found).check_lots(lots)
        if found.items and self._store.stored(self._uid).version == stored.version:
            for each in found.items:
                self._beside.report(each.seq, each.rule, each.detail)
        self._position = replace(self._position, lots_sampled=sampled)

    def _check_usage(self, followers: FollowerAudit, read: Followers) -> None:
        """Compare days of usage. A day may have changed meanwhile if the position of the usage has."""
        differing, sampled = self._usage.differing(
            self._parts.documents, self._uid, read.position, self._position.days_sampled
        )
        if differing and followers.read().position.version == read.position.version:
            for date in differing:
                self._beside.report(0, RULE, f"the usage of {date} is another than the journal says")
        self._position = replace(self._position, days_sampled=sampled)


def _follow_all(journal: JournalAudit, entries: Sequence[StoredEntry]) -> None:
    for entry in entries:
        try:
            journal.follow(entry)
        except UNREADABLE as error:
            journal.findings.report(max(entry.seq, 0), "format", f"{type(error).__name__}: {error}")


def _bodies(entries: Sequence[StoredEntry]) -> list[Mapping[str, Any]]:
    """Return the parsed bodies of the entries that have one."""
    bodies: list[Mapping[str, Any]] = []
    for entry in entries:
        try:
            body: Any = parse_canonical(entry.body)
        except UNREADABLE:
            continue
        if isinstance(body, Mapping) and body.get("seq") == entry.seq:
            bodies.append(usage_body(body, entry.redaction))
    return bodies


def seq_in(data: Mapping[str, Any]) -> int:
    """Return the number of entries that a document tells; 0 if the document tells none."""
    seq = data.get("seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) else 0
