"""Strict reading of a node's answers. An answer of another form raises ValueError: no answer is never zero."""

import re
from typing import Any

from shared.kernel.clock import SECOND
from shared.payments.chains.ports import Block

QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
HASH = re.compile(r"0x[0-9a-fA-F]{64}")
DATA = re.compile(r"0x([0-9a-fA-F]{2})*")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
HEIGHT_MAX = 2**40
SECONDS_MAX = 2**36
WORD = re.compile(r"0x[0-9a-fA-F]{64}")


def quantity(value: Any) -> int:
    """Return a number that a node writes as hex, such as `0x1f`."""
    if not isinstance(value, str) or not QUANTITY.fullmatch(value):
        raise ValueError("no number")
    return int(value, 16)


def word(value: Any) -> int:
    """Return the number in an answer of exactly 32 bytes. `0x`, the answer of an address without code, is none."""
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise ValueError("no word")
    return int(value, 16)


def hash_of(value: Any) -> str:
    """Return a hash in lower case."""
    if not isinstance(value, str) or not HASH.fullmatch(value):
        raise ValueError("no hash")
    return value.lower()


def data(value: Any) -> str:
    """Return bytes as a node writes them; `0x` for none."""
    if not isinstance(value, str) or not DATA.fullmatch(value):
        raise ValueError("no data")
    return value


def address(value: Any) -> str:
    """Return an address in lower case."""
    if not isinstance(value, str) or not ADDRESS.fullmatch(value):
        raise ValueError("no address")
    return value.lower()


def mapping(value: Any) -> dict[str, Any]:
    """Return an object of the answer."""
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004  # one error for all that a node may answer
    return value


def listing(value: Any) -> list[Any]:
    """Return a list of the answer."""
    if not isinstance(value, list):
        raise ValueError("no list")  # noqa: TRY004
    return value


def block_of(value: Any) -> Block:
    """Return a block from the answer to `eth_getBlockByNumber` or `eth_getBlockByHash`."""
    found = mapping(value)
    height, seconds = quantity(found.get("number")), quantity(found.get("timestamp"))
    if height > HEIGHT_MAX or seconds > SECONDS_MAX:
        raise ValueError("no height or time of a block")
    return Block(
        height=height, hash=hash_of(found.get("hash")), parent=hash_of(found.get("parentHash")), time=seconds * SECOND
    )
