"""Descriptions of the fields of the status page for the OpenAPI document, by schema and name."""

from collections.abc import Mapping

BY_SCHEMA: Mapping[str, str] = {
    "Components.every_day": "The jobs of every day.",
    "Components.every_minute": "The jobs of every minute.",
    "Components.relay": "The relay, which publishes entries.",
    "JobOut.code": "The error that ended the last run; null for none.",
    "JobOut.done": "The number of items of the last run; null before the first end.",
    "JobOut.ended_at": "The end of the last run; null before the first end.",
    "JobOut.name": "The name of the job.",
    "JobOut.seconds": "The length of the last run; null before the first end.",
    "RelayOut.lag_ms": "The age of the oldest entry that waits, in milliseconds.",
    "RelayOut.means": "The state in words.",
    "RelayOut.status": "`ok`, `degraded` or `unknown`.",
    "ScheduleOut.jobs": "The jobs of the schedule.",
    "ScheduleOut.means": "The state in words.",
    "ScheduleOut.since": "The end of the last run, or of the first run that failed; null before the first end.",
    "ScheduleOut.status": "`ok`, `degraded`, `down` or `unknown`.",
}
