"""Answers of one network for one address: the head, the final block, and the levels in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from shared.kernel.clock import Millis
from shared.kernel.errors import Unavailable
from shared.payments.chains.addresses import SeenTransferOf
from shared.payments.chains.authorizations import AuthorizedOrder, NonceFacts
from shared.payments.chains.block_search import last_block_until
from shared.payments.chains.claims import LevelSighting
from shared.payments.chains.levels import LevelRecord, Reading
from shared.payments.chains.networks import Network, Tier
from shared.payments.chains.ports import AssetName, Block, Chain, ChainUnavailable, Tokens, Transfer
from shared.payments.chains.report import SeenTransfer
from shared.payments.chains.sources import agreed, glance

TRANSFERS_BLOCKS_MAX = 300
"""Most blocks in which transactions are looked up as evidence."""


@dataclass(slots=True, kw_only=True)
class NetworkView:
    """Answers of one network for one address: the head, the final block, and the levels in both."""

    network: Network
    chain: Chain
    address: str
    head: Block
    final: Block
    at_head: Mapping[AssetName, int]
    at_final: Mapping[AssetName, int]
    pool: int
    hashes: dict[int, str] = field(default_factory=dict)

    def agreed(self) -> "NetworkView":
        """Return a new view in which at least two sources must agree, if there are two.

        Head and final block are asked for again. Raises BlockGone, ChainUnavailable.
        """
        return view_of(agreed(self.chain), self.network, self.address)

    def levels(self, block: Block) -> Mapping[AssetName, int]:
        """Return the levels in the state after a block; an asset without an answer is missing."""
        return _levels(self.chain, self.network, self.address, block)

    def level_at(self, end: Millis, asset: AssetName, now: Millis) -> LevelSighting | None:
        """Return the level in the last block until the time `end`; None without such a block, or without an answer."""
        block = last_block_until(self.chain, end, self.head, self.network.block_seconds)
        found = {} if block is None else self.levels(block)
        if block is None or asset not in found:
            return None
        return LevelSighting(level=found[asset], at=now, time=block.time)

    def transfers(self, asset: AssetName) -> Sequence[Transfer]:
        """Return the last transfers to the address, as far as the chain tells. Raises ChainUnavailable."""
        first = max(0, self.head.height - TRANSFERS_BLOCKS_MAX)
        return glance(self.chain).transfers(self.address, asset, first, self.head.height)

    def arrivals(self, asset: AssetName) -> Sequence[Transfer]:
        """Return the last transfers to the address, as evidence for people; none after a failure."""
        try:
            return self.transfers(asset)
        except Unavailable:
            return ()

    def shown(self, asset: AssetName, transfer: Transfer) -> SeenTransferOf:
        """Return a transfer as an address remembers it."""
        url = self.network.transaction_url(transfer.transaction) or ""
        return SeenTransferOf(
            network=self.network.name,
            asset=asset,
            sender=transfer.sender,
            amount=transfer.amount,
            shown=SeenTransfer(hash=transfer.transaction, url=url),
        )

    def deep(self, tier: Tier) -> Block:
        """Return the last block that is deep enough."""
        if isinstance(tier.depth, str):
            return self.chain.block(tier.depth)
        return self.chain.block(max(0, self.head.height - tier.depth + 1))

    def nonce_facts(self, orders: Sequence[AuthorizedOrder], deep: Block) -> Mapping[str, NonceFacts]:
        """Return what the chain tells of the orders' nonces, by payment, at the head and deep enough.

        Raises BlockGone, ChainUnavailable.
        """
        used = self._used(orders, self.head)
        used_deep = used if deep.hash == self.head.hash else self._used(orders, deep)
        return {
            each.payment: NonceFacts(
                is_used=each.payment in used, is_used_deep=each.payment in used_deep, deep_time=deep.time
            )
            for each in orders
        }

    def _used(self, orders: Sequence[AuthorizedOrder], block: Block) -> set[str]:
        """Return the payments whose nonces are used in the state after a block."""
        used, tokens = set[str](), cast("Tokens", self.chain)
        for contract in sorted({each.contract for each in orders}):
            signed = ((each.authorization, each.payment) for each in orders if each.contract == contract)
            named = {(content.payer, content.nonce): payment for content, payment in signed}
            used |= {named[nonce] for nonce in tokens.used_nonces(block.hash, contract, list(named))}
        return used

    def is_gone(self, record: LevelRecord) -> bool:
        """Return True if the block of the record's level has left the chain.

        Raises ChainUnavailable if the chain ends before that block: the source is behind.
        """
        mark = record.mark
        if mark is None:
            return False
        if mark.height > self.head.height:
            raise ChainUnavailable(self.network.name, "behind")
        if mark.height not in self.hashes:
            self.hashes[mark.height] = self.chain.block(mark.height).hash
        return self.hashes[mark.height] != mark.hash


def view_of(chain: Chain, network: Network, address: str) -> NetworkView:
    """Ask a network for the head, the final block, and the levels of an address in both.

    Raises BlockGone, ChainUnavailable.
    """
    head = chain.block("latest")
    depth = network.final_depth
    final = chain.block("finalized") if depth is None else chain.block(max(0, head.height - depth + 1))
    return NetworkView(
        network=network,
        chain=chain,
        address=address,
        head=head,
        final=final,
        at_head=_levels(chain, network, address, head),
        at_final=_levels(chain, network, address, final),
        pool=sum(transfer.amount for _, transfer in chain.pending([address])) if chain.scans_blocks else 0,
    )


def _levels(chain: Chain, network: Network, address: str, block: Block) -> Mapping[AssetName, int]:
    found = chain.levels(block.hash, [address], list(network.assets))
    return {asset: found[(address, asset)] for asset in network.assets if (address, asset) in found}


def reading_of(level: int, block: Block) -> Reading:
    """Return a level with the block in which the level was read."""
    return Reading(level=level, height=block.height, hash=block.hash, time=block.time)
