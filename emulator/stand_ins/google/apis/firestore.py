"""Firestore Admin: databases, their protections and backup schedules. Changes are operations."""

import re
from typing import Any

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import already_exists, failed_precondition, invalid, not_found
from emulator.stand_ins.google.regions import FIRESTORE_MULTI_REGIONS, REGIONS
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

DATABASE_ID = re.compile(r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]")
KIND = "google.firestore.admin.v1"
CHANGEABLE = (
    "pointInTimeRecoveryEnablement", "deleteProtectionState", "concurrencyMode", "appEngineIntegrationMode", "type",
    "realtimeUpdatesMode", "firestoreDataAccessMode", "mongodbCompatibleDataAccessMode",
)  # fmt: skip
RETENTION_SECONDS_MAX = 14 * 7 * 24 * 3600
ENABLED_RECOVERY = "POINT_IN_TIME_RECOVERY_ENABLED"


def database(call: Call) -> Json:
    """Return the database of the path. Raises NOT_FOUND in Google's words."""
    database_id = call.places["databasesId"]
    name = f"projects/{call.project.id}/databases/{database_id}"
    if name not in call.table("Database"):
        url = f"https://console.cloud.google.com/datastore/setup?project={call.project.id}"
        raise not_found(
            f"The database {database_id} does not exist for project {call.project.id} Please visit {url} to add a "
            "Cloud Datastore or Cloud Firestore database."
        )
    return call.table("Database")[name]


def _told(made: Json) -> Json:
    """Return the database with the fields that follow from others."""
    is_recoverable = made.get("pointInTimeRecoveryEnablement") == ENABLED_RECOVERY
    return copied({**made, "versionRetentionPeriod": "604800s" if is_recoverable else "3600s"})


@serves("firestore.v1 projects.databases.create", needs="datastore.databases.create")
def create_database(call: Call) -> Json:
    database_id, location = call.query.get("databaseId", ""), str(call.body.get("locationId", ""))
    if not DATABASE_ID.fullmatch(database_id):
        raise invalid(f"Invalid database id: {database_id}", field="database_id")
    if location not in REGIONS and location not in FIRESTORE_MULTI_REGIONS:
        raise invalid(f"Invalid location ID: {location}. Refer to the list of locations.", field="database.location_id")
    if call.body.get("type", "DATABASE_TYPE_UNSPECIFIED") == "DATABASE_TYPE_UNSPECIFIED":
        raise invalid("The database type must be specified.", field="database.type")
    name = f"projects/{call.project.id}/databases/{database_id}"
    if name in call.table("Database"):
        raise already_exists("Database already exists. Please use another database_id")
    if database_id != "(default)" and not call.project.is_billed:
        raise failed_precondition("This API method requires billing to be enabled.")
    now = now_text()
    made = {
        "concurrencyMode": "PESSIMISTIC",
        "appEngineIntegrationMode": "DISABLED",
        "pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_DISABLED",
        "deleteProtectionState": "DELETE_PROTECTION_DISABLED",
        "databaseEdition": "STANDARD",
        **call.body,
        "uid": "5c1b3ab6-0f1e-4b83-9a57-1a3b7c2f4e10",
        "createTime": now,
        "updateTime": now,
        "etag": "IMDd0vfT+pADMIz7tYXT",
    }

    def act() -> Json:
        call.table("Database").add(name, made)
        return {"@type": f"type.googleapis.com/{KIND}.Database", **_told(call.table("Database")[name])}

    return call.begin(name, f"{KIND}.CreateDatabaseMetadata", act, polls=call.project.database_polls)


@serves("firestore.v1 projects.databases.get", needs="datastore.databases.getMetadata")
def get_database(call: Call) -> Json:
    return _told(database(call))


@serves("firestore.v1 projects.databases.list", needs="datastore.databases.list")
def list_databases(call: Call) -> Json:
    databases = [_told(each) for each in call.table("Database").values()]
    return {"databases": databases} if databases else {}


