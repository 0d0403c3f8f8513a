"""A slice reads the chapters that slices before it wrote, and its model sees the same steps as without them."""

import pytest

from shared.ai.agents.chapters import CHAPTER_BYTES_MAX, STEPS_MIN, TaskHistory, chapters_path, next_chapter, steps_in
from shared.ai.agents.task import Task, TaskStep, step_id
from shared.ai.agents.thinking import Thought
from shared.kernel.documents import Document, Put, Query, Write
from tests.support.agents import ANN, AgentWorld, thinks
from tests.support.faults import FaultyDocuments

THOUGHTS = 40


def counting() -> list[Thought]:
    """A job of many thoughts, each of which uses a tool."""
    return [
        *(thinks(f"Thought {n}.", ("calculator", {"expression": f"{n}+1"})) for n in range(THOUGHTS)),
        thinks("Done."),
    ]


class WithoutChapters(FaultyDocuments):
    """A store in which chapters are never found, as after slices of an earlier release."""

    def query(self, query: Query) -> list[Document]:
        return [] if query.collection.endswith("/chapters") else super().query(query)


def told(world: AgentWorld, documents: object) -> list[object]:
    """Run a long task, each slice on another instance. Return all that its model was sent."""
    task = world.begin(world.user(), max_steps=THOUGHTS + 1)
    while world.task(task).due_at is not None:
        world.on(documents).agents.slice.run(task.id)
    assert world.task(task).status == "completed"
    return [request.messages for request in world.thinker.requests]


def chapters(world: AgentWorld, task_id: str) -> list[Document]:
    return world.documents.query(Query(collection=chapters_path(task_id), limit=100))


def steps(count: int, text: str = '"é\n') -> tuple[TaskStep, ...]:
    """So many steps with each kind of value that a body may hold."""
    body = {"text": text, "calls": [{"id": "1", "arguments": "{}"}], "cost": 2**52, "failure": None, "estimated": True}
    return tuple(TaskStep(number=number, kind="observe", at=number, body=body) for number in range(1, count + 1))


def read(write: Write) -> tuple[str, list[TaskStep]]:
    assert isinstance(write, Put)
    return write.path.rpartition("/")[2], steps_in(Document(path=write.path, data=write.data, version=None))


@pytest.fixture
def task() -> Task:
    world = AgentWorld()
    return world.begin(world.user())


def test_a_model_sees_the_same_steps_with_and_without_chapters():
    with_, without = AgentWorld(job=counting()), AgentWorld(job=counting())

    assert told(with_, with_.documents) == told(without, WithoutChapters(without.documents))


def test_every_step_but_the_last_few_stands_in_chapters_once():
    world = AgentWorld(job=counting())
    told(world, world.documents)
    (task,) = world.services.agents.tasks.page(ANN, cursor=None, limit=2).items

    written = [step for chapter in chapters(world, task.id) for step in steps_in(chapter)]

    assert written == world.steps(task)[: len(written)]
    assert len(written) > task.steps - 3 * STEPS_MIN


def test_erasure_takes_the_chapters_of_a_task():
    world = AgentWorld(job=counting())
    told(world, world.documents)
    (task,) = world.services.agents.tasks.page(ANN, cursor=None, limit=2).items
    assert chapters(world, task.id)

    world.services.agents.tasks.erase(ANN)

    assert chapters(world, task.id) == []


def test_a_chapter_holds_steps_as_they_were(task: Task):
    (write,) = next_chapter(task, TaskHistory(()), steps(STEPS_MIN))

    assert read(write) == (step_id(1), list(steps(STEPS_MIN)))


def test_the_last_chapter_grows_while_it_has_room(task: Task):
    all_ = steps(3 * STEPS_MIN)
    history = TaskHistory(all_[: 2 * STEPS_MIN], written=2 * STEPS_MIN, last_begins=STEPS_MIN)

    (write,) = next_chapter(task, history, all_)

    assert read(write) == (step_id(STEPS_MIN + 1), list(all_[STEPS_MIN:]))


def test_a_new_chapter_begins_when_the_last_is_full(task: Task):
    all_ = steps(2 * STEPS_MIN, "x" * (CHAPTER_BYTES_MAX // (STEPS_MIN + 1)))

    (write,) = next_chapter(task, TaskHistory(all_[:STEPS_MIN], written=STEPS_MIN), all_)

    assert read(write) == (step_id(STEPS_MIN + 1), list(all_[STEPS_MIN:]))


def test_steps_too_large_for_a_document_are_left_alone(task: Task):
    assert next_chapter(task, TaskHistory(()), steps(STEPS_MIN, "x" * CHAPTER_BYTES_MAX)) == ()


def test_few_new_steps_write_no_chapter(task: Task):
    assert next_chapter(task, TaskHistory(()), steps(STEPS_MIN - 1)) == ()
