"""A log line for each request, in the form that Cloud Logging and our metrics read."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from functions.http.request_meter import CODE, count_answer
from shared.kernel.events import write_line

ROUTE = "credits.route"
"""Key of the WSGI environment under which the application leaves the request's ToldRoute."""
EVENT_STREAM = "text/event-stream"
DATA = b"data:"
MILLIS_PER_SECOND = 1_000

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class ToldRoute:
    """Route as log lines and metrics tell it: a pattern such as `/v1/images/<id>`, and whether calls spend credits."""

    pattern: str
    is_spending: bool


OTHER_ROUTE = ToldRoute("other", is_spending=False)
"""Route of a path that leads nowhere."""


class RequestLog:
    """WSGI application around another one. The line has the route's pattern, no path, query, address or body."""

    def __init__(
        self,
        application: Application,
        monotonic: Callable[[], float] = time.monotonic,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the application, and a function to call after each answer."""
        self._application = application
        self._monotonic = monotonic
        self._after = after

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer the request, and log it when the answer is closed, or when the application ends without an answer."""
        answered = AnsweredRequest(environ, self._monotonic, self._after)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            answered.begin(status, headers)
            return start_response(status, headers, *rest)

        try:
            answered.parts = self._application(environ, start)
        except BaseException:
            answered.fail()
            raise
        return answered


class AnsweredRequest:
    """The parts of one answer, with the time and size of what was sent."""

    def __init__(self, environ: Environ, monotonic: Callable[[], float], after: Callable[[], None]) -> None:
        self._after = after
        self.parts: Iterable[bytes] = ()
        self._environ = environ
        self._monotonic = monotonic
        self._since = monotonic()
        self._status = 0
        self._bytes = 0
        self._is_stream = False
        self._is_whole = False
        self._is_told = False
        self._first_token: float | None = None

    def begin(self, status: str, headers: list[tuple[str, str]]) -> None:
        """Note the status, and whether the answer is a stream of events."""
        self._status = int(status.partition(" ")[0])
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        self._is_stream = kind.startswith(EVENT_STREAM)

    def fail(self) -> None:
        """Write the line of a request that got no answer from the application."""
        self._status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self._write()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts, and note when the first data of a stream came."""
        for part in self.parts:
            if self._is_stream and self._first_token is None and DATA in part:
                self._first_token = self._monotonic() - self._since
            self._bytes += len(part)
            yield part
        self._is_whole = True

    def close(self) -> None:
        """Close the answer, and write its line, also if closing fails."""
        try:
            if (close := getattr(self.parts, "close", None)) is not None:
                close()
        finally:
            self._write()
            self._after()

    def _write(self) -> None:
        """Count the request and write its line, once."""
        if self._is_told:
            return
        self._is_told, seconds = True, self._monotonic() - self._since
        route = self._environ.get(ROUTE, OTHER_ROUTE)
        count_answer(route.pattern, self._status, seconds, is_spending=route.is_spending)
        method = str(self._environ.get("REQUEST_METHOD", ""))
        told = {"route": route.pattern, "status": self._status, "ms": round(seconds * MILLIS_PER_SECOND)}
        request = {
            "requestMethod": method,
            "requestUrl": route.pattern,
            "status": self._status,
            "responseSize": str(self._bytes),
            "latency": f"{seconds:.6f}s",
            "protocol": str(self._environ.get("SERVER_PROTOCOL", "")),
        }
        line = {"event": "request_done", "message": f"{method} {route.pattern} {self._status}", **told, **self._more()}
        write_line({"severity": severity_of(self._status), **line, "httpRequest": request})

    def _more(self) -> dict[str, object]:
        """Return the code of a refusal, and of a stream the time to the first data and whether the client left."""
        more: dict[str, object] = {"code": self._environ[CODE]} if CODE in self._environ else {}
        if self._is_stream:
            more["has_client_left"] = not self._is_whole
        if self._first_token is not None:
            more["first_token_seconds"] = round(self._first_token, 4)
        return more


def severity_of(status: int) -> str:
    """Return the severity of an answer: ERROR for our own fault, WARNING if a part was unavailable."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "ERROR"
    return "WARNING" if status > HTTPStatus.INTERNAL_SERVER_ERROR else "INFO"
