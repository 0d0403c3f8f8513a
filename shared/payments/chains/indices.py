"""Taking of indices: one index for each payment, for ever, in small blocks, so that no document is hot."""

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.kernel.clock import HOUR, MINUTE, Clock, Millis
from shared.kernel.documents import Create, Documents, OutcomeUnknown, PreconditionFailed, Put
from shared.kernel.errors import Unavailable
from shared.payments.chains.index_table import IndexTable, IndexTables, WalletKey, data_of, table_of, table_path
from shared.payments.chains.networks import Family

BLOCK_SIZES = (1, 5, 20)
"""Indices that an instance takes at once: the first size after a quiet time, the last size while many users buy.

A wallet looks for coins only a few unused addresses ahead. So an instance that sells little must leave no gaps.
"""
QUIET: Millis = MINUTE
"""Time after which an instance that needed no new block begins with the smallest size again."""
BLOCK_LIFETIME: Millis = HOUR
"""Time after which the rest of a block is left unused: the watch tells by the index how old an address is."""
TAKE_ATTEMPTS_MAX = 12
TAKE_PAUSE_SECONDS = 0.05


class AddressKeyMissing(Unavailable):
    """Error for a family of chains without a key in the settings."""

    code = "address_key_missing"

    def __init__(self, family: Family) -> None:
        super().__init__("This way to pay is not set up.", family=family)


class IndicesBusy(Unavailable):
    """Error for too many instances that took indices at the same time. Nothing was taken; try again."""

    code = "indices_busy"

    def __init__(self, family: Family) -> None:
        super().__init__("Many users are buying right now. Please try again.", family=family)


@dataclass(slots=True)
class _IndexBlock:
    """Indices from `next` up to `end`, taken by this instance. `size_number` is the block's place in `BLOCK_SIZES`.

    `returned` are indices that were given back.
    """

    next: int = 0
    end: int = 0
    size_number: int = -1
    taken_at: Millis = 0
    returned: list[int] = field(default_factory=list)


class Indices:
    """Taker of indices. Safe between threads and instances: no index is given twice.

    An instance that ends loses the rest of its block, at most the largest of `BLOCK_SIZES` less one.
    """

    def __init__(
        self,
        documents: Documents,
        tables: IndexTables,
        keys: Mapping[Family, Sequence[WalletKey]],
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._tables = tables
        self._fingerprints = {family: known[0].fingerprint for family, known in keys.items() if known}
        self._clock = clock
        self._lock = threading.Lock()
        self._blocks: dict[Family, _IndexBlock] = {}

    def take(self, family: Family) -> int:
        """Return an index that no other payment ever gets. Raises AddressKeyMissing, IndicesBusy, StoreUnavailable."""
        if family not in self._fingerprints:
            raise AddressKeyMissing(family)
        with self._lock:
            block = self._blocks.setdefault(family, _IndexBlock())
            is_old = self._clock.now() - block.taken_at > BLOCK_LIFETIME
            if is_old:
                block.returned.clear()
            if block.returned:
                return block.returned.pop()
            if block.next == block.end or is_old:
                self._refill(family, block)
            block.next += 1
            return block.next - 1

    def give_back(self, family: Family, index: int) -> None:
        """Take back an index whose payment was certainly not stored, so that many refused orders leave no gap.

        Nobody may have seen the address of the index.
        """
        with self._lock:
            if family in self._blocks:
                self._blocks[family].returned.append(index)

    def _refill(self, family: Family, block: _IndexBlock) -> None:
        now = self._clock.now()
        number = min(block.size_number + 1, len(BLOCK_SIZES) - 1) if now - block.taken_at < QUIET else 0
        first = self._take_block(family, BLOCK_SIZES[number])
        block.next, block.end, block.size_number, block.taken_at = first, first + BLOCK_SIZES[number], number, now

    def _take_block(self, family: Family, size: int) -> int:
        """Return the first of `size` indices that are stored as taken.

        After a commit of unknown outcome, the indices of that commit are left unused.
        """
        path = table_path(family)
        for attempt in range(TAKE_ATTEMPTS_MAX):
            found = self._documents.get(path)
            before = IndexTable() if found is None else table_of(found.data)
            table = before.take(self._fingerprints[family], size)
            data = data_of(table)
            try:
                self._documents.commit([Create(path, data) if found is None else Put(path, data, found.version)])
            except (PreconditionFailed, OutcomeUnknown):
                self._clock.wait(TAKE_PAUSE_SECONDS * (attempt + 1) * random.uniform(0.2, 1.8))  # noqa: S311  # spreads
                continue
            self._tables.remember(family, table)
            return before.next
        raise IndicesBusy(family)
