"""Components of `/v1/monitoring/status`: the schedules with their jobs, and the relay's lag."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice
from shared.bootstrap import Services
from shared.kernel.clock import Millis, rfc3339
from shared.kernel.documents import StoreUnavailable
from shared.ledger.markers import is_any_news
from shared.sagas.engine.job_board import JobBoard, JobEnd, JobState
from shared.sagas.engine.schedules import LATE_AFTER, SILENT_AFTER, is_silent
from shared.sagas.engine.stored_gauges import RELAY, relay_lag

States = Mapping[str, JobState]
Boards = Mapping[str, States]


class JobOut(Answer):
    """End of a job's last run. `code` is null unless an error ended the run."""

    name = fields.String(required=True)
    ended_at = fields.String(required=True, allow_none=True)
    seconds = fields.Float(required=True, allow_none=True)
    done = fields.Integer(required=True, allow_none=True)
    code = fields.String(required=True, allow_none=True)


class ScheduleOut(Answer):
    """State of a schedule. All fields but `status` are for operators.

    `degraded`: an error ended the last run of a job. `down`: no job has ended for long. `unknown`: no job ever ended,
    or the store does not answer.
    """

    status = Choice("ok", "degraded", "down", "unknown", required=True)
    since = fields.String(allow_none=True)
    means = fields.String()
    jobs = fields.List(fields.Nested(JobOut))


class RelayOut(Answer):
    """State of the relay, which publishes entries. All fields but `status` are for operators.

    `degraded`: an entry waits for more than a minute, or has waited so long at the last run.
    """

    status = Choice("ok", "degraded", "unknown", required=True)
    lag_ms = fields.Integer()
    means = fields.String()


def boards_of(services: Services) -> Boards | None:
    """Return the states of the jobs by schedule, None if the store does not answer. Reads two documents."""
    board = JobBoard(services.ports.documents(), services.clock)
    try:
        return {name: board.states(name) for name in SILENT_AFTER}
    except StoreUnavailable:
        return None


def schedule_components(services: Services, boards: Boards | None, *, has_details: bool) -> dict[str, Any]:
    """Return the components of the schedules and the relay. Reads a document.

    `boards` are the states of the jobs by schedule, None if the store does not answer.
    """
    unknown = {name: {"status": "unknown"} for name in (*SILENT_AFTER, RELAY)}
    if boards is None:
        return unknown
    documents, now = services.ports.documents(), services.clock.now()
    try:
        relay = relay_state(boards["every_minute"].get(RELAY), now, is_waiting=is_any_news(documents))
    except StoreUnavailable:
        return unknown
    schedules = {name: schedule_state(name, states, now) for name, states in boards.items()}
    found = {**schedules, RELAY: relay}
    return found if has_details else {name: {"status": each["status"]} for name, each in found.items()}


def schedule_state(schedule: str, states: States, now: Millis) -> dict[str, Any]:
    """Return the state of a schedule from the states of its jobs."""
    jobs = [_job(name, state.last) for name, state in sorted(states.items())]
    ends = {name: state.last for name, state in states.items() if state.last is not None}
    if not ends:
        return {"status": "unknown", "since": None, "means": "No job of this schedule has ended yet.", "jobs": jobs}
    newest = max(end.at for end in ends.values())
    failed = sorted(name for name, end in ends.items() if end.code)
    since = rfc3339(min(ends[name].at for name in failed) if failed else newest)
    if is_silent(schedule, states, now):
        means = "No job has ended since then: holds do not expire, and lost messages are not sent again."
        return {"status": "down", "since": rfc3339(newest), "means": means, "jobs": jobs}
    if failed:
        means = f"An error ended the last run of: {', '.join(failed)}."
        return {"status": "degraded", "since": since, "means": means, "jobs": jobs}
    return {"status": "ok", "since": since, "means": "All jobs ended well.", "jobs": jobs}


def relay_state(state: JobState | None, now: Millis, *, is_waiting: bool) -> dict[str, Any]:
    """Return the state of the relay from the end of its job; see `relay_lag`."""
    if state is None or state.last is None:
        return {"status": "unknown", "lag_ms": 0, "means": "The relay has not run yet."}
    lag = relay_lag(state.last, now, is_waiting=is_waiting)
    if lag > LATE_AFTER:
        means = "Subscribers and usage by day are behind the journals. Nothing is lost."
        return {"status": "degraded", "lag_ms": lag, "means": means}
    return {"status": "ok", "lag_ms": lag, "means": "Entries are published within a minute."}


def _job(name: str, end: JobEnd | None) -> dict[str, Any]:
    if end is None:
        return {"name": name, "ended_at": None, "seconds": None, "done": None, "code": None}
    seconds, code = end.millis / 1_000, end.code or None
    return {"name": name, "ended_at": rfc3339(end.at), "seconds": seconds, "done": end.done, "code": code}
