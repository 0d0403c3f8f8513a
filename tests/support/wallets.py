"""Wallets of payers in tests: a chain that reads signed transactions as the adapter of EVM chains does."""

from collections.abc import Mapping
from typing import Any

from eth_account import Account
from eth_utils.address import to_checksum_address

from shared.kernel.clock import Clock
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import ChainRefused, ChainUnavailable, SeenTransaction
from shared.payments.chains.transactions import SignedTransaction
from shared.platform.evm.wallets import read_signed
from shared.platform.memory.chain import MemoryChain
from tests.support.coins import CoinShop

GAS = 50_000
WALLET: Any = Account.from_key(b"\x07" * 32)
"""A key of tests, which holds nothing anywhere."""


OTHER: Any = Account.from_key(b"\x08" * 32)
"""Key of the address of payments in these tests, and of another wallet."""


class WalletChain(MemoryChain):
    """Chain in memory that takes signed transfers. `answers` are lost, refused or given, one for each broadcast."""

    def __init__(self, network: Network, clock: Clock) -> None:
        super().__init__(network, clock)
        self.known = network
        self.taken: dict[str, SignedTransaction] = {}
        self.answers: list[str] = []
        self.failed: set[str] = set()
        self.nonces = 3
        self.is_reverting = False

    def nonce(self, address: str) -> int:
        del address
        return self.nonces

    def gas(self, sender: str, call: Mapping[str, str]) -> int:
        del sender, call
        if self.is_reverting:
            raise ChainRefused(self.network, "execution reverted")
        return GAS

    def read_signed(self, raw: bytes) -> SignedTransaction:
        return read_signed(raw)

    def transaction(self, transaction: str) -> SeenTransaction | None:
        if transaction not in self.taken:
            return None
        if transaction in self.failed:
            return SeenTransaction(transaction=transaction, block=self.block("latest"), succeeded=False)
        found = super().transaction(self.taken[transaction].hash)
        return found or SeenTransaction(transaction=transaction, block=None, succeeded=True)

    def broadcast(self, raw: bytes) -> str:
        """Take a transaction into the pool, once, and give, lose or refuse the answer."""
        signed, answer = read_signed(raw), self.answers.pop(0) if self.answers else "given"
        if answer == "refused":
            raise ChainRefused(self.network, "nonce too low")
        if answer == "silent":
            raise ChainUnavailable(self.network, "silent")
        self.taken.setdefault(signed.hash, signed)
        if answer == "lost":
            raise ChainUnavailable(self.network, "silent")
        return signed.hash


class WalletShop(CoinShop):
    """Shop on chains with wallets, whose payments on EVM networks all have one real address."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        for name, network in self.networks.items():
            if network.family == "evm":
                self.chains[name] = WalletChain(network, self.clock)
                self.chains[name].mine(12)

    def address(self, network: Network, index: int) -> str:
        """Return the address with an index."""
        return str(OTHER.address) if network.family == "evm" else super().address(network, index)


def signed(call: Mapping[str, Any], key: Any = WALLET, **changes: Any) -> str:
    """Sign the transaction that a wallet was given, with some fields changed. None takes a field away."""
    numbers = ("chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "value", "type")
    told = {name: int(call[name], 16) for name in numbers}
    fields = {**told, "to": call["to"], "data": call["data"], "accessList": [], **changes}
    given = {name: value for name, value in fields.items() if value is not None}
    if "to" in given:
        given["to"] = to_checksum_address(given["to"])
    return str(key.sign_transaction(given).raw_transaction.to_0x_hex())
