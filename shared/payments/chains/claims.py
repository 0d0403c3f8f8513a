"""Claims on a level: when an ordered payment gets the package or a share, and which coins become a deposit. Pure."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from shared.kernel.clock import HOUR, Millis
from shared.kernel.ids import derived_id
from shared.kernel.money import MICRO_PER_CREDIT
from shared.payments.chains.amounts import CENTS_PER_DOLLAR, DOLLARS, rate_text, usd_of, value_cents
from shared.payments.chains.levels import LevelRecord, PaymentClaim, with_claims
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.fiat import MINOR_MAX, Fiat

WHOLE_PERMILLE = 995
"""Least part of the due amount, in thousandths, for which the whole package is granted."""
LATE_WORSE = Fraction(98, 100)
"""Least present rate, as a part of the locked rate, at which coins that come within grace keep the locked rate."""
RATE_DIGITS = 18
HONOURED: Millis = 6 * HOUR
"""Time within which coins that arrived in time must count, or their value is the value at the time of counting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinOrder:
    """Ordered payment of an address: the amount `due` at `rate` USD per coin for `price`.

    `is_taken` is True once the user takes the part that came, before grace ends. `credits` and `bonus` are µcr.
    """

    payment: str
    network: NetworkName
    asset: AssetName
    decimals: int
    due: int
    rate: Fraction
    price: Fiat
    locked_until: Millis
    expires_at: Millis
    is_taken: bool = False
    quoted_at: Millis = 0
    package: str = ""
    credits: int = 0
    bonus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFacts:
    """Facts of the moment at which claims are decided.

    `head_time` is the time of the chain's head. `rate` is the present USD per coin, None if nobody can tell.
    `sources` are the names of the sources of `rate`. `minimum_cents` is the least value of a deposit.
    """

    network: NetworkName
    asset: AssetName
    address: str
    decimals: int
    rate: Fraction | None
    minimum_cents: int
    now: Millis
    head_time: Millis
    credits_per_usd: int
    review: str = ""
    sources: tuple[str, ...] = ()


def decided(record: LevelRecord, order: CoinOrder | None, facts: LevelFacts) -> LevelRecord:
    """Return the record with the claims that are certain now.

    `order` is the payment that was ordered in this asset and network, None if there is none. While units are missing,
    nothing new is claimed.
    """
    if record.missing:
        return record
    known = record
    if order is not None and not record.is_claimed:
        ordered = _ordered(record, order, facts)
        if ordered is None:
            return record
        known = with_claims(record, ordered)
    deposit = _deposit(known, facts)
    return known if deposit is None else with_claims(known, deposit)


def arrived(record: LevelRecord) -> int:
    """Return the units that came before grace ended, deep enough or not."""
    return min(max(record.head, record.standing), record.graced)


def deposit_id(network: NetworkName, asset: AssetName, address: str, begin: int) -> str:
    """Return the id of the payment for the units from `begin`: always the same one."""
    return derived_id("pay", "deposit", network, asset, address, str(begin))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worth:
    """Units in time for an order, as equivalent units at the agreed rate, at one factor for each of two parts."""

    early: int
    late: int
    early_factor: Fraction
    late_factor: Fraction

    @property
    def equivalent(self) -> Fraction:
        return self.early * self.early_factor + self.late * self.late_factor

    def units_for(self, due: int) -> int:
        """Return the least units that are worth `due`; at most all."""
        early = self.early * self.early_factor
        if early >= due:
            return min(self.early, ceil(due / self.early_factor))
        return self.early + min(self.late, ceil((due - early) / self.late_factor))


def _ordered(record: LevelRecord, order: CoinOrder, facts: LevelFacts) -> PaymentClaim | None:
    """Return the claim of an ordered payment; None while more can come, or a rate is not known."""
    has_ended = min(facts.now, facts.head_time) > order.expires_at and record.has_grace_passed
    is_over = order.is_taken or has_ended
    if is_over and not order.is_taken and not arrived(record) and not record.pool:
        return _claim_of(order, 0, 0, facts)
    worth = _worth(record, order, facts)
    if worth is None:
        return None
    if worth.equivalent * 1000 >= order.due * WHOLE_PERMILLE:
        return _claim_of(order, worth.units_for(order.due), order.price.minor, facts)
    is_in_flight = arrived(record) > record.standing or (record.pool > 0 and record.graced > record.standing)
    if not is_over or (is_in_flight and facts.now <= order.expires_at + HONOURED):
        return None
    return _share(worth, order, facts)


