"""A few short histories in this process, for whoever changes the ledger and wants to know at once."""

import pytest

from tests.simulation.reserves import Reserves
from tests.simulation.simulator import Simulation


@pytest.mark.parametrize("seed", range(16))
def test_every_law_holds_and_every_caller_was_told_the_truth(seed):
    Simulation(seed, 60).run()


@pytest.mark.parametrize("seed", range(8))
def test_exactly_as_many_reserves_succeed_as_are_paid_for(seed):
    Reserves(seed).run()
