"""Index of a Bitcoin node's blocks and pool by address, in the shapes of Esplora's API."""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from emulator.chains.bitcoin_node import BitcoinNodeError

Json = dict[str, Any]
KINDS = {
    "witness_v0_keyhash": "v0_p2wpkh",
    "witness_v0_scripthash": "v0_p2wsh",
    "witness_v1_taproot": "v1_p2tr",
    "pubkeyhash": "p2pkh",
    "scripthash": "p2sh",
    "nulldata": "op_return",
}


class Node(Protocol):
    """Node that an index follows: the real one, or blocks made by a test."""

    def rpc(self, method: str, *params: Any) -> Any:
        """Return the result of a call. Raises BitcoinNodeError."""
        ...

    def raw_block(self, block: str) -> bytes:
        """Return the bytes of a block."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedBlock:
    """Block as the API tells it, with the transactions in order."""

    value: Json
    raw: bytes
    transactions: list[Json]

    @property
    def hash(self) -> str:
        return str(self.value["id"])


@dataclass(slots=True)
class View:
    """Knowledge of a server: blocks of the chain by height, all blocks by hash, transactions in the pool."""

    chain: list[IndexedBlock] = field(default_factory=list)
    known: dict[str, IndexedBlock] = field(default_factory=dict)
    pool: dict[str, Json] = field(default_factory=dict)

    def cut(self, height: int) -> "View":
        """Return the view of a server that has no blocks above a height."""
        chain = self.chain[: height + 1]
        gone = {block.hash for block in self.chain[height + 1 :]}
        known = {name: block for name, block in self.known.items() if name not in gone}
        return View(chain, known, dict(self.pool))

    def block(self, name: str) -> IndexedBlock | None:
        """Return a block of the chain by its hash."""
        found = self.known.get(name)
        return found if found is not None and self.is_on_chain(found) else None

    def is_on_chain(self, block: IndexedBlock) -> bool:
        height = int(block.value["height"])
        return height < len(self.chain) and self.chain[height].hash == block.hash

    def confirmed(self, address: str) -> list[Json]:
        """Return the transactions of an address in blocks, newest first."""
        found = (one for block in reversed(self.chain) for one in reversed(block.transactions))
        return [one for one in found if address in addresses_of(one)]

    def waiting(self, address: str) -> list[Json]:
        return [one for one in self.pool.values() if address in addresses_of(one)]

    def transaction(self, name: str) -> Json | None:
        if name in self.pool:
            return self.pool[name]
        return next((one for block in self.chain for one in block.transactions if one["txid"] == name), None)


class EsploraIndex:
    """Index that follows a node. Each look adds the node's new blocks, and keeps the blocks that left the chain."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._view = View()
        self._outputs: dict[str, list[Json]] = {}

    def view(self) -> View:
        """Return what the node knows now."""
        with self._lock:
            self._follow_chain()
            self._follow_pool()
            return View(list(self._view.chain), dict(self._view.known), dict(self._view.pool))

    def _follow_chain(self) -> None:
        """Take the blocks from the node's tip down to the last one that is already on the chain of this index."""
        fresh, name = [], self._node.rpc("getbestblockhash")
        while self._view.block(name) is None:
            block = self._view.known.get(name) or self._read_block(name)
            fresh.append(block)
            name = block.value["previousblockhash"]
            if name is None:
                break
        if not fresh:
            tip = self._view.block(name)
            assert tip is not None, "the tip is on the chain"
            del self._view.chain[int(tip.value["height"]) + 1 :]
            return
        del self._view.chain[int(fresh[-1].value["height"]) :]
        for block in reversed(fresh):
            self._view.chain.append(block)
            self._view.known[block.hash] = block
            self._outputs.update({one["txid"]: one["vout"] for one in block.transactions})
        for block in fresh:
            self._fill_previous(block)

    def _follow_pool(self) -> None:
        names = self._node.rpc("getrawmempool")
        pool = {name: self._view.pool[name] for name in names if name in self._view.pool}
        for name in names:
            if name not in pool:
                try:
                    pool[name] = transaction_value(self._node.rpc("getrawtransaction", name, 1), None)
                except BitcoinNodeError:
                    continue
                self._outputs[name] = pool[name]["vout"]
        for one in pool.values():
            self._fill_previous_of(one)
        self._view.pool = pool

    def _read_block(self, name: str) -> IndexedBlock:
        told, raw = self._node.rpc("getblock", name, 2), self._node.raw_block(name)
        value = block_value(told)
        transactions = [transaction_value(one, value) for one in told["tx"]]
        return IndexedBlock(value=value, raw=raw, transactions=transactions)

    def _fill_previous(self, block: IndexedBlock) -> None:
        for one in block.transactions:
            self._fill_previous_of(one)

    def _fill_previous_of(self, transaction: Json) -> None:
        for entry in transaction["vin"]:
            if entry["prevout"] is None and (outputs := self._outputs.get(entry["txid"])):
                entry["prevout"] = outputs[entry["vout"]]


