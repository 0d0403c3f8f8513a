"""`/v1/monitoring`: the health of this instance, its version, and the state of the backend's parts."""

import sys
import time
from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice
from functions.http.root import NAME, VERSION
from functions.http.routes import ANYBODY, Call, Routes
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


class Component(Answer):
    """Part of the backend, with the time of its answer."""

    status = Choice("ok", "unavailable", required=True)
    latency_ms = fields.Integer(required=True)


class Status(Answer):
    """State of the whole backend and of its parts."""

    status = Choice("ok", "degraded", required=True)
    components = fields.Dict(keys=fields.String(), values=fields.Nested(Component), required=True)


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
    """Check whether the parts answer that every call needs."""
    store = _probe(call.services.ports.documents())
    return {"status": "ok" if store["status"] == "ok" else "degraded", "components": {"store": store}}


def _probe(documents: Documents) -> dict[str, Any]:
    start = time.monotonic()
    try:
        documents.get(PROBE)
        found = "ok"
    except StoreUnavailable:
        found = "unavailable"
    return {"status": found, "latency_ms": round((time.monotonic() - start) * MILLIS_PER_SECOND)}
