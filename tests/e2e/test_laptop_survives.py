"""The laptop survives: no request ends the emulators, and after any death nothing is left and the next run starts.

`make survive` sets SURVIVE=1: every route instead of some, a hundred clients that hang up, and each death of a whole
`make run` instead of Firestore alone.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from emulator.__main__ import PORTS
from emulator.listeners import listeners
from emulator.payment_providers import payment_providers
from emulator.ports import LOOPBACK, free_ports
from emulator.problems import LaptopProblem
from emulator.processes import MARK, mark_of, marked
from emulator.runs import only_run_in, suite_home
from emulator.suite import HELPERS, Suite
from functions.http.table import ROUTES
from tests.support.laptops import ROOT, commands_of, laptop, told
from tests.support.processes import wait_for

IS_LONG = bool(os.environ.get("SURVIVE"))
SECONDS_MAX = 180
LARGE = 12_000_000
TOO_LARGE_FOR_ALL = 40_000_000
HANG_UPS = 100 if IS_LONG else 10
NAMED_WITHIN_SECONDS = 60
WEBHOOKS = ("/stripe_webhook", "/paypal_webhook")
SOME_ROUTES = ("/api/v1/chat/conversations", "/api/v1/openai/chat/completions", "/api/v1/nothing", *WEBHOOKS)
EVERY_ROUTE = (*{f"/api{re.sub('{[^}]*}', 'x', route.path)}" for route in ROUTES}, *SOME_ROUTES)
DEATHS: dict[str, str] = {
    "cli": r"^\S*node .*firebase\.js",
    "guard": r"emulator\.guard",
    "firestore": r"^\S*java .*firestore",
    "pubsub": r"^\S*java .*pubsub",
}


# Whatever is sent ----------------------------------------------------------------------------------------------------


def answer_to(url: str, body: bytes, *, is_chunked: bool = False) -> int | None:
    """Return the status that a POST of this body got; None if the connection was closed without one."""
    place = urlsplit(url)
    connection = HTTPConnection(place.netloc, timeout=SECONDS_MAX)
    content = iter([body[: len(body) // 2], body[len(body) // 2 :]]) if is_chunked else body
    try:
        connection.request("POST", place.path, content, {"Content-Type": "application/json"}, encode_chunked=is_chunked)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def hang_up_in_mid_body(url: str) -> None:
    place = urlsplit(url)
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {LARGE}\r\n\r\n"
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=SECONDS_MAX) as client:
        client.sendall(head.encode() + b"x" * 100_000)


def is_healthy(suite: Suite) -> bool:
    health = requests.get(f"{suite.endpoints.api}/v1/monitoring/health", timeout=SECONDS_MAX)
    return suite.is_running() and suite.silent() == [] and health.status_code == 200


@pytest.mark.slow
def test_stack_stays_up_when_large_bodies_are_sent(suite):
    for route in EVERY_ROUTE if IS_LONG else SOME_ROUTES:
        answer_to(f"{suite.endpoints.functions}{route}", b"x" * LARGE)
        answer_to(f"{suite.endpoints.functions}{route}", b"x" * LARGE, is_chunked=True)
        assert suite.is_running(), route

    assert is_healthy(suite)


def test_webhooks_answer_413_through_the_emulator(suite):
    urls = [f"{suite.endpoints.functions}{route}" for route in WEBHOOKS]

    assert [answer_to(url, b"x" * LARGE) for url in urls] == [413, 413]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_body_larger_than_any_function_takes_is_refused(suite, is_chunked):
    body = b"x" * TOO_LARGE_FOR_ALL

    assert answer_to(f"{suite.endpoints.api}/v1/credits/welcome-bonus", body, is_chunked=is_chunked) in {413, None}
    assert is_healthy(suite)


def test_stack_stays_up_when_clients_hang_up_in_mid_body(suite):
    for number in range(HANG_UPS):
        hang_up_in_mid_body(f"{suite.endpoints.functions}{SOME_ROUTES[number % len(SOME_ROUTES)]}")

    assert is_healthy(suite)


# Whatever dies -------------------------------------------------------------------------------------------------------

SUPERVISOR = """
import json, sys, threading
from pathlib import Path
from emulator.suite import Suite
with Suite(home=Path(sys.argv[1]), only=("firestore",), ports=json.loads(sys.argv[2])) as suite:
    Path(sys.argv[1], "up").touch()
    threading.Event().wait()
