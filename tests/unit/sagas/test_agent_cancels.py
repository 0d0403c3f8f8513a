"""Check that a task whose user cancels while a slice runs is cancelled at once, however the slice ends.

Method: the user's request commits immediately before the commit by which the worker gives its lease back.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from shared.ai.agents.task import Task
from shared.ai.agents.thinking import Thought
from shared.ai.ports import UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.clock import MINUTE, to_datetime
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Documents, Patch, StoreUnavailable, Version, Write
from shared.ledger.errors import RateLimited
from shared.sagas.agents.slice import ATTEMPTS_MAX, ROUNDS_MAX
from shared.users.ports import IdentityUnavailable
from tests.support.agents import ANN, JOB, THOUGHT, AgentWorld, thinks
from tests.support.faults import Crash, FaultyDocuments

LONG = [thinks("", ("calculator", {"expression": "1"}))] * (2 * ROUNDS_MAX)
"""A job of more rounds than a slice has."""
CLOSINGS: dict[str, tuple[Sequence[Thought], Exception | None, int, dict[str, Any]]] = {
    "put off, since the model is away": (JOB, UpstreamUnavailable(), 1, {}),
    "put off for longer": (JOB, UpstreamUnavailable(), ATTEMPTS_MAX - 1, {}),
    "put off after a fault of ours": (JOB, RuntimeError(), 1, {}),
    "put off by the rate limit": (JOB, RateLimited(retry_after_ms=MINUTE), 1, {}),
    "put off, since nobody says who the user is": (JOB, IdentityUnavailable(), 1, {}),
    "paused, since the model stays away": (JOB, UpstreamUnavailable(), ATTEMPTS_MAX, {}),
    "paused, since the model refuses": (JOB, UpstreamRejected(), 1, {}),
    "paused, since two thoughts were charged for nothing": (JOB, UpstreamTimedOut(), 2, {}),
    "paused at its step limit": (JOB, None, 1, {"max_steps": 1}),
    "paused without budget": (JOB, None, 1, {"budget": 1}),
    "buried": (JOB, RuntimeError(), ATTEMPTS_MAX, {}),
    "answered": ([thinks("done")], None, 1, {}),
    "to be continued": (LONG, None, 1, {}),
}
"""Ways in which a slice ends: the job, the error of each thought, the slice that is cancelled, what is asked for."""


class MeddledDocuments(FaultyDocuments):
    """A store that calls `meddle` before the first commit that gives a lease back."""

    def __init__(self, inner: Documents, meddle: Callable[[], object]) -> None:
        super().__init__(inner)
        self._meddle: Callable[[], object] | None = meddle

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        if self._meddle is None or not any(map(_frees, writes)):
            return super().commit(writes, timeout_seconds=timeout_seconds)
        meddle, self._meddle = self._meddle, None
        meddle()
        return super().commit(writes, timeout_seconds=timeout_seconds)


def _frees(write: Write) -> bool:
    lease: Any = write.data.get("lease") if isinstance(write, Patch) else None
    return lease is not None and lease["until"] == to_datetime(0)


def begun(closing: str) -> tuple[AgentWorld, Task]:
    """A task that is one slice away from this closing."""
    job, error, slices, asked = CLOSINGS[closing]
    world = AgentWorld(job=job)
    world.user()
    task = world.begin(**asked)

    def fail(_: Any) -> None:
        if error is not None:
            raise error

    world.thinker.before = fail
    world.identity.is_down = isinstance(error, IdentityUnavailable)
    for _ in range(slices - 1):
        world.services.agents.slice.run(task.id)
        world.clock.advance(60 * MINUTE)
    return world, task


def meddled(world: AgentWorld, task: Task) -> MeddledDocuments:
    """The store of a worker whose task is cancelled as the slice closes."""
    return MeddledDocuments(world.documents, lambda: world.services.agents.tasks.cancel(ANN, task.id))


@pytest.mark.parametrize("closing", CLOSINGS)
def test_task_cancelled_while_its_slice_closes_ends_as_cancelled(closing):
    world, task = begun(closing)

    world.on(meddled(world, task)).agents.slice.run(task.id)

    ended = world.task(task)
    assert (ended.status, ended.reason, ended.due_at) == ("cancelled", None, None)
    assert world.services.credits.ledger.balance(ANN).held == 0
    assert world.alerts.raised == []
    assert world.services.credits.ledger.verify(ANN) == []


@pytest.mark.parametrize("closing", CLOSINGS)
def test_closing_is_as_named_when_nobody_cancels(closing):
    world, task = begun(closing)

    world.services.agents.slice.run(task.id)

    status = {"put": "queued", "paused": "paused", "buried": "failed", "answered": "completed", "to": "running"}
    assert world.task(task).status == status[closing.split()[0].strip(",")]


def test_task_whose_worker_dies_before_the_cancellation_is_due_at_once():
    world, task = begun("put off for longer")
    store = meddled(world, task)
    dying = world.on(DyingOnceFree(store))

    with pytest.raises(Crash):
        dying.agents.slice.run(task.id)

    waiting = world.task(task)
    assert (waiting.status, waiting.reason, waiting.due_at) == ("queued", None, world.clock.now())
    assert world.run(task).status == "cancelled"


class DyingOnceFree(FaultyDocuments):
    """A store whose worker dies as soon as a lease was given back."""

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        done = super().commit(writes, timeout_seconds=timeout_seconds)
        if any(map(_frees, writes)):
            raise Crash
        return done


def test_cancellation_that_fails_is_put_off_and_not_tried_in_a_loop():
    world, task = begun("put off after a fault of ours")
    world.services.agents.slice.run(task.id)

    world.on(LedgerAway(world.documents)).agents.tasks.cancel(ANN, task.id)

    waiting = world.task(task)
    assert (waiting.status, waiting.attempts, waiting.is_cancel_asked) == ("queued", 2, True)
    assert waiting.due_at is not None
    assert waiting.due_at > world.clock.now()
    assert world.run(task).status == "cancelled"
    assert world.services.credits.ledger.balance(ANN).held == 0


class LedgerAway(FaultyDocuments):
    """A store that takes no change of an account."""

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        if any(write.path.startswith("accounts/") for write in writes):
            raise StoreUnavailable
        return super().commit(writes, timeout_seconds=timeout_seconds)


def test_cancelled_thought_is_charged_once_when_the_slice_was_to_go_on():
    world, task = begun("to be continued")

    world.on(meddled(world, task)).agents.slice.run(task.id)

    assert sum(world.charges()) == THOUGHT * world.task(task).thoughts
    assert world.task(task).pending == ()
