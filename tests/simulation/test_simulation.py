"""Whatever the weather and whoever meets whom: laws hold, and every caller was told the truth."""

import pytest

from tests.simulation.simulator import Simulation

SEEDS, STEPS = 20, 50


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_law_holds_and_every_caller_was_told_the_truth(seed):
    Simulation(seed, STEPS).run()


def test_the_same_seed_plays_the_same_history():
    first, second = Simulation(7, 30), Simulation(7, 30)
    first.run()
    second.run()

    assert [(told.instance, repr(told.answer)) for told in first.told] == [
        (told.instance, repr(told.answer)) for told in second.told
    ]
