"""Verifier of one account's chain, pure and offline. A finding names the broken part, its place and the law."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.kernel.ids import Uid
from shared.ledger.findings import Finding, Findings
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.keys import Verifier
from shared.ledger.past import MemoryPast
from shared.ledger.stored_entries import StoredEntry


@dataclass(slots=True, eq=False, repr=False)
class ExportAudit:
    """Audit of an export, line by line. `lines`, `entries` and `accounts` count the lines that were read."""

    verifier: Verifier
    lines: int = 0
    entries: int = 0
    accounts: int = 0
    journal: JournalAudit | None = None
    _unread: Findings = field(default_factory=Findings)

    @property
    def findings(self) -> list[Finding]:
        """Broken laws in the lines so far, as `verify_account` names them."""
        return self._findings.items

    def read(self, line: str) -> None:
        """Check the next line of the export against the lines before."""
        self.lines += 1
        try:
            record = orjson.loads(line)
            if self.lines == 1:
                self.journal = _journal(record, self.verifier)
            else:
                self._take(record["type"], record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            seq = 0 if self.accounts else self._seq
            self._findings.report(seq, "format", f"line {self.lines}: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Report the account as missing if entries were read without the account."""
        if self._seq > 0 and not self.accounts:
            self._findings.report(0, "format", "the account is missing")

    @property
    def _findings(self) -> Findings:
        return self._unread if self.journal is None else self.journal.findings

    @property
    def _seq(self) -> int:
        return 0 if self.journal is None else self.journal.seq

    def _take(self, kind: object, record: Mapping[str, Any]) -> None:
        has_account = self.accounts > 0
        self.entries += kind == "entry"
        self.accounts += kind == "account"
        if has_account:
            self._findings.report(0, "format", f"line {self.lines} stands behind the account")
        elif self.journal is None:
            raise ValueError("no header stands before it")
        elif kind == "entry":
            self.journal.follow(_entry(record))
        elif kind == "account":
            self.journal.finish(record)
        else:
            self._findings.report(self._seq, "format", f"line {self.lines} is a {kind}")


def verify_account(lines: Iterable[str], verifier: Verifier) -> list[Finding]:
    """Return all broken laws in an export (`shared.ledger.export`), by the keys that the caller trusts; [] if none.

    Rules: `format`, `identity`, `sequence`, `link`, `hash`, `canonical`, `signature`, `unknown_key`, `kind`, `time`,
    `operation`, `postings`, `balance_after`, `seal`, `state`, `plain_balance`.
    """
    audit = ExportAudit(verifier=verifier)
    for line in lines:
        audit.read(line)
    audit.close()
    return audit.findings


def _journal(header: Mapping[str, Any], verifier: Verifier) -> JournalAudit:
    if (header["type"], header["format"], header["version"]) != ("header", "ics-export", 1):
        raise ValueError("not an export of version 1")
    return JournalAudit.of(header["ledger"], Uid(header["uid"]), MemoryPast(), verifier)


def _entry(record: Mapping[str, Any]) -> StoredEntry:
    return StoredEntry(
        seq=record["seq"],
        body=record["body"],
        hash=record["hash"],
        signature=record["signature"],
        kind=record["kind"],
        schema=record["schema"],
    )
