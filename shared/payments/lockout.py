"""A provider that does not accept our credentials: an operator's to mend, told now and then, not with every call."""

import threading

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.events import Alerts
from shared.payments.ports import ProviderName

QUIET: Millis = 5 * MINUTE


class Lockout:
    """Tells operators. Safe to share between threads."""

    def __init__(self, provider: ProviderName, alerts: Alerts, clock: Clock) -> None:
        self._provider = provider
        self._alerts = alerts
        self._clock = clock
        self._lock = threading.Lock()
        self._quiet_until: Millis = 0

    def tell(self, call: str) -> None:
        """This call was refused for want of good credentials."""
        with self._lock:
            now = self._clock.now()
            if now < self._quiet_until:
                return
            self._quiet_until = now + QUIET
        self._alerts.alert("provider_locked_out", provider=self._provider, call=call)
