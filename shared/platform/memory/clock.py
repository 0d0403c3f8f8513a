"""Clock for tests, with time that moves only on command."""

from shared.kernel.clock import Millis


class ManualClock:
    """Clock that starts at `now` (ms) and stands still until `advance`."""

    def __init__(self, now: Millis = 1_790_000_000_000) -> None:
        self._now = now

    def now(self) -> Millis:
        """Return the time of this clock, in milliseconds since the epoch; see `Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """Return the time of this clock in seconds; see `Clock.monotonic`."""
        return self._now / 1000

    def advance(self, by: Millis) -> None:
        """Move the time forward by `by` ms."""
        self._now += by

    def wait(self, seconds: float) -> None:
        """Move the time forward by `seconds` at once; see `Clock.wait`."""
        self.advance(int(seconds * 1000))
