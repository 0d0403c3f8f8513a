"""Alerts in memory, in place of messages to operators."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from shared.kernel.alert_book import AlertBook
from shared.kernel.alert_kinds import GOOD_NEWS
from shared.kernel.events import Field


@dataclass(frozen=True, slots=True)
class Alert:
    """Raised alert with its fields."""

    event: str
    fields: Mapping[str, Field]


class MemoryAlerts:
    """Alerts that are all stored, in this process and in the book of alerts."""

    def __init__(self, book: AlertBook | None = None) -> None:
        self._lock = threading.Lock()
        self._raised: list[Alert] = []
        self._book = book

    def alert(self, event: str, **fields: Field) -> None:
        """Store the alert; see `Alerts.alert`."""
        with self._lock:
            self._raised.append(Alert(event, fields))
        if event in GOOD_NEWS:
            self.resolve(GOOD_NEWS[event], **fields)
        elif self._book is not None:
            self._book.note(event, fields)

    def resolve(self, event: str, **fields: Field) -> None:
        """End the alert of a trouble that is over; see `Alerts.resolve`."""
        if self._book is not None:
            self._book.resolve(event, fields)

    @property
    def raised(self) -> list[Alert]:
        """Return all alerts, oldest first."""
        with self._lock:
            return list(self._raised)
