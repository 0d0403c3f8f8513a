"""Units of work: the bytes of an export, cut where one account ends and the next begins.

A cut decides only who checks which lines, never whether a line is right. If a line that ends no account is cut behind,
the checker of the next lines reports entries without their beginning.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from shared.ledger.verify.grammar import LINE_BYTES_MAX

ACCOUNT_MARK = b'"type":"account"'
"""Bytes that only the line of an account holds. Inside a string of JSON the quotes are escaped."""
LOGGED_MARK = b'"type":"logged"'
"""The same in an export of the log."""
UNIT_BYTES = 1 << 19
"""Number of bytes behind which a unit ends at the next account's end."""
PART_BYTES = 1 << 20
"""Number of bytes behind which a unit ends in the middle of an account, so that memory is bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Whole lines of an export, of which the first is line `first_line`.

    `is_first` and `is_last`: nothing of the first line's account stands before the unit, and nothing of the last line's
    account behind.
    """

    data: bytes
    first_line: int
    is_first: bool
    is_last: bool

    @property
    def is_whole(self) -> bool:
        """True if the unit holds whole accounts."""
        return self.is_first and self.is_last


def units(
    file: BinaryIO, first_line: int, progress: Callable[[int], None], mark: bytes = ACCOUNT_MARK
) -> Iterator[Unit]:
    """Yield the units of the rest of a file, which begins with an account. `progress` gets the bytes of each read.

    `mark` stands in the last line of each account.

    Behind a line that is longer than any line of an export, nothing is read. Raises the file's OSError.
    """
    cutter = _Cutter(first_line, mark)
    while not cutter.is_line_too_long and (block := file.read(UNIT_BYTES)):
        progress(len(block))
        yield from cutter.take(block)
    yield from cutter.end()


class _Cutter:
    """Cutter of blocks into units. Holds the lines since the last unit, and the begun line behind them."""

    def __init__(self, first_line: int, mark: bytes) -> None:
        self._line = first_line
        self._mark = mark
        self._lines: list[bytes] = []
        self._size = 0
        self._begun: list[bytes] = []
        self._begun_size = 0
        self._is_first = True

    @property
    def is_line_too_long(self) -> bool:
        """True if the begun line is longer than any line of an export."""
        return self._begun_size > LINE_BYTES_MAX

    def take(self, block: bytes) -> Iterator[Unit]:
        """Take the next bytes, and yield the units that they complete."""
        end = block.rfind(b"\n") + 1
        if end == 0:
            self._begin(block)
            return
        lines = b"".join([*self._begun, block[:end]])
        self._begun, self._begun_size = [], 0
        yield from self._cut(lines)
        self._begin(block[end:])

    def end(self) -> Iterator[Unit]:
        """Yield the rest as the last unit."""
        rest = b"".join([*self._lines, *self._begun])
        if rest:
            yield self._unit(rest, is_last=True)

    def _cut(self, lines: bytes) -> Iterator[Unit]:
        mark = lines.rfind(self._mark)
        if mark >= 0:
            cut = lines.index(b"\n", mark) + 1
            yield self._unit(b"".join([*self._lines, lines[:cut]]), is_last=True)
            self._lines, lines = [], lines[cut:]
            self._size = 0
        if lines:
            self._lines.append(lines)
            self._size += len(lines)
        if self._size >= PART_BYTES:
            yield self._unit(b"".join(self._lines), is_last=False)
            self._lines, self._size = [], 0

    def _begin(self, start: bytes) -> None:
        self._begun.append(start)
        self._begun_size += len(start)

    def _unit(self, data: bytes, *, is_last: bool) -> Unit:
        unit = Unit(data=data, first_line=self._line, is_first=self._is_first, is_last=is_last)
        self._line += data.count(b"\n")
        self._is_first = is_last
        return unit
