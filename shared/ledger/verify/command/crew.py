"""Crew of a verification: this process for small files, worker processes on all cores for larger ones."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import Self

from shared.ledger.verify.command.units import Unit
from shared.ledger.verify.command.workers import OwnWorker, WorkerProcesses, Workers, cores

SMALL_BYTES = 1 << 22
"""Number of bytes that this process checks before worker processes would have started."""


class Crew:
    """Workers of all files. Processes are started for the first large file, and end with the crew."""

    def __init__(
        self, processes: int | None = None, started: Callable[[int], WorkerProcesses] = WorkerProcesses
    ) -> None:
        self._count = cores() if processes is None else processes
        self._started = started
        self._own = OwnWorker()
        self._processes: WorkerProcesses | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def workers_for(self, units: Iterator[Unit]) -> tuple[Workers, Iterator[Unit]]:
        """Return the workers for the units of a file, and all its units."""
        if self._count == 1:
            return self._own, units
        head, size = [], 0
        for unit in units:
            head.append(unit)
            size += len(unit.data)
            if size > SMALL_BYTES:
                return self._hired(), chain(head, units)
        return self._own, iter(head)

    def _hired(self) -> WorkerProcesses:
        if self._processes is None:
            self._processes = self._stack.enter_context(self._started(self._count))
        return self._processes
