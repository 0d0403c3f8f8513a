"""Functions that run in a project, as Google tells them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.cloud.google import Google

API = "https://cloudfunctions.googleapis.com/v2"
RELEASE = "RELEASE"
DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFunction:
    """One deployed function. `secrets` are the versions of its secrets by name, `account` is the e-mail address.

    `codebase` is empty if the Firebase CLI did not deploy the function.
    """

    name: str
    region: str
    state: str
    update_time: str
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    account: str

    @property
    def release(self) -> str:
        return self.environment.get(RELEASE, "")


def deployed_functions(google: Google) -> Mapping[str, DeployedFunction]:
    """Return the functions of the project by name, of all regions."""
    url = f"{API}/projects/{google.project}/locations/-/functions"
    return {found.name: found for found in map(_function, google.items(url, "functions", pageSize=100))}


def _function(told: Mapping[str, Any]) -> DeployedFunction:
    service = told.get("serviceConfig") or {}
    return DeployedFunction(
        name=str(told["name"]).rpartition("/")[2],
        region=str(told["name"]).split("/")[3],
        state=str(told.get("state", "")),
        update_time=str(told.get("updateTime", "")),
        environment=service.get("environmentVariables") or {},
        secrets={each["key"]: str(each.get("version")) for each in service.get("secretEnvironmentVariables") or ()},
        account=str(service.get("serviceAccountEmail", "")),
    )


def running_release(functions: Mapping[str, DeployedFunction]) -> str:
    """Return the release of `api`; empty if `api` does not run."""
    return functions["api"].release if "api" in functions else ""


def deployment_digest(functions: Mapping[str, DeployedFunction]) -> str:
    """Return a name for exactly this deployment. Every new deployment of a function changes the name."""
    told = "\n".join(f"{name} {each.update_time}" for name, each in sorted(functions.items()))
    return hashlib.sha256(told.encode()).hexdigest()[:DIGEST_LENGTH]
