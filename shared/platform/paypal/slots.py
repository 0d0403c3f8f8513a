"""Limit of calls per minute, for calls that strangers can cause."""

import threading

from shared.kernel.clock import MINUTE, Clock
from shared.payments.ports import ProviderUnavailable


class Slots:
    """Counter of the calls in the last minute. Safe to share between threads."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._taken_at: list[int] = []

    def take(self) -> None:
        """Count one call. Raises ProviderUnavailable if no slot is left in this minute."""
        with self._lock:
            now = self._clock.now()
            self._taken_at = [at for at in self._taken_at if at > now - MINUTE]
            if len(self._taken_at) >= self._per_minute:
                raise ProviderUnavailable("paypal")
            self._taken_at.append(now)
