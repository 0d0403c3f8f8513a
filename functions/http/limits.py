"""Limits of one caller on one instance: reads by user, public pages by address, refusals by both.

These limits are generous. Spending calls are limited exactly, in the commit that places their hold.
"""

import threading
from collections import OrderedDict

from functions.http.errors import TooManyRequests
from shared.kernel.clock import Clock

CALLS_PER_MINUTE = 1_200
CALLS_BURST = 600
REFUSALS_PER_MINUTE = 120
REFUSALS_BURST = 120
CALLERS_MAX = 10_000
SECONDS_PER_MINUTE = 60


class Limiter:
    """Rate limit (GCRA) for each caller. The callers that came least recently are forgotten first."""

    def __init__(self, clock: Clock, *, per_minute: int, burst: int) -> None:
        self._clock = clock
        self._interval = SECONDS_PER_MINUTE / per_minute
        self._tolerance = self._interval * burst
        self._lock = threading.Lock()
        self._due: OrderedDict[str, float] = OrderedDict()

    def check(self, caller: str) -> None:
        """Raise TooManyRequests if the caller has used up the burst. Count nothing."""
        with self._lock:
            self._refuse_early(self._due.get(caller, 0.0), self._clock.monotonic())

    def admit(self, caller: str) -> None:
        """Count one call. Raises TooManyRequests, and then counts nothing."""
        with self._lock:
            now = self._clock.monotonic()
            due = max(self._due.get(caller, 0.0), now)
            self._refuse_early(due, now)
            self._remember(caller, due + self._interval)

    def count(self, caller: str) -> None:
        """Count one call that has been answered already."""
        with self._lock:
            now = self._clock.monotonic()
            self._remember(caller, min(max(self._due.get(caller, 0.0), now), now + self._tolerance) + self._interval)

    def _refuse_early(self, due: float, now: float) -> None:
        wait = due + self._interval - self._tolerance - now
        if wait > 0:
            raise TooManyRequests(retry_after_ms=int(wait * 1_000) + 1)

    def _remember(self, caller: str, due: float) -> None:
        self._due[caller] = due
        self._due.move_to_end(caller)
        if len(self._due) > CALLERS_MAX:
            self._due.popitem(last=False)


class Refusals:
    """Counts failed sign-ins by credential and by address. A credential that is valid is never refused for others."""

    def __init__(self, clock: Clock) -> None:
        self._by_credential = Limiter(clock, per_minute=REFUSALS_PER_MINUTE, burst=REFUSALS_BURST)
        self._by_address = Limiter(clock, per_minute=REFUSALS_PER_MINUTE, burst=REFUSALS_BURST)

    def check(self, credential: str | None, address: str) -> None:
        """Raise TooManyRequests if this credential was refused too often. Call before the credential is verified.

        Without a credential the address stands for the caller.
        """
        if credential is None:
            self._by_address.check(address)
        else:
            self._by_credential.check(credential)

    def check_address(self, address: str) -> None:
        """Raise TooManyRequests if too many credentials from this address were refused.

        Call once a credential was refused.
        """
        self._by_address.check(address)

    def count(self, credential: str | None, address: str, *, is_valid: bool) -> None:
        """Count one refusal.

        A valid credential, which lacks a permission, counts for itself only, not for the address.
        """
        if credential is not None:
            self._by_credential.count(credential)
        if not is_valid:
            self._by_address.count(address)
