"""Log lines as Cloud Logging, Trace and Error Reporting read them; none holds personal data or a secret."""

import json
import re
import threading
from contextlib import suppress
from typing import Any

import pytest

from emulator.logs import readable
from functions.edge import NotDelivered, deliver, on_document
from functions.http.request_log import RequestLog
from functions.tracing import begin_request
from shared.kernel.clock import rfc3339
from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.events import log, log_error
from shared.kernel.tracing import Trace, begin_work, in_this_work, trace_in
from tests.api.world import World
from tests.support.cloud_logging import entry_of, is_matching

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
PRIVATE = ("ann.private@example.com", "Bearer ", "a very private question", "ics_", "203.0.113.9", "Private Agent")


@pytest.fixture
def world():
    return World()


@pytest.fixture(autouse=True)
def _fresh_work():
    yield
    begin_work("", None, {})


def visit(caller, method: str, path: str, body=None, **options) -> None:
    """Call, and close the answer, as a server does."""
    caller.call(method, path, body=body, buffered=True, **options)


def entries(capsys):
    return [entry_of(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("traceparent", "cloud_trace", "found"),
    [
        (TRACEPARENT, "", ("00f067aa0ba902b7", True)),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-00", f"{'1' * 32}/2;o=1", ("00f067aa0ba902b7", False)),
        (f"cc-{TRACE_ID}-0000000000000000-03", "", (None, True)),
        ("", f"{TRACE_ID.upper()}/123;o=1", ("000000000000007b", True)),
        ("not one", f"{TRACE_ID}/0;o=0", (None, False)),
        ("", TRACE_ID, (None, False)),
        ("", f"{TRACE_ID}/99999999999999999999;o=1", (None, True)),
    ],
)
def test_a_trace_is_read_from_either_header(traceparent: str, cloud_trace: str, found: tuple[str | None, bool]):
    span, is_sampled = found

    assert trace_in(traceparent, cloud_trace) == Trace(trace_id=TRACE_ID, span_id=span, is_sampled=is_sampled)


@pytest.mark.parametrize("header", ["", "x", "0" * 32, f"{TRACE_ID}/", f"{TRACE_ID}x", TRACE_ID[:-1], "\n" + "é" * 32])
def test_no_trace_is_made_of_a_header_that_names_none(header: str):
    assert trace_in(header, header) is None
    assert trace_in(f"00-{'0' * 32}-00f067aa0ba902b7-01", "") is None


def test_an_answered_request_is_one_line_below_its_trace(world: World, capsys):
    ann = world.person(credits_=1)
    capsys.readouterr()

    visit(ann, "GET", "/credits/entries/1", headers={"traceparent": TRACEPARENT, "X-Request-Id": "r-1"})

    (line,) = entries(capsys)
    assert line["trace"] == f"projects/{world.services.settings.project}/traces/{TRACE_ID}"
    assert (line["spanId"], line["traceSampled"], line["labels"]) == ("00f067aa0ba902b7", True, {"request_id": "r-1"})
    request = dict(line["httpRequest"])
    assert request.pop("latency").endswith("s")
    assert int(request.pop("responseSize")) > 10
    assert request == {
        "requestMethod": "GET",
        "requestUrl": "/v1/credits/entries/<seq>",
        "status": 200,
        "protocol": "HTTP/1.1",
    }


def test_the_line_of_a_request_names_route_status_time_and_code(world: World, capsys):
    visit(world, "GET", "/credits/balance?secret=1")

    (line,) = entries(capsys)
    told = line["jsonPayload"]
    assert told.pop("ms") >= 0
    assert {name: told[name] for name in ("event", "route", "status", "code")} == {
        "event": "request_done",
        "route": "/v1/credits/balance",
        "status": 401,
        "code": "unauthenticated",
    }


@pytest.mark.parametrize(("taken", "has_left"), [(1, True), (2, False)])
def test_the_line_of_a_stream_says_whether_its_client_left(capsys, taken, has_left):
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return [b"data: 1\n\n"]

    answered = RequestLog(application)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    parts = iter(answered)
    for _ in range(taken):
        next(parts, None)
    answered.close()  # type: ignore[attr-defined]
    answered.close()  # type: ignore[attr-defined]

    (line,) = entries(capsys)
    assert line["jsonPayload"]["has_client_left"] is has_left


def test_an_application_that_ends_without_an_answer_has_a_line(capsys):
    def application(environ: Any, start_response: Any) -> list[bytes]:
        raise SystemExit

    with pytest.raises(SystemExit):
        RequestLog(application)({"REQUEST_METHOD": "GET"}, lambda *_: None)

    (line,) = entries(capsys)
    assert (line["jsonPayload"]["status"], line["severity"]) == (500, "ERROR")


def test_a_request_without_a_trace_gets_none_of_the_request_before(world: World, capsys):
    visit(world, "GET", "/monitoring/health", headers={"traceparent": TRACEPARENT})
    visit(world, "GET", "/monitoring/health")

    assert ["trace" in line for line in entries(capsys)] == [True, False]


def test_a_stream_tells_the_seconds_to_its_first_token(world: World, capsys):
    ann = world.person(credits_=5)
    made = ann.post("/chat/conversations", {}).json["id"]
    capsys.readouterr()

    visit(ann, "POST", f"/chat/conversations/{made}/messages", {"content": "Hello", "stream": True})
    visit(ann, "POST", f"/chat/conversations/{made}/messages", {"content": "Hello"})

    streamed, whole = (each["jsonPayload"] for each in entries(capsys) if "httpRequest" in each)
    assert streamed["first_token_seconds"] >= 0
    assert "first_token_seconds" not in whole


@pytest.mark.parametrize(
    ("path", "status", "route", "severity"),
    [("/no/such", 404, "other", "INFO"), ("/credits/balance", 401, "/v1/credits/balance", "INFO")],
)
def test_a_refused_request_is_logged_with_its_status(world, capsys, path, status, route, severity):
    visit(world, "GET", path)

    (line,) = entries(capsys)
    request = line["httpRequest"]
    assert (request["status"], request["requestUrl"], line["severity"]) == (status, route, severity)


def test_a_failure_stands_in_the_form_of_error_reporting(world: World, capsys):
    class Broken:
        def balance(self, uid):
            raise ZeroDivisionError("secret of " + uid) from KeyError("private")

    ann = world.person(credits_=1)
    ann.get("/me")
    world.services.credits.__dict__["ledger"] = Broken()
    capsys.readouterr()

    visit(ann, "GET", "/credits/balance", headers={"traceparent": TRACEPARENT})

    failed, answered = entries(capsys)
    payload, stack = failed["jsonPayload"], failed["jsonPayload"]["stack_trace"]
    assert payload["@type"].endswith(".ReportedErrorEvent")
    assert payload["serviceContext"]["service"] == "credits"
    assert stack.startswith("Traceback (most recent call last):\nKeyError\n\nTraceback (most recent call last):\n")
    assert ", in balance\nZeroDivisionError" in stack
    assert "secret" not in stack
    assert (failed["severity"], answered["severity"], answered["httpRequest"]["status"]) == ("ERROR", "ERROR", 500)
    assert failed["trace"] == answered["trace"]


def test_a_traceback_is_bounded_for_a_deep_recursion(capsys):
    def fall(depth: int) -> None:
        if depth == 0:
            raise RecursionError("private")
        fall(depth - 1)

    try:
        fall(200)
    except RecursionError as error:
        log_error("fell", error)

    (line,) = entries(capsys)
    assert len(line["jsonPayload"]["stack_trace"].splitlines()) == 42


def test_no_line_of_a_whole_visit_tells_personal_data(world: World, capsys):
    ann = world.person(email="ann.private@example.com", name="Ann Private", credits_=5)
    headers = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "Private Agent"}
    key = ann.post("/api-keys", {"name": "k", "scopes": ["chat"]}).json["key"]

    visit(ann, "POST", "/chat/conversations", {"message": "a very private question"}, headers=headers)
    visit(ann, "POST", "/chat/conversations", {"message": "a very private question", "model": "none"}, headers=headers)
    visit(ann, "GET", "/credits/history?limit=ann.private@example.com", headers=headers)
    visit(world, "GET", "/credits/balance", headers={"Authorization": f"Bearer {key}", **headers})
    visit(world, "GET", "/credits/balance", headers={"Authorization": "Bearer wrong", **headers})
    visit(world, "GET", "/ann.private@example.com", headers=headers)

    told = capsys.readouterr().out
    assert told.count("request_done") == 6
    assert [word for word in (*PRIVATE, key, ann.token, "Ann Private") if word in told] == []


