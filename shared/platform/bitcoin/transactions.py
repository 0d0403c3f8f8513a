"""Bytes of transactions, read in plain Python. Pure."""

import hashlib
from dataclasses import dataclass

NO_OUTPOINT = b"\0" * 32 + b"\xff" * 4
OUTPOINT_BYTES = 36
_WIDTHS = {253: 2, 254: 4, 255: 8}


class BrokenBytes(ValueError):
    """Error for bytes that are no block, no header, no transaction, or no proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTransaction:
    """Transaction: id in the order of bytes that Merkle trees use, outputs as (satoshis, script).

    `size` is the number of bytes that the id covers: all but the witnesses.
    `height` is the height of the block that a coinbase transaction names; None for other transactions, and for coinbase
    transactions of blocks before 2013.
    """

    id: bytes
    size: int
    outputs: tuple[tuple[int, bytes], ...]
    is_coinbase: bool


def double_hash(data: bytes) -> bytes:
    """Return the SHA-256 hash of the SHA-256 hash."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def name_of(hash_bytes: bytes) -> str:
    """Return a hash as people write it: hexadecimal, last byte first."""
    return hash_bytes[::-1].hex()


def read_transaction(data: bytes) -> RawTransaction:
    """Return the transaction that these bytes are. Raises BrokenBytes."""
    try:
        transaction, end = read_transaction_at(data, 0)
    except IndexError:
        raise BrokenBytes("the transaction ends too early") from None
    if end != len(data):
        raise BrokenBytes("the transaction has another length")
    return transaction


def read_transaction_at(data: bytes, start: int) -> tuple[RawTransaction, int]:
    """Return the transaction that begins at `start`, and the place behind it. Raises IndexError.

    A place behind the end of `data` says that the transaction is cut off.
    """
    has_witness = data[start + 4] == 0
    body = start + 6 if has_witness else start + 4
    input_count, at = read_size(data, body)
    first_input = data[at : at + OUTPOINT_BYTES]
    for _ in range(input_count):
        size, at = read_size(data, at + OUTPOINT_BYTES)
        at += size + 4
    outputs, at = _outputs(data, at)
    body_end = at
    if has_witness:
        at = _behind_witnesses(data, at, input_count)
    stripped = data[start : start + 4] + data[body:body_end] + data[at : at + 4]
    is_coinbase = input_count == 1 and first_input == NO_OUTPOINT
    found = RawTransaction(id=double_hash(stripped), size=len(stripped), outputs=outputs, is_coinbase=is_coinbase)
    return found, at + 4


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable width at this place, and the place behind it. Raises IndexError."""
    first = data[at]
    if first < 253:  # noqa: PLR2004  # Bitcoin's own marks of width
        return first, at + 1
    end = at + 1 + _WIDTHS[first]
    return int.from_bytes(data[at + 1 : end], "little"), end


def _outputs(data: bytes, at: int) -> tuple[tuple[tuple[int, bytes], ...], int]:
    count, at = read_size(data, at)
    outputs = []
    for _ in range(count):
        size, script = read_size(data, at + 8)
        outputs.append((int.from_bytes(data[at : at + 8], "little"), data[script : script + size]))
        at = script + size
    return tuple(outputs), at


def _behind_witnesses(data: bytes, at: int, input_count: int) -> int:
    for _ in range(input_count):
        items, at = read_size(data, at)
        for _ in range(items):
            size, at = read_size(data, at)
            at += size
    return at
