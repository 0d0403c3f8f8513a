"""Bucket of users' files: private for ever, with access by roles alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.cloud.problems import CloudProblem, GoogleRefused
from emulator.cloud.project import Change, Project

API = "https://storage.googleapis.com/storage/v1/b"
RETENTION = "IMAGES_RETENTION_DAYS"
RETENTION_DAYS = (0, *range(7, 91))
DAY_SECONDS = 86_400
PRIVATE: Mapping[str, Any] = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}


class BucketTaken(CloudProblem):
    """Error for a bucket name that belongs to another project, or that this operator may not see."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The bucket {name} belongs to another project, or you may not see it: "
            "set IMAGES_BUCKET to another name, or ask for the role Storage Admin."
        )


def bucket_of(project: Project) -> str:
    return project.settings.get("IMAGES_BUCKET", f"{project.id}-images")


def retention_days(project: Project) -> int:
    """Return the days for which a deleted file can be brought back. Raises CloudProblem for an impossible setting."""
    text = project.settings.get(RETENTION, "7")
    if not text.isascii() or not text.isdigit() or int(text) not in RETENTION_DAYS:
        raise CloudProblem(f"{RETENTION} must be 0, or 7 to 90, the days for which Google keeps a deleted file.")
    return int(text)


def look(project: Project) -> Sequence[Change]:
    name, days = bucket_of(project), retention_days(project)
    wanted = {
        "iamConfiguration": PRIVATE,
        "softDeletePolicy": {"retentionDurationSeconds": str(days * DAY_SECONDS)},
    }
    found = _found(project, name)
    if found is None:

        def create() -> None:
            body = {"name": name, "location": project.region, **wanted}
            project.google.create(API, body, project=project.id)

        kept = f"a deleted file is kept for {days} days" if days else "a deleted file is gone at once"
        return [Change(says=f"create the private bucket {name} in {project.region}; {kept}", do=create)]
    if problems := _problems(found, days):

        def correct() -> None:
            project.google.patch(f"{API}/{name}", wanted)

        return [Change(says=f"correct the bucket {name}: {', '.join(problems)}", do=correct)]
    return []


def _found(project: Project, name: str) -> dict[str, Any] | None:
    try:
        found = project.google.find(f"{API}/{name}")
    except GoogleRefused as error:
        if error.status == 403 and not error.is_api_off:  # noqa: PLR2004  # the status itself
            raise BucketTaken(name) from error
        raise
    return found


def _problems(found: Mapping[str, Any], days: int) -> list[str]:
    access = found.get("iamConfiguration") or {}
    kept = int((found.get("softDeletePolicy") or {}).get("retentionDurationSeconds") or 0)
    return [
        says
        for says, is_wrong in (
            ("uniform access on", not (access.get("uniformBucketLevelAccess") or {}).get("enabled")),
            ("public access prevented", access.get("publicAccessPrevention") != "enforced"),
            (f"deleted files kept for {days} days", kept != days * DAY_SECONDS),
        )
        if is_wrong
    ]