def test_a_line_of_another_thread_carries_the_trace_of_its_work(capsys):
    begin_work("p", trace_in(TRACEPARENT, ""), {"request_id": "r"})
    thread = threading.Thread(target=in_this_work(log), args=("worked",))
    thread.start()
    thread.join()

    (line,) = entries(capsys)
    assert (line["trace"], line["labels"]) == (f"projects/p/traces/{TRACE_ID}", {"request_id": "r"})


def test_a_label_names_the_function_where_it_is_deployed(monkeypatch, capsys):
    monkeypatch.setenv("FUNCTION_TARGET", "every_minute")
    begin_request({"X-Cloud-Trace-Context": f"{TRACE_ID}/1;o=1"}, "p")
    log("worked")

    (line,) = entries(capsys)
    assert (line["labels"], line["spanId"]) == ({"function": "every_minute"}, "0000000000000001")


def test_a_failing_event_hides_the_words_of_its_error(world: World, monkeypatch, capsys):
    event = {"id": "e1", "time": "2026-11-30T12:00:00Z", "document": "users/ann", "traceparent": TRACEPARENT}

    class Event(dict):
        data = b""

    @on_document("users/{uid}")
    def greet(event, services):
        raise OSError("ann.private@example.com")

    monkeypatch.setattr("functions.edge.production", lambda: world.services)
    with pytest.raises(NotDelivered, match="OSError") as raised:
        greet(Event(event))

    assert raised.value.__suppress_context__
    told = capsys.readouterr().out
    failed = entry_of(told.splitlines()[0])
    assert (failed["jsonPayload"]["event"], failed["labels"]) == ("event_failed", {"event_id": "e1"})
    assert failed["trace"].endswith(TRACE_ID)
    assert "ann.private" not in told


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "done"), (NotFound("gone"), "dropped"), (Unavailable("down"), "failed")]
)
def test_an_event_ends_in_one_line_with_its_outcome(world: World, capsys, error, outcome):
    class Event(dict):
        data = b""

    def greet(event, services):
        if error is not None:
            raise error

    with suppress(Unavailable):
        deliver(Event(id="e1", time=rfc3339(world.clock.now())), lambda event: event, greet, world.services)

    (line,) = [each["jsonPayload"] for each in entries(capsys) if each["jsonPayload"]["event"] == "event_done"]
    assert line.pop("ms") >= 0
    assert {name: line[name] for name in ("function", "event_id", "outcome")} == {
        "function": "greet",
        "event_id": "e1",
        "outcome": outcome,
    }


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ('severity>=ERROR AND jsonPayload.event="a"', True),
        ('severity<ERROR OR jsonPayload.event=("b" OR "a")', True),
        ('NOT (jsonPayload.event="a" AND httpRequest.status>=500)', False),
        ('jsonPayload.none:* OR jsonPayload.event!="a"', False),
        ('severity=INFO AND labels.x="y" OR labels.x="z"', False),
        ('labels.x="y" jsonPayload.event=~"^a$"', True),
    ],
)
def test_filters_are_read_as_cloud_logging_reads_them(query: str, is_found: bool):
    line = {"severity": "CRITICAL", "event": "a", "httpRequest": {"status": 500}}

    entry = entry_of(json.dumps({**line, "logging.googleapis.com/labels": {"x": "y"}}))

    assert is_matching(query, entry) is is_found


