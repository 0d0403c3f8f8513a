"""`make add-key`, `make use-key` and `make remove-key`: the seeds of signing keys in Secret Manager.

A new key first only verifies. Once every running function knows the key, the key signs. The seed of a key is removed
only after the ledger's registry says that the key is retired, and the mark key of the seed is kept in MARKS_SECRET.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from emulator.cloud.deployed import deployed_functions
from emulator.cloud.keys import KEY, MARKS, new_key
from emulator.cloud.people import api_of
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Project
from emulator.cloud.session import open_project
from shared.kernel.settings import parse_signing_keys
from shared.users.mailbox import mark_key_of

KEYS_MAX = 20


class KeyNotKnownYet(CloudProblem):
    """Error for a key that a running function does not know yet."""

    def __init__(self, kid: str, functions: Sequence[str], project: str) -> None:
        super().__init__(
            f"{', '.join(functions)} run with an older version of {KEY}, and would not know {kid}: "
            f"run make deploy PROJECT={project}, then this command again."
        )


class NoSuchKey(CloudProblem):
    """Error for a key id that the secret does not hold."""

    def __init__(self, kid: str, known: Sequence[str]) -> None:
        super().__init__(f"{KEY} holds no key {kid or '(none is named: KID=…)'}; it holds {', '.join(known)}.")


class KeyInForce(CloudProblem):
    """Error for a key whose seed is still needed."""

    def __init__(self, kid: str) -> None:
        super().__init__(
            f"The ledger does not say that {kid} is retired: follow docs/operating/add-a-signing-key.md, "
            "and see make keys."
        )


def add_key(project: Project) -> str:
    """Store a new key behind the present keys, where a key verifies only. Return its id. Raises CloudProblem."""
    keys = _stored(project)
    if len(keys) >= KEYS_MAX:
        raise CloudProblem(f"{KEY} holds {len(keys)} keys already: use one of them, as make use-key says.")
    added = new_key(datetime.now(UTC))
    project.secrets.add(KEY, ",".join([*keys.values(), added]))
    return _kid(added)


def use_key(project: Project, kid: str) -> bool:
    """Store the keys with this one in front, so that it signs from the next deploy on. Return False if it signs now.

    Raises NoSuchKey, and KeyNotKnownYet if a running function has another version of the secret than the newest.
    """
    keys = _stored(project)
    if kid not in keys:
        raise NoSuchKey(kid, list(keys))
    if next(iter(keys)) == kid:
        return False
    newest = project.secrets.newest_version(KEY)
    running = deployed_functions(project.google)
    behind = sorted(name for name, each in running.items() if KEY in each.secrets and each.secrets[KEY] != newest)
    if behind:
        raise KeyNotKnownYet(kid, behind, project.id)
    project.secrets.add(KEY, ",".join([keys[kid], *(value for name, value in keys.items() if name != kid)]))
    return True


def remove_key(project: Project, kid: str) -> None:
    """Store the keys without this one, and keep its mark key in MARKS_SECRET, which the memory of bonuses needs.

    Raises NoSuchKey, and KeyInForce unless the deployed API says that the key is retired.
    """
    keys = _stored(project)
    if kid not in keys:
        raise NoSuchKey(kid, list(keys))
    if _status(project, kid) != "retired":
        raise KeyInForce(kid)
    (key,) = parse_signing_keys(keys[kid])
    kept = f"hex:{mark_key_of(key.seed).hex()}"
    marks = [part.strip() for part in (project.secrets.read(MARKS) or "").split(",") if part.strip()]
    if kept not in marks:
        project.secrets.add(MARKS, ",".join([*marks, kept]))
    project.secrets.add(KEY, ",".join(value for name, value in keys.items() if name != kid))


def _status(project: Project, kid: str) -> str:
    """Return the status of a key in the answer of the deployed API; empty if the API does not name the key."""
    status, text = project.web.text("GET", f"{api_of(project)}/v1/ledger/keys", {})
    if status != HTTPStatus.OK:
        raise CloudProblem(f"The API answered {status} when asked for its keys: see make doctor PROJECT={project.id}.")
    found = (str(each.get("status")) for each in json.loads(text)["items"] if each.get("kid") == kid)
    return next(found, "")


def _stored(project: Project) -> Mapping[str, str]:
    """Return the stored keys, `kid:seed`, by id, in their order."""
    stored = project.secrets.read(KEY)
    if stored is None:
        raise CloudProblem(f"{KEY} does not exist yet: run make deploy PROJECT={project.id}, which makes it.")
    return {_kid(part): part.strip() for part in stored.split(",")}


def _kid(key: str) -> str:
    return key.strip().partition(":")[0]


def _add(project: Project, _kid: str) -> str:
    added = add_key(project)
    return f"{added} is stored, and verifies from the next deploy on. Nobody has seen it."


def _use(project: Project, kid: str) -> str:
    if not use_key(project, kid):
        return f"{kid} signs already, or will from the next deploy on."
    return f"{kid} signs from the next deploy on. The other keys go on verifying."


def _remove(project: Project, kid: str) -> str:
    remove_key(project, kid)
    return f"The seed of {kid} is out of {KEY} from the next deploy on. Destroy the older versions of the secret then."


ACTS: Mapping[str, Callable[[Project, str], str]] = {"add": _add, "use": _use, "remove": _remove}


def main() -> int:
    act, project_id, kid = (*sys.argv[1:], "", "", "")[:3]
    try:
        with open_project([project_id]) as project:
            print(ACTS[act](project, kid))
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
