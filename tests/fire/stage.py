"""The real thing for tests: `api` served by functions-framework, which a test may kill, and a gate before its store."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from emulator.ports import LOOPBACK, free_ports
from emulator.suite import Suite
from emulator.tools import ROOT
from emulator.upstream import Upstream
from shared.bootstrap import Services, production
from shared.kernel.ids import LotId, Uid, new_id, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import parse_settings
from shared.ledger.commands import Grant
from tests.support.emulators import laptop_settings
from tests.support.processes import wait_for

START_SECONDS_MAX = 180
CALL_SECONDS_MAX = 180
PATTERN_BYTES_MAX = 100
MODEL = {
    "kind": "chat",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "2",
    "context_window": 8_000,
    "max_output_tokens": 1_000,
    "expected_output_tokens": 40,
}
"""A token costs 100 µcr going in and 200 µcr coming out."""


class Gate:
    """A way to the store by which nothing comes back any more, from the first commit on that `pattern` is found in."""

    def __init__(self, store: str) -> None:
        host, port = store.rsplit(":", 1)
        self._store = (host, int(port))
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._listener.getsockname()[1]}"
        self.pattern: re.Pattern[bytes] | None = None
        self.closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                store = socket.create_connection(self._store)
                for source, sink, is_checked in ((client, store, True), (store, client, False)):
                    threading.Thread(target=self._pump, args=(source, sink, is_checked), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_checked: bool) -> None:
        seen = b""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                seen = seen[-PATTERN_BYTES_MAX:] + data
                if is_checked and self.pattern is not None and self.pattern.search(seen):
                    self.closed.set()  # before it is sent: its answer may be quick
                if is_checked or not self.closed.is_set():
                    sink.sendall(data)
        for end in (source, sink):
            end.close()

    def close(self) -> None:
        self._listener.close()


class Server:
    """One instance of `api`, as production runs it."""

    def __init__(self, stage: "Stage", *, store: str | None = None, **settings: str) -> None:
        self._port = free_ports(["api"])["api"]
        self.url = f"http://{LOOPBACK}:{self._port}/v1"
        gate = {"FIRESTORE_EMULATOR_HOST": store} if store else {}
        environment = {**os.environ, **stage.settings, "FUNCTION_TARGET": "api", **gate, **settings}
        environment["PYTHONUNBUFFERED"] = "1"  # whoever is killed has told what it had to tell
        environment.pop("FUNCTION_SIGNATURE_TYPE", None)  # it would beat what the function itself says
        command = [sys.executable, "-m", "functions_framework", "--target", "api", "--host", LOOPBACK]
        self._told = stage.home / f"{self._port}.log"
        self._log = self._told.open("wb")
        self._last = "nothing"
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            cwd=ROOT,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ready(self) -> Self:
        try:
            wait_for(self._is_up, seconds=START_SECONDS_MAX, what="the function answers")
        except AssertionError as error:
            error.add_note(f"exit {self._process.poll()}, {self._last}; its log: {self._told.read_text()[-4_000:]}")
            raise
        return self

    def _is_up(self) -> bool:
        try:
            answer = requests.get(f"{self.url}/monitoring/health", timeout=60)
        except requests.ConnectionError as error:
            self._last = str(error)
            return False
        self._last = f"{answer.status_code} {answer.text}"
        return answer.ok

    def kill(self) -> None:
        """Its machine is gone: nothing behind this moment runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)
        self._log.close()

    def pause(self) -> None:
        """Its processor is taken away: nothing runs until `go_on`."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It has its processor back, and knows nothing of the pause."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            return self.ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@contextlib.contextmanager
def started(stage: "Stage", *settings: Mapping[str, str]) -> Iterator[list[Server]]:
    """Instances with these settings, started at the same time. All are killed at the end."""
    with contextlib.ExitStack() as stack:
        servers = list[Server]()
        for each in settings:
            servers.append(Server(stage, **each))
            stack.callback(servers[-1].kill)
        yield [server.ready() for server in servers]


class Person:
    """Somebody with a token, some credits and a conversation."""

    def __init__(self, stage: "Stage", amount: int) -> None:
        self._stage = stage
        answer = requests.post(
            f"{stage.auth}/identitytoolkit.googleapis.com/v1/accounts:signUp?key=k",
            json={"email": f"{new_id('p')}@example.com", "password": "secret-secret", "returnSecureToken": True},
            timeout=CALL_SECONDS_MAX,
        ).json()
        self.uid = Uid(answer["localId"])
        self.headers = {"Authorization": f"Bearer {answer['idToken']}"}
        stage.services.credits.ledger.open(self.uid)
        self.conversation = stage.services.chat.conversations.create(
            self.uid, operation=operation_id("fire", self.uid), fingerprint="", model=stage.model
        ).id
        self.given = 0
        self.give(amount)

    def give(self, amount: int) -> None:
        lot = new_id("lot")
        grant = Grant(
            operation=operation_id("fire", lot),
            amount=Micro(amount),
            lot=LotId(lot),
            source="promo:test",
        )
        if amount:
            self._stage.services.credits.ledger.execute(self.uid, grant)
            self.given += amount

    def say(
        self, server: Server, content: str, *, key: str = "", timeout_seconds: float = CALL_SECONDS_MAX, **body: Any
    ) -> requests.Response:
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return requests.post(
            f"{server.url}/chat/conversations/{self.conversation}/messages",
            json={"content": content, **body},
            headers=headers,
            stream=bool(body.get("stream")),
            timeout=timeout_seconds,
        )

    def use_key(self, server: Server, **wanted: Any) -> None:
        """From now on call with a new API key."""
        body = {"name": "fire", "scopes": ["chat"], **wanted}
        made = requests.post(f"{server.url}/api-keys", json=body, headers=self.headers, timeout=CALL_SECONDS_MAX)
        assert made.status_code == 201, made.text
        self.headers = {"Authorization": f"Bearer {made.json()['key']}"}

    @property
    def held(self) -> int:
        return self._stage.services.credits.ledger.balance(self.uid).held

    @property
    def spent(self) -> int:
        return self.given - self._stage.services.credits.ledger.balance(self.uid).total

    def answers(self) -> list[Any]:
        """The model's messages, newest first."""
        items = self._stage.services.chat.conversations.messages(self.uid, self.conversation).items
        return [message for message in items if message.role == "assistant"]

    def check_books(self) -> None:
        """The chain is whole, and no balance on the way was below zero."""
        ledger = self._stage.services.credits.ledger
        assert ledger.verify(self.uid) == []
        entries = ledger.entries(self.uid, 1, ledger.balance(self.uid).seq)
        assert min(entry.balance_after for entry in entries) >= 0
        assert min(entry.held_after for entry in entries) >= 0


class Stage:
    """Emulators, a stand-in provider, a model of our own; `services` sees what the servers do."""

    def __init__(self, emulators: Suite, upstream: Upstream, home: Path) -> None:
        self.auth, self.store = emulators.endpoints.auth, emulators.endpoints.firestore.removeprefix("http://")
        self.upstream, self.home = upstream, home
        self.settings = {**laptop_settings(upstream=upstream), **emulators.environment()}
        self.services: Services = production(parse_settings({**os.environ, **self.settings}))
        self.model = new_id("fire")
        self.services.models.catalogue.put(self.model, MODEL)

    def asked(self, content: str) -> list[dict[str, Any]]:
        """The requests for this message that reached the provider, oldest first."""
        return [each for each in self.upstream.requests if each["body"]["messages"][-1]["content"] == content]


def deltas(response: requests.Response) -> Iterator[str]:
    """The pieces of a streamed answer, as they come."""
    for line in response.iter_lines(chunk_size=1):
        if line.startswith(b'data: {"delta"'):
            yield line.decode()
