"""Secrets: each secret of the functions exists in Secret Manager, with a version."""

from collections.abc import Sequence
from functools import partial

from emulator.cloud.given_secrets import WHERE, given_secret
from emulator.cloud.keys import KEY, MARKS, make_key, make_marks
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.secret_manager import ENABLED
from shared.bootstrap.secrets import project_secrets

MADE = {KEY: make_key, MARKS: make_marks}
"""Secrets that nobody types: made on this machine, and stored without being shown."""


def look(project: Project) -> Sequence[Change]:
    wanted = project_secrets(project.settings.all())
    versions = {name: project.secrets.versions(name) for name in wanted}
    for name, states in versions.items():
        if ENABLED in states.values() and states[max(states)] != ENABLED:
            raise CloudProblem(
                f"The newest version of {name} is {states[max(states)].lower()}, and functions are deployed with "
                "the newest: enable that version, or add one, in the Cloud Console (Security, Secret Manager)."
            )
    return [_storing(project, name) for name, states in versions.items() if ENABLED not in states.values()]


def _storing(project: Project, name: str) -> Change:
    if name in MADE:
        return Change(says=f"make {name} and store it in Secret Manager, unseen", do=partial(MADE[name], project))
    asked = WHERE.get(name, "a secret")
    return Change(says=f"store {name}, {asked}", do=partial(_store, project, name))


def _store(project: Project, name: str) -> None:
    project.secrets.add(name, given_secret(project, name))
