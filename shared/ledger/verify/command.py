"""`python -m shared.ledger.verify FILE…`: verify exports offline, and print the checked and the unchecked parts."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

from shared.kernel.clock import SystemClock
from shared.ledger.findings import FINDINGS_MAX, Finding
from shared.ledger.keys import PublicKey, Verifier
from shared.ledger.verify.exports import ExportAudit

INTACT, BROKEN, NOT_CHECKED = 0, 1, 2
STANDARD_INPUT = "-"


class NotChecked(Exception):
    """Failure to check a file that cannot be read or holds no account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKeys:
    """Keys trusted in a verification. `ledger` is the id of their ledger; None if the export itself names the keys."""

    keys: tuple[PublicKey, ...]
    ledger: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify every named file. Returns 0 only if each was read to its end, holds an account, and breaks no law."""
    asked = _parser().parse_args(arguments)
    try:
        trusted = None if asked.keys is None else _trusted(asked.keys)
    except NotChecked as failure:
        print(f"{asked.keys}: NOT CHECKED: {failure}", file=sys.stderr)
        return NOT_CHECKED
    return max([_verified(name, trusted) for name in asked.files])


def _verified(name: str, trusted: TrustedKeys | None) -> int:
    try:
        with _opened(name) as file:
            return _told(name, file, trusted)
    except (OSError, UnicodeDecodeError, NotChecked) as failure:
        print(f"{name}: NOT CHECKED: {failure}", file=sys.stderr)
        return NOT_CHECKED


def _told(name: str, file: TextIO, trusted: TrustedKeys | None) -> int:
    """Verify one export and print every finding. Raises NotChecked if the export holds nothing to verify."""
    first = file.readline()
    header = _header(first)
    known = trusted or TrustedKeys(keys=_keys(header.get("keys")), ledger=None)
    audit = ExportAudit(verifier=Verifier(known.keys), now=SystemClock().now())
    for line in _with(first, file):
        audit.read(line.encode("utf-8", "surrogatepass"))
    audit.close()
    findings = audit.findings
    if known.ledger is not None and header.get("ledger") != known.ledger:
        findings.insert(0, _foreign(header, known.ledger))
    if not audit.entries and not audit.accounts and not findings:
        raise NotChecked("the export holds neither entries nor an account")
    for finding in findings:
        where = f"entry {finding.seq}" if finding.seq else "account"
        print(f"{name}: {finding.uid}: {where}: {finding.rule}: {finding.detail}")
    if findings:
        more = " or more" if len(findings) >= FINDINGS_MAX else ""
        print(f"{name}: BROKEN: {len(findings)}{more} findings in {audit.entries} entries.")
        return BROKEN
    print(f"{name}: INTACT: {_checked(header, audit, known)}")
    return INTACT


def _checked(header: Any, audit: ExportAudit, known: TrustedKeys) -> str:
    kids = ", ".join(key.kid for key in known.keys)
    told = f"all {audit.entries} entries, {audit.accounts} balances and archives in {header['ledger']}, by keys {kids}."
    if known.ledger is None:
        told += " NOT checked: whether these keys are the ledger's; the file names them itself. Use --keys for that."
    return told


def _trusted(name: str) -> TrustedKeys:
    """Return the keys in a saved answer of `GET /v1/ledger/keys`. Raises NotChecked for any other file."""
    try:
        stored: Any = orjson.loads(Path(name).read_bytes())
        return TrustedKeys(keys=_keys(stored["items"]), ledger=str(stored["ledger_id"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotChecked("it is not an answer of GET /v1/ledger/keys") from error


def _header(line: str) -> Any:
    try:
        header: Any = orjson.loads(line)
    except ValueError as error:
        raise NotChecked("the file is empty" if not line.strip() else "its first line is not JSON") from error
    if not isinstance(header, dict) or header.get("type") != "header":
        raise NotChecked("its first line is not the header of an export")
    return header


def _keys(told: Any) -> tuple[PublicKey, ...]:
    """Return the keys that JSON names. Raises NotChecked if there is no key, or if a key cannot be read."""
    try:
        keys = tuple(PublicKey.from_json(key) for key in told)
        Verifier(keys)
    except (KeyError, TypeError, ValueError) as error:
        raise NotChecked("it names keys that cannot be read") from error
    if not keys:
        raise NotChecked("it names no keys")
    return keys


def _foreign(header: Any, ledger: str) -> Finding:
    told = f"the export is of ledger {header.get('ledger')}, the keys are of {ledger}"
    return Finding(uid=str(header.get("uid")), seq=0, rule="identity", detail=told)


def _with(first: str, rest: TextIO) -> Iterator[str]:
    yield first
    yield from rest


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == STANDARD_INPUT:
        yield sys.stdin
        return
    with Path(name).open(encoding="utf-8", newline="\n") as file:
        yield file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shared.ledger.verify", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="an export (GET /v1/credits/export), or - for stdin")
    parser.add_argument("--keys", metavar="FILE", help="the keys to trust: a saved answer of GET /v1/ledger/keys")
    return parser
