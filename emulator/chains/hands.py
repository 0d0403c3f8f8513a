"""Hands at a node: send coins and tokens, deploy contracts, mine blocks, and make reorgs."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emulator.chains.anvil import Anvil
from emulator.chains.forms import Form, form

GAS = 3_000_000
RECEIPT_SECONDS_MAX = 20
POLL_SECONDS = 0.01
SUCCEEDED = "0x1"


@dataclass(frozen=True, slots=True)
class Contract:
    """Contract on a chain."""

    address: str
    form: Form


class Hands:
    """Person with all keys of a node. `is_mining` says that blocks come by themselves, and are waited for."""

    def __init__(self, node: Anvil, *, is_mining: bool = False) -> None:
        self.node = node
        self._is_mining = is_mining
        self.accounts: list[str] = node.rpc("eth_accounts")

    def send(self, to: str | None, data: str = "0x", *, value: int = 0, sender: int = 0, **fields: Any) -> str:
        """Send a transaction to the pool, and return the hash."""
        sent = {"from": self.accounts[sender], "data": data, "value": hex(value), "gas": hex(GAS), **fields}
        return str(self.node.rpc("eth_sendTransaction", sent if to is None else {**sent, "to": to}))

    def call(self, contract: Contract, method: str, *values: Any, sender: int = 0, **fields: Any) -> str:
        """Send a call of a contract to the pool, and return the transaction's hash."""
        return self.send(contract.address, contract.form.call(method, *values), sender=sender, **fields)

    def ask(self, contract: Contract, method: str, *values: Any, at: str = "latest") -> Any:
        """Return what a contract answers without a transaction."""
        asked = {"to": contract.address, "data": contract.form.call(method, *values)}
        return contract.form.result(method, self.node.rpc("eth_call", asked, at))

    def deploy(self, name: str, *values: Any) -> Contract:
        """Put a contract on the chain, and return it once a block holds it."""
        found = form(name)
        receipt = self.mined(self.send(None, found.deployment(*values)))
        return Contract(str(receipt["contractAddress"]), found)

    def place(self, name: str, address: str) -> Contract:
        """Put a contract's code at an address, without a transaction and without its constructor."""
        found = form(name)
        self.node.rpc("anvil_setCode", address, found.code)
        return Contract(address, found)

    def mined(self, transaction: str) -> Any:
        """Return the receipt, once a block holds the transaction. Mines that block if none comes by itself."""
        if not self._is_mining:
            self.mine()
        deadline, pause = time.monotonic() + RECEIPT_SECONDS_MAX, threading.Event()
        while (receipt := self.node.rpc("eth_getTransactionReceipt", transaction)) is None:
            assert time.monotonic() < deadline, "the node takes the transaction into a block"
            pause.wait(POLL_SECONDS)
        assert receipt["status"] == SUCCEEDED, "the transaction succeeds"
        return receipt

    def mine(self, blocks: int = 1) -> None:
        """Add blocks with the transactions of the pool."""
        for _ in range(blocks):
            self.node.rpc("evm_mine")

    def raw(self, transaction: str) -> str:
        """Return a transaction as it was signed."""
        return str(self.node.rpc("eth_getRawTransactionByHash", transaction))

    def reorg(self, depth: int, kept: Sequence[tuple[Any, int]] = ()) -> None:
        """Replace the last `depth` blocks by others, with these transactions at these offsets, and no others.

        A transaction is raw, or an object with `from` and `nonce`, which the node signs.
        """
        self.node.rpc("anvil_reorg", depth, [[raw, offset] for raw, offset in kept])