def block_value(told: Mapping[str, Any]) -> Json:
    """Return a block in the API's shape, from the node's answer."""
    return {
        "id": told["hash"],
        "height": told["height"],
        "version": told["version"] & 0xFFFFFFFF,
        "timestamp": told["time"],
        "tx_count": told["nTx"],
        "size": told["size"],
        "weight": told["weight"],
        "merkle_root": told["merkleroot"],
        "previousblockhash": told.get("previousblockhash"),
        "mediantime": told["mediantime"],
        "nonce": told["nonce"],
        "bits": int(told["bits"], 16),
        "difficulty": told["difficulty"],
    }


def transaction_value(told: Mapping[str, Any], block: Mapping[str, Any] | None) -> Json:
    """Return a transaction in the API's shape. Outputs that the inputs spend are filled in later."""
    status: Json = {"confirmed": block is not None}
    if block is not None:
        status |= {"block_height": block["height"], "block_hash": block["id"], "block_time": block["timestamp"]}
    return {
        "txid": told["txid"],
        "version": told["version"],
        "locktime": told["locktime"],
        "vin": [_input(one) for one in told["vin"]],
        "vout": [_output(one) for one in told["vout"]],
        "size": told["size"],
        "weight": told["weight"],
        "fee": in_satoshis(told.get("fee", Decimal(0))),
        "status": status,
        "_hex": told["hex"],
    }


def addresses_of(transaction: Json) -> set[str]:
    """Return the addresses that a transaction pays or spends from."""
    return set(_addresses(transaction))


def merkle_branch(names: Iterable[str], place: int) -> list[str]:
    """Return the hashes beside the path from the transaction at this place to the root."""
    level, branch = [bytes.fromhex(name)[::-1] for name in names], []
    while len(level) > 1:
        level += level[-1:] if len(level) % 2 else []
        branch.append(level[place ^ 1][::-1].hex())
        level = [_double_hash(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
        place //= 2
    return branch


def in_satoshis(coins: Decimal | int) -> int:
    return int(Decimal(coins).scaleb(8))


def _addresses(transaction: Json) -> Iterator[str]:
    for output in (*transaction["vout"], *(entry["prevout"] or {} for entry in transaction["vin"])):
        if found := output.get("scriptpubkey_address"):
            yield found


def _input(told: Mapping[str, Any]) -> Json:
    is_coinbase = "coinbase" in told
    return {
        "txid": told.get("txid", "0" * 64),
        "vout": told.get("vout", 0xFFFFFFFF),
        "prevout": None,
        "scriptsig": told["coinbase"] if is_coinbase else told["scriptSig"]["hex"],
        "witness": told.get("txinwitness", []),
        "is_coinbase": is_coinbase,
        "sequence": told["sequence"],
    }


def _output(told: Mapping[str, Any]) -> Json:
    script = told["scriptPubKey"]
    found = {
        "scriptpubkey": script["hex"],
        "scriptpubkey_asm": script["asm"],
        "scriptpubkey_type": KINDS.get(script["type"], "unknown"),
        "value": in_satoshis(told["value"]),
    }
    return found | ({"scriptpubkey_address": script["address"]} if "address" in script else {})


def _double_hash(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()
