"""Play a few short histories in this process, for a quick answer after a change of the ledger."""

import pytest

from shared.ledger.commands import Close, Freeze, Unfreeze
from shared.ledger.decide import HANDLERS
from shared.ledger.lanes import CommandAnswer
from tests.simulation.reserves import Reserves
from tests.simulation.simulator import Simulation


@pytest.mark.parametrize("seed", range(16))
def test_every_law_holds_and_every_caller_was_told_the_truth(seed):
    Simulation(seed, 60).run()


@pytest.mark.parametrize("seed", range(8))
def test_exactly_as_many_reserves_succeed_as_are_paid_for(seed):
    Reserves(seed).run()


def test_histories_are_of_all_that_can_be_asked_but_what_stops_an_account():
    done: set[type] = set()
    for seed in range(8):
        simulation = Simulation(seed, 200)
        simulation.run()
        done |= {type(told.command) for told in simulation.told if isinstance(told.answer, CommandAnswer)}

    assert done == HANDLERS.keys() - {Freeze, Unfreeze, Close}
