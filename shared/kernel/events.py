"""Outgoing news: messages for subscribers, alerts for operators, and log lines."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Field = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicMessage:
    """Data for a topic. Messages with the same `ordering_key` arrive in the order of publishing."""

    topic: str
    data: Mapping[str, object]
    ordering_key: str = ""


class Publisher(Protocol):
    """Port to Pub/Sub: delivery at least once, in order per key."""

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        """Return once the broker has stored every message. Raises Unavailable; then any first part may be stored."""
        ...


class Alerts(Protocol):
    """Port to the operators, for events that a person must look at."""

    def alert(self, event: str, **fields: Field) -> None:
        """Alert operators now. Never raises, since an alert must not break the work that reports a fault."""
        ...


def log(event: str, severity: Severity = "INFO", **fields: Field) -> None:
    """Write one JSON line to standard output for Cloud Logging. Never log prompts, secrets or personal data."""
    line = {"severity": severity, "event": event, "message": event, **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()
