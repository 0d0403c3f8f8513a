"""Components of `/v1/monitoring/status`: the parts that this backend depends on, as looks at them found."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from functions.http.fields import Answer, Choice
from shared.bootstrap import Services
from shared.kernel.clock import rfc3339
from shared.sagas.engine.job_board import JobState
from shared.sagas.health.parts import PartState
from shared.sagas.health.watch import JOB, PartStates

DOWN_MEANS: Mapping[str, str] = {
    "identity": "Nobody can sign in, and tokens whose keys are not known here are refused.",
    "broker": "Agents and images wait, and subscribers get entries late. Nothing is lost.",
    "bucket": "Images can be neither stored nor read. What is not delivered is not charged.",
    "signing_key": "No entry can be signed, so that nobody can spend or receive credits.",
    "app_check": "Callers cannot show that they come from the app.",
    "provider": "This way to pay is closed. Payments that have begun wait, and settle by themselves.",
    "upstream": "Calls of models of this upstream fail, and cost nothing.",
}
"""Consequences of a part that is down, by the kind of the part."""
OK_MEANS = "The part answers."
UNKNOWN_MEANS = "Nobody has looked at this part yet."
NOT_USED_MEANS = "The settings do not use this part."
SINGLE = ("identity", "broker", "bucket", "signing_key", "app_check")
GROUPS: Mapping[str, str] = {"providers": "provider", "upstreams": "upstream"}
"""Components that have several parts, with the kind of their parts."""


class PartOut(Answer):
    """State of one part. All fields but `status` are for operators. `since` is null if nobody has looked yet.

    `code` names the error of the last look, null for a part that answers.
    """

    status = Choice("ok", "down", "unknown", required=True)
    since = fields.String(allow_none=True)
    code = fields.String(allow_none=True)
    means = fields.String()


class PartGroupOut(Answer):
    """State of several parts of one kind. `degraded`: some are down. `down`: all are. `parts` are for operators."""

    status = Choice("ok", "degraded", "down", "unknown", required=True)
    parts = fields.Dict(keys=fields.String(), values=fields.Nested(PartOut))


def part_components(services: Services, board: Mapping[str, JobState], *, has_details: bool) -> dict[str, Any]:
    """Return the components of all parts but the store. `board` has the states of the minute's jobs, if known."""
    states = services.health.watch.states(board.get(JOB))
    has_app_check = services.settings.app_check != "off"
    single = {name: part(name, states.get(name)) for name in SINGLE}
    if not has_app_check:
        single["app_check"] = {"status": "ok", "since": None, "code": None, "means": NOT_USED_MEANS}
    groups = {name: _group(kind, states, has_details=has_details) for name, kind in GROUPS.items()}
    told = single if has_details else {name: {"status": each["status"]} for name, each in single.items()}
    return {**told, **groups}


def part(kind: str, state: PartState | None) -> dict[str, Any]:
    """Return the component of one part; `unknown` if nobody has looked."""
    if state is None:
        return {"status": "unknown", "since": None, "code": None, "means": UNKNOWN_MEANS}
    means = DOWN_MEANS[kind] if state.is_down else OK_MEANS
    status = "down" if state.is_down else "ok"
    return {"status": status, "since": rfc3339(state.since), "code": state.code or None, "means": means}


def _group(kind: str, states: PartStates, *, has_details: bool) -> dict[str, Any]:
    named = {name.partition(":")[2]: state for name, state in states.items() if name.startswith(f"{kind}:")}
    down = sum(state.is_down for state in named.values())
    status = ("down" if down == len(named) else "degraded") if down else "ok"
    parts = {name: part(kind, state) for name, state in sorted(named.items())}
    return {"status": status, "parts": parts} if has_details else {"status": status}
