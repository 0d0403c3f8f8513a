"""Verifier of exports, pure and offline. A finding names the broken part, its place and the law."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.kernel.clock import Millis, SystemClock
from shared.kernel.ids import Uid
from shared.ledger.entry_notes import is_bound_by
from shared.ledger.errors import UnknownKey
from shared.ledger.export_format import HEADER_CONTEXT, header_message
from shared.ledger.findings import Finding, Findings
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.keys import Verifier
from shared.ledger.log.days import DayStatement
from shared.ledger.verify.archives import ArchiveAudit, ArchivePast
from shared.ledger.verify.closed_days import ClosedDayAudit
from shared.ledger.verify.grammar import (
    ENTRY_STARTS,
    RULE,
    AccountLine,
    DayLine,
    EntryLine,
    HeaderLine,
    HoldLine,
    Line,
    LotLine,
    NotGrammatical,
    parse_line,
    parse_unchecked_entry,
)
from shared.ledger.verify.line_order import LineOrder
from shared.ledger.verify.log_evidence import LogEvidence, check_day_seal, log_evidence, told_day
from shared.ledger.verify.redacted_entries import NamingLog, check_places, naming_log


@dataclass(slots=True, eq=False, repr=False)
class ExportAudit:
    """Audit of an export, line by line. `lines`, `entries` and `accounts` count the lines that were read.

    `now` (ms) tells which archived holds may have been deleted. If `is_full`, the signature of each entry is checked,
    else only the seals. `uid` is the user whose export it must be; None if the entries name the users.
    """

    verifier: Verifier
    now: Millis
    is_full: bool = True
    uid: Uid | None = None
    lines: int = 0
    entries: int = 0
    accounts: int = 0
    complete: int = 0
    """Number of finished accounts that have all entries up to the header's closed day."""
    redacted: int = 0
    """Number of entries of finished accounts whose bodies were deleted."""
    refused: int = 0
    """Number of lines that are not grammatical, or stand in a wrong place."""
    header: HeaderLine | None = None
    evidence: LogEvidence | None = None
    """Leaves of the log in the header, if all of them are true. None behind `go_on_behind`."""
    finished: list[tuple[str, int]] = field(default_factory=list)
    """Accounts that the lines have left, each with the number of its last entry."""
    _is_fold_only: bool = False
    _day: DayStatement | None = None
    _log: NamingLog | None = None
    _order: LineOrder = field(default_factory=LineOrder)
    _account: "AccountAudit | None" = None
    _found: list[Finding] = field(default_factory=list)
    _outside: Findings = field(default_factory=Findings)

    @property
    def findings(self) -> list[Finding]:
        """Broken laws in the lines so far, as `verify_account` names them."""
        of_account = [] if self._account is None else self._account.findings
        return [*self._outside.items, *self._found, *of_account]

    def go_on_behind(self, header: HeaderLine, first_line: int, *, is_fold_only: bool) -> None:
        """Go on with line `first_line`, which begins an account. The header was checked before.

        If `is_fold_only`, somebody else checks each entry by itself; see `entry_lines`.
        """
        self._order.take(header)
        self.header, self.lines, self._is_fold_only = header, first_line - 1, is_fold_only
        self._day, self._log = told_day(header), naming_log(header)

    def read(self, line: bytes) -> None:
        """Check the next line of the export against the lines before."""
        self.lines += 1
        try:
            record = (parse_unchecked_entry(line) if self._is_fold_only else None) or parse_line(line)
            if self._account is not None and self._order.is_next_entry(record):
                self.entries += 1
                self._account.follow(record)
                return
            self._check_order(record)
        except NotGrammatical as error:
            self._report_line(str(error), is_entry=line.startswith(ENTRY_STARTS))
        else:
            self._take(record)

    def close(self) -> None:
        """Check that the export ends behind an account."""
        try:
            self._order.end()
        except NotGrammatical as error:
            self._report_line(str(error))

    def _check_order(self, record: Line) -> None:
        """Report a line out of order. Entries that begin another account are followed as such."""
        is_new = self._order.begins_account(record)
        try:
            self._order.take(record)
        except NotGrammatical as error:
            self._report_line(str(error), is_entry=isinstance(record, EntryLine))
        if is_new:
            self._leave_account()

    def _take(self, record: Line) -> None:
        if isinstance(record, EntryLine):
            self.entries += 1
            audit = self._account or self._audit(_uid_in(record))
            audit.follow(record)
        elif isinstance(record, HeaderLine):
            self._take_header(record)
        elif isinstance(record, DayLine):
            self._audit(record.uid).begin_at(record)
        elif isinstance(record, LotLine | HoldLine):
            self._audit(record.uid).check_part(record)
        elif isinstance(record, AccountLine):
            self.accounts += 1
            self._audit(record.uid).finish(record)
            self._leave_account()

    def _take_header(self, header: HeaderLine) -> None:
        if self.header is not None:
            return
        self.header, self._log = header, naming_log(header)
        kid, _, signature = header.seal.partition(":")
        try:
            rule = self.verifier.seal_rule(HEADER_CONTEXT, header_message(header.fields), kid=kid, signature=signature)
        except UnknownKey:
            rule = "unknown_key"
        if rule is not None:
            self._report_header(rule, f"key {kid} did not seal this header")
        self.evidence = log_evidence(header, self._report_header)
        self._day = None if self.evidence is None else self.evidence.day
        if self.evidence is not None and header.log is not None and header.log.day is not None:
            check_day_seal(self.evidence, header.log.day, self.verifier, self._report_header)

    def _report_header(self, rule: str, detail: str) -> None:
        self._outside.report(0, rule, f"line {self.lines}: {detail}")

    def _audit(self, uid: str) -> "AccountAudit":
        if self._account is None:
            ledger = "" if self.header is None else self.header.ledger
            name = Uid(uid) if self.uid is None else self.uid
            mode = {"is_full": self.is_full, "is_fold_only": self._is_fold_only}
            self._account = AccountAudit(ledger, name, self.verifier, self.now, self._day, self._log, **mode)
        return self._account

    def _leave_account(self) -> None:
        if self._account is not None:
            self._found.extend(self._account.findings)
            self.finished.append((self._account.uid, self._account.seq))
            self.complete += self._account.is_complete
            self.redacted += self._account.redacted
        self._account = None

    def _report_line(self, problem: str, *, is_entry: bool = True) -> None:
        self.refused += 1
        detail = f"line {self.lines}: {problem}"
        if self._account is None:
            self._outside.report(0, RULE, detail)
        else:
            self._account.report_line(detail, is_entry=is_entry)


