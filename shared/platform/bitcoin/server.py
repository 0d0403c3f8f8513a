"""One Esplora-compatible server: blocks, histories and proofs, each answer checked before it is believed.

Everything that a hash names is remembered, since it cannot change. Answers that can change are asked for each time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.kernel.clock import Clock
from shared.kernel.events import log
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import OTHER_NETWORK, BlockGone, ChainUnavailable, Fees
from shared.platform.bitcoin import reading
from shared.platform.bitcoin.api import BLOCK_BYTES_MAX, EsploraAnswer, EsploraApi
from shared.platform.bitcoin.blocks import RawBlock, read_block, require_proof
from shared.platform.bitcoin.reading import AddressStats, BlockInfo, ListedTransaction
from shared.platform.bitcoin.recent import Recent
from shared.platform.bitcoin.rules import rules_of
from shared.platform.bitcoin.transactions import BrokenBytes, RawTransaction, name_of, read_transaction

BLOCKS_REMEMBERED = 512
PROOFS_REMEMBERED = 2_048
LISTS_REMEMBERED = 256
LOOK_SECONDS = 2.0
"""Time in which one answer for the tip serves: blocks below are taken from the chain of its headers."""
POLITE_SECONDS = 20.0
"""The same for the tip and for the pool, while the server limits our calls: some 700 an hour are usual."""
ANCESTORS_MAX = 12
"""Blocks of which the chain of headers is followed. A transaction deeper than that is in the server's own chain."""
PAGES_MAX = 100
"""Most pages of an address's history: 2 500 transactions at 25 each."""


