"""One look at a chain: the head, the joint with the last look, and the addresses at which something arrived."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.kernel.clock import Millis
from shared.kernel.events import log
from shared.payments.chains.ports import AssetName, Block, BlockGone, Chain, ChainUnavailable, Levels
from shared.payments.chains.watching import (
    KnownBlock,
    WatchState,
    compared,
    is_behind,
    joined,
    pool_changes,
    revisited,
    with_arrivals,
    with_followed,
    with_head,
)

LEVELS_PER_CALL = 1_000
"""Most addresses of one call for levels."""
BLOCKS_BACK = 6
"""Number of blocks below the head that the first look reads, for payments that came before the watch."""
POOL_ADDRESSES_MAX = 10
"""Most addresses of open pages that one look asks the pool for. More pages take turns."""
BEHIND = "behind"
"""Reason for which a chain is unavailable: all sources are below every block that we know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Head of a chain, and the memory of the watch after the look."""

    head: Block
    state: WatchState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joint:
    """Known blocks that are still on the chain. `is_behind` is True if the head is older than the last look."""

    kept: tuple[KnownBlock, ...]
    is_behind: bool


def see_levels(
    chain: Chain, state: WatchState, addresses: Mapping[int, str], assets: Sequence[AssetName], now: Millis
) -> Sighting:
    """Look at the levels of these addresses, by index, at the head. Indices whose level moved are to be followed.

    Raises ChainUnavailable, and BlockGone if the head left the chain meanwhile.
    """
    head = chain.block("latest")
    joint = _joint(chain, state, head)
    if joint.is_behind:
        return Sighting(head=head, state=state)
    changes = compared(state.levels, addresses, assets, _levels(chain, head, addresses, assets))
    is_torn = bool(state.blocks) and not joint.kept
    news = changes.moved | (set(changes.levels) if is_torn else set())
    after = replace(
        state,
        blocks=with_head(joint.kept, head),
        levels=changes.levels,
        followed=with_followed(state.followed, news, now),
        silent=changes.silent,
    )
    return Sighting(head=head, state=after)


def see_blocks(
    chain: Chain, state: WatchState, indices: Mapping[str, int], now: Millis, is_over: Callable[[], bool]
) -> Sighting:
    """Read each new block once, in order, for arrivals at these addresses (index by address), until the time is up.

    Indices at which something arrived are to be followed, now and a few times later. If the sources fail after
    the first new block, the blocks until then count as read. Raises ChainUnavailable and BlockGone.
    """
    head = chain.block("latest")
    joint = _joint(chain, state, head)
    blocks, news, arrived = joint.kept, set[int](), state.arrived
    for height in range(_first(state, joint, head), head.height + 1):
        if is_over() or joint.is_behind:
            break
        try:
            block = chain.block(height)
            arrivals = chain.received_in(block.hash, indices.keys())
        except (ChainUnavailable, BlockGone) as error:
            if blocks == joint.kept:
                raise
            log("blocks_not_read", "WARNING", network=chain.network, height=height, code=error.code)
            break
        if blocks and block.parent != blocks[0].hash:
            break  # The chain has changed since the joint was found: the next look finds the new joint.
        paid = {indices[address] for address in arrivals if address in indices}
        arrived = with_arrivals(arrived, paid, height)
        news |= paid | revisited(arrived, height)
        blocks = with_head(blocks, block)
    kept = state.blocks if joint.is_behind else blocks
    followed = with_followed(state.followed, news, now)
    return Sighting(head=head, state=replace(state, blocks=kept, arrived=arrived, followed=followed))


def see_pool(chain: Chain, state: WatchState, addresses: Mapping[int, str], now: Millis) -> WatchState:
    """Ask the pool for transfers to these addresses, by index. Indices where the pool changed are to be followed."""
    index_of = {address: index for index, address in addresses.items()}
    found: dict[int, list[str]] = {}
    for address, transfer in chain.pending(list(addresses.values())) if addresses else ():
        if address in index_of:
            found.setdefault(index_of[address], []).append(f"{transfer.transaction}:{transfer.amount}")
    told = {index: ",".join(sorted(each)) for index, each in found.items()}
    news = pool_changes(state.pool, told, addresses)
    others = {index: known for index, known in state.pool.items() if index not in addresses}
    return replace(state, pool={**others, **told}, followed=with_followed(state.followed, news, now))


def pool_turn(indices: Sequence[int], now: Millis, every: Millis) -> Sequence[int]:
    """Return the indices whose addresses the look at `now` asks the pool for. All take turns, one look after another.

    `every` is the time between two looks.
    """
    turns = -(-len(indices) // POOL_ADDRESSES_MAX) or 1
    first = now // every % turns * POOL_ADDRESSES_MAX
    return sorted(indices)[first : first + POOL_ADDRESSES_MAX]


def _first(state: WatchState, joint: _Joint, head: Block) -> int:
    """Return the height of the first block to read."""
    if joint.kept:
        return joint.kept[0].height + 1
    return state.blocks[-1].height if state.blocks else max(0, head.height - BLOCKS_BACK)


def _joint(chain: Chain, state: WatchState, head: Block) -> _Joint:
    """Find the known blocks that are still on the chain of this head, with as few calls as possible.

    Raises ChainUnavailable if the head is below all blocks that we know.
    """
    below = [each for each in state.blocks if each.height <= head.height]
    if state.blocks and not below:
        raise ChainUnavailable(chain.network, BEHIND)
    kept = joined(below, lambda known: _hash_at(chain, known.height, head) == known.hash)
    if len(kept) == len(below):
        return _Joint(kept=kept, is_behind=is_behind(state.blocks, head))
    log("chain_reorganised", network=chain.network, height=head.height, joint=kept[0].height if kept else None)
    return _Joint(kept=kept, is_behind=False)


def _hash_at(chain: Chain, height: int, head: Block) -> str:
    if height == head.height:
        return head.hash
    return head.parent if height == head.height - 1 else chain.block(height).hash


def _levels(chain: Chain, head: Block, addresses: Mapping[int, str], assets: Sequence[AssetName]) -> Levels:
    """Return the levels of all addresses at the head, in as few calls as the limit of a call allows."""
    found: dict[tuple[str, AssetName], int] = {}
    asked = list(addresses.values())
    for first in range(0, len(asked), LEVELS_PER_CALL):
        found.update(chain.levels(head.hash, asked[first : first + LEVELS_PER_CALL], assets))
    return found
