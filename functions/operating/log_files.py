"""Command `export-log`: everything up to one size of the transparency log in a file, for auditors.

An interrupted export continues behind the last account that the file has whole.
"""

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shared.bootstrap import Services
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.ledger.export_format import HEADER_CONTEXT, LOG_SCOPE, header_message
from shared.ledger.key_ring import KeyRing
from shared.ledger.log.checkpoints import parse_checkpoint
from shared.ledger.log.notes import MalformedNote, parse_note
from shared.ledger.log_export import LogExport
from shared.ledger.verify.grammar import HeaderLine, NotGrammatical, lines_of, parse_line
from shared.ledger.verify.log_lines import LoggedLine

OWNER_ONLY = 0o600
TOLD_LINES = 100_000
"""Number of lines after which the progress is told."""
HEADER_START = b'{"checkpoint":'
ACCOUNT_END = b'"type":"logged"'


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunFile:
    """File with a header, for the first `size` leaves. Whole accounts end at byte `end`; the last one is `behind`."""

    size: int
    end: int
    behind: Uid | None = None


def export_log(asked: argparse.Namespace, services: Services) -> None:
    """Write everything up to the newest checkpoint into the file, or go on with the file up to its own checkpoint.

    The audit trail records the export. Raises InvalidValue for a file that is no export of this log or that another
    process writes, and the errors of `LogExport`.
    """
    ledger, keys = services.settings.ledger_id, services.credits.keys
    export = LogExport(services.ports.documents(), keys, ledger)
    with (
        services.users.audit.recording("command:export-log", "export_log", "ledger", reason=None),
        _opened(asked.file) as file,
    ):
        begun = _begun(file, ledger, keys) or _header_written(file, export, ledger, keys)
        if begun.behind is not None:
            print(f"The file has all accounts up to {begun.behind}. The export continues behind this one.")
        _write(file, begun, export)
    print(f"{asked.file} has all {begun.size} leaves. Check: python -m shared.ledger.verify --policy FILE {asked.file}")


def _header_written(file: BinaryIO, export: LogExport, ledger: str, keys: KeyRing) -> BegunFile:
    file.seek(0)
    file.truncate()
    file.write(export.header().encode())
    begun = _begun(file, ledger, keys)
    assert begun is not None, "the header stands in the file"
    return begun


def _write(file: BinaryIO, begun: BegunFile, export: LogExport) -> None:
    """Write the lines behind the last whole account, in place of others that an interrupted export has written."""
    file.seek(begun.end)
    file.truncate()
    for number, line in enumerate(export.lines(begun.size, begun.behind), 1):
        file.write(line.encode())
        if number % TOLD_LINES == 0:
            print(f"{number} lines are written.")
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open the file for this process alone; a new one is for its owner alone. Raises InvalidValue."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
    except BlockingIOError as error:
        raise InvalidValue("file", "is being written by another process") from error
    except OSError as error:
        raise InvalidValue("file", f"cannot be written: {error.strerror or error}") from error


def _begun(file: BinaryIO, ledger: str, keys: KeyRing) -> BegunFile | None:
    """Return the progress that the file shows; None for an empty file, or one whose header is not whole.

    Raises InvalidValue for any other file, so that nothing is overwritten.
    """
    file.seek(0)
    lines = lines_of(file)
    first = next(lines, b"")
    if not first.endswith(b"\n") and first[: len(HEADER_START)] == HEADER_START[: len(first)]:
        return None
    size, end, behind = _size_in(first, ledger, keys), len(first), None
    place = end
    for line in lines:
        place += len(line)
        if ACCOUNT_END in line and line.endswith(b"\n"):
            end, behind = place, _account_in(line)
    return BegunFile(size=size, end=end, behind=behind)


def _size_in(line: bytes, ledger: str, keys: KeyRing) -> int:
    """Return the size of the log in a header that this ledger has sealed. Raises InvalidValue."""
    try:
        header = parse_line(line)
    except NotGrammatical as error:
        raise InvalidValue("file", "is no export of the log") from error
    if not isinstance(header, HeaderLine) or header.scope != LOG_SCOPE or header.ledger != ledger:
        raise InvalidValue("file", f"is no export of the log of {ledger}")
    kid, _, signature = header.seal.partition(":")
    if not keys.is_signed(HEADER_CONTEXT, header_message(header.fields), kid=kid, signature=signature):
        raise InvalidValue("file", "has a header that this ledger did not seal")
    try:
        return parse_checkpoint(parse_note(header.checkpoint or "").text).size
    except MalformedNote as error:
        raise InvalidValue("file", "has no checkpoint") from error


def _account_in(line: bytes) -> Uid:
    try:
        record = parse_line(line)
    except NotGrammatical as error:
        raise InvalidValue("file", "has a line that no export has; begin a new file") from error
    if not isinstance(record, LoggedLine):
        raise InvalidValue("file", "has a line that no export has; begin a new file")
    return Uid(record.uid)
