"""Readers of deployed functions, and of the jobs of Cloud Scheduler that call them."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from emulator.cloud.checks.project import FunctionFacts, ScheduledJob
from emulator.cloud.google import Google

FUNCTIONS = "https://cloudfunctions.googleapis.com/v2"
SCHEDULER = "https://cloudscheduler.googleapis.com/v1"
JOB = re.compile(r"firebase-schedule-(?P<function>.+)-(?P<region>[a-z]+-[a-z]+\d+)")
AMOUNT = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[KMGT]i?)?B?")
MB_OF_UNIT = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "Ti": 1024**2, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


def read_functions(google: Google, region: str) -> Mapping[str, FunctionFacts]:
    """Return the deployed functions of all regions by name.

    Of two functions with one name, the one in this region has the name; the other stands under `name (region)`.
    """
    listed = google.items(f"{FUNCTIONS}/projects/{google.project}/locations/-/functions", "functions")
    found: dict[str, FunctionFacts] = {}
    for function in sorted(map(_function, listed), key=lambda each: each.region != region):
        is_second = function.name in found
        found[f"{function.name} ({function.region})" if is_second else function.name] = function
    return found


def read_jobs(google: Google, region: str) -> Mapping[str, ScheduledJob]:
    """Return the scheduled jobs of functions in a region, by function."""
    found = google.items(f"{SCHEDULER}/projects/{google.project}/locations/{region}/jobs", "jobs")
    jobs = [_job(match["function"], each) for each in found if (match := JOB.fullmatch(_last(each)))]
    return {job.function: job for job in jobs}


def _function(told: Mapping[str, Any]) -> FunctionFacts:
    service = told.get("serviceConfig") or {}
    secrets = service.get("secretEnvironmentVariables") or ()
    problems = [str(each.get("message")) for each in told.get("stateMessages") or ()]
    return FunctionFacts(
        name=_last(told),
        region=str(told["name"]).split("/")[3],
        state=str(told.get("state")),
        memory_mb=_megabytes(str(service.get("availableMemory") or "256M")),
        cpu=str(service.get("availableCpu") or ""),
        concurrency=int(service.get("maxInstanceRequestConcurrency") or 1),
        timeout_seconds=int(service.get("timeoutSeconds") or 60),
        instances_max=service.get("maxInstanceCount"),
        instances_min=int(service.get("minInstanceCount") or 0),
        ingress=str(service.get("ingressSettings") or "ALLOW_ALL"),
        service_account=str(service.get("serviceAccountEmail") or ""),
        settings=service.get("environmentVariables") or {},
        secrets={str(each["key"]): str(each.get("version") or "latest") for each in secrets},
        event=(told.get("eventTrigger") or {}).get("eventType"),
        is_retried=(told.get("eventTrigger") or {}).get("retryPolicy") == "RETRY_POLICY_RETRY",
        problem=" ".join(problems),
    )


def _job(function: str, told: Mapping[str, Any]) -> ScheduledJob:
    return ScheduledJob(
        function=function,
        state=str(told.get("state")),
        schedule=str(told.get("schedule")),
        zone=str(told.get("timeZone") or "UTC"),
        attempted_at=_time(told.get("lastAttemptTime")),
        code=int((told.get("status") or {}).get("code") or 0),
        changed_at=_time(told.get("userUpdateTime")),
    )


def _last(told: Mapping[str, Any]) -> str:
    return str(told["name"]).rpartition("/")[2]


def _megabytes(text: str) -> int:
    found = AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is no amount of memory")
    unit = found["unit"]
    return int(float(found["number"]) * MB_OF_UNIT[unit]) if unit else int(float(found["number"])) // 1024**2


def _time(text: object) -> datetime | None:
    """Return a time of Google's JSON, which may have nanoseconds; None for none."""
    if not text:
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text)))
