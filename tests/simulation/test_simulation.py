"""Check that all laws hold and every caller hears the truth, in any weather and at any meeting of instances.

Method: random histories, each decided by its seed. `make simulate` plays any number of seeds.
"""

import os
import subprocess
import sys

import pytest

from emulator.tools import ROOT
from tests.simulation.simulator import Simulation
from tests.simulation.twins import difference

SEEDS, COMMANDS = 40, 400
RESERVES = 150
TWINS, TWIN_COMMANDS = range(4), 100
SECONDS_MAX = 1_200


def played(*arguments: object) -> str:
    """What a play said, which must have ended well."""
    command = [sys.executable, "-m", "tests.simulation", *map(str, arguments)]
    play = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    assert play.returncode == 0, play.stdout + play.stderr
    return play.stdout


@pytest.mark.slow
def test_after_every_step_every_law_holds_and_every_caller_was_told_the_truth():
    told = played("histories", 0, SEEDS, COMMANDS)

    assert f"histories: {SEEDS} seeds from 0, 0 failed" in told
    assert {"CommandAnswer", "InsufficientCredits", "OutcomeUnknown", "Contended"} <= set(told.split())


@pytest.mark.slow
def test_of_64_reserves_at_once_exactly_as_many_succeed_as_are_paid_for():
    told = played("reserves", 0, RESERVES)

    assert f"reserves: {RESERVES} seeds from 0, 0 failed" in told


def test_the_same_seed_plays_the_same_history_in_every_process():
    code = "from tests.simulation.simulator import *; s = Simulation(7, 60); s.run(); print(s.history(), s.stored())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for hash_seed in ("1", "2")
    ]

    assert runs[0].stdout == runs[1].stdout != ""


@pytest.mark.parametrize("seed", TWINS)
def test_on_firestore_it_comes_out_as_in_memory(seed, firestore_emulator, project):
    assert difference(seed, TWIN_COMMANDS, project=project) == ""


def test_a_history_that_breaks_a_law_is_found_and_its_seed_is_named():
    simulation = Simulation(3, 200)
    landed = simulation.laws.landed
    simulation.laws.landed = lambda writes: landed(writes[:-2] if len(simulation.told) > 100 else writes)  # type: ignore[method-assign]

    with pytest.raises((AssertionError, KeyError)) as failure:
        simulation.run()

    assert failure.value.__notes__ == ["seed 3, 200 commands"]