"""


@contextmanager
def supervised(home: Path, ports: dict[str, int]) -> Iterator[subprocess.Popen[bytes]]:
    """Run Firestore alone under a supervisor that knows nothing but to wait, until the block ends."""
    (home / "up").unlink(missing_ok=True)
    run = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(home), json.dumps(ports)], cwd=ROOT)
    try:
        wait_for(lambda: (home / "up").exists() or run.poll() is not None, seconds=SECONDS_MAX, what="Firestore is up")
        yield run
    finally:
        run.kill()
        run.wait()


def kill(home: Path, name: str) -> None:
    """Kill the processes of the run in `home` that the name stands for."""
    victims = [pid for pid, line in commands_of(marked(mark_of(home))).items() if re.search(DEATHS[name], line)]
    assert victims, f"{name} runs: {commands_of(marked(mark_of(home)))}"
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def await_nothing_left(home: Path, ports: dict[str, int]) -> None:
    wait_for(
        lambda: not marked(mark_of(home)) and not listeners(ports.values()),
        what=f"ended: {commands_of(marked(mark_of(home)))}",
    )


def test_killed_supervisor_leaves_nothing_and_the_next_one_starts(tmp_path):
    ports = free_ports(["firestore"])
    with supervised(tmp_path, ports) as run:
        run.kill()
        await_nothing_left(tmp_path, ports)

    with supervised(tmp_path, ports) as again:
        assert again.poll() is None


@pytest.mark.parametrize("name", ["cli", "guard"])
def test_killed_part_leaves_nothing(tmp_path, name):
    with Suite(home=tmp_path, only=("firestore",)) as suite:
        kill(tmp_path, name)
        wait_for(lambda: not suite.is_running(), what=f"the death of the {name} is seen")

    assert commands_of(marked(mark_of(tmp_path))) == {}


def test_killed_emulator_is_noticed_and_leaves_nothing(tmp_path):
    with Suite(home=tmp_path, only=("firestore",)) as suite:
        assert suite.silent() == []
        kill(tmp_path, "firestore")
        wait_for(lambda: suite.silent() == ["firestore"], what="Firestore is seen to be silent")

    assert commands_of(marked(mark_of(tmp_path))) == {}


@pytest.mark.skipif(not IS_LONG, reason="`make survive` kills each part of a whole `make run`")
@pytest.mark.parametrize("name", ["supervisor", *DEATHS])
def test_death_in_a_whole_run_leaves_nothing_and_the_next_starts(tmp_path, name):
    ports = free_ports(PORTS)
    chosen = ",".join(f"{each}={port}" for each, port in ports.items())
    for _ in range(2):
        run = laptop(tmp_path, EMULATOR_PORTS=chosen)
        await_ready(run, tmp_path)
        run.kill() if name == "supervisor" else kill(suite_home(tmp_path), name)
        run.wait(SECONDS_MAX)
        await_nothing_left(suite_home(tmp_path), ports)
        assert not (tmp_path / "endpoints.json").exists()


def await_ready(run: subprocess.Popen[str], home: Path) -> None:
    wait_for(lambda: (home / "endpoints.json").exists() or run.poll() is not None, seconds=SECONDS_MAX, what="ready")
    assert run.poll() is None, told(home)


@contextmanager
def left_behind(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a session of its own that carries the mark of `home`: its supervisor and guard are gone."""
    process = subprocess.Popen(
        ["sleep", str(SECONDS_MAX)], env={**os.environ, MARK: mark_of(home)}, start_new_session=True
    )
    try:
        # A new process shows no environment until its program is loaded.
        wait_for(lambda: process.pid in marked(mark_of(home)), seconds=SECONDS_MAX, what="the mark")
        yield process
    finally:
        process.kill()
        process.wait()


def test_next_run_ends_what_an_earlier_one_left(tmp_path):
    with left_behind(suite_home(tmp_path)) as process, only_run_in(tmp_path):
        assert process.wait(SECONDS_MAX) == -signal.SIGKILL


def test_second_run_in_one_directory_is_refused_and_ends_nothing(tmp_path):
    with only_run_in(tmp_path), left_behind(suite_home(tmp_path)) as process:
        run = laptop(tmp_path)

        assert run.wait(SECONDS_MAX) == 1
        assert f"Another `make run` (process {os.getpid()}) uses {tmp_path}" in told(tmp_path)
        assert process.poll() is None


# A port that somebody takes meanwhile --------------------------------------------------------------------------------


@contextmanager
def thief(port: int, may_begin: Callable[[], bool], *, is_listening: bool = True) -> Iterator[None]:
    """Take the port as soon as it may be taken, and keep it until the block ends."""
    is_over = threading.Event()

    def take() -> None:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, is_listening)
            wait_for(may_begin)
            taken.bind((LOOPBACK, port))
            if is_listening:
                taken.listen()
            is_over.wait(SECONDS_MAX)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("is_listening", [True, False])
def test_port_taken_after_the_check_is_named_within_seconds(tmp_path, is_listening):
    ports = free_ports(["firestore"])
    suite = Suite(home=tmp_path, only=("firestore",), ports=ports)
    with thief(ports["firestore"], (tmp_path / ".project").exists, is_listening=is_listening):
        began = time.monotonic()
        with pytest.raises(LaptopProblem, match=rf"{ports['firestore']} \(firestore\)"), suite:
            pass

    assert time.monotonic() - began < NAMED_WITHIN_SECONDS
    assert commands_of(marked(mark_of(tmp_path))) == {}


def test_port_of_a_stand_in_is_named_with_its_owner():
    ports = {**PORTS, **free_ports(["stripe"])}
    named = rf"{ports['stripe']} \(stripe\) by .*\(process {os.getpid()}\)"
    with ExitStack() as stack, socket.create_server((LOOPBACK, ports["stripe"])):
        refused = stack.enter_context(pytest.raises(LaptopProblem, match=named))
        payment_providers(stack, {}, ports, Path())

    assert isinstance(refused.value.__cause__, OSError)


def test_helper_ports_are_watched_too(tmp_path):
    suite = Suite(home=tmp_path, only=("firestore",))

    assert {"firestore", "websocket", *HELPERS} == suite._used().keys()
