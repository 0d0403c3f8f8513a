"""Tiers: coins wait as deep as the value of all the user's unfinal coins asks, however the value is split."""

from fractions import Fraction

import pytest

from shared.payments.chains.presets import PRESETS
from shared.payments.chains.tiers import tier_for


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


def test_coins_of_unknown_price_wait_for_the_strictest_tier():
    assert tier_for(PRESETS["base"], None).depth == "finalized"


@pytest.mark.parametrize("network", PRESETS.values(), ids=PRESETS)
def test_preset_tiers_rise_in_value_and_end_with_any_value(network):
    *limits, last = [tier.usd_max for tier in network.tiers]

    assert last is None
    assert limits == sorted({limit for limit in limits if limit is not None})


@pytest.mark.parametrize("network", PRESETS.values(), ids=PRESETS)
def test_no_preset_counts_a_transaction_outside_a_block(network):
    assert all(tier.depth in {"safe", "finalized"} or tier.depth >= 1 for tier in network.tiers)
