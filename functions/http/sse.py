"""Server-sent events (WHATWG HTML, 9.2): frames, and a response that ends its source when the client goes."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from flask import Response

from functions.http.problems import problem_of

MEDIA_TYPE = "text/event-stream"
PING = ": ping\n"
"""Comment of a stream. It ends with one line feed: some clients take a blank line after a comment for an empty event.
"""


def frame(data: Mapping[str, Any], event: str = "", event_id: str = "") -> str:
    """Return the frame of one event. An event without a name is a `message`."""
    name = f"event: {event}\n" if event else ""
    identity = f"id: {event_id}\n" if event_id else ""
    return f"{name}{identity}data: {json.dumps(data)}\n\n"


def stream(
    frames: Generator[str, None, None], request_id: str, tell: Callable[[Exception], str] | None = None
) -> Response:
    """Return the response that sends these frames as they come. `tell` turns a late failure into the last frame.

    The first frame is taken now, so that a refusal is still a plain problem with its own status. If `tell` is None, a
    late failure is sent as `event: error`. At the end of the response, also when the client has left, `frames` is
    closed.
    """
    first = next(frames)
    guarded = _guarded(first, frames, tell or (lambda error: _problem(error, request_id)))
    response = Response(guarded, mimetype=MEDIA_TYPE)
    response.call_on_close(frames.close)
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _guarded(first: str, frames: Iterator[str], tell: Callable[[Exception], str]) -> Iterator[str]:
    yield first
    try:
        yield from frames
    except Exception as error:  # noqa: BLE001  # the status is sent: whatever happens can only be told in the stream
        yield tell(error)


def _problem(error: Exception, request_id: str) -> str:
    return frame(problem_of(error, request_id), event="error", event_id=request_id)
