"""`make admin EMAIL=…`: the command that makes the first administrator, pointed at the running laptop."""

import json
import os
import subprocess
import sys

from emulator.settings import laptop_settings
from emulator.suite import Endpoints
from emulator.tools import ROOT

ENDPOINTS = ROOT / "emulator" / ".run" / "endpoints.json"


def main() -> int:
    if not ENDPOINTS.exists() or not sys.argv[1:] or not sys.argv[1]:
        print("Start the backend with `make run`, sign up there, then: make admin EMAIL=you@example.com")
        return 1
    known = json.loads(ENDPOINTS.read_text())
    places = Endpoints(**{name: known[name] for name in ("project", "functions", "auth", "firestore", "pubsub")})
    environment = {**os.environ, **laptop_settings(), **places.environment(("auth", "firestore", "pubsub"))}
    command = [sys.executable, "-m", "functions.commands", "first-admin", *sys.argv[1:]]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
