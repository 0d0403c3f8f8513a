"""Access to secrets: each function's account may read the function's own secrets, and no others.

The Firebase CLI gives each account that it makes the role to read every secret (`emulator/cloud/roles.py` says why). A
deploy gives each account access to its own secrets, and takes the role back. The CLI gives the role again only when it
makes an account, or when the roles of a function change.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emulator.cloud.deployed import deployed_functions
from emulator.cloud.project import Change, Project
from emulator.cloud.roles import SECRETS
from shared.bootstrap.secrets import NEEDS, secrets_of

PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
POLICY_VERSION = 3
MANAGED = "firebase-fn-"
"""Beginning of the names of accounts that the Firebase CLI made. Other accounts are the operator's own."""


def look(project: Project) -> Sequence[Change]:
    """Return a change for each secret that a function's account may not read."""
    accounts = _accounts(project)
    return [
        Change(
            says=f"let {', '.join(functions)} read {secret}",
            do=partial(project.secrets.let_read, secret, [accounts[name] for name in functions]),
        )
        for secret, functions in _lacking(project, accounts).items()
    ]


def look_at_excess(project: Project) -> Sequence[Change]:
    """Return the change that takes the role to read every secret from accounts that can read their own."""
    accounts = _accounts(project)
    held = _holders(_policy(project)) if accounts else frozenset()
    broad = [name for name in accounts if accounts[name] in held]
    if not broad:
        return []
    lacking = {name for functions in _lacking(project, accounts).values() for name in functions}
    able = [name for name in broad if name not in lacking]
    do = partial(_take_back, project, frozenset(accounts[name] for name in able))
    return [Change(says=f"take from {', '.join(able)} the role to read every secret", do=do)] if able else []


def _lacking(project: Project, accounts: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Return the functions whose account may not read a secret of the function, by secret."""
    settings = project.settings.all()
    wanted: dict[str, list[str]] = {}
    for function in accounts:
        for secret in secrets_of(function, settings):
            wanted.setdefault(secret, []).append(function)
    readers = {secret: project.secrets.readers(secret) for secret in wanted}
    lacking = {
        secret: [name for name in functions if accounts[name] not in readers[secret]]
        for secret, functions in wanted.items()
    }
    return {secret: functions for secret, functions in lacking.items() if functions}


def _accounts(project: Project) -> dict[str, str]:
    """Return the accounts of the functions that the Firebase CLI has made, by function."""
    found = deployed_functions(project.google)
    return {name: found[name].account for name in NEEDS if name in found and found[name].account.startswith(MANAGED)}


def _policy(project: Project) -> dict[str, Any]:
    options = {"options": {"requestedPolicyVersion": POLICY_VERSION}}
    return project.google.post(f"{PROJECTS}/{project.id}:getIamPolicy", options)


def _holders(policy: Mapping[str, Any]) -> frozenset[str]:
    bindings = [each for each in policy.get("bindings") or () if _is_broad(each)]
    return frozenset(str(member).removeprefix("serviceAccount:") for each in bindings for member in each["members"])


def _is_broad(binding: Mapping[str, Any]) -> bool:
    return binding["role"] == SECRETS and not binding.get("condition")


def _take_back(project: Project, accounts: frozenset[str]) -> None:
    """Write the policy without the accounts. Google refuses the policy if another operator wrote one meanwhile."""
    policy = _policy(project)
    members = {f"serviceAccount:{account}" for account in accounts}
    for binding in policy.get("bindings") or ():
        if _is_broad(binding):
            binding["members"] = [member for member in binding["members"] if member not in members]
    policy["bindings"] = [binding for binding in policy.get("bindings") or () if binding["members"]]
    project.google.post(f"{PROJECTS}/{project.id}:setIamPolicy", {"policy": policy})
