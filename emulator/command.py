"""`make rebuild-analytics …` and the like: a command of `functions.commands`, pointed at the running laptop."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from emulator.settings import settings_file
from emulator.suite import EMULATORS, Endpoints
from emulator.tools import ROOT

ENDPOINTS = ROOT / "emulator" / ".run" / "endpoints.json"
PLACES = tuple(each.name for each in fields(Endpoints))


def environment_of(endpoints: Path = ENDPOINTS) -> dict[str, str]:
    """Return the environment of the running laptop's functions: settings, providers, emulators."""
    known = json.loads(endpoints.read_text())
    places = Endpoints(**{name: known[name] for name in PLACES})
    settings = json.loads(settings_file(endpoints.parent).read_text())
    return {**os.environ, "PUBLIC_URL": places.api, **settings, **places.environment(EMULATORS)}


def run(arguments: Sequence[str]) -> int:
    """Run the command with that environment, and return the exit code."""
    command = [sys.executable, "-m", "functions.commands", *arguments]
    return subprocess.run(command, env=environment_of(), cwd=ROOT, check=False).returncode


def main() -> int:
    if not ENDPOINTS.exists():
        print("Start the backend with `make run` first.")
        return 1
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
