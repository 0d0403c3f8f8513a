"""Trace of the current request or event, which every log line of the work carries.

Cloud Logging shows all lines of one trace below the platform's line of the request
(https://cloud.google.com/logging/docs/structured-logging).
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from time import monotonic
from typing import ParamSpec, TypeVar

TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})", re.ASCII)
"""https://www.w3.org/TR/trace-context/#traceparent-header"""
CLOUD_TRACE = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(/(?P<span>[0-9]{1,20}))?(;o=(?P<flags>[0-3]))?", re.ASCII)
"""https://cloud.google.com/trace/docs/trace-context#http-requests"""
SPAN_MAX = 2**64 - 1
SAMPLED = 1

P = ParamSpec("P")
R = TypeVar("R")

_begun: ContextVar[list[float] | None] = ContextVar("begun", default=None)
"""Beginning of the current work (s, monotonic) until `seconds_until_now` is called; then an empty list."""
_current: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default={})  # noqa: B039  # never changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Ids of a trace and of the caller's span in hexadecimal digits. `span_id` is None if the caller named none."""

    trace_id: str
    span_id: str | None
    is_sampled: bool


def trace_in(traceparent: str, cloud_trace: str) -> Trace | None:
    """Return the trace that the header `traceparent` names, else `X-Cloud-Trace-Context`, else None."""
    if (found := TRACEPARENT.fullmatch(traceparent.strip())) is not None and found["trace"].strip("0"):
        span = found["span"] if found["span"].strip("0") else None
        return Trace(trace_id=found["trace"], span_id=span, is_sampled=bool(int(found["flags"], 16) & SAMPLED))
    if (found := CLOUD_TRACE.fullmatch(cloud_trace.strip())) is None or not found["trace"].strip("0"):
        return None
    number = int(found["span"] or 0)
    span = f"{number:016x}" if 0 < number <= SPAN_MAX else None
    return Trace(trace_id=found["trace"].lower(), span_id=span, is_sampled=bool(int(found["flags"] or 0) & SAMPLED))


def begin_work(project: str, trace: Trace | None, labels: Mapping[str, str]) -> None:
    """Add the trace and the labels to every later log line of this thread, until the next work begins."""
    fields: dict[str, object] = {}
    if trace is not None:
        fields["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace.trace_id}"
        fields["logging.googleapis.com/trace_sampled"] = trace.is_sampled
        if trace.span_id is not None:
            fields["logging.googleapis.com/spanId"] = trace.span_id
    if labels:
        fields["logging.googleapis.com/labels"] = labels
    _current.set(fields)
    _begun.set([monotonic()])


def seconds_until_now() -> float | None:
    """Return the seconds since the current work began at the first call of the work, None at all later ones."""
    begun = _begun.get()
    try:
        return monotonic() - begun.pop() if begun else None
    except IndexError:  # another thread of this work was first
        return None


def fields_of_work() -> Mapping[str, object]:
    """Return the fields for Cloud Logging that belong to the current work."""
    return _current.get()


def in_this_work(work: Callable[P, R]) -> Callable[P, R]:
    """Return `work` for one call in another thread, so that the log lines there carry the trace of the current work."""
    context = copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.run(work, *args, **kwargs)

    return carried
