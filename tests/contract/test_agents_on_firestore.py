"""Agent tasks on Firestore: a worker dies at each commit, a budget is for less than is asked, two share a balance."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import SECOND
from shared.platform.firestore.documents import connect
from shared.sagas.agents.task_record import LEASE_SECONDS
from tests.support.agents import ANN, SAID, TOLD, AgentWorld, as_if_undisturbed, asking, crashed, undisturbed
from tests.support.faults import FaultyDocuments

POINTS = [(number, when) for number in range(1, undisturbed().commits + 1) for when in ("before", "after")]


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_task_whose_worker_died_is_finished_by_two_at_once(firestore_emulator, project, number, when):
    world = AgentWorld(documents=connect(project))
    world.user()
    task = world.begin()
    dying = world.on(FaultyDocuments(world.documents, at=number, when=when))
    assert crashed(lambda: dying.agents.slice.run(task.id))

    world.clock.advance(LEASE_SECONDS * SECOND)
    workers = [world.on(connect(project)).agents.slice for _ in range(2)]
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda worker: worker.run(task.id), workers))
    world.run(task)

    as_if_undisturbed(world, task)


def test_fifty_tool_calls_at_once_under_a_budget_for_ten_are_ten(firestore_emulator, project):
    world = asking(50, documents=connect(project))
    world.user()
    task = world.run(world.begin(budget=SAID + 10 * TOLD + TOLD - 1))

    assert (task.status, task.reason, len(task.pending)) == ("paused", "budget_exceeded", 40)
    assert len(world.chat_model.requests) == 10
    assert (task.spent, world.charges()) == (SAID + 10 * TOLD, sorted([SAID, *[TOLD] * 10]))


def test_two_tasks_in_two_instances_never_overspend_their_balance(firestore_emulator, project):
    world = asking(20, documents=connect(project))
    balance = 2 * SAID + 25 * TOLD
    world.user(balance)
    tasks = [world.begin() for _ in range(2)]
    instances = [world.on(connect(project)) for _ in tasks]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda task, instance: instance.agents.slice.run(task.id), tasks, instances))
    ended = [world.run(task) for task in tasks]

    assert {task.reason for task in ended} == {"insufficient_credits"}
    assert sum(task.spent for task in ended) == world.spent(of=balance) <= balance
    assert (world.services.credits.ledger.balance(ANN).held, world.services.credits.ledger.verify(ANN)) == (0, [])
