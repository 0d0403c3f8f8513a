"""Progress of a verification on a terminal: the part of the file that has been read, on standard error."""

import sys
import time
from types import TracebackType
from typing import Self

MIB = 1 << 20
EACH_SECONDS = 0.2
CLEAR = "\r\033[K"


class ReadingProgress:
    """Line that shows the progress while the context is open. Shows nothing unless standard error is a terminal."""

    def __init__(self, name: str, size: int | None) -> None:
        self._name = name if name.isprintable() else ascii(name)
        self._size = size
        self._read = 0
        self._shown_at = time.monotonic()
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            self._show(CLEAR)

    def add(self, count: int) -> None:
        """Count bytes that were read, and show the progress a few times a second."""
        self._read += count
        now = time.monotonic()
        if self._is_shown and now - self._shown_at >= EACH_SECONDS:
            self._shown_at = now
            part = f", {self._read * 100 // self._size} %" if self._size else ""
            self._show(f"{CLEAR}{self._name}: {self._read // MIB} MiB{part}")

    def _show(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
