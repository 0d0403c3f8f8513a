"""States of the parts that this backend depends on, as looks at them have found."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.kernel.clock import MINUTE, SECOND, Millis

ALERT_AFTER: Millis = MINUTE - 5 * SECOND
"""Time that a part must be down before operators are alerted: two looks of the minute's job. Less, as jobs begin late
or early by some seconds."""
CODE_CHARS_MAX = 60
PARTS_MAX = 64
"""Most parts that a stored text may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """State of one part. `code` names the error of the last look, "" for a part that answered.

    `since` is the time of the first of the looks, one after the other, that found this state. `is_alerted`: an alert of
    this outage was raised.
    """

    code: str
    since: Millis
    is_alerted: bool = False

    @property
    def is_down(self) -> bool:
        """True if the last look failed."""
        return bool(self.code)


def after_look(before: PartState | None, code: str, now: Millis) -> PartState:
    """Return the state after a look at `now`. `code` names the error of the look, "" for none."""
    code = code[:CODE_CHARS_MAX]
    if before is None or before.is_down != bool(code):
        return PartState(code=code, since=now)
    return replace(before, code=code)


def is_alert_due(state: PartState, now: Millis) -> bool:
    """Return True if the part has been down for ALERT_AFTER."""
    return state.is_down and now - state.since >= ALERT_AFTER


def to_text(states: Mapping[str, PartState]) -> str:
    """Return the states as the text that the board of jobs stores."""
    told = {name: [each.code, each.since, each.is_alerted] for name, each in states.items()}
    return json.dumps(told, separators=(",", ":"), sort_keys=True)


def from_text(text: str) -> dict[str, PartState]:
    """Return the states that a stored text names; none for a text that is not ours, such as that of an earlier release.

    The next looks find the states again.
    """
    try:
        told = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict) or len(told) > PARTS_MAX:
        return {}
    states = {name: _state(each) for name, each in told.items()}
    return {name: state for name, state in states.items() if state is not None}


def _state(told: object) -> PartState | None:
    if not isinstance(told, list) or [type(each) for each in told] != [str, int, bool]:
        return None
    code, since, is_alerted = told
    return PartState(code=code[:CODE_CHARS_MAX], since=since, is_alerted=is_alerted)
