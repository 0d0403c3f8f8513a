"""Checker of units: the work of one worker. The jobs are `open`, `accounts`, `part`, `fold` and `entries`."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.ledger.findings import Finding
from shared.ledger.keys import PublicKey, Verifier, to_base64
from shared.ledger.verify.command.entry_lines import EntryLines
from shared.ledger.verify.exports import ExportAudit
from shared.ledger.verify.grammar import HeaderLine, parse_line
from shared.ledger.verify.log_exports import LogExportAudit

ANSWER_FINDINGS_MAX = 200
"""Largest number of findings in one answer. The others are counted."""
REFUSED_MAX = 10_000
"""Number of ungrammatical lines in a unit behind which the rest of the unit is not read: a flood must not take long."""

Answer = Mapping[str, Any]
"""Answer to a job. `line` is the first line of the unit.

`{"line", "accounts": [[uid, entries], …], "complete", "redacted", "entries",
"findings": [[uid, seq, rule, detail], …], "left_out", "unread"}`; `unread` counts the lines behind a flood of
ungrammatical ones; `complete` of the accounts have all entries up to the header's
closed day, and `redacted` of their entries have no body. For an export of the log also `leaves`,
`[[index, hashes in base64], …]`, and the numbers of the other leaves: `bare`, of which the lines have the hash alone,
and `key_leaves`, entries of the registry of keys.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedExport:
    """Export to which the next units belong."""

    header: HeaderLine
    verifier: Verifier
    now: int
    is_full: bool


@dataclass(slots=True)
class OpenPart:
    """Unfinished account, with the number of findings and entries that earlier answers told."""

    audit: ExportAudit | LogExportAudit
    findings: int = 0
    entries: int = 0


class UnitChecker:
    """Checker of the units of one export after the other. Between units it holds at most one unfinished account."""

    def __init__(self) -> None:
        self._jobs: Mapping[str, Callable[[Mapping[str, Any], bytes], Answer]] = {
            "open": self._open_export,
            "accounts": self._check_accounts,
            "part": self._check_part,
            "fold": self._check_part,
            "entries": self._check_entries,
        }
        self._export: OpenedExport | None = None
        self._part: OpenPart | None = None

    def do(self, name: str, options: Mapping[str, Any], data: bytes) -> Answer:
        """Do a job, and return the answer.

        `open` takes an export's header, keys and mode. `accounts` checks whole accounts. `part` checks a part of an
        account behind the parts before. For one large account on several workers, `fold` does the same without the
        checks of each line by itself, and `entries` does these checks.
        """
        return self._jobs[name](options, data)

    def _open_export(self, options: Mapping[str, Any], data: bytes) -> Answer:
        header = parse_line(data)
        assert isinstance(header, HeaderLine), "the header was read before any unit"
        verifier = Verifier(PublicKey.from_json(key) for key in options["keys"])
        self._export = OpenedExport(header=header, verifier=verifier, now=options["now"], is_full=options["is_full"])
        self._part = None
        return {}

    def _check_accounts(self, options: Mapping[str, Any], data: bytes) -> Answer:
        audit = self._audit(options)
        unread = _read(audit, data)
        audit.close()
        answer = _answer(options, audit.findings, entries=audit.entries, accounts=audit.finished)
        counts = {"complete": audit.complete, "redacted": audit.redacted, "unread": unread}
        return {**answer, **counts, **_taken_leaves(audit)}

    def _check_part(self, options: Mapping[str, Any], data: bytes) -> Answer:
        """Read a part of an account behind the parts before, and answer what was found since the last part."""
        if options["is_first"] or self._part is None:
            self._part = OpenPart(audit=self._audit(options, is_fold_only=options["name"] == "fold"))
        part = self._part
        unread = _read(part.audit, data)
        if options["is_last"]:
            part.audit.close()
            self._part = None
        found, entries = part.audit.findings, part.audit.entries
        answer = _answer(options, found[part.findings :], entries=entries - part.entries, accounts=part.audit.finished)
        part.findings, part.entries = len(found), entries
        part.audit.finished.clear()
        complete, part.audit.complete = part.audit.complete, 0
        redacted, part.audit.redacted = part.audit.redacted, 0
        counts = {"complete": complete, "redacted": redacted, "unread": unread}
        return {**answer, **counts, **_taken_leaves(part.audit)}

    def _check_entries(self, options: Mapping[str, Any], data: bytes) -> Answer:
        lines = EntryLines(self._opened.verifier, is_full=self._opened.is_full, first_line=options["first_line"])
        for line in io.BytesIO(data):
            lines.check(line)
            if lines.refused > REFUSED_MAX:
                break
        answer = _answer(options, lines.findings, entries=0, accounts=())
        return {**answer, "left_out": answer["left_out"] + lines.left_out}

    def _audit(self, options: Mapping[str, Any], *, is_fold_only: bool = False) -> ExportAudit | LogExportAudit:
        export = self._opened
        made = ExportAudit if export.header.scope is None else LogExportAudit
        audit = made(verifier=export.verifier, now=export.now, is_full=export.is_full and not is_fold_only)
        audit.go_on_behind(export.header, options["first_line"], is_fold_only=is_fold_only)
        return audit

    @property
    def _opened(self) -> OpenedExport:
        assert self._export is not None, "an export is opened before its units are checked"
        return self._export


def _taken_leaves(audit: ExportAudit | LogExportAudit) -> Mapping[str, Any]:
    """Take the leaves of an export of the log from the audit, as the answer tells them. Empty for accounts."""
    if isinstance(audit, ExportAudit):
        return {}
    leaves = [(run.index, to_base64(bytes(run.hashes))) for run in audit.leaves]
    told = {"leaves": leaves, "bare": audit.bare, "key_leaves": audit.key_leaves}
    audit.bare = audit.key_leaves = 0
    audit.leaves.clear()
    return told


def _read(audit: ExportAudit | LogExportAudit, data: bytes) -> int:
    """Read the lines of a unit, and return the number of lines that were left unread behind a flood."""
    lines, before = io.BytesIO(data), audit.refused
    for line in lines:
        audit.read(line)
        if audit.refused - before > REFUSED_MAX:
            break
    unread = data.count(b"\n", lines.tell())
    audit.lines += unread
    return unread


def _answer(
    options: Mapping[str, Any], findings: Sequence[Finding], *, entries: int, accounts: Sequence[tuple[str, int]]
) -> Answer:
    told = [(each.uid, each.seq, each.rule, each.detail) for each in findings[:ANSWER_FINDINGS_MAX]]
    left_out = len(findings) - len(told)
    return {
        "line": options["first_line"],
        "entries": entries,
        "accounts": list(accounts),
        "findings": told,
        "left_out": left_out,
    }
