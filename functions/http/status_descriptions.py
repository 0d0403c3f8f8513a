"""Descriptions of the fields of the status page for the OpenAPI document, by schema and name."""

from collections.abc import Mapping

BY_SCHEMA: Mapping[str, str] = {
    "Components.app_check": "App Check, by which callers show that they come from the app.",
    "Components.broker": "The message broker.",
    "Components.bucket": "The storage of users' files.",
    "Components.every_day": "The jobs of every day.",
    "Components.every_minute": "The jobs of every minute.",
    "Components.identity": "The identity provider, where users sign in.",
    "Components.providers": "The payment providers.",
    "Components.relay": "The relay, which publishes entries.",
    "Components.signing_key": "The key that signs entries.",
    "Components.upstreams": "The providers of models.",
    "JobOut.code": "The error that ended the last run; null for none.",
    "JobOut.done": "The number of items of the last run; null before the first end.",
    "JobOut.ended_at": "The end of the last run; null before the first end.",
    "JobOut.name": "The name of the job.",
    "JobOut.seconds": "The length of the last run; null before the first end.",
    "PartGroupOut.parts": "The parts by name.",
    "PartGroupOut.status": "`ok`, `degraded` if some are down, `down` if all are.",
    "PartOut.code": "The error of the last look; null for a part that answers.",
    "PartOut.means": "The consequence in words.",
    "PartOut.since": "The first of the looks, one after the other, that found this state; null before the first look.",
    "PartOut.status": "`ok`, `down` or `unknown`.",
    "RelayOut.lag_ms": "The age of the oldest entry that waits, in milliseconds.",
    "RelayOut.means": "The state in words.",
    "RelayOut.status": "`ok`, `degraded` or `unknown`.",
    "ScheduleOut.jobs": "The jobs of the schedule.",
    "ScheduleOut.means": "The state in words.",
    "ScheduleOut.since": "The end of the last run, or of the first run that failed; null before the first end.",
    "ScheduleOut.status": "`ok`, `degraded`, `down` or `unknown`.",
}
