"""Access of each function's account: to the function's own secrets, and to the bucket of users' files, and no others.

The Firebase CLI gives roles on the whole project alone, by which an account reads every secret and writes into every
bucket, also into that of the functions' source. A deploy gives each account access to its own secrets and to the one
bucket, and takes the roles back. The CLI gives them again only if it makes an account, or if the roles of a function
change.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from emulator.cloud.deployed import deployed_functions
from emulator.cloud.project import Change, Project
from emulator.cloud.roles import OBJECTS, ROLES, SECRETS
from emulator.cloud.steps.bucket import API as BUCKETS
from emulator.cloud.steps.bucket import bucket_of
from shared.bootstrap.secrets import NEEDS, secrets_of

PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
POLICY_VERSION = 3
ACCOUNT = "serviceAccount:"
MANAGED = "firebase-fn-"
"""Beginning of the names of accounts that the Firebase CLI made. Other accounts are the operator's own."""


def look(project: Project) -> Sequence[Change]:
    """Return a change for each secret, and for the bucket, that a function's account may not use."""
    accounts = _accounts(project)
    opened = [
        Change(
            says=f"let {', '.join(functions)} read {secret}",
            do=partial(project.secrets.let_read, secret, [accounts[name] for name in functions]),
        )
        for secret, functions in _lacking(project, accounts).items()
    ]
    bucket, policy = bucket_of(project), _bucket_policy(project, accounts)
    lacking = [] if policy is None else [name for name in _painters(accounts) if accounts[name] not in _users(policy)]
    if lacking:
        do = partial(_let_use, project, [accounts[name] for name in lacking])
        opened.append(Change(says=f"let {', '.join(lacking)} use the bucket {bucket}", do=do))
    return opened


def look_at_excess(project: Project) -> Sequence[Change]:
    """Return the changes that take roles on the project from accounts that have access to all of their own."""
    accounts = _accounts(project)
    if not accounts:
        return []
    policy, bucket = _policy(project), _bucket_policy(project, accounts)
    lacking = {name for functions in _lacking(project, accounts).values() for name in functions}
    reading = [name for name in accounts if name not in lacking]
    painting = [] if bucket is None else [name for name in _painters(accounts) if accounts[name] in _users(bucket)]
    broad = (
        (SECRETS, "read every secret", [name for name in reading if accounts[name] in _holders(policy, SECRETS)]),
        (OBJECTS, "use every bucket", [name for name in painting if accounts[name] in _holders(policy, OBJECTS)]),
    )
    return [
        Change(
            says=f"take from {', '.join(functions)} the role to {what}",
            do=partial(_take_back, project, role, frozenset(accounts[name] for name in functions)),
        )
        for role, what, functions in broad
        if functions
    ]


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


def _painters(accounts: Mapping[str, str]) -> list[str]:
    """Return the functions that read or write users' files."""
    return [name for name in accounts if OBJECTS in ROLES[name]]


def _bucket_policy(project: Project, accounts: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the policy of the bucket of users' files; None if no function needs the bucket, or it does not exist."""
    if not _painters(accounts):
        return None
    return project.google.find(_bucket_iam(project), optionsRequestedPolicyVersion=POLICY_VERSION)


def _bucket_iam(project: Project) -> str:
    return f"{BUCKETS}/{bucket_of(project)}/iam"


def _let_use(project: Project, accounts: Collection[str]) -> None:
    """Let accounts use the bucket. Google refuses the policy if another operator wrote one meanwhile."""
    policy = project.google.get(_bucket_iam(project), optionsRequestedPolicyVersion=POLICY_VERSION)
    binding = {"role": OBJECTS, "members": [f"{ACCOUNT}{account}" for account in accounts]}
    policy["bindings"] = [*(policy.get("bindings") or ()), binding]
    project.google.put(_bucket_iam(project), policy)


def _policy(project: Project) -> dict[str, Any]:
    options = {"options": {"requestedPolicyVersion": POLICY_VERSION}}
    return project.google.post(f"{PROJECTS}/{project.id}:getIamPolicy", options)


def _users(bucket_policy: Mapping[str, Any]) -> frozenset[str]:
    return _holders(bucket_policy, OBJECTS)


def _holders(policy: Mapping[str, Any], role: str) -> frozenset[str]:
    """Return the service accounts that hold a role without a condition."""
    bindings = [each for each in policy.get("bindings") or () if _is_of(each, role)]
    return frozenset(str(member).removeprefix(ACCOUNT) for each in bindings for member in each["members"])


def _is_of(binding: Mapping[str, Any], role: str) -> bool:
    return binding["role"] == role and not binding.get("condition")


def _take_back(project: Project, role: str, accounts: frozenset[str]) -> None:
    """Write the policy without the accounts. Google refuses the policy if another operator wrote one meanwhile."""
    policy = _policy(project)
    members = {f"{ACCOUNT}{account}" for account in accounts}
    for binding in policy.get("bindings") or ():
        if _is_of(binding, role):
            binding["members"] = [member for member in binding["members"] if member not in members]
    policy["bindings"] = [binding for binding in policy.get("bindings") or () if binding["members"]]
    project.google.post(f"{PROJECTS}/{project.id}:setIamPolicy", {"policy": policy})
