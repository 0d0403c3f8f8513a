"""Run a command for a supervisor, and end every process of the run as soon as either of the two has ended.

`python -m emulator.guard FOLDER FILE COMMAND…`, with the run's mark in the environment; FILE is removed at the end.
Standard input is a pipe that the supervisor holds open. A byte there asks for an orderly end. If the pipe ends without
a byte, the supervisor was killed, and everything else is killed too. The exit code is the command's. The guard has a
session of its own: what kills the supervisor's group spares the guard.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from emulator.processes import MARK, end_marked

ORDERLY_END_SECONDS_MAX = 20
POLL_SECONDS = 1.0


class Guard:
    """Watch that waits for the end of the supervisor or of the command, and then ends the rest."""

    def __init__(self, folder: str, announcement: str, command: list[str]) -> None:
        self._announcement = Path(announcement)
        self._is_over = threading.Event()
        self._is_orderly = False
        self._supervisor = os.getppid()
        self._command = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, start_new_session=True)

    def run(self) -> int:
        """Return the command's exit code, once every process of the run has ended."""
        for watch in (self._watch_supervisor, self._watch_command):
            threading.Thread(target=watch, daemon=True).start()
        while not self._is_over.wait(POLL_SECONDS):
            if os.getppid() != self._supervisor:
                break
        self._end_command()
        self._announcement.unlink(missing_ok=True)
        end_marked(os.environ[MARK])
        return self._command.wait()

    def ask(self, *_: object) -> None:
        """Ask for an orderly end, as a signal does."""
        self._is_orderly = True
        self._is_over.set()

    def _watch_supervisor(self) -> None:
        if os.read(sys.stdin.fileno(), 1):
            self._is_orderly = True
        self._is_over.set()

    def _watch_command(self) -> None:
        self._command.wait()
        self._is_over.set()

    def _end_command(self) -> None:
        """If the end is orderly, let the command end by itself, since the CLI then removes its files."""
        if not self._is_orderly:
            return
        with contextlib.suppress(ProcessLookupError):
            self._command.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._command.wait(ORDERLY_END_SECONDS_MAX)


def main() -> int:
    """Run the command that the arguments name, under the guard, and return the command's exit code."""
    guard = Guard(sys.argv[1], sys.argv[2], sys.argv[3:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, guard.ask)
    code = guard.run()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
