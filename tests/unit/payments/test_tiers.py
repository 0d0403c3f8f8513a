"""Tiers: coins wait as deep as the value of all the user's unfinal coins asks, however the value is split."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.payments.chains.networks import Tier
from shared.payments.chains.presets import PRESETS
from shared.payments.chains.tiers import UnfinalCoins, require_sound, tier_for, unfinal_usd

USDC = 6


def coins(amount: int, rate: Fraction | None = Fraction(1)) -> UnfinalCoins:
    return UnfinalCoins(amount=amount, decimals=USDC, rate=rate)


@pytest.mark.parametrize(
    ("network", "usd", "depth"),
    [
        ("base", "0", 10),
        ("base", "100", 10),
        ("base", "100.000001", "safe"),
        ("base", "1000", "safe"),
        ("base", "1000.01", "finalized"),
        ("polygon", "0.01", "finalized"),
        ("ethereum", "100", 6),
        ("ethereum", "100.01", "safe"),
        ("ethereum", "1000.01", "finalized"),
        ("bitcoin", "50", 1),
        ("bitcoin", "50.01", 3),
        ("bitcoin", "1000", 3),
        ("bitcoin", "1000.01", 6),
    ],
)
def test_a_value_waits_for_the_depth_of_its_tier(network, usd, depth):
    assert tier_for(PRESETS[network], Fraction(usd)).depth == depth


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50), st.sampled_from(sorted(PRESETS)))
def test_splitting_a_purchase_gains_no_earlier_tier(parts, name):
    network = PRESETS[name]

    whole = tier_for(network, unfinal_usd([coins(sum(parts))]))
    split = tier_for(network, unfinal_usd([coins(part) for part in parts]))

    assert split == whole


def test_coins_of_unknown_price_wait_for_the_strictest_tier():
    usd = unfinal_usd([coins(1), coins(1, rate=None)])

    assert tier_for(PRESETS["base"], usd).depth == "finalized"


@pytest.mark.parametrize("network", PRESETS.values(), ids=PRESETS)
def test_no_preset_counts_a_transaction_outside_a_block(network):
    require_sound(network.tiers)

    assert all(tier.depth in {"safe", "finalized"} or tier.depth >= 1 for tier in network.tiers)


@pytest.mark.parametrize(
    "tiers",
    [
        (),
        (Tier(usd_max=100, depth=1),),
        (Tier(usd_max=None, depth=0),),
        (Tier(usd_max=100, depth=0), Tier(usd_max=None, depth=6)),
        (Tier(usd_max=100, depth=1), Tier(usd_max=100, depth=3), Tier(usd_max=None, depth=6)),
        (Tier(usd_max=200, depth=1), Tier(usd_max=100, depth=3), Tier(usd_max=None, depth=6)),
        (Tier(usd_max=None, depth=1), Tier(usd_max=None, depth=6)),
    ],
)
def test_tiers_that_count_too_early_or_overlap_are_refused(tiers):
    with pytest.raises(ValueError, match="must"):
        require_sound(tiers)
