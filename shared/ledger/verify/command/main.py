"""`python -m shared.ledger.verify FILE…`: check exports offline, and report findings and unchecked parts.

Exit codes: 0 if every file is sound; 1 if a file is broken; 2 if no file is broken and one could not be checked.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from shared.kernel.clock import SystemClock
from shared.ledger.verify.command.crew import Crew
from shared.ledger.verify.command.demands import CheckDemand
from shared.ledger.verify.command.files import verify_file
from shared.ledger.verify.command.progress import ReadingProgress
from shared.ledger.verify.command.report import NOT_CHECKED, CheckReport, FileReport, json_report, printable, text_lines
from shared.ledger.verify.command.trust import NotChecked, read_trust
from shared.ledger.verify.command.workers import WorkerLost, cores

STANDARD_INPUT = "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every named file, print the report, and return the exit code."""
    sys.stdout, sys.stderr = _ready(sys.stdout), _ready(sys.stderr)
    asked = _parser().parse_args(arguments)
    try:
        return _checked(asked)
    except NotChecked as failure:
        print(f"NOT CHECKED: {printable(str(failure))}", file=sys.stderr)
    except KeyboardInterrupt:
        print("NOT CHECKED: stopped before the end.", file=sys.stderr)
    except OSError as failure:
        # Python would complain again when it flushes the output at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(failure, BrokenPipeError):
            print(f"NOT CHECKED: the report cannot be written: {failure.strerror}.", file=sys.stderr)
    return NOT_CHECKED


def _ready(output: TextIO | None) -> TextIO:
    """Return an output that takes every text: also one of another encoding, and one that the caller has closed."""
    if output is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if isinstance(output, io.TextIOWrapper):
        output.reconfigure(errors="backslashreplace")
    return output


def _checked(asked: argparse.Namespace) -> int:
    """Check every file. Raises NotChecked for keys or a policy that cannot be read, and the output's OSError."""
    demand = CheckDemand(
        trust=read_trust(asked.keys, asked.policy),
        now=SystemClock().now(),
        is_full=asked.full,
        is_policy_required=asked.require_policy,
        ledger=asked.ledger,
        uids=tuple(asked.uid),
    )
    reports = []
    with Crew(asked.jobs) as crew:
        for name in asked.files:
            reports.append(_report(name, demand, crew))
            if not asked.json:
                _print_report(reports[-1], is_full=asked.full)
    report = CheckReport(files=tuple(reports), is_full=asked.full)
    if asked.json:
        print(json.dumps(json_report(report), indent=2), flush=True)
    return report.code


def _report(name: str, demand: CheckDemand, crew: Crew) -> FileReport:
    try:
        with _opened(name) as (file, size), ReadingProgress(name, size) as progress:
            return verify_file(name, file, demand, crew, progress.add)
    except (OSError, NotChecked, WorkerLost) as failure:
        return FileReport(name=name, problem=_sentence(failure))
    except Exception as failure:  # noqa: BLE001  a file that breaks the verifier is not checked, and not sound
        return FileReport(name=name, problem=f"The verifier failed: {type(failure).__name__}: {failure}.")


def _sentence(failure: Exception) -> str:
    if isinstance(failure, OSError):
        return f"It cannot be read: {failure.strerror or failure}."
    return str(failure)


@contextmanager
def _opened(name: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a file, or standard input for `-`, with its number of bytes or None. Raises OSError, NotChecked."""
    if name == STANDARD_INPUT and sys.stdin is None:
        raise NotChecked("Standard input is closed.")
    if name == STANDARD_INPUT:
        yield sys.stdin.buffer, None
        return
    with Path(name).open("rb") as file:
        yield file, os.fstat(file.fileno()).st_size or None


def _print_report(file: FileReport, *, is_full: bool) -> None:
    """Print the report of a file. A file that was not checked is named on standard error."""
    place = sys.stderr if file.code == NOT_CHECKED else sys.stdout
    for line in text_lines(file, is_full=is_full):
        print(line, file=place)
    place.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shared.ledger.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add: Callable[..., object] = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="an export (GET /v1/credits/export), or - for standard input")
    add("--uid", action="append", default=[], metavar="UID", help="whose account it must be; may be repeated")
    add("--ledger", metavar="ID", help="the ledger of which it must be")
    add("--policy", metavar="FILE", help="the log and the witnesses to trust (tlog-policy)")
    add("--require-policy", action="store_true", help="not checked (2) unless the policy vouches for the keys")
    add("--keys", metavar="FILE", help="the keys to trust: a saved answer of GET /v1/ledger/keys")
    add("--full", action="store_true", help="check the signature of each entry, not only the seal that covers them")
    add("--json", action="store_true", help="print the report as one JSON object")
    add("--jobs", type=_jobs, default=cores(), metavar="N", help="number of processes (all cores)")
    return parser


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)
