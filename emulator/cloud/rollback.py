"""`make rollback PROJECT=…`: deploy the release before the one that runs, from a git worktree that is removed after."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from emulator.cloud.deploy import STEPS, carry_out
from emulator.cloud.deployed import deployed_functions, running_release
from emulator.cloud.dotenv import SettingsFile
from emulator.cloud.env_files import ALIASES, project_files
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.release import TAG, git, release_before
from emulator.cloud.session import end_as_with_ctrl_c, open_project

OF_THE_TREE = ("rules", "functions", "smoke test")
"""Steps that depend on the source tree. A rollback leaves secrets, topics, the catalogue and data as they are."""


def roll_back(project: Project, tag: str = "") -> str:
    """Deploy the release `tag`, or the one before the running one, and return its name. Raises CloudProblem."""
    running = running_release(deployed_functions(project.google))
    wanted = tag or release_before(project.root, running)
    if not TAG.fullmatch(wanted):
        raise CloudProblem(f"{wanted} is no release: a release is a git tag such as v3.")
    project.terminal.say(f"{running or 'Something without a release'} runs on {project.id}; back to {wanted}")
    with _tree_of(project, wanted) as root:
        there = replace(project, root=root, settings=SettingsFile(project.id, root))
        for step in [each for each in STEPS if each.name in OF_THE_TREE]:
            project.terminal.say(f"     {step.name}")
            if not project.is_plan:
                carry_out(step, there)
            for change in step.look(there):
                project.terminal.say(f"   + {change.says}")
    return wanted


@contextmanager
def _tree_of(project: Project, tag: str) -> Iterator[Path]:
    """Yield a worktree of a tag, with the project's present settings. The worktree is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="rollback-") as home:
        tree = Path(home) / tag
        git(project.root, "worktree", "add", "--detach", str(tree), tag)
        try:
            _copy_settings(project, tree)
            yield tree
        finally:
            git(project.root, "worktree", "remove", "--force", str(tree))


def _copy_settings(project: Project, tree: Path) -> None:
    """Give the tree all files with the project's settings, and the aliases by which they are found."""
    for file in (project.root / ALIASES, *project_files(project.root, project.id)):
        if file.is_file():
            shutil.copyfile(file, tree / file.name)


def main(environment: Mapping[str, str] = os.environ) -> int:
    end_as_with_ctrl_c()
    try:
        with open_project(sys.argv[1:], environment) as project:
            wanted = roll_back(project, environment.get("RELEASE", ""))
            print(f"{wanted} {'would run' if project.is_plan else 'runs'}.")
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
