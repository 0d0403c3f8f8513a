"""Alerts in memory, in place of messages to operators."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from shared.kernel.events import Field


@dataclass(frozen=True, slots=True)
class Alert:
    """Raised alert with its fields."""

    event: str
    fields: Mapping[str, Field]


class MemoryAlerts:
    """Alerts that are all stored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._raised: list[Alert] = []

    def alert(self, event: str, **fields: Field) -> None:
        """Store the alert; see `Alerts.alert`."""
        with self._lock:
            self._raised.append(Alert(event, fields))

    @property
    def raised(self) -> list[Alert]:
        """Return all alerts, oldest first."""
        with self._lock:
            return list(self._raised)