@serves("firestore.v1 projects.databases.patch", needs="datastore.databases.update")
def patch_database(call: Call) -> Json:
    have = database(call)
    if "locationId" in call.query.get("updateMask", "") and call.body.get("locationId") != have["locationId"]:
        raise invalid("The location of a database cannot be changed.", field="database.location_id")
    changed = call.patched(copied(have), allowed=(*CHANGEABLE, "etag", "name", "locationId"))

    def act() -> Json:
        have.update(changed, updateTime=now_text())
        return {"@type": f"type.googleapis.com/{KIND}.Database", **_told(have)}

    return call.begin(str(have["name"]), f"{KIND}.UpdateDatabaseMetadata", act, polls=call.project.database_polls)


@serves("firestore.v1 projects.databases.delete", needs="datastore.databases.delete")
def delete_database(call: Call) -> Json:
    have = database(call)
    if have["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED":
        raise failed_precondition("Delete protection is enabled for this database. Disable it to delete the database.")

    def act() -> Json:
        call.table("Database").remove(str(have["name"]))
        return {"@type": f"type.googleapis.com/{KIND}.Database", **_told(have)}

    return call.begin(str(have["name"]), f"{KIND}.DeleteDatabaseMetadata", act, polls=call.project.database_polls)


@serves("firestore.v1 projects.databases.operations.get")
def get_operation(call: Call) -> Json:
    return call.project.operations.poll(call.resource)


@serves("firestore.v1 projects.databases.operations.list")
def list_operations(call: Call) -> Json:
    return call.page("operations", call.project.operations.under(f"{call.resource}/"))


# ── backup schedules ─────────────────────────────────────────────────────────────────────────────────────────────────


def _seconds(duration: Any) -> float:
    return float(str(duration or "0s").removesuffix("s"))


@serves("firestore.v1 projects.databases.backupSchedules.create", needs="datastore.backupSchedules.create")
def create_schedule(call: Call) -> Json:
    parent = str(database(call)["name"])
    recurrences = {"dailyRecurrence", "weeklyRecurrence"} & call.body.keys()
    if len(recurrences) != 1:
        raise invalid("Exactly one recurrence must be set.", field="backup_schedule.recurrence")
    if not 0 < _seconds(call.body.get("retention")) <= RETENTION_SECONDS_MAX:
        raise invalid("Retention must be between 1 day and 14 weeks.", field="backup_schedule.retention")
    if any(recurrences & each.keys() for each in call.table("BackupSchedule").under(f"{parent}/backupSchedules")):
        raise already_exists("A backup schedule with this recurrence already exists for the database.")
    number, now = len(call.table("BackupSchedule")) + 1, now_text()
    name = f"{parent}/backupSchedules/schedule-{number}"
    given = {key: value for key, value in call.body.items() if key != "name"}
    return call.table("BackupSchedule").add(name, {**given, "createTime": now, "updateTime": now})


@serves("firestore.v1 projects.databases.backupSchedules.list", needs="datastore.backupSchedules.list")
def list_schedules(call: Call) -> Json:
    found = call.table("BackupSchedule").under(f"{database(call)['name']}/backupSchedules")
    return {"backupSchedules": copied({"all": found})["all"]} if found else {}


@serves("firestore.v1 projects.databases.backupSchedules.get", needs="datastore.backupSchedules.get")
def get_schedule(call: Call) -> Json:
    return copied(call.table("BackupSchedule").find(call.resource))


@serves("firestore.v1 projects.databases.backupSchedules.patch", needs="datastore.backupSchedules.update")
def patch_schedule(call: Call) -> Json:
    schedule = call.patched(call.table("BackupSchedule").find(call.resource), allowed=("retention", "name"))
    schedule["updateTime"] = now_text()
    return copied(schedule)


@serves("firestore.v1 projects.databases.backupSchedules.delete", needs="datastore.backupSchedules.delete")
def delete_schedule(call: Call) -> Json:
    call.table("BackupSchedule").remove(call.resource)
    return {}


@serves("firestore.v1 projects.locations.list", needs="datastore.locations.list")
def list_locations(call: Call) -> Json:
    places = sorted(REGIONS | FIRESTORE_MULTI_REGIONS)
    told = [{"name": f"projects/{call.project.id}/locations/{each}", "locationId": each} for each in places]
    return call.page("locations", told, size=100)