class AccountAudit:
    """Audit of the lines of one account in an export."""

    def __init__(
        self,
        ledger: str,
        uid: Uid,
        verifier: Verifier,
        now: Millis,
        day: DayStatement | None = None,
        log: NamingLog | None = None,
        *,
        is_full: bool,
        is_fold_only: bool,
    ) -> None:
        past = ArchivePast()
        self.redacted = 0
        self._now = now
        self._log = log
        self._journal = JournalAudit.of(ledger, uid, past, verifier)
        self._journal.are_signatures_checked = is_full
        self._journal.is_fold_only = is_fold_only
        self._archive = ArchiveAudit(past, self._journal.findings.report)
        self._closed = ClosedDayAudit(day, self._journal)

    @property
    def is_complete(self) -> bool:
        """True if the account has all entries up to the closed day of the header, as the day's tree has them."""
        return self._closed.is_complete

    @property
    def findings(self) -> list[Finding]:
        """Broken laws in the account's lines so far."""
        return self._journal.findings.items

    @property
    def uid(self) -> str:
        """User of the account, as the first line names the user."""
        return self._journal.uid

    @property
    def seq(self) -> int:
        """Number of the last entry."""
        return self._journal.seq

    def report_line(self, detail: str, *, is_entry: bool) -> None:
        """Report a line that is not grammatical: at the entry that was expected next, or at the account itself."""
        self._journal.findings.report(self._journal.seq + 1 if is_entry else 0, RULE, detail)

    def begin_at(self, line: DayLine) -> None:
        """Take the account's place in the closed day, which stands before the entries."""
        self._check_uid(line.uid)
        self._closed.begin(line)

    def follow(self, line: EntryLine) -> None:
        """Check an entry against the entries before."""
        try:
            body = self._journal.follow(line)
            if line.redaction is not None:
                self.redacted += 1
                check_places(line, self._log, self._journal.findings.report)
            if line.seq == self._closed.seq:
                self._closed.meet()
            if line.note is not None and not is_bound_by(body or {}, line.note._asdict()):
                self._journal.findings.report(line.seq, "note", "the entry does not bind this note")
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self._journal.account = None
            self._journal.findings.report(self._journal.seq, "format", f"{type(error).__name__}: {error}")

    def check_part(self, line: LotLine | HoldLine) -> None:
        """Check an archived lot or hold against the fold. Without a fold, the entries have findings already."""
        self._check_uid(line.uid)
        account = self._journal.account
        if account is None:
            return
        if isinstance(line, LotLine):
            self._archive.check_lot(line, account)
        else:
            self._archive.check_hold(line, self._now)

    def finish(self, line: AccountLine) -> None:
        """Check the account, and that nothing of the archive is missing, nor an entry of the closed day."""
        self._check_uid(line.uid)
        self._closed.finish()
        try:
            is_whole = self._journal.finish(line._asdict())
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self._journal.findings.report(0, "format", f"{type(error).__name__}: {error}")
            return
        if is_whole and self._journal.account is not None:
            self._archive.finish(self._journal.account, self._now)

    def _check_uid(self, uid: str) -> None:
        if uid != self._journal.uid:
            detail = f"the line is of {uid}, the entries are of {self._journal.uid}"
            self._journal.findings.report(0, "identity", detail)


def verify_account(
    lines: Iterable[str], verifier: Verifier, *, now: Millis | None = None, uid: Uid | None = None
) -> list[Finding]:
    """Return all broken laws in an export (`shared.ledger.export_format`), by the keys that the caller trusts.

    `now` (ms) tells which archived holds may have been deleted; None for the time of this machine. `uid` is the user
    whose export it must be; None if the entries name the users. Rules: `grammar`,
    `format`, `identity`, `sequence`, `link`, `hash`, `canonical`, `signature`, `unknown_key`, `retired_key`,
    `early_key`, `kind`, `time`, `operation`, `postings`, `balance_after`, `archive`, `note`, `seal`, `state`,
    `plain_balance`, `checkpoint`, `inclusion`, `registry`, `day`, `redaction`.
    """
    audit = ExportAudit(verifier=verifier, now=SystemClock().now() if now is None else now, uid=uid)
    for line in lines:
        audit.read(line.encode("utf-8", "surrogatepass"))
    audit.close()
    return audit.findings


def _uid_in(line: EntryLine) -> str:
    """Return the user whom an entry names; "" if the entry cannot be read. A text in another form names one too."""
    try:
        body: Any = orjson.loads(line.body)
    except orjson.JSONDecodeError:
        return ""
    uid = body.get("uid") if isinstance(body, dict) else None
    return uid if isinstance(uid, str) else ""
