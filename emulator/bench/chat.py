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

TURNS = 200
CLIENTS = (1, 16, 64)
WARM_UP = 20
START_SECONDS_MAX = 60
Post = Callable[[str, Any], Any]


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
    for clients in CLIENTS:
        users = [_signed_up(api, suite) for _ in range(min(clients, 16))]
        ours = _measured(clients, lambda number, users=users: _turn(api, *users[number % len(users)]))  # type: ignore[misc]
        floor = _measured(clients, lambda _: _bare(upstream.url))
        yield _row(f"a chat turn, {clients} clients, p50", statistics.median(ours[0]), statistics.median(floor[0]))
        yield _row(f"a chat turn, {clients} clients, p99", percentile(ours[0], 99), percentile(floor[0], 99))
        yield _rate(f"turns a second, {clients} clients", len(ours[0]) / ours[1], len(floor[0]) / floor[1])


def _measured(clients: int, call: Callable[[int], None]) -> tuple[list[float], float]:
    for number in range(WARM_UP):
        call(number)
    with ThreadPoolExecutor(clients) as pool:
        started = time.perf_counter()
        taken = list(pool.map(lambda number: timed(lambda: call(number)), range(TURNS)))
        return taken, time.perf_counter() - started


def _turn(api: str, token: str, conversation: str) -> None:
    _post(f"{api}/v1/chat/conversations/{conversation}/messages", {"content": "Hello!", "max_output_tokens": 60}, token)


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


def _signed_up(api: str, suite: Suite) -> tuple[str, str]:
    """A new user with the welcome bonus and a conversation: their token, its id."""
    address = {"email": f"{time.time_ns()}@example.com", "password": "a long password", "returnSecureToken": True}
    path = "/identitytoolkit.googleapis.com/v1/accounts:signUp?key=bench"
    token = _post(f"{suite.endpoints.auth}{path}", address, "")["idToken"]
    _post(f"{api}/v1/credits/welcome-bonus", {}, token)
    return token, _post(f"{api}/v1/chat/conversations", {}, token)["id"]


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


def _rate(what: str, ours: float, floor: float) -> Row:
    return what, f"{ours:,.0f} /s", f"{floor:,.0f} /s (bare upstream)", f"{ours / floor:.2f}×"


if __name__ == "__main__":
    main()
