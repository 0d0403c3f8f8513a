"""Bitcoin through one Esplora-compatible server; see the port `Chain`."""

from collections.abc import Collection, Mapping, Sequence

from shared.kernel.clock import SECOND, Clock, SystemClock
from shared.kernel.events import log
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import (
    AssetName,
    Block,
    BlockGone,
    ChainRefused,
    ChainUnavailable,
    Fees,
    Levels,
    NetworkName,
    SeenTransaction,
    Transfer,
)
from shared.platform.bitcoin.addresses import WatchedAddresses, is_of_network, script_of
from shared.platform.bitcoin.api import REASON_LENGTH_MAX
from shared.platform.bitcoin.blocks import add_received, received
from shared.platform.bitcoin.history import Histories
from shared.platform.bitcoin.reading import BlockInfo, ListedTransaction
from shared.platform.bitcoin.rules import COINBASE_DEPTH
from shared.platform.bitcoin.server import EsploraServer
from shared.platform.bitcoin.transactions import BrokenBytes, name_of, read_transaction

FINAL_DEPTH = 6
"""Blocks after which a block counts as final, if the network names no other number."""


class EsploraChain:
    """Bitcoin, as one server tells; see `Chain`. Safe between threads."""

    def __init__(self, network: Network, url: str, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._network = network
        self._server = EsploraServer(network=network, url=url, clock=clock)
        self._histories = Histories(self._server, clock)

    @property
    def network(self) -> NetworkName:
        """Return the network's name."""
        return self._network.name

    @property
    def scans_blocks(self) -> bool:
        """Return True: arrivals are found block by block."""
        return True

    def block(self, at: int | str) -> Block:
        """Return a block; see `Chain.block`.

        Bitcoin has no tags of its own. `safe` and `finalized` are the block with the network's number of confirmations.
        """
        if at == "latest":
            return _as_block(self._server.tip())
        if at in {"safe", "finalized"}:
            height = self._server.tip().height
            return self.block(max(height - (self._network.final_depth or FINAL_DEPTH) + 1, 0))
        if isinstance(at, str):
            found = self._block(at)
            self._server.require_on_chain(at)
            return found
        found = self._block(self._server.hash_at(at))
        if found.height != at:
            raise self._server.unavailable("unbelievable")
        return found

    def levels(self, block: str, addresses: Sequence[str], assets: Sequence[AssetName]) -> Levels:
        """Return the satoshis that ever came to each address up to this block; see `Chain.levels`.

        Outputs of coinbase transactions count once COINBASE_DEPTH blocks stand on theirs. An address of another network
        has no level.
        """
        coin = self._network.coin.name
        if coin not in assets:
            return {}
        return {(address, coin): self._histories.level(address, block) for address in self._of_network(addresses)}

    def spent(self, block: str, addresses: Sequence[str]) -> Collection[str]:
        """Return the addresses that paid something in a block up to this one; see `Chain.spent`."""
        info = self._server.info(block)
        return {
            address
            for address in self._of_network(addresses)
            if any(listed.is_spending for listed in self._histories.transactions(address, info))
        }

    def received_in(self, block: str, addresses: Collection[str]) -> Mapping[str, int]:
        """Return the satoshis that came to these addresses with this block; see `Chain.received_in`.

        The coinbase outputs of the block COINBASE_DEPTH blocks below come now. So the sum over all blocks is the level.
        """
        watched = WatchedAddresses(addresses, self._server.rules)
        self._server.require_on_chain(block)
        raw, height = self._server.block(block)
        found = dict(received(raw, watched.of_script))
        self._histories.remember_arrivals(block, found)
        if height > COINBASE_DEPTH:
            add_received(found, self._server.coinbase_at(height - COINBASE_DEPTH), watched.of_script)
        return found

    def pending(self, addresses: Sequence[str]) -> Sequence[tuple[str, Transfer]]:
        """Return transfers to these addresses that do not count yet; see `Chain.pending`.

        Replaced and evicted transactions are no longer listed. Coinbase outputs that have not matured are listed with
        their block.
        """
        return [(address, transfer) for address in self._of_network(addresses) for transfer in self._pending(address)]

    def transfers(self, address: str, asset: AssetName, first: int, last: int) -> Sequence[Transfer]:
        """Return the transfers to an address in these blocks; see `Chain.transfers`."""
        if asset != self._network.coin.name or not self._of_network([address]):
            return []
        info = self._server.tip()
        listed = [one for one in self._histories.transactions(address, info) if one.received]
        return [_transfer(one, self._block(one.block)) for one in listed if first <= (one.height or 0) <= last]

    def transaction(self, transaction: str) -> SeenTransaction | None:
        """Return the state of a transaction; None if the server does not know the transaction."""
        place = self._server.place(transaction)
        if place is None:
            return None
        try:
            block = self._block(place[0]) if place[0] else None
        except BlockGone:
            raise self._server.unavailable("changing") from None
        return SeenTransaction(transaction=transaction, block=block, succeeded=True)

    def fees(self) -> Fees:
        """Return the present fees, in satoshis per virtual byte."""
        return self._server.fees()

    def broadcast(self, raw: bytes) -> str:
        """Send a signed transaction to the network, and return its id; see `Chain.broadcast`.

        After an answer that leaves the outcome open, the server is asked for the transaction.
        """
        try:
            name = name_of(read_transaction(raw).id)
        except BrokenBytes as error:
            raise ChainRefused(self.network, str(error)) from None
        try:
            answer = self._server.send(raw)
        except ChainUnavailable:
            if self._server.place(name) is None:
                raise
            return name
        if answer.text == name or self._server.place(name) is not None:
            return name
        if answer.is_page:
            raise self._server.unavailable(f"status_{answer.status}")
        log("chain_refused", "WARNING", network=self.network, reason=answer.text[:REASON_LENGTH_MAX])
        raise ChainRefused(self.network, answer.text[:REASON_LENGTH_MAX].rstrip("."))

    def _of_network(self, addresses: Sequence[str]) -> Sequence[str]:
        """Return the addresses of this network, without those of a network that was in use before."""
        return [address for address in addresses if is_of_network(address, self._server.rules)]

    def _block(self, block: str) -> Block:
        return _as_block(self._server.info(block))

    def _pending(self, address: str) -> list[Transfer]:
        script = script_of(address, self._server.rules)
        listed = [one for one in self._server.recent(address, script) if one.received]
        waiting = [_transfer(one, None) for one in listed if one.height is None]
        mined = [one for one in listed if one.height is not None and one.is_coinbase]
        if not mined:
            return waiting
        height = self._server.tip().height
        immature = [one for one in mined if height - (one.height or 0) < COINBASE_DEPTH]
        return waiting + [_transfer(one, self._block(one.block)) for one in immature]


def _as_block(info: BlockInfo) -> Block:
    header = info.header
    return Block(height=info.height, hash=header.hash, parent=header.parent, time=header.time_seconds * SECOND)


def _transfer(listed: ListedTransaction, block: Block | None) -> Transfer:
    return Transfer(transaction=listed.id, sender=listed.sender, amount=listed.received, block=block)
