"""Processes, seen from outside: who descends from whom, and who still runs."""

import subprocess
import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.1


def running() -> dict[int, int]:
    """Every process that runs, with its parent; the dead that nobody has noticed yet do not count."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listing.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def descendants(pid: int) -> set[int]:
    parents = running()
    family, grew = set[int](), {pid}
    while grew:
        grew = {child for child, parent in parents.items() if parent in grew}
        family |= grew
    return family


def wait_for(holds: Callable[[], object], *, seconds: float = 60.0, what: str = "what is waited for") -> None:
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(POLL_SECONDS)
