"""`make lock`: the locks from the `.in` files, for every supported Python and machine at once.

python -m emulator.dependencies.relock                      keep the locked versions, add and remove packages
python -m emulator.dependencies.relock --upgrade            take the newest versions
python -m emulator.dependencies.relock --upgrade NAME …     take the newest versions of these packages
"""

import os
import subprocess
import sys
from collections.abc import Sequence

from emulator.dependencies.lock import DEPLOYED, DEVELOPMENT
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

OLDEST_PYTHON = "3.11"
"""Oldest supported Python. A universal lock from this version on holds for the newer versions too."""
LOCK_SECONDS_MAX = 600
OPTIONS = ("--universal", "--generate-hashes", "--python-version", OLDEST_PYTHON, "--quiet")


def lock(upgrade: Sequence[str] | None) -> None:
    """Write both locks, the deployed one first, since the development's lock follows those versions.

    `upgrade` names the packages that may become newer. Empty means all, None means none.
    Raises LaptopProblem with the words of uv if the packages cannot be resolved.
    """
    for stem in (DEPLOYED, DEVELOPMENT):
        _compile(stem, upgrade_options(upgrade))


def _compile(stem: str, upgrades: list[str]) -> None:
    uv = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, "--custom-compile-command", "make lock"]
    done = subprocess.run(
        [*uv, *upgrades, f"{stem}.in", "--output-file", f"{stem}.txt"],
        cwd=ROOT,
        env={**os.environ, "UV_NO_PROGRESS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LOCK_SECONDS_MAX,
    )
    if done.returncode != 0:
        raise LaptopProblem(f"{stem}.txt could not be locked:\n{done.stderr.strip()}")


def upgrade_options(upgrade: Sequence[str] | None) -> list[str]:
    """Return the options of uv for packages that may become newer: these, all if empty, none if None."""
    if upgrade is None:
        return []
    return [part for name in upgrade for part in ("--upgrade-package", name)] or ["--upgrade"]


def main() -> int:
    arguments = sys.argv[1:]
    try:
        lock(arguments[1:] if arguments[:1] == ["--upgrade"] else None)
    except LaptopProblem as problem:
        print(problem)
        return 1
    print("Locked. Commit the .in and .txt files together, then run `make setup reference notices`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
