"""Deadlines: the time by which work that may be large stops, stores its position, and leaves the rest for next time."""

import math
from dataclasses import dataclass

from shared.kernel.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Deadline:
    """Time `at` which work must stop, in seconds of `clock.monotonic()`."""

    clock: Clock
    at: float

    @classmethod
    def within(cls, clock: Clock, seconds: float) -> "Deadline":
        """Return the deadline in `seconds` from now."""
        return cls(clock, clock.monotonic() + seconds)

    def is_over(self) -> bool:
        """Return True if the time is up."""
        return self.clock.monotonic() >= self.at

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, 0 if the time is up."""
        return max(0.0, self.at - self.clock.monotonic())

    def or_within(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and the one in `seconds` from now."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))


NEVER = Deadline(SystemClock(), math.inf)
"""Deadline that is never over."""
