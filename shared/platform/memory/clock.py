"""Time that moves only when it is told to."""

from shared.kernel.clock import Millis


class ManualClock:
    """Starts at `now` and stands still until `advance`."""

    def __init__(self, now: Millis = 1_790_000_000_000) -> None:
        self._now = now

    def now(self) -> Millis:
        """See `Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._now / 1000

    def advance(self, by: Millis) -> None:
        """Let time pass."""
        self._now += by

    def wait(self, seconds: float) -> None:
        """See `Clock.wait`: here waiting is what moves time."""
        self.advance(int(seconds * 1000))
