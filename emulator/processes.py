"""Processes of one run, found by a mark in their environment, and ended.

Parents die, and the Firebase CLI starts its Java emulators in sessions of their own. So neither the family tree nor a
process group leads to all processes.
"""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "LAPTOP_RUN"
"""The environment variable that every process of a run inherits."""
KILL_SECONDS_MAX = 10
LISTING_SECONDS_MAX = 10
POLL_SECONDS = 0.05
PROC = Path("/proc")


def mark_of(home: Path) -> str:
    """Return the mark of the run whose files are in `home`: the same for every run there."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:24]


def marked(mark: str) -> set[int]:
    """Return the processes that carry the mark and have not ended, without this one."""
    wanted = f"{MARK}={mark}"
    return {pid for pid, environment in _environments() if wanted in environment} - {os.getpid()}


def end_marked(mark: str) -> set[int]:
    """Kill every process that carries the mark. Return those that are still there after KILL_SECONDS_MAX."""
    pause, deadline = threading.Event(), time.monotonic() + KILL_SECONDS_MAX
    while (left := marked(mark)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        pause.wait(POLL_SECONDS)
    return left


def _environments() -> Iterator[tuple[int, set[str]]]:
    """Yield each process of this machine with its variables as `NAME=value`, as far as this user may see them."""
    if not (PROC / "self" / "environ").exists():
        yield from _environments_by_ps()
        return
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                text = (folder / "environ").read_bytes().decode(errors="replace")
                yield int(folder.name), set(text.split("\0"))


def _environments_by_ps() -> Iterator[tuple[int, set[str]]]:
    """Read the same from `ps`, where there is no /proc: macOS prints the variables behind the command."""
    listing = subprocess.run(
        ["ps", "-A", "-E", "-ww", "-o", "pid=,stat=,command="],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LISTING_SECONDS_MAX,
        check=False,
    )
    for line in listing.stdout.splitlines():
        row = re.match(r"\s*(\d+)\s+(\S+)\s+(.*)", line)
        if row is not None and not row[2].startswith("Z"):
            yield int(row[1]), set(row[3].split())
