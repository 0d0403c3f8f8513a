"""`make run`, started by a test: its process, its screen, and the processes and ports of its run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def laptop(home: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m emulator`, which is what `make run` runs after set-up."""
    output = (home / "screen.txt").open("w")
    with output:
        return subprocess.Popen(
            [sys.executable, "-m", "emulator", "--home", str(home), *options],
            cwd=ROOT,
            env={**os.environ, "EMULATOR_PORTS": "free", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def told(home: Path) -> str:
    return (home / "screen.txt").read_text()


def commands_of(pids: set[int]) -> dict[int, str]:
    """Return the command line of each process that has not ended."""
    found = dict[int, str]()
    for pid in pids:
        command = ["ps", "-p", str(pid), "-ww", "-o", "command="]
        if line := subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip():
            found[pid] = line
    return found
