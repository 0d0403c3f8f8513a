"""Decisions of the watch over a network: hot addresses, moved levels, the joint of the chain, outages. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from shared.kernel.clock import DAY, HOUR, MINUTE, Millis
from shared.payments.chains.networks import Network
from shared.payments.chains.outages import Outage, remembered, with_outage
from shared.payments.chains.ports import AssetName, Block, Levels

BLOCKS_MAX = 64
"""Most blocks that are remembered, to find the joint with a chain that has changed."""
HOT: Millis = 3 * DAY
"""Time after the opening of a payment in which the address is read at every look."""
SAMPLE_EVERY: Millis = HOUR
HOT_MAX = 7_000
"""Most addresses that a look reads: if all hold three assets, their levels fill most of one document (1 MB).

Older addresses are read once a day.
"""
REVISITS = frozenset({1, 2, 3, 6, 12, 36, 144})
"""Numbers of blocks after which an address is followed again that a block has paid."""
DOWN_AFTER: Millis = 2 * MINUTE
"""Time without an answer after which a network counts as unavailable."""
UNWATCHED_AFTER: Millis = 5 * MINUTE
"""Time between two looks from which the time between them counts as an outage, since arrivals were not seen."""
STALE_BLOCKS = 18
"""Number of usual block times after which a chain without a new block counts as halted."""
STALE_MIN: Millis = 3 * MINUTE

HALTED = "halted"
"""Reason for which a network is unavailable: the chain has had no new block for too long."""
News = Literal["", "down", "up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBlock:
    """Height and hash of a block that was on the chain at an earlier look."""

    height: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSample:
    """Number of indices that were taken at a time."""

    at: Millis
    taken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkHealth:
    """Health of a network. `ok_at` is the time of the last fresh answer, 0 before the first.

    `down_since` is the time from which the network is unavailable, None while it is available. `reason` says why: the
    reason of ChainUnavailable, or `HALTED`.
    """

    ok_at: Millis = 0
    down_since: Millis | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """Memory of the watch over one network.

    `blocks` come newest first, `samples` oldest first. `levels` has the levels of hot addresses that hold something,
    by index. `followed` has the time of the last follow of each index whose level is not final yet; before the first
    follow, the negative time of the news. `arrived` has the height of the last block that paid an index, if blocks are
    read. `pool` describes the transfers in the pool, by index. `silent` are the assets that gave no answer.
    """

    blocks: tuple[KnownBlock, ...] = ()
    samples: tuple[TakenSample, ...] = ()
    levels: Mapping[int, Mapping[AssetName, int]] = field(default_factory=dict)
    followed: Mapping[int, Millis] = field(default_factory=dict)
    arrived: Mapping[int, int] = field(default_factory=dict)
    pool: Mapping[int, str] = field(default_factory=dict)
    health: NetworkHealth = NetworkHealth()
    outages: tuple[Outage, ...] = ()
    silent: tuple[AssetName, ...] = ()

    @property
    def head(self) -> KnownBlock | None:
        """Return the newest block that was seen; None before the first look."""
        return self.blocks[0] if self.blocks else None


# Hot addresses ------------------------------------------------------------------------------------------------------


def sampled(samples: Sequence[TakenSample], taken: int, now: Millis) -> tuple[TakenSample, ...]:
    """Return the samples with the present number of taken indices, one an hour, back to the start of the hot time.

    The newest sample that is older than the hot time stays, as the bound of the hot range.
    """
    is_due = not samples or now >= samples[-1].at + SAMPLE_EVERY
    more = (*samples, TakenSample(at=now, taken=taken)) if is_due else tuple(samples)
    old = [each for each in more if each.at <= now - HOT]
    return (*old[-1:], *more[len(old) :])


def hot_range(samples: Sequence[TakenSample], taken: int, now: Millis) -> range:
    """Return the indices that were taken within the hot time, at most the `HOT_MAX` newest.

    If no sample is older than the hot time, all indices are hot.
    """
    first = max((each.taken for each in samples if each.at <= now - HOT), default=0)
    return range(max(first, taken - HOT_MAX, 0), taken)


# The joint with the chain -------------------------------------------------------------------------------------------


def joined(blocks: Sequence[KnownBlock], is_on_chain: Callable[[KnownBlock], bool]) -> tuple[KnownBlock, ...]:
    """Return the blocks that are still on the chain, newest first. `is_on_chain` is asked for few of them.

    A block below a block of the chain is on the chain too.
    """
    low, high = 0, len(blocks)
    probe = 0
    while low < high:
        if is_on_chain(blocks[probe]):
            high = probe
        else:
            low = probe + 1
        probe = (low + high) // 2
    return tuple(blocks[low:])


def with_head(blocks: Sequence[KnownBlock], head: Block) -> tuple[KnownBlock, ...]:
    """Return the blocks with the head before them, at most `BLOCKS_MAX`."""
    below = [each for each in blocks if each.height < head.height]
    return (KnownBlock(height=head.height, hash=head.hash), *below)[:BLOCKS_MAX]


def is_behind(blocks: Sequence[KnownBlock], head: Block) -> bool:
    """Return True if the head is lower than the newest known block: a source that lags, or a chain that changed."""
    return bool(blocks) and head.height < blocks[0].height


# Levels -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChanges:
    """Levels after a look, by index, the indices whose level moved, and the assets without any answer."""

    levels: Mapping[int, Mapping[AssetName, int]]
    moved: frozenset[int]
    silent: tuple[AssetName, ...]


def compared(
    known: Mapping[int, Mapping[AssetName, int]],
    addresses: Mapping[int, str],
    assets: Collection[AssetName],
    seen: Levels,
) -> LevelChanges:
    """Return the changes from the known levels to the seen levels of these addresses.

    A level without an answer stays as known: no answer is never zero. An index that is not asked any more is forgotten.
    """
    levels: dict[int, Mapping[AssetName, int]] = {}
    moved: set[int] = set()
    answered: set[AssetName] = set()
    for index, address in addresses.items():
        before = known.get(index, {})
        told = {asset: seen[address, asset] for asset in assets if (address, asset) in seen}
        answered.update(told)
        after = {asset: amount for asset, amount in {**before, **told}.items() if amount}
        if after:
            levels[index] = after
        if after != before:
            moved.add(index)
    silent = tuple(sorted(set(assets) - answered)) if addresses else ()
    return LevelChanges(levels=levels, moved=frozenset(moved), silent=silent)


# Indices that are followed ------------------------------------------------------------------------------------------


def with_followed(followed: Mapping[int, Millis], news: Iterable[int], now: Millis) -> Mapping[int, Millis]:
    """Return the followed indices with the news of `now`, which are followed first."""
    return {**followed, **dict.fromkeys(news, -now)}


def with_arrivals(arrived: Mapping[int, int], indices: Iterable[int], height: int) -> Mapping[int, int]:
    """Return the heights of the last arrivals after a block that paid these indices, without those of long ago."""
    known = {**arrived, **dict.fromkeys(indices, height)}
    return {index: at for index, at in known.items() if height - at <= max(REVISITS)}


def revisited(arrived: Mapping[int, int], height: int) -> set[int]:
    """Return the indices that are followed again at this height, in case a server did not yet tell what had arrived."""
    return {index for index, at in arrived.items() if height - at in REVISITS}


def is_news(at: Millis) -> bool:
    """Return True for an index that was not followed since the level moved."""
    return at <= 0


def after_follows(
    stored: Mapping[int, Millis], before: Mapping[int, Millis], done: Mapping[int, bool], now: Millis
) -> Mapping[int, Millis]:
    """Return the stored indices that are still followed, after the follows of `done`, which began with `before`.

    `done` is True for an index where everything is final. News that came during the follow stay.
    """
    known = {index for index in done if stored.get(index) == before[index]}
    finals = {index for index in known if done[index]}
    return {index: now if index in known else at for index, at in stored.items() if index not in finals}


def follow_order(followed: Mapping[int, Millis]) -> Sequence[int]:
    """Return the followed indices: news first, then the index that waits longest."""
    return sorted(followed, key=lambda index: (followed[index], index))


def pool_changes(known: Mapping[int, str], seen: Mapping[int, str], asked: Collection[int]) -> frozenset[int]:
    """Return the indices for which the pool has changed among those that were asked: a transfer came or has gone."""
    return frozenset(index for index in asked if known.get(index, "") != seen.get(index, ""))


# Health -------------------------------------------------------------------------------------------------------------


def stale_after(network: Network) -> Millis:
    """Return the age of the newest block, in ms, from which the network's chain counts as halted."""
    return max(STALE_MIN, round(STALE_BLOCKS * network.block_seconds * 1_000))


