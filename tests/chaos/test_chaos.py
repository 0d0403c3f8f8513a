"""Kill processes at random and check that no entry is lost, doubled or negative.

Method: four processes work on one Firestore, one of them is killed every second, and a checker compares the callers'
histories with the store. `make chaos` is the long form.
"""

import os
import signal
from pathlib import Path

import pytest

from emulator.suite import Suite
from tests.chaos.plan import SLOTS
from tests.chaos.storm import Damage, Nursery, rage
from tests.chaos.worker import Storm
from tests.support.processes import descendants, running, wait_for

SEED = 1
OPERATIONS = 500


@pytest.fixture(scope="module")
def damage(firestore_emulator: Suite, tmp_path_factory: pytest.TempPathFactory) -> Damage:
    directory = tmp_path_factory.mktemp("storm")
    return rage(Storm(seed=SEED, operations=OPERATIONS, project="demo-storm", directory=str(directory)))


def test_nothing_that_anybody_was_told_is_untrue(damage):
    assert damage.anomalies == [], f"seed {SEED}"


def test_every_operation_is_answered_in_the_end(damage):
    assert damage.unanswered == 0


def test_it_was_a_storm(damage):
    told = damage.tally()

    assert damage.kills >= 2
    assert told["killed"] >= damage.kills
    assert told["(replays)"] > OPERATIONS / 20
    assert told["idempotency_mismatch"] > OPERATIONS / 100
    assert {call.ask.uid for call in damage.calls} == {book.uid for book in damage.books}


def test_nobody_saw_anything_but_typed_outcomes(damage):
    assert {call.verdict for call in damage.calls} <= {"ok", "refused", "failed", "info"}


def test_no_process_outlives_a_storm(firestore_emulator: Suite, tmp_path: Path):
    storm = Storm(seed=SEED, operations=5_000, project="demo-end", directory=str(tmp_path))
    with Nursery(storm) as nursery:
        alive = [nursery.tell("start", slot, slot + 1)["alive"] for slot in range(SLOTS)][-1]
        family = {nursery.pid} | descendants(nursery.pid)

    assert alive == list(range(SLOTS))
    assert len(family) == SLOTS + 1
    wait_for(lambda: not family & running().keys(), seconds=60, what="everybody ended")


def test_workers_end_without_their_nursery(firestore_emulator: Suite, tmp_path: Path):
    storm = Storm(seed=SEED, operations=5_000, project="demo-orphans", directory=str(tmp_path))
    with Nursery(storm) as nursery:
        for slot in range(SLOTS):
            nursery.tell("start", slot, slot + 1)
        family = descendants(nursery.pid)
        os.kill(nursery.pid, signal.SIGKILL)

    wait_for(lambda: not family & running().keys(), seconds=60, what="everybody ended")
