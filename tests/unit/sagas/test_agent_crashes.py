"""Check that an agent's task ends as if undisturbed if its worker dies, is doubled or is paused.

Method: the worker is stopped before and after every commit of a whole job, and at every call of a model or a tool. The
model answers by the length of the conversation, so that repeated work is the same. Only the number of calls may differ,
and the platform pays for these.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import pytest

from shared.ai.agents.web import WebPage
from shared.bootstrap import Services
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Documents, Version
from shared.kernel.ids import OperationId
from shared.kernel.money import Micro
from shared.platform.memory.chat_model import ScriptedChatModel
from shared.platform.memory.image_model import ScriptedImageModel
from shared.sagas.agents.task_record import LEASE_SECONDS
from shared.sagas.agents.tasks import TaskRequest
from tests.support.agents import (
    ANN,
    ASKED,
    CREDIT,
    JOB_COST,
    PAINTED,
    THOUGHT,
    AgentWorld,
    Thinker,
    as_if_undisturbed,
    crashed,
    undisturbed,
)
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledger_faults import COMMIT_FAULTS, Fault, Weather, once

LEASE = LEASE_SECONDS * SECOND
POINTS_MAX = 60
WAIT_SECONDS = 60
PARTS = ("web", "chat_model", "image_model", "objects")

When = Literal["before", "after"]


@dataclass
class PausingDocuments(FaultyDocuments):
    """Pauses at a commit, before or after it, until it is let go."""

    inner: Documents
    at: int
    when: When
    is_there: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.calls = 0

    def commit(self, writes: Any, *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        with self.lock:
            self.count += 1
            is_here = self.count == self.at
        if is_here and self.when == "before":
            self._pause()
        done = self.inner.commit(writes, timeout_seconds=timeout_seconds)
        if is_here and self.when == "after":
            self._pause()
        return done

    def _pause(self) -> None:
        self.is_there.set()
        assert self.go.wait(WAIT_SECONDS), "somebody lets it go"


COMMITS = undisturbed().commits
POINTS: list[tuple[int, When]] = [(number, when) for number in range(1, COMMITS + 1) for when in ("before", "after")]


@pytest.fixture
def world():
    made = AgentWorld()
    made.user()
    return made


def test_a_job_has_as_many_points_as_this_file_thinks():
    assert 15 <= COMMITS <= POINTS_MAX
    assert undisturbed().tool_charges == [ASKED, PAINTED]


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_crash_at_any_commit_and_the_message_again(world, number, when):
    task = world.begin()
    dying = world.on(FaultyDocuments(world.documents, at=number, when=when))

    assert crashed(lambda: dying.agents.slice.run(task.id))
    world.clock.advance(LEASE)
    world.run(task)

    as_if_undisturbed(world, task)


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_crash_at_any_commit_and_two_workers_at_once(world, number, when):
    task = world.begin()
    dying = world.on(FaultyDocuments(world.documents, at=number, when=when))

    assert crashed(lambda: dying.agents.slice.run(task.id))
    world.clock.advance(LEASE)
    workers = [world.on(world.documents).agents.slice for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda worker: worker.run(task.id), workers))
    world.run(task)

    as_if_undisturbed(world, task)


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_worker_paused_at_any_commit_wakes_up_when_another_is_done(world, number, when):
    task = world.begin()
    documents = PausingDocuments(world.documents, number, when)
    zombie = threading.Thread(target=world.on(documents).agents.slice.run, args=(task.id,))
    zombie.start()
    assert documents.is_there.wait(WAIT_SECONDS)

    world.clock.advance(LEASE)
    world.run(task)
    documents.go.set()
    zombie.join(WAIT_SECONDS)

    assert not zombie.is_alive()
    as_if_undisturbed(world, task)


@pytest.mark.parametrize(("number", "when"), POINTS)
def test_a_worker_paused_at_any_commit_wakes_up_while_another_works(world, number, when):
    task = world.begin()
    documents = PausingDocuments(world.documents, number, when)
    first = threading.Thread(target=world.on(documents).agents.slice.run, args=(task.id,))
    first.start()
    assert documents.is_there.wait(WAIT_SECONDS)
    woken = threading.Event()

    def wake(_: Any) -> None:
        if not woken.is_set():
            woken.set()
            documents.go.set()
            first.join(WAIT_SECONDS)

    world.clock.advance(LEASE)
    other = Thinker(world.job, before=wake)
    world.on(world.documents, thinking_model=other).agents.slice.run(task.id)
    documents.go.set()
    first.join(WAIT_SECONDS)
    world.run(task)

    as_if_undisturbed(world, task)


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_a_commit_of_whom_nobody_knows_what_became(world, number, fault: Fault):
    task = world.begin()
    weather = Weather(world.documents, once("commit", number, fault), delay=3)
    world.on(weather).agents.slice.run(task.id)
    weather.settle()
    world.clock.advance(LEASE)

    world.run(task)

    as_if_undisturbed(world, task)


# ── the calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

CALLS: list[tuple[str, int]] = [*(("model", number) for number in range(1, 5)), *((part, 1) for part in PARTS)]
AROUND = [(part, number, when) for part, number in CALLS for when in ("before", "after")]


def interrupted(world: AgentWorld, part: str, number: int, when: When, do: Callable[[], None]) -> Services:
    """An instance that does this before, or after, the given call of a model or a tool."""
    count = 0

    def around(call: Callable[..., Any], *given: Any) -> Any:
        nonlocal count
        count += 1
        is_here = count == number
        if is_here and when == "before":
            do()
        answered = call(*given)
        if is_here and when == "after":
            do()
        return answered

    class Model(Thinker):
        def think(self, request: Any) -> Any:
            return around(super().think, request)

    class Web:
        def fetch(self, url: str, hosts: frozenset[str] | None = None) -> WebPage:
            page: WebPage = around(world.web.fetch, url)
            return page

    class Asked(ScriptedChatModel):
        def stream(self, request: Any) -> Any:
            return around(world.chat_model.stream, request)

    class Painter(ScriptedImageModel):
        def generate(self, request: Any) -> Any:
            return around(world.image_model.generate, request)

    class Bucket:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.objects, name)

        def put(self, *given: Any) -> bool:
            return bool(around(world.objects.put, *given))

    given = {
        "thinking_model": Model(),
        "web": Web(),
        "chat_model": Asked(),
        "image_model": Painter(),
        "objects": Bucket(),
    }
    name = "thinking_model" if part == "model" else part
    return world.on(world.documents, **{name: given[name]})


def crash() -> None:
    raise Crash


@pytest.mark.parametrize("heirs", [1, 2])
@pytest.mark.parametrize(("part", "number", "when"), AROUND)
def test_a_crash_around_any_call(world, part, number, when, heirs):
    task = world.begin()

    assert crashed(lambda: interrupted(world, part, number, when, crash).agents.slice.run(task.id))
    world.clock.advance(LEASE)
    workers = [world.on(world.documents).agents.slice for _ in range(heirs)]
    with ThreadPoolExecutor(heirs) as pool:
        list(pool.map(lambda worker: worker.run(task.id), workers))
    world.run(task)

    as_if_undisturbed(world, task)


@pytest.mark.parametrize("is_working", [True, False])
@pytest.mark.parametrize(("part", "number", "when"), AROUND)
def test_a_worker_paused_around_any_call_wakes_up_while_its_heir_works_or_when_it_is_done(
    world, part, number, when, is_working
):
    task = world.begin()
    is_there, go = threading.Event(), threading.Event()

    def pause() -> None:
        is_there.set()
        assert go.wait(WAIT_SECONDS), "somebody lets it go"

    zombie = threading.Thread(target=interrupted(world, part, number, when, pause).agents.slice.run, args=(task.id,))
    zombie.start()
    assert is_there.wait(WAIT_SECONDS)

    def wake(_: Any) -> None:
        if is_working and not go.is_set():
            go.set()
            zombie.join(WAIT_SECONDS)

    world.clock.advance(LEASE)
    world.on(world.documents, thinking_model=Thinker(world.job, before=wake)).agents.slice.run(task.id)
    go.set()
    zombie.join(WAIT_SECONDS)
    world.run(task)

    assert not zombie.is_alive()
    as_if_undisturbed(world, task)


def test_a_worker_that_dies_every_time_is_not_tried_for_ever(world):
    task = world.begin()

    def die(_: Any) -> None:
        raise Crash

    dying = world.on(world.documents, thinking_model=Thinker(before=die))
    for _ in range(10):
        crashed(lambda: dying.agents.slice.run(task.id))
        world.clock.advance(LEASE)

    task = world.task(task)
    assert (task.status, task.reason, task.due_at) == ("failed", "stuck", None)
    assert [alert.event for alert in world.alerts.raised] == ["agent_task_dead"]
    world.settle()
    assert (world.spent(), world.services.credits.ledger.balance(ANN).held) == (0, 0)


def test_whoever_comes_after_the_hold_has_ended_pays_nothing_for_what_was_lost(world):
    """The step is there and its hold is not: the work is kept, and we bear what it cost."""
    task = world.begin()
    record = 3
    dying = world.on(FaultyDocuments(world.documents, at=record + 1, when="before"))
    assert crashed(lambda: dying.agents.slice.run(task.id))
    world.clock.advance(20 * MINUTE)

    task = world.run(task)

    assert task.status == "completed"
    assert (task.spent, world.spent()) == (JOB_COST - THOUGHT, JOB_COST - THOUGHT)
    assert world.services.credits.ledger.verify(ANN) == []
    assert task.charge_of(1) == 0


def test_a_crash_while_one_is_being_cancelled_still_cancels(world):
    for number in range(1, 6):
        task = world.begin()
        cancelling = world.on(FaultyDocuments(world.documents, at=number, when="after"))
        crashed(partial(_cancel, cancelling, task.id))
        world.clock.advance(LEASE)
        assert world.run(task).status == "cancelled"
    assert world.spent(of=100 * CREDIT) == 0


def test_a_crash_while_one_is_begun_leaves_a_task_or_none():
    for when in ("before", "after"):
        world = AgentWorld()
        world.user()
        beginning = world.on(FaultyDocuments(world.documents, at=1, when=when))
        crashed(partial(_begin, beginning))

        assert len(world.services.agents.tasks.page(ANN, cursor=None, limit=5).items) == (when == "after")
        world.services = world.on(world.documents)
        assert world.run(_begin(world.services)).status == "completed"
        assert len(world.services.agents.tasks.page(ANN, cursor=None, limit=5).items) == 1


def _cancel(services: Any, task_id: str) -> Any:
    return services.agents.tasks.cancel(ANN, task_id)


def _begin(services: Any) -> Any:
    return services.agents.tasks.begin_task(
        TaskRequest(uid=ANN, goal="g", budget=Micro(10 * CREDIT), operation=OperationId("op_same"), fingerprint="f")
    )


def test_what_was_painted_before_a_crash_is_not_painted_again(world):
    task = world.begin()

    dying = world.on(world.documents, objects=DyingBucket(world.objects))
    assert crashed(lambda: dying.agents.slice.run(task.id))
    world.clock.advance(LEASE)
    world.run(task)

    as_if_undisturbed(world, task)
    assert len(world.image_model.requests) == 1


class DyingBucket:
    """A bucket whose worker dies when it has stored something."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, name: str, content: bytes, content_type: str) -> bool:
        self._inner.put(name, content, content_type)
        raise Crash


