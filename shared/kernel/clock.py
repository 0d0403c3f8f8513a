"""Time: milliseconds since the epoch inside, RFC 3339 on the wire."""

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

Millis = int
"""Milliseconds since 1970-01-01T00:00:00Z, or a length of time in milliseconds."""

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Source of time, and the only one. Tests pass a clock that they move themselves."""

    def now(self) -> Millis:
        """Return the wall time, in milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never decrease, for deadlines."""
        ...

    def wait(self, seconds: float) -> None:
        """Let this thread sleep, off the CPU."""
        ...


class SystemClock:
    """Clock of the machine."""

    def now(self) -> Millis:
        """Return the wall time, in milliseconds since the epoch; see `Clock.now`."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return seconds that never decrease, for deadlines; see `Clock.monotonic`."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let this thread sleep, off the CPU; see `Clock.wait`."""
        threading.Event().wait(seconds)


def to_datetime(at: Millis) -> datetime:
    """Return the same instant as an aware datetime."""
    return EPOCH + timedelta(milliseconds=at)


def from_datetime(at: datetime) -> Millis:
    """Return the same instant in milliseconds; `at` must be aware."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def rfc3339(at: Millis) -> str:
    """Return the instant as `2026-11-22T14:43:00.125Z` (RFC 3339, UTC, milliseconds)."""
    return to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"


RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def parse_rfc3339(text: str) -> Millis:
    """Return the instant that `text` names, in ms. Raises ValueError for anything but RFC 3339 with an offset."""
    if not RFC3339.fullmatch(text):
        raise ValueError(text)
    return from_datetime(datetime.fromisoformat(text))
