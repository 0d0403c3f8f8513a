"""Checks of the bucket of anchors: there, locked, with access by roles alone, and closed to the public."""

from collections.abc import Iterator

from emulator.cloud.checks.check import check
from emulator.cloud.checks.cloud import DEPLOY, EVERYBODY
from emulator.cloud.checks.project import AnchorBucket, ProjectFacts

SETTING = "LEDGER_ANCHOR_BUCKET"
STEP = DEPLOY + ", whose step `anchors` makes, corrects and locks the bucket."


@check(
    f"Set `{SETTING}` in `.env.{{project}}` to the name of a new bucket, better in a project of other people, and run "
    "`make deploy PROJECT={project}`.",
    severity="hint",
)
def anchors_unset(project: ProjectFacts) -> Iterator[str]:
    """No bucket keeps the signed checkpoints, so nobody here notices that the ledger was rolled back."""
    if not project.settings.value.ledger_anchor_bucket:
        yield f"`{SETTING}` names no bucket: checkpoints are signed, and anchored nowhere."


@check(STEP)
def anchor_bucket_missing(project: ProjectFacts) -> Iterator[str]:
    """The bucket of anchors does not exist, so the log is neither appended nor signed."""
    name = project.settings.value.ledger_anchor_bucket
    if name and project.anchors.value is None:
        yield f"The bucket of anchors {name} does not exist."


@check(STEP)
def anchor_bucket_unlocked(project: ProjectFacts) -> Iterator[str]:
    """The retention policy of the anchors is missing or not locked, so anchors can be deleted and written again."""
    for bucket in _anchors(project):
        if not bucket.retention_days or not bucket.is_locked:
            kept = f"{bucket.retention_days} days, not locked" if bucket.retention_days else "none"
            yield f"The bucket of anchors has no locked retention policy ({kept})."


@check(STEP)
def anchor_bucket_not_uniform(project: ProjectFacts) -> Iterator[str]:
    """Single anchors may have rights of their own, which nobody oversees."""
    for bucket in _anchors(project):
        if not bucket.is_uniform:
            yield "The bucket of anchors has no uniform access."


@check("gcloud storage buckets remove-iam-policy-binding gs://BUCKET --member=MEMBER --role=ROLE")
def anchor_bucket_writable_by_all(project: ProjectFacts) -> Iterator[str]:
    """Everybody may write into the bucket of anchors, and so fill it with objects that hide the newest anchor."""
    for bucket in _anchors(project):
        for member in sorted(bucket.writers & EVERYBODY):
            yield f"The bucket of anchors may be written by {member}."


def _anchors(project: ProjectFacts) -> list[AnchorBucket]:
    is_named = bool(project.settings.value.ledger_anchor_bucket)
    return [project.anchors.value] if is_named and project.anchors.value is not None else []


CHECKS = (
    anchors_unset,
    anchor_bucket_missing,
    anchor_bucket_unlocked,
    anchor_bucket_not_uniform,
    anchor_bucket_writable_by_all,
)
