"""Secrets of a project in Secret Manager: which exist, their newest versions, and new versions. Nothing is printed."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from emulator.cloud.google import Google
from emulator.cloud.problems import CloudProblem, GoogleRefused

API = "https://secretmanager.googleapis.com/v1"
ACCOUNT = "serviceAccount:"
READER = "roles/secretmanager.secretAccessor"
ENABLED = "ENABLED"
PAYLOAD_BYTES_MAX = 65_536


class SecretTooLong(CloudProblem):
    """Error for a secret that Secret Manager does not take."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The secret {name} is longer than {PAYLOAD_BYTES_MAX} bytes: give the right value.")


class SecretNotText(CloudProblem):
    """Error for a stored secret whose bytes are no text, as a file in another format has them."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"Version {version} of the secret {name} is no UTF-8 text: add a version with the right value."
        )


class SecretManager:
    """Secret Manager of one project. A secret counts as set if it has an enabled version."""

    def __init__(self, google: Google) -> None:
        self._google = google
        self._secrets = f"{API}/projects/{google.project}/secrets"

    def newest_version(self, name: str) -> str | None:
        """Return the number of the newest enabled version; None if the secret has none or does not exist."""
        numbers = [number for number, state in self.versions(name).items() if state == ENABLED]
        return str(max(numbers)) if numbers else None

    def versions(self, name: str) -> Mapping[int, str]:
        """Return the states of all versions by number; empty if the secret does not exist."""
        try:
            found = list(self._google.items(f"{self._secrets}/{name}/versions", "versions", pageSize=100))
        except GoogleRefused as error:
            if error.is_missing:
                return {}
            raise
        return {int(str(each["name"]).rpartition("/")[2]): str(each["state"]) for each in found}

    def read(self, name: str) -> str | None:
        """Return the value of the newest enabled version; None if there is none."""
        version = self.newest_version(name)
        return None if version is None else self.value(name, version)

    def value(self, name: str, version: str) -> str:
        """Return the value of one version. Raises SecretNotText."""
        answer = self._google.get(f"{self._secrets}/{name}/versions/{version}:access")
        try:
            return base64.b64decode(answer["payload"]["data"]).decode()
        except UnicodeDecodeError:
            raise SecretNotText(name, version) from None

    def read_all(self, names: frozenset[str]) -> Mapping[str, str]:
        """Return the values of these secrets. Secrets without a version are left out."""
        found = {name: self.read(name) for name in sorted(names)}
        return {name: value for name, value in found.items() if value is not None}

    def readers(self, name: str) -> frozenset[str]:
        """Return the service accounts in the policy of the secret; none for a secret that does not exist."""
        try:
            policy = self._policy(name)
        except GoogleRefused as error:
            if error.is_missing:
                return frozenset()
            raise
        return frozenset(
            str(member).removeprefix(ACCOUNT)
            for binding in policy.get("bindings") or ()
            if binding["role"] == READER and not binding.get("condition")
            for member in binding["members"]
        )

    def let_read(self, name: str, accounts: Iterable[str]) -> None:
        """Let service accounts read the secret. Google refuses the policy if another operator wrote one meanwhile."""
        policy = self._policy(name)
        members = [f"{ACCOUNT}{account}" for account in accounts]
        policy["bindings"] = [*(policy.get("bindings") or ()), {"role": READER, "members": members}]
        self._google.post(f"{self._secrets}/{name}:setIamPolicy", {"policy": policy})

    def _policy(self, name: str) -> dict[str, Any]:
        return self._google.get(f"{self._secrets}/{name}:getIamPolicy", **{"options.requestedPolicyVersion": 3})

    def add_first(self, name: str, value: str) -> bool:
        """Add the first version of a secret. Return False if somebody else was faster.

        Then their value becomes the newest version again, and ours is destroyed.
        """
        ours = self.add(name, value)
        first = min(number for number, state in self.versions(name).items() if state == ENABLED)
        if ours == first:
            return True
        self.add(name, self.value(name, str(first)))
        self._google.post(f"{self._secrets}/{name}/versions/{ours}:destroy")
        return False

    def add(self, name: str, value: str) -> int:
        """Add a version, and create the secret before if needed. Return its number. Raises SecretTooLong."""
        data = value.encode()
        if len(data) > PAYLOAD_BYTES_MAX:
            raise SecretTooLong(name)
        self._google.create(self._secrets, {"replication": {"automatic": {}}}, secretId=name)
        payload = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(crc32c(data))}
        made = self._google.post(f"{self._secrets}/{name}:addVersion", {"payload": payload})
        return int(str(made["name"]).rpartition("/")[2])


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of the bytes, by which Secret Manager finds a damaged value."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF
