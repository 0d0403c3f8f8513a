"""Bitcoin node on this machine, on a regtest network of its own, from the start to the end of the process.

`with BitcoinNode() as node: node.mine(6)`. The program is `bitcoind` (Bitcoin Core, or Debian's `bitcoin-knots`) on
the PATH, or named by the setting BITCOIND.
"""

import base64
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from emulator.ports import LOOPBACK, free_ports
from emulator.problems import LaptopProblem

SETTING = "BITCOIND"
PROGRAM = "bitcoind"
GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
FIRST_BLOCKS = 120
"""Blocks of the own wallet at the start: twenty of them can be spent at once."""
WALLET = "miner"
CREDENTIALS = "laptop:laptop"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
CALL_SECONDS_MAX = 60
POLL_SECONDS = 0.02
NO_NODE = "No Bitcoin node here: install Debian's `bitcoin-knots` or Bitcoin Core, or name `bitcoind` in BITCOIND."
MINDER = """
exec 3<&0
"$@" 3<&- </dev/null &
node=$!
{ cat <&3 >/dev/null; kill $node 2>/dev/null; } &
wait $node
rm -rf -- "$0"
"""
"""Script that ends the node as soon as standard input ends: so also when the process that started it is killed.

The script ends when the node ends, so that a node that does not start is noticed at once, and removes the node's files.
"""


class BitcoinNodeError(Exception):
    """Error that the node answered."""


class BitcoinNode:
    """Node without peers, with a wallet that has the coins of the first blocks. All files go with the node."""

    def __init__(self) -> None:
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None

    @property
    def home(self) -> Path:
        """Return the folder of the node's files."""
        assert self._home is not None, "started"
        return Path(self._home.name)

    def rpc(self, method: str, *params: Any, wallet: str = "", **named: Any) -> Any:
        """Return the result of a call, with fractions as Decimal. Raises BitcoinNodeError."""
        call = {"jsonrpc": "1.0", "id": 1, "method": method, "params": named or list(params)}
        body = json.dumps(call, default=str).encode()
        answer = json.loads(self._exchange(f"/wallet/{wallet}" if wallet else "/", body), parse_float=Decimal)
        if answer.get("error"):
            raise BitcoinNodeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wallet(self, method: str, *params: Any, **named: Any) -> Any:
        """Return the result of a call to the miner's wallet. Raises BitcoinNodeError."""
        return self.rpc(method, *params, wallet=WALLET, **named)

    def raw_block(self, block: str) -> bytes:
        """Return the bytes of a block."""
        return bytes.fromhex(self.rpc("getblock", block, 0))

    def mine(self, blocks: int = 1, address: str = "") -> list[str]:
        """Mine blocks with what waits in the pool, for an address or the own wallet, and return their hashes."""
        hashes: list[str] = self.rpc("generatetoaddress", blocks, address or self.wallet("getnewaddress"))
        return hashes

    def mine_empty(self, blocks: int = 1) -> list[str]:
        """Mine blocks without what waits in the pool, and return their hashes."""
        address = self.wallet("getnewaddress")
        return [self.rpc("generateblock", address, [])["hash"] for _ in range(blocks)]

    def pay(self, address: str, satoshis: int) -> str:
        """Pay from the own wallet, replaceably, and return the id of the transaction."""
        paid = self.wallet("sendtoaddress", address=address, amount=in_coins(satoshis), fee_rate=2, replaceable=True)
        return str(paid)

    def start(self) -> None:
        """Return when the node answers and its wallet has coins. Raises LaptopProblem, with nothing left running."""
        program = bitcoind()
        if program is None:
            raise LaptopProblem(NO_NODE)
        self._port = free_ports(["bitcoind"])["bitcoind"]
        self._home = tempfile.TemporaryDirectory(prefix="bitcoind-")
        command = ["sh", "-c", MINDER, str(self.home), program, *self._arguments()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the run, which ends the node after those that ask the node
        )
        try:
            self._await_answers()
            self.rpc("createwallet", WALLET)
            self.mine(FIRST_BLOCKS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the node, wait for the end, and remove its files."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None, "it is a pipe"
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        home, self._home = self._home, None
        if home is not None:
            home.cleanup()

    def _arguments(self) -> list[str]:
        user, _, password = CREDENTIALS.partition(":")
        return [
            "-regtest",
            f"-datadir={self.home}",
            "-server",
            "-txindex",
            "-listen=0",
            "-dnsseed=0",
            "-fallbackfee=0.00001",
            "-dbcache=8",
            "-par=1",
            "-printtoconsole=0",
            "-nodebuglogfile",
            "-persistmempool=0",
            "-unsafesqlitesync=1",
            "-acceptnonstdtxn=1",
            "-limitancestorcount=100",
            "-limitdescendantcount=100",
            f"-rpcport={self._port}",
            f"-rpcbind={LOOPBACK}",
            f"-rpcallowip={LOOPBACK}",
            f"-rpcuser={user}",
            f"-rpcpassword={password}",
        ]

    def _await_answers(self) -> None:
        deadline, pause = time.monotonic() + START_SECONDS_MAX, threading.Event()
        while True:
            assert self._process is not None, "started"
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, BitcoinNodeError):
                self.rpc("getblockcount")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LaptopProblem(f"The Bitcoin node does not answer at port {self._port}.")
            pause.wait(POLL_SECONDS)

    def _exchange(self, path: str, body: bytes) -> bytes:
        """Return the body of the answer. Each call has a connection of its own, so that threads leave none behind."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=CALL_SECONDS_MAX)
        credentials = base64.b64encode(CREDENTIALS.encode()).decode()
        try:
            connection.request("POST", path, body, {"Authorization": f"Basic {credentials}", "Connection": "close"})
            return connection.getresponse().read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def bitcoind() -> str | None:
    """Return the node's program: named by the setting, or found on the PATH. None if there is none."""
    named = os.environ.get(SETTING)
    if named:
        return named if Path(named).exists() else None
    return shutil.which(PROGRAM)


def in_coins(satoshis: int) -> str:
    """Return an amount as the node reads amounts: in bitcoins, with eight decimals."""
    return f"{Decimal(satoshis).scaleb(-8):.8f}"
