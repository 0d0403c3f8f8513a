"""`make rebuild-analytics …` and the like: a command of `functions.commands`, pointed at the running laptop."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from emulator.settings import laptop_settings
from emulator.suite import Endpoints
from emulator.tools import ROOT

ENDPOINTS = ROOT / "emulator" / ".run" / "endpoints.json"


def run(arguments: Sequence[str]) -> int:
    """Run it there; its exit code."""
    known = json.loads(ENDPOINTS.read_text())
    places = Endpoints(**{name: known[name] for name in ("project", "functions", "auth", "firestore", "pubsub")})
    environment = {**os.environ, **laptop_settings(), **places.environment(("auth", "firestore", "pubsub"))}
    command = [sys.executable, "-m", "functions.commands", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


def main() -> int:
    if not ENDPOINTS.exists():
        print("Start the backend with `make run` first.")
        return 1
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
