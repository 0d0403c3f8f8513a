"""Lock for one run at a time in a directory, without leftovers of an earlier run."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from emulator.problems import LaptopProblem
from emulator.processes import end_marked, mark_of

LOCK = "run.lock"


def suite_home(home: Path) -> Path:
    """Return where the emulators of a run in `home` keep their files."""
    return home / "suite"


@contextlib.contextmanager
def only_run_in(home: Path) -> Iterator[None]:
    """Hold the lock of `home`, and end the processes of an earlier run there that was killed with its guard.

    The system gives the lock back when this process ends, however that happens. Raises LaptopProblem if another run has
    the lock, or if a process of an earlier run cannot be ended.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            message = f"Another `make run` (process {lock.read().strip()}) uses {home}: end that first (Ctrl-C there)."
            raise LaptopProblem(message) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _end_earlier_run(home)
        yield


def _end_earlier_run(home: Path) -> None:
    if left := end_marked(mark_of(suite_home(home))):
        numbers = ", ".join(map(str, sorted(left)))
        raise LaptopProblem(f"Processes of an earlier `make run` cannot be ended: {numbers}. End them with `kill -9`.")
