"""Verification of one file: its header, and its units on workers; or a receipt."""

from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import BinaryIO

from shared.ledger.findings import Finding
from shared.ledger.log.proof_receipts import RECEIPT_CHARS_MAX, NoReceipt
from shared.ledger.verify.command.crew import Crew
from shared.ledger.verify.command.demands import CheckDemand
from shared.ledger.verify.command.headers import HeaderCheck, check_header
from shared.ledger.verify.command.log_roots import LogLeaves
from shared.ledger.verify.command.report import FileReport
from shared.ledger.verify.command.tally import Tally
from shared.ledger.verify.command.trust import NotChecked, UnsoundKeys, VouchedKey
from shared.ledger.verify.command.units import ACCOUNT_MARK, LOGGED_MARK, Unit, units
from shared.ledger.verify.command.workers import UnitJob, Workers
from shared.ledger.verify.grammar import LINE_BYTES_MAX, HeaderLine, NotGrammatical, OldExport, parse_line
from shared.ledger.verify.receipt import Demands, ReceiptReport, check_receipt

EXPORT_MARK = b'"ics-export"'
"""Bytes in the header of each export."""
GZIP = b"\x1f\x8b"
HEADER_LINE = 1


class BrokenHeader(Exception):
    """Fault in the header of an export."""


def verify_file(name: str, file: BinaryIO, demand: CheckDemand, crew: Crew, read: Callable[[int], None]) -> FileReport:
    """Verify one open file on the crew's workers. `read` gets the number of bytes of each read.

    Raises NotChecked for a file that holds neither an export nor a receipt, WorkerLost, and the file's OSError.
    """
    first = file.readline(LINE_BYTES_MAX + 1)
    if first.startswith(GZIP):
        raise NotChecked("It is compressed. Unpack it first, for example with gunzip.")
    try:
        header = _header(first)
        check = None if header is None else check_header(first, header, demand)
    except (BrokenHeader, UnsoundKeys) as broken:
        return FileReport(name=name, findings=(_finding("grammar", f"line 1: {broken}"),))
    if check is None:
        return verify_receipt(name, first + file.read(RECEIPT_CHARS_MAX), demand)
    return _verify_export(name, file, first, check, demand, crew, read)


def _verify_export(
    name: str,
    file: BinaryIO,
    line: bytes,
    check: HeaderCheck,
    demand: CheckDemand,
    crew: Crew,
    read: Callable[[int], None],
) -> FileReport:
    """Verify the accounts behind the header, whose line and check are given."""
    is_of_log = check.header.scope is not None
    with closing(LogLeaves()) if is_of_log else nullcontext() as leaves:
        tally = Tally(uids=demand.uids, leaves=leaves)
        tally.report_all(HEADER_LINE, check.findings)
        mark = LOGGED_MARK if is_of_log else ACCOUNT_MARK
        workers, parts = crew.workers_for(units(file, HEADER_LINE + 1, read, mark))
        _open(workers, line, check.keys, demand)
        for unit in parts:
            _submit(workers, unit)
            tally.add_all(workers.ready())
        tally.add_all(workers.rest())
        if check.evidence is not None:
            tally.compare_leaves(check.evidence)
        return tally.report(name, check, demand)


def _header(line: bytes) -> HeaderLine | None:
    """Return the header in the first line of a file; None if the line begins no export.

    Raises BrokenHeader for a header that no exporter writes, and NotChecked.
    """
    if not line.strip():
        raise NotChecked("It is empty.")
    try:
        header = parse_line(line)
    except OldExport as error:
        raise NotChecked(f"It is an {error}.") from error
    except NotGrammatical as error:
        if EXPORT_MARK in line:
            raise BrokenHeader(str(error)) from error
        return None
    return header if isinstance(header, HeaderLine) else None


def _finding(rule: str, detail: str, uid: str = "") -> Finding:
    return Finding(uid=uid, seq=0, rule=rule, detail=detail)


def _open(workers: Workers, header: bytes, keys: tuple[VouchedKey, ...], demand: CheckDemand) -> None:
    """Tell each worker the header, the keys and the mode."""
    told = [key.key.to_json() for key in keys]
    options = {"keys": told, "is_full": demand.is_full, "now": demand.now}
    for lane in range(workers.lanes):
        workers.submit(UnitJob(name="open", options=options, data=header, lane=lane))


def _submit(workers: Workers, unit: Unit) -> None:
    """Submit the jobs of a unit. A part of a large account is folded in one lane, and its entries are checked anywhere.

    A single worker gets the same jobs as several, so that the findings do not depend on the number of workers.
    """
    options = {"first_line": unit.first_line, "is_first": unit.is_first, "is_last": unit.is_last}
    if unit.is_whole:
        workers.submit(UnitJob(name="accounts", options=options, data=unit.data))
    else:
        workers.submit(UnitJob(name="entries", options=options, data=unit.data))
        workers.submit(UnitJob(name="fold", options=options, data=unit.data, lane=0))


def verify_receipt(name: str, data: bytes, demand: CheckDemand) -> FileReport:
    """Verify a file that is a receipt, a saved answer of `GET /v1/credits/entries/{seq}/proof`. Raises NotChecked."""
    try:
        receipt = check_receipt(data.decode(), _receipt_demands(demand))
    except (NoReceipt, UnicodeError) as error:
        raise NotChecked("It is neither an export nor a receipt.") from error
    return FileReport(
        name=name,
        problem=_receipt_problem(receipt, demand),
        ledger=receipt.ledger,
        accounts=((receipt.uid, 1),),
        account_count=1,
        entry_count=1,
        findings=receipt.findings,
        not_checked=receipt.unchecked,
        receipt=receipt,
    )


def _receipt_demands(demand: CheckDemand) -> Demands:
    ledger = demand.trust.keys_ledger if demand.ledger is None else demand.ledger
    return Demands(policy=demand.trust.policy, keys=demand.trust.keys, ledger=ledger, uids=demand.uids)


def _receipt_problem(receipt: ReceiptReport, demand: CheckDemand) -> str | None:
    if demand.is_policy_required and not receipt.is_vouched:
        return "It is consistent in itself, but no policy vouches for its log."
    return None
