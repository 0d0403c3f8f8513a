"""Tiers: depth at which coins count, by the value of all coins of a user that are not final yet. Pure."""

from fractions import Fraction

from shared.payments.chains.networks import Network, Tier


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
