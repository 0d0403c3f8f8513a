"""Verifier of exports of the log, pure: each account's entries up to one size of the log, and the leaves that they are.

The entries are folded as those of an account's export. Their leaves are told to the caller, who knows the leaves of the
whole file, and compares their root with that of the checkpoint; see `log_roots`.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.kernel.clock import Millis
from shared.kernel.ids import Uid
from shared.ledger.findings import Finding, Findings
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.keys import Verifier, from_base64
from shared.ledger.log.leaves import InvalidLeaf, entry_leaf, read_typed_leaf
from shared.ledger.log.merkle import HASH_BYTES, leaf_hash
from shared.ledger.past import MemoryPast
from shared.ledger.verify.grammar import (
    ENTRY_STARTS,
    RULE,
    EntryLine,
    HeaderLine,
    Line,
    NotGrammatical,
    parse_line,
    parse_unchecked_entry,
)
from shared.ledger.verify.log_lines import GapLine, LeafLine, LoggedLine, RunsLine
from shared.ledger.verify.redacted_entries import NamingLog, check_places, naming_log

LEAF_RULE = "leaf"
AddLeaf = Callable[[int, bytes], None]
"""Taker of a leaf: the index and the hash."""


@dataclass(slots=True)
class LeafRun:
    """Hashes of leaves that follow one another, from leaf `index` on."""

    index: int
    hashes: bytearray

    @property
    def end(self) -> int:
        """Index behind the last leaf."""
        return self.index + len(self.hashes) // HASH_BYTES


@dataclass(slots=True, eq=False, repr=False)
class LogExportAudit:
    """Audit of lines of an export of the log. It has the counters of `ExportAudit`.

    `leaves` are the leaves of the lines so far, until the caller takes them. `bare` counts those of which the file has
    the hash alone, `key_leaves` those that change the registry of keys.
    """

    verifier: Verifier
    now: Millis
    is_full: bool = True
    lines: int = 0
    entries: int = 0
    complete: int = 0
    redacted: int = 0
    refused: int = 0
    bare: int = 0
    key_leaves: int = 0
    finished: list[tuple[str, int]] = field(default_factory=list)
    leaves: list[LeafRun] = field(default_factory=list)
    _ledger: str = ""
    _log: NamingLog | None = None
    _is_fold_only: bool = False
    _account: "LoggedAccountAudit | None" = None
    _known: set[str] = field(default_factory=set)
    _found: list[Finding] = field(default_factory=list)
    _outside: Findings = field(default_factory=Findings)

    @property
    def findings(self) -> list[Finding]:
        """Broken laws in the lines so far."""
        of_account = [] if self._account is None else self._account.findings
        return [*self._outside.items, *self._found, *of_account]

    def go_on_behind(self, header: HeaderLine, first_line: int, *, is_fold_only: bool) -> None:
        """Go on with line `first_line`, which begins an account or the other leaves. The header was checked before."""
        self._ledger, self.lines, self._is_fold_only = header.ledger, first_line - 1, is_fold_only
        self._log = naming_log(header)

    def read(self, line: bytes) -> None:
        """Check the next line against the lines before."""
        self.lines += 1
        try:
            self._take((parse_unchecked_entry(line) if self._is_fold_only else None) or parse_line(line))
        except NotGrammatical as error:
            self._report_line(str(error), is_entry=line.startswith(ENTRY_STARTS))

    def close(self) -> None:
        """Check that the lines end behind an account or a leaf."""
        if self._account is not None:
            self._report_line("the account's last line is missing")
            self._leave_account()

    def _take(self, record: Line) -> None:
        """Follow a line. Raises NotGrammatical for a line that may not follow the lines before."""
        account = self._account
        if type(record) is EntryLine:
            if account is None:
                raise NotGrammatical("no places in the log stand before the entry")
            self.entries += 1
            account.follow(record)
            if record.redaction is not None:
                self.redacted += 1
                check_places(record, self._log, account.report)
        elif type(record) is RunsLine:
            self._take_runs(record)
        elif type(record) is LoggedLine:
            if account is None or account.uid != record.uid:
                raise NotGrammatical("the last line of an account stands behind no entry of the account")
            account.finish(record.last)
            self._leave_account()
        elif account is not None:
            raise NotGrammatical("the account before the line has no last line")
        else:
            self._take_leaf(record)

    def _take_runs(self, record: RunsLine) -> None:
        if self._account is None:
            if record.uid in self._known:
                raise NotGrammatical("the account stands twice")
            self._known.add(record.uid)
            self._account = LoggedAccountAudit(self._ledger, Uid(record.uid), self.verifier, self._add_leaf)
            self._account.set_mode(is_full=self.is_full, is_fold_only=self._is_fold_only)
        self._account.add_runs(record)

    def _take_leaf(self, record: Line) -> None:
        """Take a leaf of another kind, or leaves of which only the hash is left. Raises NotGrammatical."""
        if isinstance(record, LeafLine | GapLine) and record.index < 0:
            raise NotGrammatical("the index of a leaf is below zero")
        if isinstance(record, LeafLine):
            data = record.data.encode()
            try:
                self.key_leaves += read_typed_leaf(data)[0] == "key"
            except InvalidLeaf as error:
                self._outside.report(0, LEAF_RULE, f"line {self.lines}: {error}")
            self._add_leaf(record.index, leaf_hash(data))
        elif isinstance(record, GapLine):
            self.bare += len(record.hashes)
            for index, told in enumerate(record.hashes, record.index):
                self._add_leaf(index, from_base64(told))
        else:
            raise NotGrammatical("the line is no line of an export of the log")

    def _add_leaf(self, index: int, hash_: bytes) -> None:
        if self.leaves and self.leaves[-1].end == index:
            self.leaves[-1].hashes += hash_
        else:
            self.leaves.append(LeafRun(index, bytearray(hash_)))

    def _leave_account(self) -> None:
        if self._account is not None:
            self._found.extend(self._account.findings)
            self.finished.append((self._account.uid, self._account.seq))
        self._account = None

    def _report_line(self, problem: str, *, is_entry: bool = True) -> None:
        self.refused += 1
        detail = f"line {self.lines}: {problem}"
        if self._account is None:
            self._outside.report(0, RULE, detail)
        else:
            self._account.report_line(detail, is_entry=is_entry)


class LoggedAccountAudit:
    """Audit of one account's entries, and of their places in the log. `add` takes the leaf of each entry."""

    def __init__(self, ledger: str, uid: Uid, verifier: Verifier, add: AddLeaf) -> None:
        self._journal = JournalAudit.of(ledger, uid, MemoryPast(), verifier)
        self._add = add
        self._seqs, self._indexes = array("q"), array("q")
        self._at = 0

    @property
    def findings(self) -> list[Finding]:
        """Broken laws in the account's lines so far."""
        return self._journal.findings.items

    @property
    def uid(self) -> str:
        """User of the account."""
        return self._journal.uid

    @property
    def seq(self) -> int:
        """Number of the last entry."""
        return self._journal.seq

    def set_mode(self, *, is_full: bool, is_fold_only: bool) -> None:
        """Set which checks of each entry by itself are left out; see `JournalAudit`."""
        self._journal.are_signatures_checked = is_full
        self._journal.is_fold_only = is_fold_only

    def report(self, seq: int, rule: str, detail: str) -> None:
        """Report a finding about entry `seq`."""
        self._journal.findings.report(seq, rule, detail)

    def report_line(self, detail: str, *, is_entry: bool) -> None:
        """Report a line that is not grammatical: at the entry that was expected next, or at the account itself."""
        self._journal.findings.report(self.seq + 1 if is_entry else 0, RULE, detail)

    def add_runs(self, line: RunsLine) -> None:
        """Take places of entries, in order. Raises NotGrammatical if they do not begin at entry 1 or do not ascend."""
        if self.seq or line.uid != self.uid:
            raise NotGrammatical("places in the log stand behind entries, or behind those of another account")
        for seq, index in line.runs:
            is_first = not self._seqs
            is_next = seq == 1 and index >= 0 if is_first else seq > self._seqs[-1] and index > self._indexes[-1]
            if not is_next:
                raise NotGrammatical("places in the log do not begin at entry 1, or are out of order")
            self._seqs.append(seq)
            self._indexes.append(index)

    def follow(self, line: EntryLine) -> None:
        """Check an entry against the entries before, and tell its leaf."""
        before = self.seq
        try:
            self._journal.follow(line)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self._journal.account = None
            self._journal.findings.report(self._journal.seq, "format", f"{type(error).__name__}: {error}")
        if line.seq > before:
            self._place(line)

    def finish(self, last: int) -> None:
        """Check that the entries end at the entry `last`."""
        if last > self.seq:
            told = f"entry {self.seq + 1} is missing: the log has {last} entries"
            self._journal.findings.report(self.seq + 1, "sequence", told)
        elif last < self.seq:
            told = f"the log has {last} entries, the journal ends at {self.seq}"
            self._journal.findings.report(max(last, 0) + 1, "sequence", told)
        if self._seqs and self._seqs[-1] > last:
            self._journal.findings.report(0, LEAF_RULE, f"the log has places of entries behind entry {last}")

    def _place(self, line: EntryLine) -> None:
        """Tell the leaf of an entry. An entry without a hash or a signature has none, and is a finding.

        Without places nothing is told: the line with the places has a finding.
        """
        if not self._seqs:
            return
        while self._at + 1 < len(self._seqs) and self._seqs[self._at + 1] <= line.seq:
            self._at += 1
        try:
            leaf = leaf_hash(entry_leaf(line.hash, line.signature))
        except InvalidLeaf as error:
            self._journal.findings.report(line.seq, LEAF_RULE, str(error))
            return
        self._add(self._indexes[self._at] + line.seq - self._seqs[self._at], leaf)
