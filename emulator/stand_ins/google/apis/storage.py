"""Cloud Storage: buckets with their protections and policies. Refusals have the older JSON form of this API."""

import re
from typing import Any

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import GoogleRefusal, already_exists, failed_precondition, invalid, not_found
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.regions import MULTI_REGIONS, REGIONS
from emulator.stand_ins.google.state import Project, now_text
from emulator.stand_ins.wire import Answer, Json, copied

BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{1,61})[a-z0-9]")
SOFT_DELETE = {"retentionDurationSeconds": "604800", "effectiveTime": "2026-11-01T09:00:00.000Z"}
RETENTION_SECONDS_MAX = 3_155_760_000
PREVENTION = ("inherited", "enforced")
TAKEN = (
    "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please "
    "select a different name and try again."
)


def _bucket(call: Call, permission: str) -> Json:
    """Return the bucket of the path. The permission counts on the project and on the bucket."""
    name = call.places["bucket"]
    if name in call.state.foreign_buckets:
        raise _no_access(call, permission)
    if name not in call.state.buckets:
        raise not_found("The specified bucket does not exist.")
    if not _may(call, name, permission):
        raise _no_access(call, permission)
    return call.state.buckets[name]


def _may(call: Call, bucket: str, permission: str) -> bool:
    policy = call.state.bucket_policies[bucket]
    return call.project.policy.allows(call.caller, permission) or policy.allows(call.caller, permission)


def _no_access(call: Call, permission: str) -> GoogleRefusal:
    who = call.caller.partition(":")[2]
    return GoogleRefusal(
        "PERMISSION_DENIED",
        f"{who} does not have {permission} access to the Google Cloud Storage bucket. Permission '{permission}' denied "
        "on resource (or it may not exist).",
    )


def put_bucket(project: Project, buckets: dict[str, Json], given: Json) -> Json:
    """Make a bucket with Google's defaults for all that is not given."""
    name, now = str(given["name"]), now_text()
    location = str(given.get("location", "US")).upper()
    made: Json = {
        "kind": "storage#bucket",
        "id": name,
        "storageClass": "STANDARD",
        "softDeletePolicy": SOFT_DELETE,
        **given,
        "projectNumber": project.number,
        "metageneration": "1",
        "location": location,
        "locationType": "region" if location.lower() in REGIONS else "multi-region",
        "timeCreated": now,
        "updated": now,
        "etag": "CAE=",
        "iamConfiguration": _access(given.get("iamConfiguration") or {}, {}),
    }
    _stamp_retention(made)
    buckets[name] = made
    return made


def _access(given: Json, have: Json) -> Json:
    uniform = given.get("uniformBucketLevelAccess", have.get("uniformBucketLevelAccess", {"enabled": False}))
    prevention = given.get("publicAccessPrevention", have.get("publicAccessPrevention", "inherited"))
    if prevention not in PREVENTION:
        raise invalid(f"Invalid value for publicAccessPrevention: {prevention}")
    return {"uniformBucketLevelAccess": uniform, "publicAccessPrevention": prevention}


def _stamp_retention(bucket: Json) -> None:
    policy: dict[str, Any] = bucket.get("retentionPolicy") or {}
    if not policy:
        bucket.pop("retentionPolicy", None)
        return
    if not 0 < int(policy.get("retentionPeriod", 0)) <= RETENTION_SECONDS_MAX:
        raise invalid("Retention period must be positive and less than 100 years.")
    policy.setdefault("effectiveTime", now_text())
    policy.setdefault("isLocked", False)


@serves("storage.v1 buckets.insert")
def create_bucket(call: Call) -> Json:
    if not call.query.get("project"):
        raise invalid("Required parameter: project")
    if not call.project.policy.allows(call.caller, "storage.buckets.create"):
        raise _no_access(call, "storage.buckets.create")
    if not call.project.is_billed:
        raise GoogleRefusal(
            "PERMISSION_DENIED", "The billing account for the owning project is disabled in state absent"
        )
    name = str(call.body.get("name", ""))
    if not BUCKET.fullmatch(name) or "google" in name or name.startswith("goog"):
        raise invalid(f"Invalid bucket name: '{name}'")
    location = str(call.body.get("location", "US")).lower()
    if location not in REGIONS and location not in MULTI_REGIONS:
        raise invalid("The specified location constraint is not valid.")
    if name in call.state.buckets and call.state.bucket_owners[name] == call.project.id:
        raise already_exists("Your previous request to create the named bucket succeeded and you already own it.")
    if name in call.state.buckets or name in call.state.foreign_buckets:
        raise already_exists(TAKEN)
    made = put_bucket(call.project, call.state.buckets, call.body)
    call.state.bucket_owners[name] = call.project.id
    call.state.bucket_policies[name] = Policy()
    return copied(made)


@serves("storage.v1 buckets.get")
def get_bucket(call: Call) -> Json:
    return copied(_bucket(call, "storage.buckets.get"))


@serves("storage.v1 buckets.list")
def list_buckets(call: Call) -> Json:
    own = [
        each for name, each in sorted(call.state.buckets.items()) if call.state.bucket_owners[name] == call.project.id
    ]
    return {"kind": "storage#buckets", **call.page("items", own)}


