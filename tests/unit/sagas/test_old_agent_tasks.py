"""Agent tasks stored when workers and owners shared one document: read as they are, moved by their next worker."""

import pytest

from shared.ai.agents.documents import job_path, task_path
from shared.ai.agents.task import FileNotInTask, Task, TaskNotFound, step_id
from shared.kernel.clock import MINUTE, SECOND, to_datetime
from shared.kernel.documents import Data, Delete, Put, Query
from shared.kernel.ids import OperationId, Uid
from shared.sagas.agents.task_record import LEASE_SECONDS
from shared.sagas.agents.tasks import ResumeRequest
from tests.support.agents import ANN, AgentWorld, as_if_undisturbed, assert_shown, crashed
from tests.support.faults import FaultyDocuments

NOTES = (("notes.txt", "private"),)


def make_old(world: AgentWorld, task: Task) -> Task:
    """Store the task with all its documents in the old form."""
    inner = world.documents.inner
    job, shown = job_path(task.id), task_path(task.id)
    store_steps_alone(world, task, shown)
    for part in inner.query(Query(collection=f"{job}/files", limit=1_000)):
        inner.commit([Put(f"{shown}/files/{part.id}", part.data), Delete(part.path)])
    inner.commit([Put(shown, inner.get(job).data), Delete(job)])
    return world.task(task)


def store_steps_alone(world: AgentWorld, task: Task, parent: str) -> None:
    """Store each step of the task in a document of its own below `parent`, as earlier releases did."""
    inner, job = world.documents.inner, job_path(task.id)
    steps = world.steps(task)
    for pack in inner.query(Query(collection=f"{job}/steps", limit=1_000)):
        inner.commit([Delete(pack.path)])
    for step in steps:
        data: Data = {
            "uid": task.uid,
            "number": step.number,
            "kind": step.kind,
            "at": to_datetime(step.at),
            "body": dict(step.body),
        }
        inner.commit([Put(f"{parent}/steps/{step_id(step.number)}", data)])
    stored = inner.get(job).data
    inner.commit([Put(job, {name: value for name, value in stored.items() if name not in ("tail", "packs")})])


def paths(world: AgentWorld) -> list[str]:
    return [path for path in world.documents.inner._documents if path.startswith(("agent_tasks", "agent_jobs"))]


@pytest.fixture
def world() -> AgentWorld:
    world = AgentWorld()
    world.user()
    return world


@pytest.fixture
def halfway(world) -> Task:
    """An old task whose worker died at some commit of its work."""
    task = world.begin(files=NOTES)
    assert crashed(lambda: world.on(FaultyDocuments(world.documents, at=18)).agents.slice.run(task.id))
    world.clock.advance(LEASE_SECONDS * SECOND)
    return make_old(world, world.task(task))


def test_an_old_task_is_moved_and_finished_by_its_worker(world, halfway):
    assert halfway.is_old
    assert halfway.steps > 0

    world.run(halfway)

    as_if_undisturbed(world, halfway)
    assert not world.task(halfway).is_old
    assert [path for path in paths(world) if path.startswith("agent_tasks") and "/files/" in path] == []


def test_an_old_task_is_read_without_being_moved(world, halfway):
    before = paths(world)

    steps = world.steps(halfway)

    assert [step.number for step in steps] == list(range(1, halfway.steps + 1))
    assert world.services.agents.tasks.file(ANN, halfway.id, "notes.txt").content == "private"
    with pytest.raises(FileNotInTask):
        world.services.agents.tasks.file(ANN, halfway.id, "other.txt")
    with pytest.raises(TaskNotFound):
        world.services.agents.tasks.get(Uid("bob"), halfway.id)
    assert paths(world) == before


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_move_that_dies_is_finished_by_the_next(world, halfway, at, when):
    dying = world.on(FaultyDocuments(world.documents, at=at, when=when))
    assert crashed(lambda: dying.agents.slice.run(halfway.id))

    assert [step.number for step in world.steps(halfway)] == list(range(1, halfway.steps + 1))
    world.clock.advance(LEASE_SECONDS * SECOND)
    world.run(halfway)
    as_if_undisturbed(world, halfway)


def test_an_old_task_that_rests_is_moved_by_its_resume(world):
    task = make_old(world, world.run(world.begin(max_steps=1)))
    asked = ResumeRequest(uid=ANN, task_id=task.id, operation=OperationId("op_resume"), max_steps=9)

    resumed = world.services.agents.tasks.resume(asked)

    assert (resumed.status, resumed.is_old) == ("queued", False)
    assert_shown(world, resumed)
    assert world.run(resumed).status == "completed"


def test_an_old_task_that_rests_is_moved_by_its_cancel(world):
    task = make_old(world, world.run(world.begin(max_steps=1)))

    cancelled = world.services.agents.tasks.cancel(ANN, task.id)

    assert (cancelled.status, cancelled.is_old) == ("cancelled", False)
    assert_shown(world, cancelled)


def test_an_old_task_without_a_message_is_found_by_the_sweep(world):
    task = make_old(world, world.begin())
    world.clock.advance(MINUTE)

    assert [found.id for found in world.services.agents.tasks.due(10, is_old=True)] == [task.id]


def test_tasks_of_both_forms_are_listed_newest_first(world):
    begun: list[str] = []
    for number in range(5):
        world.clock.advance(SECOND)
        task = world.begin(goal=f"goal {number}")
        begun.insert(0, make_old(world, task).id if number % 2 else task.id)

    first = world.services.agents.tasks.page(ANN, cursor=None, limit=3)
    rest = world.services.agents.tasks.page(ANN, cursor=first.next_cursor, limit=3)

    assert [task.id for task in (*first.items, *rest.items)] == begun
    assert rest.next_cursor is None


def test_live_tasks_of_both_forms_are_counted_once(world):
    old, new = make_old(world, world.begin()), world.begin()
    store = world.services.agents.tasks._tasks

    assert store.live(ANN, 10) == 2
    assert sorted(store.live_of(ANN, 10)) == sorted([old.id, new.id])


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_who_leaves_leaves_nothing_of_an_old_task(world, halfway, at):
    if at:
        crashed(lambda: world.on(FaultyDocuments(world.documents, at=at, when="after")).agents.slice.run(halfway.id))

    world.services.agents.tasks.erase(ANN)

    assert paths(world) == []


class Leaving(FaultyDocuments):
    """The user leaves before a commit of the worker."""

    def __init__(self, world: AgentWorld, at: int) -> None:
        super().__init__(world.documents)
        self.world, self.left = world, at

    def commit(self, writes, **more):
        self.left -= 1
        if self.left == 0:
            self.world.services.agents.tasks.erase(ANN)
        return super().commit(writes, **more)


@pytest.mark.parametrize("at", range(1, 8))
def test_a_user_who_leaves_during_a_move_leaves_nothing_behind(world, halfway, at):
    world.on(Leaving(world, at)).agents.slice.run(halfway.id)

    assert paths(world) == []


def test_task_with_a_document_for_each_step_is_finished_by_its_worker(world):
    task = world.begin(files=NOTES)
    assert crashed(lambda: world.on(FaultyDocuments(world.documents, at=18)).agents.slice.run(task.id))
    store_steps_alone(world, task, job_path(task.id))
    world.clock.advance(LEASE_SECONDS * SECOND)

    world.run(task)

    as_if_undisturbed(world, task)
