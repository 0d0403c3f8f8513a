"""`make key PROJECT=…`: a signing key of the ledger and a secret for marks, made and stored without being shown."""

import base64
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from emulator.cloud.problems import CloudProblem, GoogleRefused
from emulator.cloud.project import Project
from emulator.cloud.session import open_project
from emulator.cloud.steps.apis import turn_on
from shared.kernel.settings import LOG_KEY, SEED_BYTES

FIRESTORE = "https://firestore.googleapis.com/v1"
KEY = "LEDGER_SIGNING_KEY"
MARKS = "MARKS_SECRET"
KID_RANDOM_BYTES = 3
MARKS_BYTES = 32


class KeyExists(CloudProblem):
    """Error for a project that has a signing key already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} exists already, and was not changed: entries that the present key signed need that key. "
            "To add a second key, follow docs/operating/add-a-signing-key.md."
        )


class KeyLost(CloudProblem):
    """Error for a ledger with entries whose signing key is gone."""

    def __init__(self) -> None:
        super().__init__(
            f"The ledger has accounts, but {KEY} has no enabled version, and a new key could not verify them: enable "
            "the last version of the secret again in the Cloud Console (Security, Secret Manager)."
        )


def new_key(now: datetime) -> str:
    """Return a new signing key, `kid:base64 of a 32-byte seed`. The day and chance make the kid unique."""
    kid = f"k{now:%Y%m%d}-{secrets.token_hex(KID_RANDOM_BYTES)}"
    return f"{kid}:{base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()}"


def make_key(project: Project) -> None:
    """Make and store a signing key. Raises KeyExists, and KeyLost if the ledger was signed with a key that is gone."""
    if project.secrets.newest_version(KEY) is not None:
        raise KeyExists(KEY)
    if _has_accounts(project):
        raise KeyLost
    if not project.secrets.add_first(KEY, new_key(datetime.now(UTC))):
        raise KeyExists(KEY)


class LogKeyLost(CloudProblem):
    """Error for a transparency log whose checkpoints were signed with a key that is gone."""

    def __init__(self) -> None:
        super().__init__(
            f"The transparency log has signed checkpoints, but {LOG_KEY} has no enabled version, and checkpoints of a "
            "new key would look like those of somebody else: enable the last version of the secret again in the Cloud "
            "Console (Security, Secret Manager)."
        )


def make_log_key(project: Project) -> None:
    """Make and store the key of the transparency log. Raises KeyExists, and LogKeyLost if the log was signed."""
    if project.secrets.newest_version(LOG_KEY) is not None:
        raise KeyExists(LOG_KEY)
    if _has_signed_log(project):
        raise LogKeyLost
    if not project.secrets.add_first(LOG_KEY, base64.b64encode(secrets.token_bytes(SEED_BYTES)).decode()):
        raise KeyExists(LOG_KEY)


def make_marks(project: Project) -> None:
    """Make and store a secret for marks. Raises KeyExists."""
    if project.secrets.newest_version(MARKS) is not None:
        raise KeyExists(MARKS)
    if not project.secrets.add_first(MARKS, secrets.token_urlsafe(MARKS_BYTES)):
        raise KeyExists(MARKS)


def _has_signed_log(project: Project) -> bool:
    """Return True if the database holds a checkpoint of the transparency log."""
    return any(str(each["name"]).endswith("/ledger_log/checkpoint") for each in _documents(project, "ledger_log", 100))


def _has_accounts(project: Project) -> bool:
    """Return True if the database holds an account."""
    return bool(_documents(project, "accounts", 1))


def _documents(project: Project, collection: str, limit: int) -> Sequence[Mapping[str, Any]]:
    """Return the first documents of a collection. A database that is not there or cannot be asked holds none."""
    url = f"{FIRESTORE}/projects/{project.id}/databases/(default)/documents/{collection}"
    try:
        return (project.google.find(url, pageSize=limit) or {}).get("documents") or ()
    except GoogleRefused as error:
        if error.is_api_off:
            return ()
        raise


def main() -> int:
    """Make both secrets where they are missing. Refuse if there is a signing key."""
    try:
        with open_project(sys.argv[1:], needs_settings=False) as project:
            turn_on(project, ["secretmanager.googleapis.com"])
            if project.secrets.newest_version(MARKS) is None:
                make_marks(project)
                print(f"{MARKS} is made and stored.")
            make_key(project)
            print(f"{KEY} is made and stored. Nobody has seen the key, and nobody needs to.")
    except CloudProblem as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
