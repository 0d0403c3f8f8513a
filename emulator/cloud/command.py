"""`make admin EMAIL=… PROJECT=…` and the like: a command of `functions.commands`, pointed at a real project."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.session import open_project
from emulator.cloud.staging import leads_to_emulator
from emulator.tools import ROOT
from shared.bootstrap.secrets import project_secrets


def environment_of(project: Project) -> dict[str, str]:
    """Return the environment of the project's functions: plain settings, and secrets from Secret Manager.

    Variables that lead to an emulator are left out, so that no command for a project acts on a laptop. Raises
    CloudProblem if a secret is missing.
    """
    plain = project.settings.all()
    wanted = frozenset(project_secrets(plain))
    secrets = project.secrets.read_all(wanted)
    if missing := sorted(wanted - secrets.keys()):
        raise CloudProblem(f"{missing[0]} is not in Secret Manager: run make deploy PROJECT={project.id} first.")
    own = {"GCLOUD_PROJECT": project.id, "GOOGLE_CLOUD_PROJECT": project.id, "FUNCTION_REGION": project.region}
    machine = {name: value for name, value in project.environment.items() if not leads_to_emulator(name)}
    return {**machine, **plain, **secrets, **own}


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command with that environment, and return the exit code."""
    command = [sys.executable, "-m", "functions.commands", *arguments]
    return subprocess.run(command, env=dict(environment), cwd=ROOT, check=False).returncode


def main() -> int:
    project_id, *arguments = sys.argv[1:] or [""]
    try:
        with open_project([project_id]) as project:
            return run(arguments, environment_of(project))
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
