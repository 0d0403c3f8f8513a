"""Alerts of a lasting fault: one at the start, then one after each quiet time, not one for each call."""

import threading

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.events import Alerts, Field
from shared.payments.ports import ProviderName

QUIET: Millis = 5 * MINUTE


class Reminder:
    """Sender of one alert at first and one after each quiet time. Safe to share between threads."""

    def __init__(self, event: str, alerts: Alerts, clock: Clock, quiet: Millis) -> None:
        self._event = event
        self._alerts = alerts
        self._clock = clock
        self._quiet = quiet
        self._lock = threading.Lock()
        self._quiet_until: Millis = 0

    def tell(self, **fields: Field) -> None:
        """Alert operators of the fault, unless they were alerted within the quiet time."""
        with self._lock:
            now = self._clock.now()
            if now < self._quiet_until:
                return
            self._quiet_until = now + self._quiet
        self._alerts.alert(self._event, **fields)


class Lockout:
    """Alerts about a provider that rejects our credentials, which an operator must correct."""

    def __init__(self, provider: ProviderName, alerts: Alerts, clock: Clock) -> None:
        self._provider = provider
        self._reminder = Reminder("provider_locked_out", alerts, clock, QUIET)

    def tell(self, call: str) -> None:
        """Alert operators that the provider refused this call for bad credentials, once per quiet time."""
        self._reminder.tell(provider=self._provider, call=call)
