"""Watch of the parts that this backend depends on: a look each minute, and an alert while a part stays down."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis
from shared.kernel.events import Alerts
from shared.sagas.engine.job_board import JobState
from shared.sagas.engine.jobs import JobRun
from shared.sagas.health.looks import Look, look_at_all
from shared.sagas.health.parts import PartState, after_look, from_text, is_alert_due, to_text

JOB = "parts"
"""Name of the minute's job."""
FRESH: Millis = MINUTE + 15 * SECOND
"""Age up to which the job's last look counts. Later an instance looks for itself, as the schedule may have stopped."""
OWN_LOOK_EVERY: Millis = 15 * SECOND
"""Time for which an instance tells the result of its own look."""

PartStates = Mapping[str, PartState]


class PartWatch:
    """Watch of all parts. `looks` returns the look at each part by name. Safe to share between threads."""

    def __init__(self, looks: Callable[[], Mapping[str, Look]], alerts: Alerts, clock: Clock) -> None:
        self._looks = looks
        self._alerts = alerts
        self._clock = clock
        self._lock = threading.Lock()
        self._own: PartStates = {}
        self._own_at: Millis | None = None

    def run(self, run: JobRun) -> None:
        """Look at each part. Alert if a part has been down since the look before, and end the alert once it answers.

        The cursor of the job holds the states, so that they cost no further document.
        """
        before = from_text(run.cursor)
        found = self._look(before)
        states = {name: self._told(name, state) for name, state in found.items()}
        for name, state in before.items():
            if state.is_alerted and (name not in states or not states[name].is_down):
                self._alerts.resolve("component_down", part=name)
        run.cursor = to_text(states)
        run.done = len(states)

    def states(self, job: JobState | None) -> PartStates:
        """Return the states that the job found, if they are fresh, else those of a look of this instance."""
        known = {} if job is None else from_text(job.cursor)
        if known and job is not None and job.last and self._clock.now() - job.last.at <= FRESH:
            return known
        with self._lock:
            now = self._clock.now()
            if self._own_at is None or now - self._own_at >= OWN_LOOK_EVERY:
                self._own = self._look(self._own or known)
                self._own_at = now
            return self._own

    def _look(self, before: PartStates) -> PartStates:
        codes = look_at_all(self._looks())
        now = self._clock.now()
        return {name: after_look(before.get(name), code, now) for name, code in codes.items()}

    def _told(self, name: str, state: PartState) -> PartState:
        """Alert if the part has been down for long enough. Return the state, marked if an alert was raised."""
        if not is_alert_due(state, self._clock.now()):
            return state
        self._alerts.alert("component_down", part=name, code=state.code)
        return replace(state, is_alerted=True)
