"""Stop signals: a request to end a running call, delivered on any thread."""

import threading
from collections.abc import Callable


class StopSignal:
    """Request to end one running call. Once given, the request is never withdrawn. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_given = False
        self._wakes: list[Callable[[], None]] = []

    @property
    def is_given(self) -> bool:
        """Return True once somebody asked the call to end."""
        return self._is_given

    def give(self) -> None:
        """Ask the call to end, and run each callback of `when_given` once. A second call does nothing."""
        with self._lock:
            self._is_given = True
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    def when_given(self, wake: Callable[[], None]) -> None:
        """Run `wake` when the signal is given, at once if it was given before. `wake` runs on the giver's thread."""
        with self._lock:
            if not self._is_given:
                self._wakes.append(wake)
                return
        wake()
