"""An agent's worker dies at each of its commits, on Firestore; two others come at once, and the task ends the same."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import SECOND
from shared.platform.firestore.documents import connect
from shared.sagas.agent_desk import LEASE_SECONDS
from tests.support.agents import AgentWorld, as_if_undisturbed, crashed, undisturbed
from tests.support.faults import FaultyDocuments

POINTS = [(number, when) for number in range(1, undisturbed().commits + 1) for when in ("before", "after")]


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_task_whose_worker_died_is_finished_by_two_at_once(firestore_emulator, project, number, when):
    world = AgentWorld(documents=connect(project))
    world.user()
    task = world.begin()
    dying = world.on(FaultyDocuments(world.documents, at=number, when=when))
    assert crashed(lambda: dying.agent_slice.run(task.id))

    world.clock.advance(LEASE_SECONDS * SECOND)
    workers = [world.on(connect(project)).agent_slice for _ in range(2)]
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda worker: worker.run(task.id), workers))
    world.run(task)

    as_if_undisturbed(world, task)
