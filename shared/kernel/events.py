"""What we tell the outside: messages for subscribers, alerts for operators, log lines for both."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Field = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message for a topic. Messages with the same `ordering_key` arrive in the order they were published."""

    topic: str
    data: Mapping[str, object]
    ordering_key: str = ""


class Publisher(Protocol):
    """Pub/Sub as our code sees it: at least once, in order per key."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Return once every message is stored by the broker. Raises Unavailable; any prefix may have been stored."""
        ...


class Alerts(Protocol):
    """How an operator hears that a person has to look."""

    def alert(self, event: str, **fields: Field) -> None:
        """Tell operators now. Never raises: an alert must not break what it reports on."""
        ...


def log(event: str, severity: Severity = "INFO", **fields: Field) -> None:
    """One JSON line on standard output, as Cloud Logging reads it. Never prompts, secrets or personal data."""
    line = {"severity": severity, "event": event, "message": event, **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()
