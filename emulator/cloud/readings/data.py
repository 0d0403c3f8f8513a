"""Readers of the database and the bucket: settings, indexes, rules, and the stored models, packages and seals."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from emulator.cloud.checks.needs import field_text, index_text
from emulator.cloud.checks.project import AnchorBucket, Bucket, Database, Offer
from emulator.cloud.google import Google

FIRESTORE = "https://firestore.googleapis.com/v1"
RULES = "https://firebaserules.googleapis.com/v1"
STORAGE = "https://storage.googleapis.com/storage/v1"
DAY_SECONDS = 86_400
READING = frozenset(
    {"roles/storage.objectViewer", "roles/storage.legacyObjectReader", "roles/storage.legacyBucketReader"}
)
"""Roles by which nobody writes into a bucket."""
SECONDS_OF_A_DAY = 86_400
OVERRIDDEN = "indexConfig.usesAncestorConfig:false OR ttlConfig:*"
DEFAULTS = "__default__."
"""Beginning of the name of the field that stands for all fields without settings of their own."""
PAGE = 300
DOCUMENTS_LOOKED_AT = 300
"""Stored accounts, and stored entries, whose keys are looked at."""


def read_database(google: Google) -> Database | None:
    """Return the settings of the database `(default)`; None if there is none."""
    found = google.find(_database(google))
    if found is None:
        return None
    schedules = google.get(f"{_database(google)}/backupSchedules").get("backupSchedules") or ()
    return Database(
        location=str(found["locationId"]),
        kind=str(found.get("type")),
        has_recovery=found.get("pointInTimeRecoveryEnablement") == "POINT_IN_TIME_RECOVERY_ENABLED",
        is_protected=found.get("deleteProtectionState") == "DELETE_PROTECTION_ENABLED",
        backup_days=tuple(_days(each) for each in schedules),
    )


def read_indexes(google: Google) -> Mapping[str, str]:
    """Return the state of each composite index by the index's text."""
    found = google.items(f"{_database(google)}/collectionGroups/-/indexes", "indexes")
    return {index_text(_collection(each), each): str(each.get("state", "READY")) for each in found}


def read_single_fields(google: Google) -> Mapping[str, str]:
    """Return the text of each field whose indexes or time to live are not Firestore's own."""
    found = google.items(f"{_database(google)}/collectionGroups/-/fields", "fields", filter=OVERRIDDEN)
    fields = {f"{_collection(each)}.{each['name'].rpartition('/')[2]}": _field(each) for each in found}
    return {name: text for name, text in fields.items() if not name.startswith(DEFAULTS)}


def read_rules(google: Google) -> str | None:
    """Return the released rules of Firestore; None if none are released."""
    release = google.find(f"{RULES}/projects/{google.project}/releases/cloud.firestore")
    if release is None:
        return None
    files = google.get(f"{RULES}/{release['rulesetName']}")["source"]["files"]
    return "\n".join(str(each["content"]) for each in files)


def read_bucket(google: Google, name: str) -> Bucket | None:
    """Return the settings of a bucket; None if there is none."""
    found = google.find(f"{STORAGE}/b/{name}")
    if found is None:
        return None
    rules = found.get("iamConfiguration") or {}
    policy = google.get(f"{STORAGE}/b/{name}/iam")
    members = [str(member) for each in policy.get("bindings") or () for member in each.get("members") or ()]
    return Bucket(
        location=str(found["location"]),
        is_uniform=bool((rules.get("uniformBucketLevelAccess") or {}).get("enabled")),
        is_private=rules.get("publicAccessPrevention") == "enforced",
        members=frozenset(members),
    )


def read_anchors(google: Google, name: str) -> AnchorBucket | None:
    """Return the settings of the bucket of anchors; None if the settings name none, or if there is none."""
    found = google.find(f"{STORAGE}/b/{name}") if name else None
    if found is None:
        return None
    access, kept = found.get("iamConfiguration") or {}, found.get("retentionPolicy") or {}
    policy = google.get(f"{STORAGE}/b/{name}/iam")
    bindings = [each for each in policy.get("bindings") or () if str(each["role"]) not in READING]
    return AnchorBucket(
        is_uniform=bool((access.get("uniformBucketLevelAccess") or {}).get("enabled")),
        retention_days=int(kept.get("retentionPeriod") or 0) // SECONDS_OF_A_DAY,
        is_locked=kept.get("isLocked") is True,
        writers=frozenset(str(member) for each in bindings for member in each.get("members") or ()),
    )


def read_offer(google: Google) -> Offer:
    """Return the stored models and packages."""
    return Offer(models=_documents(google, "models"), packages=_documents(google, "packages"))


def read_sealing_keys(google: Google) -> frozenset[str]:
    """Return the ids of the keys in the seals of stored accounts and in stored entries, as far as looked at."""
    seals = {str(each.get("seal")).partition(":")[0] for each in _group(google, "sealed", "seal")}
    bodies = [json.loads(str(each.get("body") or "{}")) for each in _group(google, "entries", "body")]
    return frozenset(seals | {str(each["kid"]) for each in bodies if "kid" in each}) - {"None", ""}


def _documents(google: Google, collection: str) -> Mapping[str, Mapping[str, Any]]:
    found = google.items(f"{_database(google)}/documents/{collection}", "documents", pageSize=PAGE)
    return {str(each["name"]).rpartition("/")[2]: _fields(each) for each in found}


def _group(google: Google, collection: str, field: str) -> Iterator[Mapping[str, Any]]:
    """Yield one field of documents of a collection group, at most DOCUMENTS_LOOKED_AT documents."""
    query = {
        "from": [{"collectionId": collection, "allDescendants": True}],
        "select": {"fields": [{"fieldPath": field}]},
        "limit": DOCUMENTS_LOOKED_AT,
    }
    for each in google.rows(f"{_database(google)}/documents:runQuery", {"structuredQuery": query}):
        if "document" in each:
            yield _fields(each["document"])


def _fields(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: _value(value) for name, value in (document.get("fields") or {}).items()}


def _value(told: Mapping[str, Any]) -> Any:
    """Return a value of Firestore's JSON as a plain value."""
    ((kind, value),) = told.items()
    if kind == "integerValue":
        return int(value)
    if kind == "mapValue":
        return _fields(value)
    if kind == "arrayValue":
        return [_value(each) for each in value.get("values") or ()]
    if kind == "timestampValue":
        return datetime.fromisoformat(str(value))
    return None if kind == "nullValue" else value


def _field(field: Mapping[str, Any]) -> str:
    indexes = (field.get("indexConfig") or {}).get("indexes") or ()
    kinds = [{**each["fields"][0], "queryScope": each.get("queryScope", "COLLECTION")} for each in indexes]
    return field_text({"indexes": kinds, "ttl": "ttlConfig" in field})


def _collection(thing: Mapping[str, Any]) -> str:
    return str(thing["name"]).split("/collectionGroups/")[1].split("/")[0]


def _database(google: Google) -> str:
    return f"{FIRESTORE}/projects/{google.project}/databases/(default)"


def _days(schedule: Mapping[str, Any]) -> int:
    return int(float(str(schedule["retention"]).rstrip("s"))) // SECONDS_OF_A_DAY
