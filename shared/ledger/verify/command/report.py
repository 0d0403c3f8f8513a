"""Report of a verification: a verdict about each file, with every finding and with the parts that were not checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.ledger.findings import Finding
from shared.ledger.verify.command.trust import VouchedKey
from shared.ledger.verify.receipt import ReceiptReport

SOUND, BROKEN, NOT_CHECKED = 0, 1, 2
"""Exit codes. Of several files the worst counts: BROKEN, then NOT_CHECKED, then SOUND."""
VERDICTS = {SOUND: "sound", BROKEN: "broken", NOT_CHECKED: "not_checked"}
_WORST_FIRST = (BROKEN, NOT_CHECKED, SOUND)
FORMAT, FORMAT_VERSION = "ics-verification", 1
ACCOUNTS_NAMED = 3
"""Number of accounts that the report for people names. JSON names all that are known."""
DETAIL_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts:
    """Facts about the log whose leaves an export has. `is_vouched`: a policy accepts the checkpoint of `size` leaves.

    `day` is the closed day in the log, None without one; `complete_count` accounts have all entries up to then.
    """

    origin: str
    size: int
    is_vouched: bool
    witnesses: tuple[str, ...]
    day: str | None
    complete_count: int
    is_whole: bool = False
    """True if the file has all leaves of the log, and their root was compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """Result of one file. `problem` is a sentence if the file was not checked, else None.

    `accounts` are the first accounts of the file with their numbers of entries; `account_count` counts all.
    `findings_left_out` is the number of findings beyond those in `findings`.
    """

    name: str
    problem: str | None = None
    ledger: str | None = None
    keys: tuple[VouchedKey, ...] = ()
    accounts: tuple[tuple[str, int], ...] = ()
    account_count: int = 0
    entry_count: int = 0
    findings: tuple[Finding, ...] = ()
    findings_left_out: int = 0
    not_checked: tuple[str, ...] = ()
    receipt: ReceiptReport | None = None
    """Report of the file's receipt; None for an export."""
    log: LogFacts | None = None
    """Facts about the log in an export; None without leaves of a log, or with false ones."""

    @property
    def code(self) -> int:
        """The exit code of this file."""
        if self.findings:
            return BROKEN
        return SOUND if self.problem is None else NOT_CHECKED

    @property
    def unvouched(self) -> tuple[VouchedKey, ...]:
        """Keys that only the export itself names."""
        return tuple(key for key in self.keys if key.vouched_by is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Results of all files. `is_full`: each entry's own signature was checked too."""

    files: tuple[FileReport, ...]
    is_full: bool = field(default=False)

    @property
    def code(self) -> int:
        """The exit code: the worst of all files."""
        codes = {file.code for file in self.files}
        return next(code for code in _WORST_FIRST if code in codes)


def text_lines(file: FileReport, *, is_full: bool) -> Iterator[str]:
    """Yield the report of a file for people: the verdict, each finding, and the parts that were not checked."""
    name = printable(file.name)
    if file.findings:
        yield f"{name}: BROKEN: {_findings_counted(file)} in {_scope(file)}."
        for each in file.findings:
            yield f"{name}: {printable(each.uid or '-')} {each.seq} {each.rule} {printable(each.detail)}"
    elif file.problem is not None:
        yield f"{name}: NOT CHECKED: {printable(file.problem)}"
    else:
        yield f"{name}: SOUND: {_sound(file, is_full=is_full)}"
    for sentence in file.not_checked:
        yield f"{name}: not checked: {printable(sentence)}"


def json_report(report: CheckReport) -> Mapping[str, Any]:
    """Return the report as JSON: `verdict`, `exit_code`, `mode`, and an object for each file."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "verdict": VERDICTS[report.code],
        "exit_code": report.code,
        "mode": "full" if report.is_full else "fast",
        "files": [_file(file) for file in report.files],
    }


def printable(text: str) -> str:
    """Return a text from a file as one line without control characters, which could change a terminal's display."""
    shown = text if len(text) <= DETAIL_MAX else text[:DETAIL_MAX] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def _sound(file: FileReport, *, is_full: bool) -> str:
    if file.receipt is not None:
        return _sound_receipt(file.receipt)
    laws = "every hash, link and law, and the seal of each account"
    if file.log is not None and file.log.is_whole:
        laws = f"every hash, link and law, and the root of all {file.log.size} leaves of the log {file.log.origin}"
    checked = f"{_scope(file)}: {printable(laws)}"
    signed = checked + (", and the signature of each entry." if is_full else ".")
    if file.unvouched:
        told = ", ".join(f"{key.key.kid} {key.fingerprint}" for key in file.unvouched)
        return f"consistent in itself, keys not vouched for: {printable(told)}. Checked {signed}{_complete(file)}"
    by = sorted({key.vouched_by for key in file.keys if key.vouched_by})
    who = f"The {' and the '.join(by)} {'vouches' if len(by) == 1 else 'vouch'}"
    return f"checked {signed} {who} for the keys.{_complete(file)}"


def _complete(file: FileReport) -> str:
    """Return the sentence about the closed day, with a space before; "" if no account has a place in one."""
    if file.log is None or file.log.day is None or not file.log.complete_count:
        return ""
    count = file.log.complete_count
    whose = "" if count == file.account_count else f" of {count} {'account' if count == 1 else 'accounts'}"
    return f" Nothing up to day {file.log.day} is missing{whose}."


def _sound_receipt(receipt: ReceiptReport) -> str:
    entry = f"entry {receipt.seq} ({receipt.kind}) of {receipt.uid} in ledger {receipt.ledger}"
    place = f"leaf {receipt.index} of {receipt.size} in the log {receipt.origin}"
    checked = printable(f"{entry} is {place}: its hash and signature, the proof, and the log's signature.")
    if not receipt.is_vouched:
        return f"consistent in itself, the log's key not vouched for. Checked that {checked}"
    witnesses = f", and {', '.join(receipt.witnesses)} cosigned" if receipt.witnesses else ""
    return f"checked that {checked} The policy vouches for the log{printable(witnesses)}."


def _scope(file: FileReport) -> str:
    named = ", ".join(printable(uid) for uid, _ in file.accounts[:ACCOUNTS_NAMED])
    more = ", …" if file.account_count > ACCOUNTS_NAMED else ""
    accounts = f"{file.account_count} {'account' if file.account_count == 1 else 'accounts'} ({named}{more})"
    entries = f"{file.entry_count} {'entry' if file.entry_count == 1 else 'entries'}"
    return f"{entries} of {accounts} in ledger {printable(file.ledger or '?')}"


def _findings_counted(file: FileReport) -> str:
    count = len(file.findings) + file.findings_left_out
    left_out = f" (the first {len(file.findings)} follow)" if file.findings_left_out else ""
    return f"{count} {'finding' if count == 1 else 'findings'}{left_out}"


def _file(file: FileReport) -> Mapping[str, Any]:
    """Return the report of a file as JSON. `receipt` and `log` stand only in a report that has them."""
    return {
        "file": _unicode(file.name),
        "verdict": VERDICTS[file.code],
        "problem": None if file.problem is None else _unicode(file.problem),
        "ledger": file.ledger,
        "keys": [_key(key) for key in file.keys],
        "account_count": file.account_count,
        "accounts": [{"uid": uid, "entries": entries} for uid, entries in file.accounts],
        "entries": file.entry_count,
        "findings": _findings(file.findings),
        "findings_left_out": file.findings_left_out,
        "not_checked": list(file.not_checked),
        **({} if file.receipt is None else {"receipt": _receipt(file.receipt)}),
        **({} if file.log is None else {"log": _log(file.log)}),
    }


def _log(log: LogFacts) -> Mapping[str, Any]:
    return {
        "log": log.origin,
        "size": log.size,
        "is_vouched": log.is_vouched,
        "witnesses": list(log.witnesses),
        "day": log.day,
        "complete_accounts": log.complete_count,
        "is_whole": log.is_whole,
    }


def _receipt(receipt: ReceiptReport) -> Mapping[str, Any]:
    """Return the facts of a receipt. `index` and `size` are the leaf, and the size of the signed log."""
    return {
        "uid": receipt.uid,
        "seq": receipt.seq,
        "kind": receipt.kind,
        "log": receipt.origin,
        "index": receipt.index,
        "size": receipt.size,
        "is_vouched": receipt.is_vouched,
        "witnesses": list(receipt.witnesses),
    }


def _key(key: VouchedKey) -> Mapping[str, Any]:
    return {"kid": key.key.kid, "fingerprint": key.fingerprint, "vouched_by": key.vouched_by}


def _findings(findings: Sequence[Finding]) -> list[Mapping[str, Any]]:
    return [{"uid": each.uid, "seq": each.seq, "rule": each.rule, "detail": _unicode(each.detail)} for each in findings]


def _unicode(text: str) -> str:
    """Return a text of the command line with bytes that are no UTF-8 as escapes, since JSON cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode()
