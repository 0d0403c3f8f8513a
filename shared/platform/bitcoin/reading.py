"""Answers of an Esplora-compatible API, read into values. Raises BrokenBytes for an answer of another shape."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from shared.payments.chains.ports import Fees
from shared.platform.bitcoin.blocks import Header, read_header
from shared.platform.bitcoin.rules import BitcoinRules
from shared.platform.bitcoin.transactions import BrokenBytes

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
FEE_TARGETS = ("3", "4", "5", "6", "2", "10")
"""Targets in blocks, in the order in which an estimate is looked for."""
FEE_MIN = 1
"""Satoshis per virtual byte that nodes relay. The fee where there are no estimates: on test networks."""
FEE_MAX = 100_000
"""Most satoshis per virtual byte that are believed."""
SATOSHIS_MAX = 21_000_000 * 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInfo:
    """Checked header, and the height that the server gives for the block."""

    header: Header
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressStats:
    """Sums of an address over all blocks: transactions, and satoshis that came."""

    transactions: int
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTransaction:
    """Transaction of an address as the server lists it; not proven.

    `block` is "" and `height` None while the transaction waits in the pool. `received` are the satoshis to the
    address. `is_spending` is True if the address paid.
    """

    id: str
    block: str
    height: int | None
    received: int
    is_coinbase: bool
    is_spending: bool
    sender: str


def read_hash(text: str | None) -> str:
    """Return the hash that a plain answer is."""
    if text is None or not HASH.fullmatch(text):
        raise BrokenBytes("the answer is no hash")
    return text


def read_number(text: str | None) -> int:
    """Return the height that a plain answer is."""
    if text is None or not text.isascii() or not text.isdecimal():
        raise BrokenBytes("the answer is no height")
    return int(text)


def read_info(answer: Any, name: str, rules: BitcoinRules) -> BlockInfo:
    """Return a block's header, put together from its fields and checked, and its height."""
    with _reading():
        parent = answer.get("previousblockhash") or "0" * 64
        data = b"".join(
            (
                (_whole(answer["version"]) & 0xFFFFFFFF).to_bytes(4, "little"),
                bytes.fromhex(parent)[::-1],
                bytes.fromhex(answer["merkle_root"])[::-1],
                _whole(answer["timestamp"]).to_bytes(4, "little"),
                _whole(answer["bits"]).to_bytes(4, "little"),
                _whole(answer["nonce"]).to_bytes(4, "little"),
            )
        )
        height = _whole(answer["height"])
    if height < 0:
        raise BrokenBytes("the height is below zero")
    return BlockInfo(header=read_header(data, name, rules), height=height)


def read_is_on_chain(answer: Any) -> bool:
    """Return True if the server counts the block to its best chain."""
    with _reading():
        found = answer["in_best_chain"]
    if not isinstance(found, bool):
        raise BrokenBytes("the status is neither true nor false")
    return found


def read_stats(answer: Any) -> AddressStats:
    """Return the sums of an address over all blocks."""
    with _reading():
        stats = answer["chain_stats"]
        return AddressStats(transactions=_whole(stats["tx_count"]), received=_whole(stats["funded_txo_sum"]))


def read_list(answer: Any, script: bytes) -> Sequence[ListedTransaction]:
    """Return the transactions of a list, seen from the address with this script."""
    if not isinstance(answer, list):
        raise BrokenBytes("the answer is no list")
    return [read_listed(one, script) for one in answer]


def read_listed(answer: Any, script: bytes) -> ListedTransaction:
    """Return a transaction, seen from the address with this script."""
    ours = script.hex()
    with _reading():
        inputs = answer["vin"]
        paid_from = [(one.get("prevout") or {}).get("scriptpubkey", "") for one in inputs]
        values = [_satoshis(one["value"]) for one in answer["vout"] if one["scriptpubkey"] == ours]
        block, height = read_place(answer)
        return ListedTransaction(
            id=read_hash(answer["txid"]),
            block=block,
            height=height,
            received=sum(values),
            is_coinbase=bool(inputs[0]["is_coinbase"]),
            is_spending=ours in paid_from,
            sender=str((inputs[0].get("prevout") or {}).get("scriptpubkey_address") or ""),
        )


def read_place(answer: Any) -> tuple[str, int | None]:
    """Return the block and height of a confirmed transaction; "" and None for one in the pool."""
    with _reading():
        status = answer["status"]
        if status["confirmed"] is not True:
            return "", None
        return read_hash(status["block_hash"]), _whole(status["block_height"])


def read_proof(answer: Any) -> tuple[int, int, Sequence[str]]:
    """Return height, place in the block, and branch of a Merkle proof."""
    with _reading():
        return _whole(answer["block_height"]), _whole(answer["pos"]), list(answer["merkle"])


def read_fees(answer: Any) -> Fees:
    """Return the fee per virtual byte, rounded up, for a transaction that should be in a block within half an hour."""
    if not isinstance(answer, Mapping):
        raise BrokenBytes("the answer holds no fees")
    rates = [answer[target] for target in FEE_TARGETS if isinstance(answer.get(target), int | Decimal)]
    rate = Decimal(rates[0]) if rates else Decimal(FEE_MIN)
    if not rate.is_finite() or rate > FEE_MAX:
        raise BrokenBytes("a fee cannot be")
    return Fees(base=max(int(rate.to_integral_value(ROUND_CEILING)), FEE_MIN), tip=0)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BrokenBytes("a number is no whole number")
    return value


def _satoshis(value: Any) -> int:
    amount = _whole(value)
    if not 0 <= amount <= SATOSHIS_MAX:
        raise BrokenBytes("an amount cannot be")
    return amount


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, BrokenBytes):
            raise
        raise BrokenBytes("the answer has another shape") from None
