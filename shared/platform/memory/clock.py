"""Clock for tests, with time that moves only on command."""

from shared.kernel.clock import Millis


class ManualClock:
    """Clock that starts at `now` (ms) and stands still until `advance`."""

    def __init__(self, now: Millis = 1_790_000_000_000) -> None:
        self._now = now

    def now(self) -> Millis:
        """Return the wall time, in milliseconds since the epoch; see `Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never decrease, for deadlines; see `Clock.monotonic`."""
        return self._now / 1000

    def advance(self, by: Millis) -> None:
        """Move the time forward by `by` ms."""
        self._now += by

    def wait(self, seconds: float) -> None:
        """Let this thread sleep, off the CPU; see `Clock.wait`.

        Waiting moves the time forward at once.
        """
        self.advance(int(seconds * 1000))
