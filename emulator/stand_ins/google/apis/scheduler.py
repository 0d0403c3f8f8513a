"""Cloud Scheduler: jobs that call functions on a schedule."""

import re
import zoneinfo
from typing import Any

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.deployments import calling_problem, service_name
from emulator.stand_ins.google.errors import GoogleRefusal, already_exists, invalid, not_found
from emulator.stand_ins.google.regions import REGIONS
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

DEADLINE_SECONDS = (15, 1800)
JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,500}")
DAYS = r"(?:sun|mon|tue|wed|thu|fri|sat)\w*"
TIME = r"(?:[01]?\d|2[0-3]):[0-5]\d"
ENGLISH = re.compile(
    rf"every \d+ (?:mins|minutes|hours)(?: (?:synchronized|from {TIME} to {TIME}))?"
    rf"|(?:every day|every {DAYS}(?:,{DAYS})*) {TIME}"
    rf"|(?:1st|2nd|3rd|\d+th|first|second|third|fourth)(?:,\S+)* (?:{DAYS}|day) of \w+(?:,\w+)* {TIME}"
)
CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
CRON_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
CRON_NAMES = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat", re.IGNORECASE)


def is_schedule(text: str) -> bool:
    """Return whether the text is a unix-cron expression or one of App Engine's English schedules."""
    if ENGLISH.fullmatch(text.strip().lower()):
        return True
    fields = text.split()
    return len(fields) == len(CRON_RANGES) and all(map(_is_cron_field, fields, CRON_RANGES))


def _is_cron_field(field: str, allowed: tuple[int, int]) -> bool:
    for part in CRON_NAMES.sub("1", field).split(","):
        found = CRON_PART.fullmatch(part)
        if found is None:
            return False
        numbers = [int(each) for each in found.groups()[:2] if each is not None]
        is_rising = numbers == sorted(numbers) and found[3] != "0"
        if not is_rising or any(not allowed[0] <= each <= allowed[1] for each in numbers):
            return False
    return True


def _check(call: Call, job: Json) -> None:
    if not is_schedule(str(job.get("schedule", ""))):
        raise invalid("Schedule or time zone is invalid.", field="job.schedule")
    if job.get("timeZone", "Etc/UTC") not in zoneinfo.available_timezones():
        raise invalid("Schedule or time zone is invalid.", field="job.time_zone")
    seconds = float(str(job.get("attemptDeadline", "180s")).removesuffix("s"))
    if not DEADLINE_SECONDS[0] <= seconds <= DEADLINE_SECONDS[1]:
        raise invalid("The attempt deadline must be between 15 seconds and 30 minutes.", field="job.attempt_deadline")
    target: dict[str, Any] = job.get("httpTarget") or {}
    if not target and "pubsubTarget" not in job:
        raise invalid("The job must have a target.", field="job.target")
    if target and not str(target.get("uri", "")).startswith("https://"):
        raise invalid("HttpTarget.uri must be a valid URL.", field="job.http_target.uri")
    email = (target.get("oidcToken") or {}).get("serviceAccountEmail")
    if email:
        _check_account(call, str(email))


def _check_account(call: Call, email: str) -> None:
    if not call.project.has_account(email):
        raise not_found(f"Service account {email} does not exist.")
    name = f"projects/{call.project.id}/serviceAccounts/{email}"
    if not call.project.may(call.caller, "iam.serviceAccounts.actAs", name):
        raise GoogleRefusal(
            "PERMISSION_DENIED", f"The principal (user or service account) lacks IAM permission "
            f'"iam.serviceAccounts.actAs" for the resource "{email}" (or the resource may not exist).'
        )  # fmt: skip


def _find(call: Call) -> Json:
    if call.resource not in call.table("Job"):
        raise not_found("Job not found.")
    return call.table("Job")[call.resource]


@serves("cloudscheduler.v1 projects.locations.jobs.create", needs="cloudscheduler.jobs.create")
def create_job(call: Call) -> Json:
    region = call.places["locationsId"]
    if region not in REGIONS:
        raise not_found(f"Location {region} is not a valid location for Cloud Scheduler.")
    name = str(call.body.get("name") or f"{call.resource}/job-{len(call.table('Job')) + 1}")
    if not name.startswith(f"projects/{call.project.id}/locations/{region}/jobs/") or not JOB_ID.fullmatch(
        name.rpartition("/")[2]
    ):
        raise invalid(f"Job name must be formatted: projects/P/locations/L/jobs/J, got {name}", field="job.name")
    _check(call, call.body)
    if name in call.table("Job"):
        raise already_exists(f"Job {name} already exists.")
    given = {key: value for key, value in call.body.items() if key not in {"name", "state"}}
    made = {"timeZone": "Etc/UTC", "attemptDeadline": "180s", **given, "state": "ENABLED", "userUpdateTime": now_text()}
    return call.table("Job").add(name, made)


@serves("cloudscheduler.v1 projects.locations.jobs.get", needs="cloudscheduler.jobs.get")
def get_job(call: Call) -> Json:
    return copied(_find(call))


@serves("cloudscheduler.v1 projects.locations.jobs.list", needs="cloudscheduler.jobs.list")
def list_jobs(call: Call) -> Json:
    return call.page("jobs", call.table("Job").under(call.resource))


@serves("cloudscheduler.v1 projects.locations.jobs.patch", needs="cloudscheduler.jobs.update")
def patch_job(call: Call) -> Json:
    have = _find(call)
    wanted = call.patched(copied(have))
    _check(call, wanted)
    have.update(wanted, userUpdateTime=now_text())
    return copied(have)


@serves("cloudscheduler.v1 projects.locations.jobs.delete", needs="cloudscheduler.jobs.delete")
def delete_job(call: Call) -> Json:
    call.table("Job").remove(str(_find(call)["name"]))
    return {}


@serves("cloudscheduler.v1 projects.locations.jobs.pause", needs="cloudscheduler.jobs.pause")
def pause_job(call: Call) -> Json:
    _find(call)["state"] = "PAUSED"
    return copied(_find(call))


@serves("cloudscheduler.v1 projects.locations.jobs.resume", needs="cloudscheduler.jobs.enable")
def resume_job(call: Call) -> Json:
    _find(call)["state"] = "ENABLED"
    return copied(_find(call))


@serves("cloudscheduler.v1 projects.locations.jobs.run", needs="cloudscheduler.jobs.run")
def run_job(call: Call) -> Json:
    job = _find(call)
    job |= {"lastAttemptTime": now_text(), "status": _attempt(call, job)}
    return copied(job)


def _attempt(call: Call, job: Json) -> Json:
    """Return the status of one attempt, which fails if the job's account may not call the function."""
    target: dict[str, Any] = job.get("httpTarget") or {}
    uri, email = str(target.get("uri")), str((target.get("oidcToken") or {}).get("serviceAccountEmail", ""))
    called = [
        each for each in call.table("Function").values() if uri in {each["url"], each["serviceConfig"].get("uri")}
    ]
    if not called:
        return {"code": 5, "message": "NOT_FOUND"}
    problem = calling_problem(call.project, service_name(str(called[0]["name"])), email)
    return {"code": 7, "message": problem} if problem else {}
