"""Secrets: each secret of the functions exists in Secret Manager, with a version."""

from collections.abc import Mapping, Sequence
from functools import partial

from emulator.cloud.given_secrets import WHERE, given_secret
from emulator.cloud.keys import KEY, MARKS, make_key, make_log_key, make_marks
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.secret_manager import ENABLED, SecretManager
from shared.bootstrap.secrets import project_secrets
from shared.kernel.settings import LOG_KEY, SigningKey, parse_signing_keys
from shared.users.mailbox import mark_key_of

REMEDY = (
    "add a version with all keys, the one that signs in front (docs/operating/add-a-signing-key.md). If you know that "
    "nothing was signed with an earlier version, disable that version instead."
)
MADE = {KEY: make_key, LOG_KEY: make_log_key, MARKS: make_marks}
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
    if ENABLED in versions[KEY].values():
        check_keys(project.secrets, versions[KEY], project.secrets.read(MARKS) or "")
    return [_storing(project, name) for name, states in versions.items() if ENABLED not in states.values()]


def check_keys(secrets: SecretManager, states: Mapping[int, str], marks: str) -> None:
    """Raise CloudProblem if the newest version of the signing keys is no list of keys, or lacks a key of an older one.

    Functions with such a version would not start, or could not sign. A key whose mark key stands in `marks`, the value
    of MARKS_SECRET, was retired and then removed by make remove-key.
    """
    numbers = sorted(number for number, state in states.items() if state == ENABLED)
    *earlier, newest = (_keys(secrets, number) for number in numbers)
    if newest is None:
        raise CloudProblem(f"The newest version of {KEY} is no list of keys (kid:base64, with commas): {REMEDY}")
    gone = [key for keys in earlier for key in keys or () if key not in newest]
    lost = sorted({key.kid for key in gone if mark_key_of(key.seed).hex() not in marks})
    if lost:
        raise CloudProblem(
            f"The newest version of {KEY} lacks the key {lost[0]} of an earlier version, or has another seed for it. "
            f"The ledger may have entries that this key signed: {REMEDY}"
        )


def _keys(secrets: SecretManager, number: int) -> tuple[SigningKey, ...] | None:
    """Return the keys of a version; None if they cannot be parsed."""
    try:
        return parse_signing_keys(secrets.value(KEY, str(number)).strip())
    except ValueError:
        return None


def _storing(project: Project, name: str) -> Change:
    if name in MADE:
        return Change(says=f"make {name} and store it in Secret Manager, unseen", do=partial(MADE[name], project))
    asked = WHERE.get(name, "a secret")
    return Change(says=f"store {name}, {asked}", do=partial(_store, project, name))


def _store(project: Project, name: str) -> None:
    project.secrets.add(name, given_secret(project, name))
