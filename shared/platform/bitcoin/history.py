"""History of an address up to a block: complete, of this chain alone, and proven before it counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.payments.chains.ports import BlockGone
from shared.platform.bitcoin.addresses import script_of
from shared.platform.bitcoin.reading import BlockInfo, ListedTransaction
from shared.platform.bitcoin.recent import Recent
from shared.platform.bitcoin.rules import COINBASE_DEPTH
from shared.platform.bitcoin.server import ANCESTORS_MAX, LOOK_SECONDS, EsploraServer

HISTORY_SECONDS = 60.0
"""Time in which a history serves for its block and the blocks below, which it covers for ever.

After that the server is asked again, since the answer may have been incomplete.
"""
HISTORIES_REMEMBERED = 256
ARRIVALS_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadHistory:
    """Transactions of an address in blocks, newest first, as read at a time while a block was on the chain."""

    transactions: Sequence[ListedTransaction]
    block: BlockInfo
    read_at: float

    @property
    def seconds(self) -> float:
        """Return the time for which the history serves. Asking again for an empty one costs one call."""
        return HISTORY_SECONDS if self.transactions else LOOK_SECONDS


class Histories:
    """Histories of addresses at one server."""

    def __init__(self, server: EsploraServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._read: Recent[str, ReadHistory] = Recent(HISTORIES_REMEMBERED)
        self._arrivals: Recent[str, str] = Recent(ARRIVALS_REMEMBERED)

    def remember_arrivals(self, block: str, received: Mapping[str, int]) -> None:
        """Remember the addresses that a checked block paid. Histories that lack this block will not be believed."""
        for address in received:
            self._arrivals.put(address, block)

    def level(self, address: str, block: str) -> int:
        """Return the satoshis that came to an address in the blocks up to this block. Raises BlockGone."""
        info, script = self._server.info(block), script_of(address, self._server.rules)
        total = 0
        for listed in self.transactions(address, info):
            if not listed.received or not _has_matured(listed, info.height):
                continue
            raw = self._server.proven(listed)
            if sum(value for value, pays in raw.outputs if pays == script) != listed.received:
                raise self._server.unavailable("unbelievable")
            total += listed.received
        return total

    def transactions(self, address: str, info: BlockInfo) -> list[ListedTransaction]:
        """Return the transactions of an address in this block and its ancestors. Raises BlockGone."""
        history = self._history(address, info)
        return [listed for listed in history.transactions if self._is_in(listed, info)]

    def _history(self, address: str, info: BlockInfo) -> ReadHistory:
        """Return a history that was read while this block was on the chain. Raises BlockGone."""
        self._server.require_on_chain(info.header.hash)
        known, read_at = self._read.get(address), self._clock.monotonic()
        if known and read_at - known.read_at < known.seconds and self._server.descends(known.block, info):
            return known
        history = ReadHistory(transactions=self._complete(address), block=info, read_at=read_at)
        self._require_arrival(address, history)
        self._read.put(address, history)
        return history

    def _complete(self, address: str) -> Sequence[ListedTransaction]:
        """Return all transactions of an address in blocks. If pages and sums disagree, raise ChainUnavailable."""
        script, stats = script_of(address, self._server.rules), self._server.stats(address)
        listed = self._server.confirmed(address, script, stats.transactions) if stats.transactions else []
        is_whole = len({one.id for one in listed}) == len(listed) == stats.transactions
        if not is_whole or sum(one.received for one in listed) != stats.received:
            raise self._server.unavailable("changing")
        if any(one.height is None for one in listed):
            raise self._server.unavailable("unbelievable")
        return listed

    def _require_arrival(self, address: str, history: ReadHistory) -> None:
        """If the block that last paid this address is on the chain and not in the history, the history is old."""
        block = self._arrivals.get(address)
        if block is None or any(listed.block == block for listed in history.transactions):
            return
        try:
            self._server.require_on_chain(block)
        except BlockGone:
            return
        raise self._server.unavailable("behind")

    def _is_in(self, listed: ListedTransaction, info: BlockInfo) -> bool:
        """Return True if a transaction is in this block or an ancestor."""
        depth = info.height - (listed.height or 0)
        return depth >= 0 and (depth > ANCESTORS_MAX or self._server.ancestor(info, depth) == listed.block)


def _has_matured(listed: ListedTransaction, height: int) -> bool:
    return not listed.is_coinbase or height - (listed.height or 0) >= COINBASE_DEPTH
