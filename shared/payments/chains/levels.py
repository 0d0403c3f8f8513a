"""Level of an address in one asset on one network: how much has ever come, and which payment owns which part. Pure.

A level only rises, except that a block can leave the chain. So the truth is the level read at a block's hash. Claims
part the level from 0 upwards without gaps. A lower level takes from the last claim first.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from shared.kernel.clock import SECOND, Millis
from shared.payments.fiat import Fiat

CLAIMS_MAX = 100
"""Most claims that a level keeps, if the older ones are final."""
GONE_LOOKS = 2
"""Looks that must find a block gone before anything counts as missing."""
GONE_PAUSE: Millis = 2 * SECOND
"""Least time between two such looks, unless the chain has a new head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Block in which a level was read first. A level stands as long as this block is on the chain."""

    height: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Level in the state after a block. `time` is the block's own time."""

    level: int
    height: int
    hash: str
    time: Millis

    @property
    def mark(self) -> Mark:
        """Return the block without the level."""
        return Mark(height=self.height, hash=self.hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentClaim:
    """Part [begin, end) of a level that belongs to one payment for good, in atomic units, as the address stores it.

    `price` is the value that is granted for the part, at `rate` USD per coin. `is_part` is True if the price is not
    the agreed one. `review` is the problem for which an operator must look first, "" without one. An ordered payment
    for which nothing came has an empty part.
    """

    payment: str
    begin: int
    end: int
    price: Fiat
    rate: str
    at: Millis
    is_part: bool = False
    review: str = ""
    credits: int = 0
    """µcr of a deposit; 0 for an ordered payment, whose terms say the credits."""
    sources: tuple[str, ...] = ()
    """Names of the sources of a deposit's rate; empty for an ordered payment, whose quote names them."""

    @property
    def size(self) -> int:
        """Return the number of atomic units."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneBlock:
    """First look that found the block of a level gone: the chain's head at that time, and the time."""

    head: str
    at: Millis
    looks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRecord:
    """State of one level. Amounts are atomic units of any size.

    `claims` begin at `folded`: the `folded_claims` before are final and settled, and only their payments remember them.
    `standing` is the level deep enough to count, first read in the block `mark`; None before the first coins. `final`
    is the level that finality has passed: no look lowers it. `lost` is the part of the claims without which finality
    has passed. `head` is the level at the chain's head, first seen at height `head_since`. `out` counts coins that were
    sent away from the address.

    `locked` and `graced` are the levels that had arrived when lock and grace ended, as far as known; `locked_at` and
    `graced_at` are the times at which they rose last. `has_lock_passed` and `has_grace_passed` are True once the
    chain's own time has passed these ends.
    """

    claims: tuple[PaymentClaim, ...] = ()
    folded: int = 0
    folded_claims: int = 0
    standing: int = 0
    mark: Mark | None = None
    final: int = 0
    lost: int = 0
    head: int = 0
    head_since: int = 0
    pool: int = 0
    out: int = 0
    gone: GoneBlock | None = None
    locked: int = 0
    locked_at: Millis = 0
    graced: int = 0
    graced_at: Millis = 0
    has_lock_passed: bool = False
    has_grace_passed: bool = False

    @property
    def end(self) -> int:
        """Return the level up to which every unit belongs to a payment."""
        return self.claims[-1].end if self.claims else self.folded

    @property
    def is_claimed(self) -> bool:
        """Return True if any payment was ever decided."""
        return bool(self.claims) or self.folded_claims > 0

    @property
    def rest(self) -> int:
        """Return the units that count and belong to no payment yet."""
        return max(0, self.standing - self.end)

    @property
    def missing(self) -> int:
        """Return the units that belong to payments and are not on the chain now."""
        return max(0, self.end - self.standing)

    @property
    def unfinal(self) -> int:
        """Return the units that have arrived and are not final."""
        return max(0, self.head - self.final, self.standing - self.final)

    def __post_init__(self) -> None:
        """Assert the laws of a level: claims without gaps, and nothing final that does not stand."""
        ends = [self.folded, *(claim.end for claim in self.claims)]
        assert all(claim.begin == end <= claim.end for claim, end in zip(self.claims, ends, strict=False)), "no gaps"
        assert self.folded <= self.final <= self.standing, "a final level stands"
        assert 0 <= self.lost <= self.missing, "only missing units can be lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Readings of one level at one time: at the head, at the depth that counts, and at the final block.

    `is_gone` is True if all sources say that the record's block has left the chain. `is_spent` is True if the address
    has sent something, or has code, at the depth that counts. `pool` is the sum that waits in no block. `is_sum` is
    True if the level counts all that ever came, so that no sweep lowers the level: on Bitcoin.
    """

    at: Millis
    head: Reading
    deep: Reading
    final: Reading
    is_gone: bool = False
    is_spent: bool = False
    pool: int = 0
    is_sum: bool = False

    @property
    def is_sent_away(self) -> bool:
        """Return True if coins left the address, and the level no longer counts these coins."""
        return self.is_spent and not self.is_sum


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvancedLevel:
    """Record after a look.

    `is_swept` is True if coins have left the address, so that later coins may be the operator's own. `is_below_final`
    is True if the chain went back behind a block that it had called final.
    """

    record: LevelRecord
    is_swept: bool = False
    is_below_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimState:
    """State of a claim in atomic units, which add up to the claim: credited, set aside while missing, and lost."""

    credited: int
    open: int
    lost: int


def advance(record: LevelRecord, look: Look, *, is_swept: bool = False) -> AdvancedLevel:
    """Return the record after a look. The claims stay as they are.

    A lower level alone takes nothing: the coins were sent away, or the source is wrong. Only if the block of the level
    is gone in two looks, the level falls to the level of the present chain, and never below the final level.
    """
    seen, is_swept = _with_head(record, look), is_swept and not look.is_sum
    if record.mark is not None and look.is_gone:
        return _after_reorg(seen, look, is_swept=is_swept or look.is_sent_away)
    seen = replace(seen, gone=None)
    is_behind = record.mark is not None and look.deep.height <= record.mark.height
    level = look.deep.level + record.out
    if is_behind or level == record.standing:
        return AdvancedLevel(record=_finalised(seen, look, is_swept=is_swept))
    if level > record.standing:
        is_reused = look.is_spent and record.mark is not None
        risen = _finalised(_standing(seen, level, look.deep), look, is_swept=is_swept)
        return AdvancedLevel(record=risen, is_swept=is_reused)
    is_left = look.is_sent_away or (not look.is_sum and look.final.level + record.out < record.final)
    left = replace(seen, out=record.out + record.standing - level, mark=look.deep.mark) if is_left else seen
    return AdvancedLevel(record=_finalised(left, look, is_swept=is_swept or is_left), is_swept=is_left)


def with_claims(record: LevelRecord, *claims: PaymentClaim) -> LevelRecord:
    """Return the record with more claims, each of which begins at the end of the one before."""
    return replace(record, claims=(*record.claims, *claims))


def with_folded(record: LevelRecord, unsettled: Collection[str]) -> LevelRecord:
    """Return the record with at most `CLAIMS_MAX` claims, if the oldest are final, settled and not under review.

    So the document of an address stays small however often coins come.
    """
    count = 0
    for claim in record.claims[: max(0, len(record.claims) - CLAIMS_MAX)]:
        if claim.end > record.final or claim.review or claim.payment in unsettled:
            break
        count += 1
    if not count:
        return record
    return replace(
        record,
        claims=record.claims[count:],
        folded=record.claims[count - 1].end,
        folded_claims=record.folded_claims + count,
    )


def states(record: LevelRecord) -> Iterator[tuple[PaymentClaim, ClaimState]]:
    """Yield each claim with its state. The missing units are those of the last claims."""
    kept = record.end - record.lost
    for claim in record.claims:
        credited = _overlap(claim, 0, min(record.standing, kept))
        lost = _overlap(claim, kept, record.end)
        yield claim, ClaimState(credited=credited, open=claim.size - credited - lost, lost=lost)


def share_up(price: Fiat, part: int, whole: int) -> int:
    """Return the minor units of a price that `part` of `whole` units are worth, rounded up."""
    return 0 if not whole else -(-price.minor * part // whole)


def _overlap(claim: PaymentClaim, low: int, high: int) -> int:
    return max(0, min(claim.end, high) - max(claim.begin, low))


def _with_head(record: LevelRecord, look: Look) -> LevelRecord:
    """Return the record with the level at the head, and the height since which that level was seen."""
    level = look.head.level + record.out
    since = record.head_since if level == record.head and record.head_since else look.head.height
    return replace(record, head=level, head_since=since if level else 0, pool=look.pool)


def _standing(record: LevelRecord, level: int, reading: Reading) -> LevelRecord:
    """Return the record at another level, first read in this block; lost units that came after all are not lost."""
    moved = replace(record, standing=level, lost=0)
    return replace(moved, mark=reading.mark, gone=None, lost=min(record.lost, moved.missing))


def _after_reorg(record: LevelRecord, look: Look, *, is_swept: bool) -> AdvancedLevel:
    """Return the record after a look that found the record's block gone.

    If coins were sent away, the present level tells nothing: only an operator can judge.
    """
    level = look.deep.level + record.out
    if level > record.standing and not look.is_spent:  # What sent the coins away has left the chain, too.
        back = min(record.out, level - record.standing)
        record, level = replace(record, out=record.out - back), level - back
    if level >= record.standing:
        return AdvancedLevel(record=_finalised(_standing(record, level, look.deep), look, is_swept=is_swept))
    if is_swept:
        return AdvancedLevel(record=record, is_swept=True)
    gone = _looked_again(record.gone, look)
    if gone.looks < GONE_LOOKS:
        return AdvancedLevel(record=replace(record, gone=gone))
    fallen = _standing(record, max(level, record.final), look.deep)
    return AdvancedLevel(record=_finalised(fallen, look, is_swept=False), is_below_final=level < record.final)


def _looked_again(gone: GoneBlock | None, look: Look) -> GoneBlock:
    if gone is None:
        return GoneBlock(head=look.head.hash, at=look.at)
    is_another = look.head.hash != gone.head or look.at >= gone.at + GONE_PAUSE
    return replace(gone, looks=gone.looks + 1) if is_another else gone


def _finalised(record: LevelRecord, look: Look, *, is_swept: bool) -> LevelRecord:
    """Return the record after the final block has moved. Missing units that finality has passed without are lost."""
    if record.mark is None:
        return record
    is_passed = record.mark.height <= look.final.height
    known = 0 if is_swept else min(look.final.level + record.out, record.standing)
    final = record.standing if is_passed else max(record.final, known)
    return replace(record, final=final, lost=record.missing if is_passed else record.lost)
