"""Times after which a schedule, or the work of one job, is late."""

from collections.abc import Mapping

from shared.kernel.clock import HOUR, MINUTE, Millis
from shared.sagas.engine.job_board import JobState

SILENT_AFTER: Mapping[str, Millis] = {"every_minute": 5 * MINUTE, "every_day": 26 * HOUR}
"""Time after the last end of any job from which on a schedule is silent."""
LATE_AFTER: Millis = MINUTE
"""Age of the oldest item that waits from which on a job is behind."""


def newest_end(states: Mapping[str, JobState]) -> Millis | None:
    """Return the time of the last end of any job, None before the first end."""
    return max((state.last.at for state in states.values() if state.last is not None), default=None)


def is_silent(schedule: str, states: Mapping[str, JobState], now: Millis) -> bool:
    """Return True if jobs of the schedule have ended before, and none has ended for long."""
    newest = newest_end(states)
    return newest is not None and schedule in SILENT_AFTER and now - newest > SILENT_AFTER[schedule]
