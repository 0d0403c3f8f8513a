"""Firestore database: its location, point-in-time recovery, delete protection and backups."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project

API = "https://firestore.googleapis.com/v1"
LOCATION = "FIRESTORE_LOCATION"
DAILY, WEEKLY = "BACKUP_DAILY_DAYS", "BACKUP_WEEKLY_DAYS"
KEPT_DAYS: Mapping[str, str] = {DAILY: "7", WEEKLY: "98"}
"""Days for which a backup is kept, by setting. 0 means no such backup; Google keeps a backup for 14 weeks at most."""
KEPT_DAYS_MAX = 98
DAY_SECONDS = 86_400
RECURRENCES: Mapping[str, Mapping[str, Any]] = {
    DAILY: {"dailyRecurrence": {}},
    WEEKLY: {"weeklyRecurrence": {"day": "SUNDAY"}},
}
SAFE: Mapping[str, str] = {
    "pointInTimeRecoveryEnablement": "POINT_IN_TIME_RECOVERY_ENABLED",
    "deleteProtectionState": "DELETE_PROTECTION_ENABLED",
}
SAFE_NAMES: Mapping[str, str] = {
    "pointInTimeRecoveryEnablement": "point-in-time recovery",
    "deleteProtectionState": "delete protection",
}


def location_of(project: Project) -> str:
    return project.settings.get(LOCATION, project.region)


def look(project: Project) -> Sequence[Change]:
    database = _database(project)
    found = project.google.find(database)
    if found is None:
        return [_creating(project), *_schedules(project, ())]
    _check(project, found)
    listed = project.google.get(f"{database}/backupSchedules").get("backupSchedules") or ()
    return [*_protecting(project, found), *_schedules(project, listed)]


def _database(project: Project) -> str:
    return f"{API}/projects/{project.id}/databases/(default)"


def _check(project: Project, found: Mapping[str, Any]) -> None:
    """Raise CloudProblem if the database is of a kind or at a place that no change can correct."""
    if found.get("type") != "FIRESTORE_NATIVE":
        raise CloudProblem(
            "The database (default) is in Datastore mode, which has no listeners: use another project, "
            "or turn an empty database into Firestore in Native mode in the Cloud Console."
        )
    wanted = project.settings.get(LOCATION)
    if wanted and found.get("locationId") != wanted:
        raise CloudProblem(
            f"The database is in {found.get('locationId')}, and a database cannot be moved: "
            f"set {LOCATION}={found.get('locationId')} in {project.settings.path.name}, or use another project."
        )


def _creating(project: Project) -> Change:
    location = location_of(project)

    def create() -> None:
        url = f"{API}/projects/{project.id}/databases"
        body = {"type": "FIRESTORE_NATIVE", "locationId": location, **SAFE}
        made = project.google.create(url, body, databaseId="(default)")
        if made is not None:
            project.google.wait(made, url)

    safe = " and ".join(SAFE_NAMES.values())
    return Change(says=f"create the database in {location} (for good), with {safe}", do=create)


def _protecting(project: Project, found: Mapping[str, Any]) -> Sequence[Change]:
    missing = [name for name, wanted in SAFE.items() if found.get(name) != wanted]
    if not missing:
        return []

    def protect() -> None:
        url = _database(project)
        body = {name: SAFE[name] for name in missing}
        project.google.wait(project.google.patch(url, body, updateMask=",".join(missing)), url)

    return [Change(says=f"turn on {' and '.join(SAFE_NAMES[name] for name in missing)}", do=protect)]


def _schedules(project: Project, listed: Sequence[Mapping[str, Any]]) -> Sequence[Change]:
    """Return the changes of the backup schedules: one that is daily and one that is weekly, each kept as set."""
    changes: list[Change] = []
    for setting, recurrence in RECURRENCES.items():
        (kind,) = recurrence
        seconds = _kept_days(project, setting) * DAY_SECONDS
        found = next((each for each in listed if kind in each), None)
        how = f"{kind.removesuffix('Recurrence')} backups"
        kept = f"kept for {seconds // DAY_SECONDS} days"
        if found is None and seconds:
            create = partial(_create_schedule, project, {"retention": f"{seconds}s", **recurrence})
            changes.append(Change(says=f"make {how}, each {kept}", do=create))
        elif found is not None and not seconds:
            delete = partial(project.google.delete, f"{API}/{found['name']}")
            changes.append(Change(says=f"make no {how} any more; those that exist stay until their time", do=delete))
        elif found is not None and found.get("retention") != f"{seconds}s":
            keep = partial(_keep, project, str(found["name"]), seconds)
            changes.append(Change(says=f"keep {how} differently: each {kept}", do=keep))
    return changes


def _kept_days(project: Project, setting: str) -> int:
    text = project.settings.get(setting, KEPT_DAYS[setting])
    if not text.isascii() or not text.isdigit() or int(text) > KEPT_DAYS_MAX:
        raise CloudProblem(
            f"{setting} must be 0 to {KEPT_DAYS_MAX}, the days for which a backup is kept; 0 means none."
        )
    return int(text)


def _create_schedule(project: Project, schedule: Mapping[str, Any]) -> None:
    project.google.create(f"{_database(project)}/backupSchedules", schedule)


def _keep(project: Project, name: str, seconds: int) -> None:
    project.google.patch(f"{API}/{name}", {"retention": f"{seconds}s"}, updateMask="retention")