def _share(worth: _Worth, order: CoinOrder, facts: LevelFacts) -> PaymentClaim | None:
    """Return the claim for the part that came; an empty claim if the part is worth less than the minimum."""
    usd = usd_of(1, order.decimals, order.rate) * worth.equivalent
    cents = min(int(usd * 100 // 1), order.price.minor)
    if cents >= max(1, facts.minimum_cents):
        return _claim_of(order, worth.early + worth.late, cents, facts)
    is_over = facts.now > order.expires_at
    return _claim_of(order, 0, 0, facts) if is_over else None


def _worth(record: LevelRecord, order: CoinOrder, facts: LevelFacts) -> _Worth | None:
    """Return the worth of the units that count and came in time; None if that depends on an unknown rate or time.

    Units that came before the lock ended keep the locked rate, if they count within `HONOURED` of their arrival. Units
    within grace keep the rate unless the present one is worse by more than `LATE_WORSE`.
    """
    one = Fraction(1)
    early = min(record.standing, record.locked)
    is_honoured = facts.now <= record.locked_at + HONOURED
    if is_honoured and early * 1000 >= order.due * WHOLE_PERMILLE:
        late = min(record.standing, max(record.graced, record.locked)) - early
        return _Worth(early=early, late=late, early_factor=one, late_factor=one)
    if facts.now > order.locked_until and not record.has_lock_passed:
        return None
    late = min(record.standing, max(record.graced, record.locked)) - early
    if (late or not is_honoured) and record.standing and facts.rate is None:
        return None
    present = one if facts.rate is None else facts.rate / order.rate
    is_late_honoured = facts.now <= record.graced_at + HONOURED and present >= LATE_WORSE
    return _Worth(
        early=early,
        late=late,
        early_factor=one if is_honoured else present,
        late_factor=one if is_late_honoured else present,
    )


def _claim_of(order: CoinOrder, end: int, cents: int, facts: LevelFacts) -> PaymentClaim:
    price = Fiat(cents, order.price.currency)
    return PaymentClaim(
        payment=order.payment,
        begin=0,
        end=end,
        price=price,
        rate=exact_text(order.rate),
        at=facts.now,
        is_part=price != order.price,
        review=facts.review if end else "",
    )


def _deposit(record: LevelRecord, facts: LevelFacts) -> PaymentClaim | None:
    """Return a claim for units that no payment has; None if they are worth less than the minimum, or a rate lacks."""
    if not record.rest or facts.rate is None:
        return None
    cents = min(value_cents(record.rest, facts.decimals, facts.rate), MINOR_MAX)
    if cents < max(1, facts.minimum_cents):
        return None
    return PaymentClaim(
        payment=deposit_id(facts.network, facts.asset, facts.address, record.end),
        begin=record.end,
        end=record.standing,
        price=Fiat(cents, DOLLARS),
        rate=exact_text(facts.rate),
        at=facts.now,
        review=facts.review,
        credits=cents * facts.credits_per_usd * MICRO_PER_CREDIT // CENTS_PER_DOLLAR,
        sources=facts.sources,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSighting:
    """Level in blocks up to `time`, and the sum in the pool, both seen at the time `at`."""

    level: int
    at: Millis
    time: Millis
    pool: int = 0


def with_arrival(record: LevelRecord, order: CoinOrder, seen: LevelSighting) -> LevelRecord:
    """Return the record with a level that was seen.

    Coins arrive within lock or grace if they were seen before the end, or their block is from before the end. The
    chain's own time passes the ends.
    """
    locked = _until(order.locked_until, (record.locked, record.locked_at), seen)
    graced = _until(order.expires_at, (record.graced, record.graced_at), seen)
    return replace(
        record,
        locked=locked[0],
        locked_at=locked[1],
        graced=graced[0],
        graced_at=graced[1],
        has_lock_passed=record.has_lock_passed or min(seen.at, seen.time) > order.locked_until,
        has_grace_passed=record.has_grace_passed or min(seen.at, seen.time) > order.expires_at,
    )


def _until(end: Millis, known: tuple[int, Millis], seen: LevelSighting) -> tuple[int, Millis]:
    """Return the level that arrived until `end`, and the time of its last rise.

    Before the end, the last look counts: a transaction that was replaced has not arrived.
    """
    if seen.at > end and seen.time > end:
        return known
    level = seen.level + (seen.pool if seen.at <= end else 0)
    if level > known[0]:
        return level, min(seen.at, seen.time)
    return (level if seen.at <= end else known[0]), known[1]


def exact_text(rate: Fraction) -> str:
    """Return the rate as a decimal, cut after `RATE_DIGITS` digits."""
    return rate_text(Fraction(int(rate * 10**RATE_DIGITS), 10**RATE_DIGITS))
