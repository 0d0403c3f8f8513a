"""Bucket of the log's anchors: a locked retention policy, uniform access, and no role by which anything is deleted.

The bucket may lie in a project of other people, which is safer: then those people make and lock the bucket, and give
the account of `every_minute` the two roles below.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emulator.cloud.deployed import deployed_functions
from emulator.cloud.problems import CloudProblem, GoogleRefused
from emulator.cloud.project import Change, Project
from emulator.cloud.steps.bucket import API, DAY_SECONDS

SETTING, RETENTION = "LEDGER_ANCHOR_BUCKET", "LEDGER_ANCHOR_DAYS"
DAYS_DEFAULT = 3_650
DAYS_MAX = 36_500
WRITER = "every_minute"
ROLES = ("roles/storage.objectCreator", "roles/storage.objectViewer")
"""Roles of the function that anchors: create, read and list. Neither can delete or overwrite."""
ACCESS: Mapping[str, Any] = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
FORBIDDEN = 403
FOREIGN = "foreign"
"""Bucket in a project that this operator may not see."""


def look(project: Project) -> Sequence[Change]:
    """Return the changes that make, correct and lock the bucket; none without the setting or in a foreign project."""
    name = project.settings.get(SETTING, "")
    if not name or (found := _found(project, name)) is FOREIGN:
        return []
    seconds = _days(project) * DAY_SECONDS
    wanted = {"iamConfiguration": ACCESS, "retentionPolicy": {"retentionPeriod": str(seconds)}}
    if found is None:
        do = partial(_create, project, {"name": name, "location": project.region, **wanted})
        return [Change(says=f"create the bucket of anchors {name} in {project.region}", do=do)]
    if problems := _problems(found, seconds):
        do = partial(_correct, project, name, wanted)
        return [Change(says=f"correct the bucket of anchors {name}: {', '.join(problems)}", do=do)]
    if not (found.get("retentionPolicy") or {}).get("isLocked"):
        return [_locking(project, name, str(found["metageneration"]))]
    return []


def look_at_access(project: Project) -> Sequence[Change]:
    """Return the change that lets `every_minute` create and read anchors, none if it may or the bucket is foreign."""
    name = project.settings.get(SETTING, "")
    if not name or _found(project, name) in (None, FOREIGN):  # a bucket cannot be hashed
        return []
    function = deployed_functions(project.google).get(WRITER)
    if function is None:
        return []
    policy = project.google.get(f"{API}/{name}/iam", optionsRequestedPolicyVersion=3)
    member = f"serviceAccount:{function.account}"
    held = {each["role"] for each in policy.get("bindings") or () if member in each["members"]}
    missing = [role for role in ROLES if role not in held]
    if not missing:
        return []
    do = partial(_let_anchor, project, name, member, missing)
    return [Change(says=f"let {WRITER} create and read objects in the bucket of anchors {name}", do=do)]


def _create(project: Project, body: Mapping[str, Any]) -> None:
    project.google.create(API, body, project=project.id)


def _correct(project: Project, name: str, wanted: Mapping[str, Any]) -> None:
    project.google.patch(f"{API}/{name}", wanted)


def _locking(project: Project, name: str, metageneration: str) -> Change:
    days = _days(project)

    def lock() -> None:
        project.google.post(f"{API}/{name}/lockRetentionPolicy", ifMetagenerationMatch=metageneration)

    return Change(
        says=f"lock the retention of {name}: each anchor stays for {days} days",
        do=lock,
        question=(
            f"Lock it for ever? Then nobody, you included, can delete an anchor before {days} days, shorten that time, "
            "or delete the bucket."
        ),
    )


def _let_anchor(project: Project, name: str, member: str, roles: Sequence[str]) -> None:
    """Add the member to the roles. Google refuses the policy if another operator wrote one meanwhile."""
    policy = project.google.get(f"{API}/{name}/iam", optionsRequestedPolicyVersion=3)
    added = [{"role": role, "members": [member]} for role in roles]
    policy["bindings"] = [*(policy.get("bindings") or ()), *added]
    project.google.put(f"{API}/{name}/iam", policy)


def _found(project: Project, name: str) -> Any:
    """Return the bucket, None if there is none, FOREIGN if it belongs to people whose project we may not see."""
    try:
        return project.google.find(f"{API}/{name}")
    except GoogleRefused as error:
        if error.status == FORBIDDEN and not error.is_api_off:
            return FOREIGN
        raise


def _days(project: Project) -> int:
    text = project.settings.get(RETENTION, str(DAYS_DEFAULT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= DAYS_MAX:
        raise CloudProblem(f"{RETENTION} must be 1 to {DAYS_MAX}, the days for which each anchor stays.")
    return int(text)


def _problems(found: Mapping[str, Any], seconds: int) -> list[str]:
    access = found.get("iamConfiguration") or {}
    kept = int((found.get("retentionPolicy") or {}).get("retentionPeriod") or 0)
    return [
        says
        for says, is_wrong in (
            ("uniform access on", not (access.get("uniformBucketLevelAccess") or {}).get("enabled")),
            ("public access prevented", access.get("publicAccessPrevention") != "enforced"),
            (f"anchors kept for {seconds // DAY_SECONDS} days", kept < seconds),
        )
        if is_wrong
    ]
