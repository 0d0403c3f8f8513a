"""Steps of agent tasks: the newest in the task's document, the others in packs, and each stored once."""

import pytest

from shared.ai.agents.documents import TAIL_BYTES_MAX, job_path
from shared.ai.agents.store import AgentTaskStore
from shared.kernel.clock import SECOND
from shared.kernel.documents import Query
from shared.sagas.agents.task_record import LEASE_SECONDS
from tests.support.agents import BY_OUTPUT, AgentWorld, assert_shown, crashed, thinks
from tests.support.faults import FaultyDocuments

THOUGHTS = 12
CALL = ("calculator", {"expression": "1+1"})
SAID = "x" * (TAIL_BYTES_MAX // 4)
JOB = (*(thinks(f"{number} {SAID}", CALL) for number in range(THOUGHTS)), thinks("done"))


@pytest.fixture
def world():
    made = AgentWorld(job=JOB, prices={"context_window": 1_000_000, **BY_OUTPUT})
    made.user()
    return made


@pytest.fixture
def task(world):
    return world.run(world.begin())


def stored(world, task):
    found = world.documents.query(Query(collection=f"{job_path(task.id)}/steps", limit=1_000))
    in_packs = [step["number"] for pack in found for step in pack.data["steps"]]
    return len(found), [*in_packs, *(step.number for step in world.task(task).tail)]


def test_each_step_is_stored_once_and_in_order(world, task):
    packs, numbers = stored(world, task)

    assert task.status == "completed"
    assert numbers == list(range(1, task.steps + 1))
    assert 2 <= packs <= THOUGHTS // 2
    assert_shown(world, task)


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_pages_of_steps_join_without_gap_at_any_place(world, task, limit):
    steps = world.services.agents.tasks.steps
    whole = world.steps(task)

    for after in range(task.steps + 1):
        assert steps(task.uid, task.id, after=after, limit=limit)[1] == whole[after : after + limit]


def test_worker_reads_the_newest_steps_back_to_the_last_thought(world, task):
    tasks = AgentTaskStore(world.documents)
    whole = world.steps(task)
    last = max(step.number for step in whole if step.kind == "think")

    least = tasks.newest_steps(task, bytes_most=0)
    some = tasks.newest_steps(task, bytes_most=TAIL_BYTES_MAX)

    assert least == whole[least[0].number - 1 :]
    assert least[0].number <= last
    assert len(least) < len(some) < len(whole)
    assert tasks.newest_steps(task, bytes_most=10**9) == whole


def test_model_is_sent_each_thought_of_earlier_slices(world):
    world.run(world.begin())

    sent = [message.content for message in world.thinker.requests[-1].messages if message.role == "assistant"]

    assert sent == [thought.text for thought in JOB[:-1]]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(3, 12, 2))
def test_task_with_packs_ends_the_same_after_a_crash(world, number, when):
    task = world.begin()
    dying = world.on(FaultyDocuments(world.documents, at=number, when=when))
    assert crashed(lambda: dying.agents.slice.run(task.id))
    world.clock.advance(LEASE_SECONDS * SECOND)

    done = world.run(task)

    assert (done.status, done.thoughts) == ("completed", THOUGHTS + 1)
    assert stored(world, done)[1] == list(range(1, done.steps + 1))
    assert [step.body["text"] for step in world.steps(done) if step.kind == "think"] == [each.text for each in JOB[:-1]]
    assert_shown(world, done)
