"""EVM node on this machine: anvil, from the start to the end of the process.

`with Anvil() as node: node.rpc("eth_blockNumber")`. Blocks come at a pace (`block_seconds`), or when a test mines them.
"""

import http.client
import json
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from emulator.ports import LOOPBACK, free_ports
from emulator.problems import LaptopProblem
from emulator.tools import ROOT

PACKAGES = ROOT / "emulator" / "node_modules" / "@foundry-rs"
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10
CALL_SECONDS_MAX = 60
POLL_SECONDS = 0.02
STATES_MAX = 300
"""Number of blocks whose state can be asked. With a limit the node keeps all states in memory, and none is lost."""
SLOTS_IN_EPOCH = 4
"""Number of blocks after which a block is `safe`; twice as many make a block `finalized`."""
CHAIN_ID = 31_337
MINDER = '"$@" & cat > /dev/null; kill $! 2> /dev/null; wait'
"""Script that ends the node as soon as standard input ends: so also when the process that started it is killed."""


class NodeError(Exception):
    """Error that a node answered."""


class Anvil:
    """Node of a network of its own, with rich accounts that need no key. State is in memory, and ends with the node.

    Without a limit on states the node lost contracts after some 260 reorgs.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        chain_id: int = CHAIN_ID,
        block_seconds: float | None = None,
        accounts: int = 10,
        slots: int = SLOTS_IN_EPOCH,
    ) -> None:
        self._port = port
        self._arguments = ["--chain-id", str(chain_id), "--accounts", str(accounts), "--order", "fifo"]
        self._arguments += ["--slots-in-an-epoch", str(slots), "--prune-history", str(STATES_MAX), "--no-cors"]
        self._arguments += ["--host", LOOPBACK, "--silent"]
        pace = ["--no-mining"] if block_seconds is None else ["--block-time", str(block_seconds)]
        self._arguments += pace
        self._process: subprocess.Popen[bytes] | None = None
        self._connections = threading.local()
        self._kept: set[http.client.HTTPConnection] = set()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def genesis(self) -> str:
        """Return the hash of the first block, which differs from node to node."""
        return str(self.rpc("eth_getBlockByNumber", "0x0", False)["hash"])

    def rpc(self, method: str, *params: Any) -> Any:
        """Return the result of a call. Raises NodeError."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = json.loads(self.post(json.dumps(call).encode()))
        if "error" in answer:
            raise NodeError(f"{method}: {answer['error']}")
        return answer["result"]

    def post(self, body: bytes) -> bytes:
        """Return the answer to the body of a request."""
        connection = getattr(self._connections, "kept", None)
        if connection is None:
            connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=CALL_SECONDS_MAX)
            self._connections.kept = connection
            self._kept.add(connection)
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer: bytes = connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._kept.discard(connection)
            self._connections.kept = None
            raise
        return answer

    def start(self) -> None:
        """Return when the node answers. Raises LaptopProblem, with nothing left running, if that does not happen."""
        self._port = self._port or free_ports(["anvil"])["anvil"]
        command = ["sh", "-c", MINDER, "sh", str(binary()), "--port", str(self._port), *self._arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline, pause = time.monotonic() + START_SECONDS_MAX, threading.Event()
        while not self._is_answering():
            if time.monotonic() > deadline:
                self.stop()
                raise LaptopProblem(f"The EVM node (anvil) does not answer at port {self._port}.")
            pause.wait(POLL_SECONDS)

    def stop(self) -> None:
        """End the node, and wait for the end."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "it is a pipe"
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for connection in tuple(self._kept):
            connection.close()

    def is_running(self) -> bool:
        """Return False if the node has ended."""
        return self._process is not None and self._process.poll() is None and self._is_answering()

    def _is_answering(self) -> bool:
        try:
            self.rpc("eth_chainId")
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def binary(packages: Path = PACKAGES) -> Path:
    """Return the node's program for this machine. Raises LaptopProblem if npm has installed none."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = packages / f"anvil-{sys.platform}-{machine}" / "bin" / "anvil"
    if not found.exists():
        raise LaptopProblem(f"There is no EVM node (anvil) for {sys.platform} on {machine}: run `make setup`.")
    return found
