"""`/v1/monitoring`: the health of this instance, its version, and the state of the backend's parts."""

import sys
import time
from typing import Any

from flask import request
from marshmallow import fields

from functions.http.auth import is_operator
from functions.http.closed_day_status import closed_day
from functions.http.fields import Answer, Choice
from functions.http.part_status import PartGroupOut, PartOut, part_components
from functions.http.root import NAME, VERSION
from functions.http.routes import ANYBODY, Call, Routes
from functions.http.schedule_status import RelayOut, ScheduleOut, boards_of, schedule_components
from shared.kernel.documents import Documents, StoreUnavailable

PROBE = "monitoring/probe"
"""Path of a document that need not exist. Reading the path shows whether the store answers."""
MILLIS_PER_SECOND = 1_000

routes = Routes("monitoring")


class Health(Answer):
    """State of an instance that answers."""

    status = Choice("ok", required=True)


class Info(Answer):
    """Version and public settings of the running backend."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    python = fields.String(required=True)
    project = fields.String(required=True)
    region = fields.String(required=True)
    release = fields.String(
        required=True, metadata={"description": "Deployed release, such as `v3`; empty on a laptop."}
    )
    ledger_id = fields.String(required=True)
    credits_per_usd = fields.Integer(required=True)


class StoreOut(Answer):
    """State of the database, with the time of its answer."""

    status = Choice("ok", "down", required=True)
    latency_ms = fields.Integer(required=True)


class SampleOut(Answer):
    """Numbers of the random accounts of a closed day that were verified from their first entry.

    `passed_over` accounts had more entries than the budget had left.
    """

    day = fields.String(required=True)
    at = fields.String(required=True)
    accounts = fields.Integer(required=True)
    entries = fields.Integer(required=True)
    findings = fields.Integer(required=True)
    passed_over = fields.Integer(required=True)


class ClosedDayOut(Answer):
    """State of the close of days. All fields but `status` are for operators, and stand there once a day is closed.

    `late`: a day that has ended is not closed. `degraded`: the books of the day differ, or its record is broken.
    """

    status = Choice("ok", "late", "degraded", "unavailable", required=True)
    day = fields.String()
    tree_size = fields.Integer()
    root = fields.String()
    accounts = fields.Integer()
    differences = fields.List(fields.String())
    sample = fields.Nested(SampleOut)


class Components(Answer):
    """Parts of the backend."""

    store = fields.Nested(StoreOut, required=True)
    identity = fields.Nested(PartOut, required=True)
    broker = fields.Nested(PartOut, required=True)
    bucket = fields.Nested(PartOut, required=True)
    providers = fields.Nested(PartGroupOut, required=True)
    upstreams = fields.Nested(PartGroupOut, required=True)
    signing_key = fields.Nested(PartOut, required=True)
    app_check = fields.Nested(PartOut, required=True)
    closed_day = fields.Nested(ClosedDayOut, required=True)
    every_minute = fields.Nested(ScheduleOut, required=True)
    every_day = fields.Nested(ScheduleOut, required=True)
    relay = fields.Nested(RelayOut, required=True)


class Status(Answer):
    """State of the whole backend and of its parts."""

    status = Choice("ok", "degraded", required=True)
    components = fields.Nested(Components, required=True)


@routes.get("/monitoring/health", access=ANYBODY, answer=Health)
def health(call: Call) -> Any:
    """Answer that this instance lives, without asking any other part."""
    del call
    return {"status": "ok"}


@routes.get("/monitoring/info", access=ANYBODY, answer=Info)
def info(call: Call) -> Any:
    """Show the version, the project and the settings of the running backend that are public."""
    settings = call.services.settings
    return {
        "name": NAME,
        "version": VERSION,
        "python": sys.version.partition(" ")[0],
        "project": settings.project,
        "region": settings.region,
        "release": settings.release,
        "ledger_id": settings.ledger_id,
        "credits_per_usd": settings.credits_per_usd,
    }


@routes.get("/monitoring/status", access=ANYBODY, answer=Status)
def status(call: Call) -> Any:
    """Check each part that the backend depends on, the schedules, the relay and the last closed day.

    The state of other parts than the store is that of the last look, at most 75 seconds ago. An operator's token shows
    details too.
    """
    services, has_details = call.services, is_operator(call.services, request)
    store, boards = _probe(services.ports.documents()), boards_of(services)
    schedules = schedule_components(services, boards, has_details=has_details)
    parts = part_components(services, (boards or {}).get("every_minute", {}), has_details=has_details)
    watched = {"store": store, **parts, **schedules}
    is_ok = all(each["status"] in {"ok", "unknown"} for each in watched.values())
    day = closed_day(services, has_details=has_details)
    return {"status": "ok" if is_ok else "degraded", "components": {**watched, "closed_day": day}}


def _probe(documents: Documents) -> dict[str, Any]:
    start = time.monotonic()
    try:
        documents.get(PROBE)
        found = "ok"
    except StoreUnavailable:
        found = "down"
    return {"status": found, "latency_ms": round((time.monotonic() - start) * MILLIS_PER_SECOND)}
