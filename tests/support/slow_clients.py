"""A real functions-framework process over memory adapters, and clients that are slow in each way."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from emulator.ports import LOOPBACK, free_ports
from emulator.tools import ROOT
from tests.support.processes import wait_for

SOURCE = Path(__file__).with_name("served_in_memory.py")
START_SECONDS_MAX = 120
HEALTH_SECONDS_MAX = 60
BODY_BYTES = 1_000_000


class QuickServer:
    """`api`, as functions-framework serves it, with as many threads as in production."""

    def __init__(self, home: Path, *, threads: int = 80) -> None:
        self.port = free_ports(["api"])["api"]
        self.url = f"http://{LOOPBACK}:{self.port}/v1"
        self._told = home / f"{self.port}.json"
        self._log = (home / f"{self.port}.log").open("wb")
        command = [sys.executable, "-m", "functions_framework", "--target", "served", "--source", str(SOURCE)]
        self._process = subprocess.Popen(
            [*command, "--host", LOOPBACK, "--port", str(self.port)],
            cwd=ROOT,
            env={**os.environ, "THREADS": str(threads), "TOLD": str(self._told), "PYTHONPATH": str(ROOT)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    @property
    def tokens(self) -> list[str]:
        return list(json.loads(self._told.read_text()))

    def health_seconds(self) -> float:
        began = time.monotonic()
        answer = requests.get(f"{self.url}/monitoring/health", timeout=HEALTH_SECONDS_MAX)
        assert answer.ok, answer.text
        return time.monotonic() - began

    def slow(self, path: str, *, token: str = "", chunked: bool = False, method: str = "POST") -> socket.socket:
        """A client that has sent whole headers of a request, and nothing of its body."""
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BODY_BYTES}"
        headers = [f"{method} /v1{path} HTTP/1.1", "Host: x", "Content-Type: application/json", length]
        headers += [f"Authorization: Bearer {token}"] if token else []
        client = self.connected()
        client.sendall("\r\n".join([*headers, "", ""]).encode())
        return client

    def connected(self, *, receives_bytes: int | None = None) -> socket.socket:
        client = socket.socket()
        client.settimeout(HEALTH_SECONDS_MAX)
        if receives_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives_bytes)
        client.connect((LOOPBACK, self.port))
        return client

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}/monitoring/health", timeout=HEALTH_SECONDS_MAX).ok
        return False

    def __enter__(self) -> Self:
        try:
            wait_for(self._is_up, seconds=START_SECONDS_MAX, what="the function answers")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(HEALTH_SECONDS_MAX)
        self._log.close()


@contextlib.contextmanager
def dripping(clients: list[socket.socket], pieces: Sequence[bytes], *, every_seconds: float = 0.5) -> Iterator[None]:
    """Meanwhile each client sends a piece from time to time, until it is left. The clients take the pieces in turn."""
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(every_seconds):
            for client, piece in zip(clients, itertools.cycle(pieces), strict=False):
                with contextlib.suppress(OSError):
                    client.sendall(piece)

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for client in clients:
            client.close()
