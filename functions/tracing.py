"""Beginning of work at the edge: the trace and the labels of a request or an event, for every later log line."""

import os
from typing import Protocol

from flask import has_request_context, request

from shared.kernel.tracing import begin_work, trace_in

TRACEPARENT = "traceparent"
CLOUD_TRACE = "X-Cloud-Trace-Context"


class Headers(Protocol):
    """Headers of a request by name, as Flask has them."""

    def get(self, key: str, default: str, /) -> str:
        """Return the header's value, or `default`."""
        ...


def begin_request(headers: Headers, project: str, **labels: str) -> None:
    """Let all log lines of this request carry the trace that its headers name."""
    _begin(headers.get(TRACEPARENT, ""), headers.get(CLOUD_TRACE, ""), project, labels)


def begin_event(traceparent: str, project: str, event_id: str) -> None:
    """Let all log lines of this event carry its trace: that of the delivering request, else the event's own."""
    headers: Headers = request.headers if has_request_context() else {}
    own = headers.get(TRACEPARENT, ""), headers.get(CLOUD_TRACE, "")
    _begin(*(own if any(own) else (traceparent, "")), project, {"event_id": event_id})


def _begin(traceparent: str, cloud_trace: str, project: str, labels: dict[str, str]) -> None:
    if (function := os.environ.get("FUNCTION_TARGET")) is not None:
        labels["function"] = function
    begin_work(project, trace_in(traceparent, cloud_trace), labels)
