"""Tiers: depth at which coins count, by the value of all coins of a user that are not final yet. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from shared.payments.chains.amounts import usd_of
from shared.payments.chains.networks import Network, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinalCoins:
    """Coins of a user that have arrived and are not final. `rate` is in USD; None if nobody can tell the price."""

    amount: int
    decimals: int
    rate: Fraction | None


def unfinal_usd(coins: Iterable[UnfinalCoins]) -> Fraction | None:
    """Return the value in USD of all coins together; None if some of the coins have no rate."""
    total = Fraction(0)
    for each in coins:
        if each.rate is None and each.amount:
            return None
        total += usd_of(each.amount, each.decimals, each.rate or Fraction(0))
    return total


def tier_for(network: Network, usd: Fraction | None) -> Tier:
    """Return the tier of coins on a network if the user's unfinal coins on all networks are worth `usd`.

    The strictest tier applies if the value is unknown (None). Since the value is the sum of all transfers and payments
    of the user, one purchase in many parts waits as long as in one part.
    """
    tiers = network.tiers
    strictest = tiers[-1]
    if usd is None:
        return strictest
    return next((tier for tier in tiers if tier.usd_max is None or usd <= tier.usd_max), strictest)


def usual_wait_seconds(network: Network, tier: Tier) -> int:
    """Return the usual time from a transaction's first block until the transaction counts at this tier."""
    if tier.depth == "safe":
        return network.safe_seconds
    if tier.depth == "finalized":
        return network.finalized_seconds
    return round(tier.depth * network.block_seconds)


def require_sound(tiers: tuple[Tier, ...]) -> None:
    """Raise ValueError unless tiers rise to one without a limit, and none counts a transaction outside a block."""
    limits = [tier.usd_max for tier in tiers]
    known = [limit for limit in limits[:-1] if limit is not None]
    if not limits or limits[-1] is not None or len(known) != len(limits) - 1 or sorted(set(known)) != known:
        raise ValueError("must rise in value, and end with the tier for any value")
    if any(isinstance(tier.depth, int) and tier.depth < 1 for tier in tiers):
        raise ValueError("must wait for 1 block or more: a transaction in no block never counts")
