"""A chat turn through functions-framework, with the whole money path on, beside the bare upstream call."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emulator.bench.tables import Row, milliseconds, percentile, print_table, timed
from emulator.ports import LOOPBACK, free_ports
from emulator.seed import seed_models
from emulator.settings import laptop_settings
from emulator.suite import Suite
from emulator.tools import ROOT
from emulator.upstream import Upstream

CLIENTS = (1, 16, 64)
USERS_MAX = 16
TURNS_PER_CONVERSATION = 5
"""What was said before is read and sent again with every turn, and a bare call has no past."""
TURNS_LONG = 60
"""So many turns have more than the 100 messages that a prompt looks back."""
SAMPLES = 200
WARM_UP = 40
"""After so many answers of a model its expected length is settled, and stored now and then only."""
START_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with credits: how they are known to the API."""

    api: str
    token: str

    def conversation(self) -> str:
        """A new one."""
        identifier: str = _post(f"{self.api}/v1/chat/conversations", {}, self.token)["id"]
        return identifier

    def say(self, conversation: str) -> None:
        """One turn, to its end."""
        body = {"content": "Hello!", "max_output_tokens": 60}
        _post(f"{self.api}/v1/chat/conversations/{conversation}/messages", body, self.token)


def main() -> None:
    """Measure and print. Starts what it needs."""
    with tempfile.TemporaryDirectory() as home, Upstream(delay_ms=0) as upstream:
        suite = Suite(home=Path(home), only=("auth", "firestore", "pubsub"))
        with suite:
            os.environ.update(suite.environment())
            seed_models(suite.project)
            with _api(upstream) as api:
                print_table(_rows(api, suite, upstream))


def _rows(api: str, suite: Suite, upstream: Upstream) -> Iterator[Row]:
    people = [_signed_up(api, suite) for _ in range(USERS_MAX)]
    _one_by_one(people[0], upstream, WARM_UP)
    yield from _pair("1 client", *_one_by_one(people[0], upstream, SAMPLES))
    yield _row("a turn with 100 messages before it, p50", *map(statistics.median, _long(people[0], upstream)))
    for clients in CLIENTS[1:]:
        ours, floor = _together(people, upstream, clients)
        yield from _pair(f"{clients} clients", ours.seconds, floor.seconds)
        yield _rate(f"turns a second, {clients} clients", ours, floor)


def _pair(who: str, ours: list[float], floor: list[float]) -> Iterator[Row]:
    yield _row(f"a chat turn, {who}, p50", statistics.median(ours), statistics.median(floor))
    yield _row(f"a chat turn, {who}, p99", percentile(ours, 99), percentile(floor, 99))


def _one_by_one(person: Person, upstream: Upstream, samples: int) -> tuple[list[float], list[float]]:
    """Turns and bare calls in turn, so that the machine's other work falls on both."""
    ours, floor, conversation = [], [], ""
    for number in range(samples):
        conversation = person.conversation() if number % TURNS_PER_CONVERSATION == 0 else conversation
        ours.append(timed(lambda conversation=conversation: person.say(conversation)))  # type: ignore[misc]  # bound early
        floor.append(timed(lambda: _bare(upstream.url)))
    return ours, floor


def _long(person: Person, upstream: Upstream) -> tuple[list[float], list[float]]:
    conversation = person.conversation()
    for _ in range(TURNS_LONG):
        person.say(conversation)
    return (
        [timed(lambda: person.say(conversation)) for _ in range(SAMPLES // 4)],
        [timed(lambda: _bare(upstream.url)) for _ in range(SAMPLES // 4)],
    )


@dataclass(slots=True)
class Measured:
    """What some clients saw at the same time; `failed` calls have no time."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    elapsed: float = 0.0


def _together(people: list[Person], upstream: Upstream, clients: int) -> tuple[Measured, Measured]:
    """Short rounds of turns and of bare calls, one after the other; each client has conversations of its own."""
    ours, floor = Measured(), Measured()
    for _ in range(max(2, 2 * SAMPLES // clients // TURNS_PER_CONVERSATION)):
        talks = [(person := people[number % len(people)], person.conversation()) for number in range(clients)]
        _round(ours, [lambda talk=talk: talk[0].say(talk[1]) for talk in talks])  # type: ignore[misc]  # bound early
        _round(floor, [lambda: _bare(upstream.url)] * clients)
    return ours, floor


def _round(measured: Measured, calls: list[Callable[[], None]]) -> None:
    def repeat(call: Callable[[], None]) -> None:
        for _ in range(TURNS_PER_CONVERSATION):
            try:
                measured.seconds.append(timed(call))
            except Exception:  # noqa: BLE001  a bench counts whatever fails
                measured.failed += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(repeat, calls))
    measured.elapsed += time.perf_counter() - started


def _bare(upstream: str) -> None:
    """What the turn asks of the provider, streamed and read to its end."""
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 60,
    }
    request = urllib.request.Request(f"{upstream}/v1/chat/completions", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Bearer sk-laptop")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


_local = threading.local()


def _post(url: str, body: Any, token: str) -> Any:
    """One POST on this thread's own connection, kept open as clients do, and opened again if the server closed it."""
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    for connection in (getattr(_local, parts.netloc, None), HTTPConnection(parts.netloc, timeout=60)):
        if connection is None:
            continue
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
        except (OSError, HTTPException):
            continue
        setattr(_local, parts.netloc, connection)
        told = json.loads(answer.read() or b"{}")
        if answer.status >= 400:  # noqa: PLR2004  # HTTP's own number
            raise RuntimeError(f"{url}: {answer.status} {told}")
        return told
    raise ConnectionError(url)


def _signed_up(api: str, suite: Suite) -> Person:
    """A new user with the welcome bonus."""
    address = {"email": f"{time.time_ns()}@example.com", "password": "a long password", "returnSecureToken": True}
    path = "/identitytoolkit.googleapis.com/v1/accounts:signUp?key=bench"
    token = _post(f"{suite.endpoints.auth}{path}", address, "")["idToken"]
    _post(f"{api}/v1/credits/welcome-bonus", {}, token)
    return Person(api, token)


@contextlib.contextmanager
def _api(upstream: Upstream) -> Iterator[str]:
    """The function as production starts it: functions-framework and its gunicorn."""
    port = free_ports(["api"])["api"]
    environment = {
        **os.environ,
        **laptop_settings(),
        "AI_PLATFORM_API_KEY": "sk-laptop",
        "AI_PLATFORM_BASE_URL": upstream.url,
        "RATE_LIMIT_PER_MINUTE": "60000",
        "RATE_LIMIT_BURST": "60000",
        "FUNCTION_TARGET": "api",
        "HOST": LOOPBACK,
        "PORT": str(port),
    }
    program = Path(sys.executable).parent / "functions-framework"
    process = subprocess.Popen([str(program)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://{LOOPBACK}:{port}"
        _await(f"{url}/v1/monitoring/health", process)
        yield url
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10):
            return
        pause.wait(0.1)
    raise TimeoutError("the API did not start")


def _row(what: str, ours: float, floor: float) -> Row:
    added = f"{ours / floor:.2f}×, {milliseconds(ours - floor)} added"
    return what, milliseconds(ours), f"{milliseconds(floor)} (bare upstream)", added


def _rate(what: str, ours: Measured, floor: Measured) -> Row:
    rates = [len(each.seconds) / each.elapsed for each in (ours, floor)]
    told = f"{rates[0]:,.0f} /s, {ours.failed} failed"
    return what, told, f"{rates[1]:,.0f} /s (bare upstream)", f"{rates[0] / rates[1]:.2f}×"


if __name__ == "__main__":
    main()
