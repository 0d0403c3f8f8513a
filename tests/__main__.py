"""`make test`: every test, in two processes side by side. Options of pytest may follow: `python -m tests -x -k lots`.

Most time of the tests with emulators is waiting, so a second core would stand idle beside them.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

TESTS = Path(__file__).parent
WITHOUT_EMULATORS = (
    "api", "architecture", "cost", "dependencies", "flat", "independent", "leak", "operating", "properties", "rotation",
    "streams", "tamper", "unit",
)  # fmt: skip
"""Folders of the second process. All others, also new ones, are run by the first."""
HALVES = ("first", "second")
PYTEST = (sys.executable, "-m", "pytest")


def halves(options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return two commands that run each test once, together."""
    folders = [str(TESTS / name) for name in WITHOUT_EMULATORS]
    shown = [*PYTEST, *options, str(TESTS), *(f"--ignore={folder}" for folder in folders)]
    kept = [*PYTEST, *options, "-o", "cache_dir=.pytest_cache/second", *folders]
    return shown, kept


def run_side_by_side(shown: Sequence[str], kept: Sequence[str]) -> int:
    """Run two commands, print the output of `kept` behind that of `shown`, and return the worse exit code."""
    with tempfile.TemporaryFile() as output, subprocess.Popen(kept, stdout=output, stderr=output) as second:
        with subprocess.Popen(shown) as first:
            _pass_signals_on(first, second)
            codes = first.wait(), second.wait()
        output.seek(0)
        shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
    ends = (f"{half} half: {'failed' if code else 'passed'}" for half, code in zip(HALVES, codes, strict=True))
    sys.stdout.write("; ".join(ends) + "\n")
    return max(map(abs, codes))


def _pass_signals_on(*processes: subprocess.Popen[bytes]) -> None:
    """End by SIGTERM only after the processes have. Ctrl-C reaches them from the terminal."""

    def end(number: int, _: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(run_side_by_side(*halves(sys.argv[1:])))
