"""Firebase CLI, which deploys what it knows best: rules, indexes and functions."""

import os
import subprocess
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from emulator.cloud.problems import CloudProblem
from emulator.cloud.staging import is_secret
from emulator.tools import FIREBASE_CLI, node

LAST_LINES = 20


class FirebaseFailed(CloudProblem):
    """Error for a `firebase deploy` that failed, with the CLI's last lines."""

    def __init__(self, only: str, lines: list[str]) -> None:
        first = next((number for number, line in enumerate(lines) if line.startswith("Error")), max(len(lines) - 3, 0))
        told = " ".join(line.strip() for line in lines[first:] if line.strip())
        super().__init__(f"firebase deploy --only {only} failed: {told or 'no reason was given'}")


class FirebaseCli:
    """CLI of this repository, for one project. It prints as it goes, and gets no secret of this environment."""

    def __init__(self, project: str, environment: Mapping[str, str] = os.environ) -> None:
        self._project = project
        self._environment = {name: value for name, value in environment.items() if not is_secret(name)}

    def deploy(self, only: str, root: Path) -> None:
        """Run `firebase deploy --only …` in this folder. Raises FirebaseFailed.

        The functions are deployed with `--force`: it agrees to retries, and deletes functions that left the product.
        Rules and indexes are deployed without: an index that an operator added stays.
        """
        command = [node(), str(FIREBASE_CLI), "deploy", "--only", only, "--project", self._project, "--non-interactive"]
        if only == "functions":
            command.append("--force")
        lines: deque[str] = deque(maxlen=LAST_LINES)
        with subprocess.Popen(
            command,
            cwd=root,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None, "piped"
            for line in process.stdout:
                lines.append(line.rstrip())
                print(f"       {line.rstrip()}", flush=True)
        if process.returncode:
            raise FirebaseFailed(only, list(lines))