def test_what_was_painted_before_a_crash_goes_if_the_task_is_cancelled_then(world):
    task = world.begin()
    dying = world.on(world.documents, objects=DyingBucket(world.objects))
    assert crashed(lambda: dying.agents.slice.run(task.id))
    assert world.objects.names("images/")

    world.clock.advance(LEASE)
    world.services.agents.tasks.cancel(ANN, task.id)

    assert world.run(task).status == "cancelled"
    assert world.objects.names("images/") == []


@pytest.mark.parametrize("is_gone", [True, False])
def test_what_is_painted_behind_the_back_of_its_task_goes(world, is_gone):
    """A worker is paused while it paints; its task is erased, or cancelled by an heir, before it wakes."""
    task = world.begin()

    class Slow(ScriptedImageModel):
        def generate(self, request: Any) -> Any:
            world.clock.advance(LEASE)
            if is_gone:
                world.services.agents.tasks.erase(ANN)
                world.services.images.store.erase(ANN)
            else:
                world.services.agents.tasks.cancel(ANN, task.id)
            return world.image_model.generate(request)

    world.on(world.documents, image_model=Slow()).agents.slice.run(task.id)

    assert len(world.image_model.requests) == 1
    assert world.objects.names("images/") == []
    assert world.services.images.store.list(ANN).items == ()