@serves("storage.v1 buckets.patch")
def patch_bucket(call: Call) -> Json:
    bucket = _bucket(call, "storage.buckets.update")
    wanted = call.query.get("ifMetagenerationMatch")
    if wanted is not None and wanted != bucket["metageneration"]:
        raise GoogleRefusal("ABORTED", "At least one of the pre-conditions you specified did not hold.")
    _require_unlocked(bucket, call.body)
    changed = {key: value for key, value in call.body.items() if key not in {"name", "location", "projectNumber"}}
    if "iamConfiguration" in changed:
        changed["iamConfiguration"] = _access(changed["iamConfiguration"], bucket["iamConfiguration"])
    bucket.update(copied(changed))
    _stamp_retention(bucket)
    bucket["metageneration"] = str(int(bucket["metageneration"]) + 1)
    bucket["updated"] = now_text()
    return copied(bucket)


def _require_unlocked(bucket: Json, change: Json) -> None:
    have: dict[str, Any] = bucket.get("retentionPolicy") or {}
    if not have.get("isLocked") or "retentionPolicy" not in change:
        return
    wanted = (change["retentionPolicy"] or {}).get("retentionPeriod", 0)
    if int(wanted) < int(have["retentionPeriod"]):
        raise GoogleRefusal("PERMISSION_DENIED", "Cannot reduce retention duration of a locked Retention Policy.")


@serves("storage.v1 buckets.delete")
def delete_bucket(call: Call) -> Answer:
    name = str(_bucket(call, "storage.buckets.delete")["name"])
    if any(bucket == name for bucket, _ in call.state.objects):
        raise failed_precondition("The bucket you tried to delete is not empty.")
    for table in (call.state.buckets, call.state.bucket_owners, call.state.bucket_policies):
        table.pop(name, None)
    return Answer(status=204)


@serves("storage.v1 buckets.lockRetentionPolicy")
def lock_retention(call: Call) -> Json:
    bucket = _bucket(call, "storage.buckets.update")
    if "retentionPolicy" not in bucket:
        raise invalid("Bucket does not have a retention policy.")
    bucket["retentionPolicy"]["isLocked"] = True
    return copied(bucket)


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _told(call: Call, policy: Json) -> Json:
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{call.places['bucket']}", **policy}


@serves("storage.v1 buckets.getIamPolicy")
def get_policy(call: Call) -> Json:
    _bucket(call, "storage.buckets.getIamPolicy")
    return _told(call, call.state.bucket_policies[call.places["bucket"]].as_json())


@serves("storage.v1 buckets.setIamPolicy")
def set_policy(call: Call) -> Json:
    bucket = _bucket(call, "storage.buckets.setIamPolicy")
    members = {member for each in call.body.get("bindings") or [] for member in each.get("members") or []}
    is_prevented = bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    if is_prevented and members & {"allUsers", "allAuthenticatedUsers"}:
        raise GoogleRefusal(
            "FAILED_PRECONDITION",
            "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is "
            "enforced.",
        )
    policy = call.state.bucket_policies[call.places["bucket"]]
    return _told(call, policy.replace(call.body, mask="", exists=call.project.has_account))


@serves("storage.v1 buckets.testIamPermissions")
def test_permissions(call: Call) -> Json:
    asked = [value for key, value in call.pairs() if key == "permissions"]
    held = [each for each in asked if _may(call, call.places["bucket"], each)]
    return {"kind": "storage#testIamPermissionsResponse", **({"permissions": held} if held else {})}


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def object_json(bucket: str, name: str, content: bytes) -> Json:
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/1",
        "name": name,
        "bucket": bucket,
        "generation": "1",
        "metageneration": "1",
        "size": str(len(content)),
    }


@serves("storage.v1 objects.list")
def list_objects(call: Call) -> Json:
    bucket = str(_bucket(call, "storage.objects.list")["name"])
    prefix = call.query.get("prefix", "")
    items = [
        object_json(bucket, name, content)
        for (owner, name), content in sorted(call.state.objects.items())
        if owner == bucket and name.startswith(prefix)
    ]
    return {"kind": "storage#objects", **call.page("items", items)}


@serves("storage.v1 objects.get")
def get_object(call: Call) -> Json | Answer:
    bucket = str(_bucket(call, "storage.objects.get")["name"])
    content = call.state.objects.get((bucket, call.places["object"]))
    if content is None:
        raise not_found(f"No such object: {bucket}/{call.places['object']}")
    if call.request.asked().get("alt") == "media":
        return Answer(body=content, kind="application/octet-stream")
    return object_json(bucket, call.places["object"], content)


@serves("storage.v1 objects.delete")
def delete_object(call: Call) -> Answer:
    bucket = _bucket(call, "storage.objects.delete")
    if bucket.get("retentionPolicy"):
        raise GoogleRefusal(
            "PERMISSION_DENIED",
            f"Object '{bucket['name']}/{call.places['object']}' is subject to bucket's retention policy and cannot be "
            "deleted or overwritten.",
        )
    if call.state.objects.pop((str(bucket["name"]), call.places["object"]), None) is None:
        raise not_found(f"No such object: {bucket['name']}/{call.places['object']}")
    return Answer(status=204)