def test_the_laptop_shows_a_line_without_the_fields_for_google(world: World, capsys):
    class Broken:
        def balance(self, uid):
            raise ZeroDivisionError

    ann = world.person()
    ann.get("/me")
    world.services.credits.__dict__["ledger"] = Broken()
    capsys.readouterr()
    visit(ann, "GET", "/credits/balance", headers={"traceparent": TRACEPARENT, "X-Request-Id": "r-1"})

    failed, answered = (readable(line) or "" for line in capsys.readouterr().out.splitlines())
    assert failed.startswith("ERROR    request_failed error=ZeroDivisionError request_id=r-1\n         Traceback")
    assert failed.endswith("\n         ZeroDivisionError")
    assert re.fullmatch(r"ERROR    GET /v1/credits/balance 500 in [\d.]+s code=internal_error", answered)


def test_an_answer_whose_closing_fails_is_logged_too(capsys):
    class Parts(list[bytes]):
        def close(self) -> None:
            raise OSError("gone")

    def application(environ: Any, start_response: Any) -> Parts:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return Parts([b": ping\n", b"data: 1\n\n"])

    answered = RequestLog(application, iter([1.0, 1.5, 4.0]).__next__)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    parts = list(answered)
    with pytest.raises(OSError, match="gone"):
        answered.close()  # type: ignore[attr-defined]

    (line,) = entries(capsys)
    assert parts == [b": ping\n", b"data: 1\n\n"]
    assert line["jsonPayload"]["first_token_seconds"] == 0.5
    assert (line["httpRequest"]["latency"], line["httpRequest"]["responseSize"]) == ("3.000000s", "16")