def after_look(state: WatchState, network: Network, seen: Block | str, now: Millis) -> tuple[WatchState, News]:
    """Return the state with the network's health after a look, and whether operators must hear of it.

    `seen` is the head, or the reason why no source gave a usable answer. A single failed look says nothing yet.
    """
    ok_at = state.health.ok_at or now
    if isinstance(seen, str):
        if now - ok_at < DOWN_AFTER:
            return replace(state, health=replace(state.health, ok_at=ok_at)), ""
        return _down(state, ok_at, seen)
    if now - seen.time > stale_after(network):
        return _down(state, min(ok_at, seen.time), HALTED)
    return _available(state, now)


def _down(state: WatchState, since: Millis, reason: str) -> tuple[WatchState, News]:
    """Return the state of a network that is unavailable since a time. An outage that lasts keeps the start."""
    if state.health.down_since is not None:
        return state, ""
    health = replace(state.health, down_since=since, reason=reason)
    return replace(state, health=health, outages=with_outage(state.outages, since, None)), "down"


def _available(state: WatchState, now: Millis) -> tuple[WatchState, News]:
    """Return the state after a fresh answer. An outage, or a long time without a look, ends now."""
    health, fresh = state.health, NetworkHealth(ok_at=now)
    closed = tuple(each for each in remembered(state.outages, now) if each.end is not None)
    if health.down_since is not None:
        return replace(state, health=fresh, outages=with_outage(closed, health.down_since, now)), "up"
    if health.ok_at and now - health.ok_at > UNWATCHED_AFTER:
        closed = with_outage(closed, health.ok_at, now)
    return replace(state, health=fresh, outages=closed), ""
