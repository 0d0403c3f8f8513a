"""Command before each deployment of a function: fill the directory from which the Firebase CLI uploads the function.

The CLI runs this file with any python3, and names the project in GCLOUD_PROJECT (`predeploy` in firebase.json):

    python3 emulator/cloud/stage.py api
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PYTHON_MIN = (3, 11)


def main() -> int:
    """Stage the functions that the arguments name, with a Python that can read their tables; return the exit status."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    if sys.version_info < PYTHON_MIN:
        from emulator.setup import SetupError, choose_interpreter

        try:
            newer = choose_interpreter()
        except SetupError as problem:
            print(problem, file=sys.stderr)
            return 1
        os.execv(newer, [newer, __file__, *sys.argv[1:]])  # the same program, by another interpreter
    from emulator.cloud.staging import run

    return run(sys.argv[1:], os.environ.get("GCLOUD_PROJECT", ""))


if __name__ == "__main__":
    sys.exit(main())
