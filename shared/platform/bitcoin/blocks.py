"""Blocks and their headers, checked: the hash is the name, the work is done, the Merkle root covers all transactions.

Pure. The header names the parent, so that a header with the right hash has the right parent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.platform.bitcoin.rules import BitcoinRules
from shared.platform.bitcoin.transactions import (
    BrokenBytes,
    RawTransaction,
    double_hash,
    name_of,
    read_size,
    read_transaction_at,
)

HEADER_BYTES = 80
HASH_BYTES = 32
NODE_BYTES = 2 * HASH_BYTES
"""Bytes of a node of a Merkle tree. A proof for a transaction of this size could be forged (CVE-2017-12842)."""
MERKLE_DEPTH_MAX = 24
"""Most levels of a Merkle tree: a block has room for fewer than 2^24 transactions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Header of a block. `time_seconds` is the miner's clock; `merkle_root` has the order of bytes of hashing."""

    hash: str
    parent: str
    merkle_root: bytes
    time_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBlock:
    """Checked block with all transactions, the coinbase first."""

    header: Header
    transactions: tuple[RawTransaction, ...]


def read_header(data: bytes, name: str, rules: BitcoinRules) -> Header:
    """Return the header with this hash. Raises BrokenBytes if the hash differs, or the work is not done.

    `rules.target_max` does not hold for the first block, whose hash the rules themselves name.
    """
    if len(data) != HEADER_BYTES:
        raise BrokenBytes("a header has 80 bytes")
    hash_bytes = double_hash(data)
    if name_of(hash_bytes) != name:
        raise BrokenBytes("the header has another hash")
    parent = data[4:36]
    target = _target(int.from_bytes(data[72:76], "little"))
    if int.from_bytes(hash_bytes, "little") > target or (any(parent) and target > rules.target_max):
        raise BrokenBytes("the block has too little work")
    return Header(
        hash=name,
        parent=name_of(parent),
        merkle_root=data[36:68],
        time_seconds=int.from_bytes(data[68:72], "little"),
    )


def read_block(data: bytes, name: str, rules: BitcoinRules) -> RawBlock:
    """Return the block with this hash. Raises BrokenBytes if any output is not covered by the hash.

    The first transaction must be a coinbase: nodes of the Merkle tree cannot pass for such transactions.
    """
    header = read_header(data[:HEADER_BYTES], name, rules)
    try:
        transactions = _transactions(data)
    except IndexError:
        raise BrokenBytes("the block ends too early") from None
    if merkle_root([transaction.id for transaction in transactions]) != header.merkle_root:
        raise BrokenBytes("the transactions have another Merkle root")
    if not transactions[0].is_coinbase or any(other.is_coinbase for other in transactions[1:]):
        raise BrokenBytes("exactly the first transaction of a block must be its coinbase")
    return RawBlock(header=header, transactions=transactions)


def merkle_root(ids: Sequence[bytes]) -> bytes:
    """Return the Merkle root of a block's transactions.

    Raises BrokenBytes if two neighbours are equal: transactions could have been repeated without changing the root
    (CVE-2012-2459), and their payments would count twice.
    """
    level = list(ids)
    while len(level) > 1:
        if any(level[at] == level[at + 1] for at in range(0, len(level) - 1, 2)):
            raise BrokenBytes("the block repeats transactions")
        if len(level) % 2:
            level.append(level[-1])
        level = [double_hash(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def require_proof(transaction: RawTransaction, place: int, branch: Sequence[str], header: Header) -> None:
    """Raise BrokenBytes unless the branch leads from the transaction at this place to the header's Merkle root."""
    if transaction.size == NODE_BYTES:
        raise BrokenBytes("a transaction of 64 bytes could be a node of the Merkle tree")
    if len(branch) > MERKLE_DEPTH_MAX or not 0 <= place < 1 << len(branch):
        raise BrokenBytes("the proof has another depth")
    node = transaction.id
    for level, text in enumerate(branch):
        other = _hash_bytes(text)
        node = double_hash(other + node if place >> level & 1 else node + other)
    if node != header.merkle_root:
        raise BrokenBytes("the proof leads to another Merkle root")


def received(block: RawBlock, address_of: Callable[[bytes], str | None]) -> Mapping[str, int]:
    """Return the satoshis of the block's outputs by address, without those of the coinbase transaction."""
    found: dict[str, int] = {}
    for transaction in block.transactions[1:]:
        add_received(found, transaction, address_of)
    return found


def add_received(found: dict[str, int], transaction: RawTransaction, address_of: Callable[[bytes], str | None]) -> None:
    """Add the satoshis of a transaction's outputs to those of their addresses."""
    for value, script in transaction.outputs:
        address = address_of(script)
        if address is not None:
            found[address] = found.get(address, 0) + value


def _transactions(data: bytes) -> tuple[RawTransaction, ...]:
    count, at = read_size(data, HEADER_BYTES)
    transactions = []
    for _ in range(count):
        transaction, at = read_transaction_at(data, at)
        transactions.append(transaction)
    if at != len(data) or not transactions:
        raise BrokenBytes("the block has another length")
    return tuple(transactions)


def _target(bits: int) -> int:
    """Return the number that a block's hash must not exceed. Raises BrokenBytes for a number below zero or too large.

    https://developer.bitcoin.org/reference/block_chain.html#target-nbits
    """
    exponent, mantissa = bits >> 24, bits & 0xFFFFFF
    if mantissa > 0x7FFFFF or exponent > HASH_BYTES + 2:  # noqa: PLR2004  # the sign bit
        raise BrokenBytes("the target is no target")
    return mantissa << 8 * (exponent - 3) if exponent >= 3 else mantissa >> 8 * (3 - exponent)  # noqa: PLR2004


def _hash_bytes(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)[::-1]
    except (TypeError, ValueError):
        raise BrokenBytes("the proof has no hashes") from None
    if len(found) != HASH_BYTES:
        raise BrokenBytes("the proof has no hashes")
    return found
