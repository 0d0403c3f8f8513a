"""Outgoing news: messages for subscribers, alerts for operators, and log lines."""

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.kernel.tracing import fields_of_work

Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Field = str | int | float | bool | None
FRAMES_MAX = 40
"""Most frames of a logged traceback: the innermost."""
CAUSES_MAX = 4
REPORTED_ERROR = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
"""Type of log lines that Error Reporting groups: cloud.google.com/error-reporting/docs/formatting-error-messages."""


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
        """Alert operators now. Never raises, since an alert must not break the work that reports a fault.

        `shared.kernel.alert_kinds` names the fields that tell one trouble from another of the same event.
        """
        ...

    def resolve(self, event: str, **fields: Field) -> None:
        """End the open alert of a trouble that is over, if there is one. Never raises.

        `fields` are those that tell the trouble. Reads a document, so call this when the trouble ends, not after each
        success.
        """
        ...


def log(event: str, severity: Severity = "INFO", **fields: Field) -> None:
    """Write one JSON line to standard output for Cloud Logging. Never log prompts, secrets or personal data."""
    write_line({"severity": severity, "event": event, "message": event, **fields})


def log_error(event: str, error: BaseException, **fields: Field) -> None:
    """Log an error for Error Reporting: the classes and the places in the code, never the error's own words."""
    service = {"service": os.environ.get("K_SERVICE", "credits"), "version": os.environ.get("K_REVISION", "")}
    line = {"severity": "ERROR", "event": event, "message": event, "error": type(error).__name__, **fields}
    write_line({**line, "@type": REPORTED_ERROR, "serviceContext": service, "stack_trace": stack_of(error)})


def stack_of(error: BaseException, causes: int = CAUSES_MAX) -> str:
    """Return the error's traceback in Python's form, with its causes first and without the errors' messages."""
    frames = traceback.extract_tb(error.__traceback__, -FRAMES_MAX)
    places = "".join(f'  File "{each.filename}", line {each.lineno}, in {each.name}\n' for each in frames)
    told = f"Traceback (most recent call last):\n{places}{type(error).__name__}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told if cause is None or not causes else f"{stack_of(cause, causes - 1)}\n\n{told}"


def write_line(line: Mapping[str, object]) -> None:
    """Write one JSON line to standard output, with the trace and the labels of the current work."""
    sys.stdout.write(json.dumps({**line, **fields_of_work()}, default=str) + "\n")
    sys.stdout.flush()
