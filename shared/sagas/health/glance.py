"""Glance at the schedules from functions that answer anyway: a schedule that has stopped cannot say so itself."""

import threading

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, log_error
from shared.sagas.engine.job_board import JobBoard
from shared.sagas.engine.schedules import SILENT_AFTER, is_silent, newest_end

GLANCE_EVERY: Millis = 2 * MINUTE
"""Time between two glances of one instance, and before the first one, so that a cold start reads nothing."""


class ScheduleGlance:
    """Reader of the schedules' boards, once in a while. Safe to share between threads."""

    def __init__(self, documents: Documents, alerts: Alerts, clock: Clock) -> None:
        self._documents = documents
        self._alerts = alerts
        self._clock = clock
        self._lock = threading.Lock()
        self._next_at = clock.now() + GLANCE_EVERY

    def glance(self) -> None:
        """If a glance is due, read each schedule's board, and alert for a schedule that is silent. Never raises."""
        now = self._clock.now()
        with self._lock:
            if now < self._next_at:
                return
            self._next_at = now + GLANCE_EVERY
        try:
            self._look(now)
        except Exception as error:  # noqa: BLE001  # a glance must not break the answer that it follows
            log_error("schedules_not_seen", error)

    def _look(self, now: Millis) -> None:
        board = JobBoard(self._documents, self._clock)
        for schedule in SILENT_AFTER:
            states = board.states(schedule)
            if is_silent(schedule, states, now):
                minutes = (now - (newest_end(states) or now)) // MINUTE
                self._alerts.alert("schedule_silent", schedule=schedule, minutes=minutes)
