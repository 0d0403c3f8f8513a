"""Bitcoin of a laptop: a regtest node that mines by itself, with a small Esplora over it, if there is a node."""

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from emulator.chains.bitcoin_node import NO_NODE, BitcoinNode, BitcoinNodeError, bitcoind
from emulator.chains.esplora import EsploraStandIn
from emulator.chains.laptop import NETWORKS as LAPTOP_NETWORKS
from emulator.ports import binding
from emulator.problems import LaptopProblem
from shared.kernel.chain_settings import CHAIN_SETTING, sources_setting
from shared.kernel.network_settings import BITCOIN

NETWORK = "bitcoin-regtest"
NETWORKS = "CRYPTO_NETWORKS"
KEY = "BITCOIN_KEY"
KNOWN_KEY = (
    "vpub5Y6cjg78GGuNLsaPhmYsiw4gYX3HoQiRBiSwDaBXKUafCt9bNwWQiitDk5VZ5BVxYnQdwoTyXSs2JHRPAgjAvtbBrf8ZhDYe2jWAqvZVnsc"
)
"""Key of a wallet whose seed phrase everybody knows: `abandon … about`."""
OWN = frozenset({NETWORK, *(each.name for each in LAPTOP_NETWORKS)})
"""Networks of the laptop itself. Networks of the person's own are never mixed with them."""
LEFT_OUT = "The laptop goes on without Bitcoin."
BLOCK_SECONDS = 5.0
"""Pace of blocks while a payment waits for blocks. A real network's is 600 s."""
IDLE_SECONDS = 60.0
"""Pace of blocks while nothing waits, so that the chain never seems to stand still."""
DEEP_BLOCKS = 7
"""Blocks that are mined at the quick pace after a transaction, until the transaction is final."""
STOP_SECONDS_MAX = 10


@dataclass(slots=True, kw_only=True)
class BitcoinServices:
    """Settings for the functions, and the address of the API by name. `problem` says why there is no Bitcoin."""

    settings: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def bitcoin_services(stack: contextlib.ExitStack, settings: Mapping[str, str], port: int) -> BitcoinServices:
    """Return the Bitcoin of a laptop: a server that the settings name, or a regtest node with a server over it.

    If the settings name networks of the person's own, nothing is started. A node that does not start is left out.
    """
    given = {**settings, **{name: value for name, value in os.environ.items() if value}}
    named = [value for name, value in given.items() if CHAIN_SETTING.fullmatch(name) and name.startswith("BITCOIN_")]
    if any(named):
        return BitcoinServices(addresses={BITCOIN: named[0].partition(",")[0]})
    networks = [name.strip() for name in given.get(NETWORKS, "").split(",") if name.strip()]
    if not set(networks) <= OWN:
        return BitcoinServices()
    if bitcoind() is None:
        return BitcoinServices(problem=f"{NO_NODE} {LEFT_OUT}")
    try:
        node = stack.enter_context(BitcoinNode())
    except (LaptopProblem, BitcoinNodeError) as error:
        return BitcoinServices(problem=f"{error} {LEFT_OUT}")
    with binding(BITCOIN, port):
        server = stack.enter_context(EsploraStandIn(node, port=port))
    stack.enter_context(Miner(node))
    found = {
        NETWORKS: ",".join(dict.fromkeys([*networks, NETWORK])),
        sources_setting(NETWORK): server.url,
        KEY: given.get(KEY) or KNOWN_KEY,
    }
    return BitcoinServices(settings=found, addresses={BITCOIN: server.url})


class Miner:
    """Miner of blocks, quick while a transaction waits for blocks, and slow otherwise."""

    def __init__(self, node: BitcoinNode, block_seconds: float = BLOCK_SECONDS) -> None:
        self._node = node
        self._block_seconds = block_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._mine, name="bitcoin-miner", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(STOP_SECONDS_MAX)

    def _mine(self) -> None:
        waited, deep = 0.0, DEEP_BLOCKS
        while not self._ended.wait(self._block_seconds):
            waited += self._block_seconds
            with contextlib.suppress(OSError, ValueError, BitcoinNodeError):
                deep = 0 if self._node.rpc("getrawmempool") else deep
                if deep < DEEP_BLOCKS or waited >= IDLE_SECONDS:
                    self._node.mine()
                    waited, deep = 0.0, deep + 1
