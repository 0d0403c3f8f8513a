"""Bitcoin's regtest without a node: blocks of any shape with real work, made in Python. Signatures are missing."""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from emulator.chains.bitcoin_node import GENESIS, BitcoinNodeError
from shared.payments.chains.networks import Network
from shared.payments.chains.presets import PRESETS
from shared.platform.bitcoin.addresses import script_of
from shared.platform.bitcoin.blocks import merkle_root
from shared.platform.bitcoin.rules import rules_of
from shared.platform.bitcoin.transactions import NO_OUTPOINT, double_hash, name_of, read_transaction

REGTEST: Network = PRESETS["bitcoin-regtest"]
RULES = rules_of(GENESIS)
BITS = 0x207FFFFF
START_SECONDS = 1_796_000_000
BLOCK_SECONDS = 600
RECORDED = Path(__file__).parents[1] / "data" / "bitcoin_blocks.json"
"""Blocks of a real node."""
REPLACEABLE = b"\xfd\xff\xff\xff"


def address_of(number: int, version: int = 0) -> str:
    """Return the segwit address number `number`, of version 0 or 1."""
    from embit import bech32

    size = 32 if version else 20
    found: str = bech32.encode(RULES.prefix, version, number.to_bytes(size, "big"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTransaction:
    """Transaction with its bytes, and as a node tells it."""

    raw: bytes
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[int, str], ...]
    coinbase: str = ""

    @property
    def name(self) -> str:
        return name_of(read_transaction(self.raw).id)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBlock:
    """Block with its header, and its transactions in order."""

    height: int
    header: bytes
    transactions: tuple[MadeTransaction, ...]

    @property
    def name(self) -> str:
        return name_of(double_hash(self.header))

    @property
    def raw(self) -> bytes:
        return self.header + size_of(len(self.transactions)) + b"".join(one.raw for one in self.transactions)


class PythonRegtest:
    """Chain and pool of one node; answers the calls that Esplora's index makes."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._chain = [_genesis()]
        self._known = {GENESIS: self._chain[0]}
        self.pool: dict[str, MadeTransaction] = {}

    @property
    def height(self) -> int:
        return len(self._chain) - 1

    def pay(self, *outputs: tuple[str, int], spends: Sequence[tuple[str, int]] = ()) -> str:
        """Put a transaction into the pool that pays these amounts to these addresses. Return its id."""
        inputs = tuple(spends) or ((f"{next(self._numbers):064x}", 0),)
        made = made_transaction(inputs, outputs)
        self.pool[made.name] = made
        return made.name

    def bump(self, transaction: str, *outputs: tuple[str, int]) -> str:
        """Replace a transaction in the pool by one that spends the same and pays otherwise. Return its id."""
        return self.pay(*outputs, spends=self.pool.pop(transaction).inputs)

    def mine(self, blocks: int = 1, *, names: Iterable[str] | None = None, to: Sequence[tuple[str, int]] = ()) -> str:
        """Mine blocks, the first with the named transactions of the pool, or all. Return the last block's hash."""
        for _ in range(blocks):
            chosen = [self.pool.pop(name) for name in (list(self.pool) if names is None else names)]
            self._append(chosen, to)
            names, to = [], ()
        return self._chain[-1].name

    def fork(self, depth: int) -> None:
        """Take the last blocks off the chain; their transactions return to the pool."""
        for block in self._chain[-depth:]:
            self.pool |= {one.name: one for one in block.transactions[1:]}
        del self._chain[-depth:]

    def received(self, address: str) -> int:
        """Return the satoshis that came to an address in the blocks of the chain, without coinbase transactions."""
        return sum(
            value
            for block in self._chain
            for one in block.transactions[1:]
            for value, receiver in one.outputs
            if receiver == address
        )

    def raw_block(self, block: str) -> bytes:
        return self._known[block].raw

    def rpc(self, method: str, *params: Any) -> Any:
        match method, *params:
            case ["getbestblockhash"]:
                return self._chain[-1].name
            case ["getblock", str() as name, 2]:
                return _told_block(self._known[name])
            case ["getrawmempool"]:
                return list(self.pool)
            case ["getrawtransaction", str() as name, 1] if name in self.pool:
                return _told(self.pool[name])
            case ["sendrawtransaction", str() as text]:
                return self._sent(text)
        raise BitcoinNodeError(f"{method}: No such mempool transaction.")

    def _sent(self, text: str) -> str:
        found = [one for one in (*self.pool.values(), *self._mined()) if one.raw.hex() == text]
        if not found:
            raise BitcoinNodeError("sendrawtransaction: bad-txns-inputs-missingorspent")
        if found[0].name not in self.pool:
            raise BitcoinNodeError("sendrawtransaction: Transaction outputs already in utxo set")
        return found[0].name

    def _mined(self) -> Iterable[MadeTransaction]:
        return (one for block in self._chain for one in block.transactions)

    def _append(self, chosen: Sequence[MadeTransaction], to: Sequence[tuple[str, int]]) -> None:
        height = len(self._chain)
        transactions = (made_coinbase(height, next(self._numbers), to), *chosen)
        header = made_header(self._chain[-1].name, transactions, START_SECONDS + height * BLOCK_SECONDS)
        block = MadeBlock(height=height, header=header, transactions=transactions)
        self._chain.append(block)
        self._known[block.name] = block


def made_transaction(
    inputs: Sequence[tuple[str, int]], outputs: Sequence[tuple[str, int]], witness: bytes = b"ok"
) -> MadeTransaction:
    """Return a segwit transaction with one witness item for each input."""
    points = b"".join(
        bytes.fromhex(name)[::-1] + place.to_bytes(4, "little") + b"\0" + REPLACEABLE for name, place in inputs
    )
    body = size_of(len(inputs)) + points + _outputs(outputs)
    raw = b"\x02\0\0\0\0\x01" + body + (b"\x01" + size_of(len(witness)) + witness) * len(inputs) + b"\0\0\0\0"
    return MadeTransaction(raw=raw, inputs=tuple(inputs), outputs=_by_script(outputs))


def made_coinbase(height: int, number: int, outputs: Sequence[tuple[str, int]]) -> MadeTransaction:
    """Return the coinbase transaction of a block at a height; the number makes it unique."""
    script = b"\x03" + height.to_bytes(3, "little") + b"\x08" + number.to_bytes(8, "little")
    body = b"\x01" + NO_OUTPOINT + size_of(len(script)) + script + b"\xff\xff\xff\xff" + _outputs(outputs)
    raw = b"\x02\0\0\0" + body + b"\0\0\0\0"
    return MadeTransaction(raw=raw, inputs=(), outputs=_by_script(outputs), coinbase=script.hex())


def made_header(parent: str, transactions: Sequence[MadeTransaction], seconds: int) -> bytes:
    """Return a header with these transactions, and the work done."""
    root = merkle_root([read_transaction(one.raw).id for one in transactions])
    start = b"\0\0\0\x20" + bytes.fromhex(parent)[::-1] + root + seconds.to_bytes(4, "little")
    return worked(start + BITS.to_bytes(4, "little"))


def worked(start: bytes) -> bytes:
    """Return the first 76 bytes of a header with the first nonce that does regtest's work."""
    for nonce in itertools.count():
        header = start + nonce.to_bytes(4, "little")
        if int.from_bytes(double_hash(header), "little") <= RULES.target_max:
            return header
    raise AssertionError("some nonce fits")


def size_of(count: int) -> bytes:
    """Return a number of variable width."""
    if count < 253:
        return bytes([count])
    return b"\xfd" + count.to_bytes(2, "little") if count < 65_536 else b"\xfe" + count.to_bytes(4, "little")


def _genesis() -> MadeBlock:
    raw = bytes.fromhex(json.loads(RECORDED.read_text(encoding="utf-8"))["genesis"])
    coinbase = MadeTransaction(raw=raw[81:], inputs=(), outputs=(), coinbase="00")
    return MadeBlock(height=0, header=raw[:80], transactions=(coinbase,))


def _outputs(outputs: Sequence[tuple[str, int]]) -> bytes:
    scripts = [(value, script_of(address, RULES)) for address, value in outputs]
    listed = b"".join(value.to_bytes(8, "little") + size_of(len(script)) + script for value, script in scripts)
    return size_of(len(scripts)) + listed


def _by_script(outputs: Sequence[tuple[str, int]]) -> tuple[tuple[int, str], ...]:
    return tuple((value, address) for address, value in outputs)


def _told_block(block: MadeBlock) -> dict[str, Any]:
    header = block.header
    return {
        "hash": block.name,
        "height": block.height,
        "version": int.from_bytes(header[:4], "little"),
        "time": int.from_bytes(header[68:72], "little"),
        "nTx": len(block.transactions),
        "size": len(block.raw),
        "weight": 4 * len(block.raw),
        "merkleroot": name_of(header[36:68]),
        "mediantime": int.from_bytes(header[68:72], "little"),
        "nonce": int.from_bytes(header[76:], "little"),
        "bits": f"{BITS:08x}",
        "difficulty": Decimal(1),
        "tx": [_told(one) for one in block.transactions],
    } | ({"previousblockhash": name_of(header[4:36])} if block.height else {})


def _told(made: MadeTransaction) -> dict[str, Any]:
    spent = [
        {"txid": name, "vout": place, "scriptSig": {"hex": ""}, "sequence": 0xFFFFFFFD} for name, place in made.inputs
    ]
    return {
        "txid": made.name,
        "version": 2,
        "locktime": 0,
        "vin": spent or [{"coinbase": made.coinbase, "sequence": 0xFFFFFFFF}],
        "vout": [
            {
                "value": Decimal(value).scaleb(-8),
                "scriptPubKey": {
                    "hex": script_of(address, RULES).hex(),
                    "asm": "",
                    "type": "witness_v0_keyhash",
                    "address": address,
                },
            }
            for value, address in made.outputs
        ],
        "size": len(made.raw),
        "weight": 4 * len(made.raw),
        "hex": made.raw.hex(),
    }
