"""Reader of Secret Manager: our secrets, their versions, and the values that the checks compare. None is printed."""

import base64
from collections.abc import Iterable, Mapping

from emulator.cloud.checks.project import Secret, SecretVersion
from emulator.cloud.google import Google
from emulator.cloud.secret_manager import SecretManager
from shared.bootstrap.secrets import MARKS
from shared.kernel.settings import SIGNING_KEY

SECRETS = "https://secretmanager.googleapis.com/v1"
ENABLED = "ENABLED"
ALL_VERSIONS_OF = frozenset({SIGNING_KEY, MARKS})
"""Secrets of which earlier versions are read too: a key that was removed must be found."""
VERSIONS_READ_MAX = 20


def read_secrets(google: Google, ours: Iterable[str]) -> Mapping[str, Secret]:
    """Return the project's secrets by name. Versions are read of secrets that functions use."""
    base = f"{SECRETS}/projects/{google.project}/secrets"
    names = [str(each["name"]).rpartition("/")[2] for each in google.items(base, "secrets")]
    wanted = set(ours)
    return {name: _secret(google, base, name) if name in wanted else Secret(name=name) for name in names}


def _secret(google: Google, base: str, name: str) -> Secret:
    found = [
        (int(str(each["name"]).rpartition("/")[2]), str(each["state"]))
        for each in google.items(f"{base}/{name}/versions", "versions")
    ]
    newest_first = sorted(found, reverse=True)
    read = newest_first[: VERSIONS_READ_MAX if name in ALL_VERSIONS_OF else 1]
    values = {number: _value(google, f"{base}/{name}", number) for number, state in read if state == ENABLED}
    return Secret(
        name=name,
        versions=tuple(
            SecretVersion(number=number, state=state, value=values.get(number)) for number, state in newest_first
        ),
        readers=SecretManager(google).readers(name),
    )


def _value(google: Google, secret: str, number: int) -> str:
    payload = google.get(f"{secret}/versions/{number}:access")["payload"]
    return base64.b64decode(payload.get("data") or "").decode(errors="replace")