class EsploraServer:
    """One server, for one network. Every method raises ChainUnavailable if no answer came, or none that can be right.

    The first call asks for the network's first block: a server of another network is never believed.
    """

    def __init__(self, *, network: Network, url: str, clock: Clock) -> None:
        self.rules = rules_of(network.genesis)
        self._network = network
        self._clock = clock
        self._api = EsploraApi(network=network.name, url=url, clock=clock)
        self._tip: tuple[BlockInfo, float] | None = None
        self._infos: Recent[str, BlockInfo] = Recent(BLOCKS_REMEMBERED)
        self._proven: Recent[tuple[str, str], RawTransaction] = Recent(PROOFS_REMEMBERED)
        self._recent: Recent[str, tuple[list[ListedTransaction], float]] = Recent(LISTS_REMEMBERED)
        self._is_known = False

    def hash_at(self, height: int) -> str:
        """Return the hash of the block at a height. Raises BlockGone if the chain is not that high."""
        tip = self._recent_tip()
        if tip is not None and 0 <= tip.height - height <= ANCESTORS_MAX:
            return self.ancestor(tip, tip.height - height)
        self._require_network()
        with self._believing():
            found = self._api.word(f"/block-height/{height}") if height >= 0 else None
            if found is None:
                raise BlockGone(self._network.name)
            return reading.read_hash(found)

    def tip(self) -> BlockInfo:
        """Return the last block, and remember the block as the tip for the rest of this look."""
        known = self._recent_tip() if self._api.is_limited else None
        if known is not None:
            return known
        self._require_network()
        asked_at = self._clock.monotonic()
        with self._believing():
            name = reading.read_hash(self._api.word("/blocks/tip/hash"))
        try:
            info = self.info(name)
        except BlockGone:
            raise self._api.unavailable("changing") from None
        self._tip = info, asked_at
        return info

    def ancestor(self, info: BlockInfo, depth: int) -> str:
        """Return the hash of the ancestor this many blocks below. Raises BlockGone if the chain changes meanwhile."""
        for _ in range(depth - 1):
            info = self.info(info.header.parent)
        return info.header.parent if depth else info.header.hash

    def descends(self, block: BlockInfo, ancestor: BlockInfo) -> bool:
        """Return True if a block is known to stand on this ancestor, or to be the same."""
        depth = block.height - ancestor.height
        try:
            return 0 <= depth <= ANCESTORS_MAX and self.ancestor(block, depth) == ancestor.header.hash
        except BlockGone:
            return False

    def info(self, block: str) -> BlockInfo:
        """Return a block's checked header and its height. Raises BlockGone if the server does not know the block."""
        self._require_network()
        if found := self._infos.get(block):
            return found
        with self._believing():
            answer = self._api.value(f"/block/{reading.read_hash(block)}")
            if answer is None:
                raise BlockGone(self._network.name)
            info = reading.read_info(answer, block, self.rules)
        self._infos.put(block, info)
        return info

    def require_on_chain(self, block: str) -> None:
        """Raise BlockGone if the block is not on the server's best chain.

        A server whose chain has not yet reached the block's height is behind, and raises ChainUnavailable.
        """
        tip, asked = self._recent_tip(), self._infos.get(block)
        if tip is not None and asked is not None and self.descends(tip, asked):
            return
        self._require_network()
        with self._believing():
            if reading.read_is_on_chain(self._api.value(f"/block/{reading.read_hash(block)}/status")):
                return
            if asked and reading.read_number(self._api.word("/blocks/tip/height")) < asked.height:
                raise self._api.unavailable("behind")
        raise BlockGone(self._network.name)

    def block(self, block: str) -> tuple[RawBlock, int]:
        """Return a block with all transactions, checked, and its height. Raises BlockGone."""
        height = self.info(block).height
        with self._believing():
            data = self._api.content(f"/block/{reading.read_hash(block)}/raw", BLOCK_BYTES_MAX)
            if data is None:
                raise BlockGone(self._network.name)
            return read_block(data, block, self.rules), height

    def coinbase_at(self, height: int) -> RawTransaction:
        """Return the coinbase transaction of the block at a height of this chain. Raises BlockGone."""
        block = self.hash_at(height)
        with self._believing():
            name = reading.read_hash(self._api.word(f"/block/{block}/txid/0"))
            found = self._proven.get((name, block)) or self._transaction(name)
        if not found.is_coinbase:
            raise self._api.unavailable("unbelievable")
        self._proven.put((name, block), found)
        return found

    def stats(self, address: str) -> AddressStats:
        """Return the sums of an address over all blocks."""
        self._require_network()
        with self._believing():
            return reading.read_stats(self._api.value(f"/address/{address}"))

    def confirmed(self, address: str, script: bytes, count: int) -> list[ListedTransaction]:
        """Return the first `count` transactions of an address that are in blocks, newest first: fewer if there are."""
        found: list[ListedTransaction] = []
        for _ in range(PAGES_MAX):
            if len(found) >= count:
                return found
            last = f"/{found[-1].id}" if found else ""
            with self._believing():
                page = reading.read_list(self._api.value(f"/address/{address}/txs/chain{last}"), script)
            if not page:
                return found
            found += page
        raise self._api.unavailable("too_many_transactions")

    def recent(self, address: str, script: bytes) -> list[ListedTransaction]:
        """Return the transactions of an address that wait in the pool, and its latest in blocks."""
        known, asked_at = self._recent.get(address), self._clock.monotonic()
        if known and self._api.is_limited and asked_at - known[1] < POLITE_SECONDS:
            return known[0]
        self._require_network()
        with self._believing():
            found = list(reading.read_list(self._api.value(f"/address/{address}/txs"), script))
        self._recent.put(address, (found, asked_at))
        return found

    def proven(self, listed: ListedTransaction) -> RawTransaction:
        """Return a listed transaction after proving that its block holds the transaction, at the listed height."""
        if found := self._proven.get((listed.id, listed.block)):
            return found
        try:
            info = self.info(listed.block)
        except BlockGone:
            raise self._api.unavailable("changing") from None
        with self._believing():
            raw = self._transaction(listed.id)
            answer = self._api.value(f"/tx/{listed.id}/merkle-proof")
            if answer is None:
                raise self._api.unavailable("changing")
            height, place, branch = reading.read_proof(answer)
            if not height == info.height == listed.height:
                raise self._api.unavailable("changing")
            require_proof(raw, place, branch, info.header)
        self._proven.put((listed.id, listed.block), raw)
        return raw

    def place(self, transaction: str) -> tuple[str, int | None] | None:
        """Return the block and height of a transaction, "" and None for one in the pool; None if it is unknown."""
        self._require_network()
        with self._believing():
            answer = self._api.value(f"/tx/{reading.read_hash(transaction)}")
            return None if answer is None else reading.read_place(answer)

    def fees(self) -> Fees:
        """Return the present fees."""
        self._require_network()
        with self._believing():
            return reading.read_fees(self._api.value("/fee-estimates"))

    def send(self, raw: bytes) -> EsploraAnswer:
        """Send a signed transaction to the network, and return the server's answer."""
        self._require_network()
        return self._api.send("/tx", raw.hex())

    def unavailable(self, reason: str) -> ChainUnavailable:
        """Return the error for an answer that cannot be right."""
        return self._api.unavailable(reason)

    def _transaction(self, transaction: str) -> RawTransaction:
        """Return a transaction, checked against its id but not yet proven."""
        data = self._api.content(f"/tx/{reading.read_hash(transaction)}/raw", BLOCK_BYTES_MAX)
        if data is None:
            raise self._api.unavailable("changing")
        raw = read_transaction(data)
        if name_of(raw.id) != transaction:
            raise BrokenBytes("the transaction has another id")
        return raw

    def _recent_tip(self) -> BlockInfo | None:
        """Return the tip of this look; None if it is too old."""
        known, seconds = self._tip, POLITE_SECONDS if self._api.is_limited else LOOK_SECONDS
        return known[0] if known and self._clock.monotonic() - known[1] < seconds else None

    def _require_network(self) -> None:
        if self._is_known:
            return
        with self._believing():
            genesis = self._api.word("/block-height/0")
        if genesis != self._network.genesis:
            log("chain_is_another", "CRITICAL", network=self._network.name)
            raise self._api.unavailable(OTHER_NETWORK)
        self._is_known = True

    @contextmanager
    def _believing(self) -> Iterator[None]:
        """Log answers that cannot be right, and raise ChainUnavailable instead of believing them."""
        try:
            yield
        except BrokenBytes as error:
            log("chain_answer_refused", "ERROR", network=self._network.name, problem=str(error))
            raise self._api.unavailable("unbelievable") from None
