"""What an agent's calls cost that came to nothing: cut by our time limit, failed by their provider, not reported."""

import threading
from typing import Any

import pytest

from shared.ai.agents.thinking import Thought
from shared.ai.ports import TextDelta, UpstreamTimedOut, UpstreamUnavailable
from shared.ai.tokens import expected_tokens
from shared.kernel.ids import OperationId
from shared.ledger.losses import SECOND_LIMITS
from shared.platform.memory.chat_model import ScriptedChatModel
from shared.sagas.agents.tasks import ResumeRequest
from tests.support.agents import ANN, BY_OUTPUT, CREDIT, PAINTED, THOUGHT, AgentWorld, thinks
from tests.support.chat import cautious

REASONING = {"capabilities": ["tools", "reasoning"]}
CEILING = 1_000 * 200
"""What a thought costs at most, of a model that costs what it says only."""


def failing(error: Exception, times: int = 10**9) -> AgentWorld:
    """A world whose model fails so often, and then does its job."""
    world = AgentWorld(job=(thinks("done"),), prices=BY_OUTPUT)
    world.user()
    left = [times]

    def fail(_: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error

    world.thinker.before = fail
    return world


def test_a_thought_cut_by_our_time_limit_is_charged_and_tried_once_more():
    world = failing(UpstreamTimedOut())

    task = world.run(world.begin())

    assert (task.status, task.reason) == ("paused", "charged_without_result")
    assert len(world.thinker.requests) == 2
    assert world.charges() == [CEILING, CEILING]
    assert (task.spent, world.services.credits.ledger.balance(ANN).held) == (2 * CEILING, 0)
    assert world.services.credits.ledger.verify(ANN) == []


def test_a_thought_that_comes_at_the_second_try_goes_on_with_what_both_cost():
    world = failing(UpstreamTimedOut(), times=1)

    task = world.run(world.begin())

    assert (task.status, task.answer) == ("completed", "done")
    assert world.charges() == [2_000, CEILING]
    assert task.spent == sum(task.charges.values()) == CEILING + 2_000


def test_a_task_that_paused_without_a_result_may_be_resumed():
    world = failing(UpstreamTimedOut(), times=2)
    task = world.run(world.begin())

    world.services.agents.tasks.resume(ResumeRequest(uid=ANN, task_id=task.id, operation=OperationId("op_r")))
    task = world.run(task)

    assert (task.status, task.spent) == ("completed", 2 * CEILING + 2_000)


def test_a_thought_cut_on_a_small_budget_costs_no_more_than_was_held():
    world = failing(UpstreamTimedOut())

    task = world.run(world.begin(budget=64 * 200))

    assert task.spent == sum(world.charges()) == 64 * 200


def test_a_thought_that_its_provider_failed_is_free_and_counted():
    world = failing(UpstreamUnavailable(has_begun=True), times=3)

    task = world.run(world.begin())

    assert (task.status, world.charges()) == ("completed", [2_000])
    assert world.services.credits.losses.window(ANN).of("provider_failed").count == 3


def test_failures_beyond_the_second_limit_are_charged_what_they_took_in():
    world = AgentWorld(job=(thinks("done"),))
    world.user()
    for at in range(SECOND_LIMITS["provider_failed"].count + 1):
        world.services.credits.losses.bear(
            ANN, operation=OperationId(f"op_{at}"), cause="provider_failed", amount=1, model="smart"
        )

    def fail(_: Any) -> None:
        raise UpstreamUnavailable(has_begun=True)

    world.thinker.before = fail
    task = world.run(world.begin())

    assert (task.status, task.reason) == ("paused", "charged_without_result")
    assert len(world.charges()) == 2
    assert 0 < task.spent == sum(world.charges()) < 2 * CEILING


@pytest.mark.parametrize("prices", [BY_OUTPUT, BY_OUTPUT | REASONING], ids=["plain", "reasoning"])
def test_a_thought_without_a_report_costs_its_count_or_else_its_bound(prices):
    world = AgentWorld(job=(Thought(text="done"),), prices=prices)
    world.user()

    task = world.run(world.begin())

    assert task.status == "completed"
    assert world.charges() == [CEILING if prices != BY_OUTPUT else 200 * cautious(expected_tokens("done"))]


# ask_model and generate_image ------------------------------------------------------------------------------------


class Slow:
    """Says one word, and is then silent for longer than anybody waits."""

    def __init__(self, world: AgentWorld) -> None:
        self._world = world

    def __iter__(self):
        yield TextDelta("Four")
        self._world.clock.advance(101_000)
        yield TextDelta(" thousand")


@pytest.mark.parametrize(("profile", "is_bound"), [("openai", False), ("google", True)])
def test_a_question_that_is_cut_costs_what_its_provider_may_bill(profile, is_bound):
    job = (thinks("", ("ask_model", {"question": "How many?", "max_output_tokens": 40})), thinks("done"))
    world = AgentWorld(job=job, prices=BY_OUTPUT, env={"AI_PLATFORM_PROFILE": profile})
    world.chat_model = ScriptedChatModel([Slow(world)])  # type: ignore[list-item]  # a script that acts
    world.services = world.on(world.documents)
    world.user()

    task = world.run(world.begin())

    counted = 200 * cautious(expected_tokens("Four thousand"))
    assert task.status == "completed"
    assert world.charges() == sorted([2_000, 2_000, 40 * 200 if is_bound else counted])


class Silent:
    """Says nothing at all until the test is over."""

    def __init__(self, world: AgentWorld) -> None:
        self._world = world
        self.is_over = threading.Event()

    def __iter__(self):
        self._world.clock.advance(101_000)
        self.is_over.wait(30)
        yield from ()


@pytest.mark.parametrize(("profile", "output"), [("openai", 0), ("google", 40 * 200)])
def test_a_question_that_is_met_by_silence_ends_by_its_time(profile, output):
    job = (thinks("", ("ask_model", {"question": "How many?", "max_output_tokens": 40})), thinks("done"))
    world = AgentWorld(job=job, prices=BY_OUTPUT, env={"AI_PLATFORM_PROFILE": profile})
    silent = Silent(world)
    world.chat_model = ScriptedChatModel([silent])  # type: ignore[list-item]  # a script that acts
    world.services = world.on(world.documents)
    world.user()

    task = world.run(world.begin())
    is_still_silent = not silent.is_over.is_set()
    silent.is_over.set()

    assert (task.status, is_still_silent) == ("completed", True)
    assert sum(world.charges()) == 4_000 + output
    assert world.services.credits.losses.window(ANN).of("provider_failed").count == 0


def test_a_question_whose_provider_failed_is_free_and_counted():
    job = (thinks("", ("ask_model", {"question": "How many?"})), thinks("done"))
    world = AgentWorld(job=job, prices=BY_OUTPUT)
    world.chat_model.scripts = [[TextDelta("Four"), UpstreamUnavailable(has_begun=True)]]
    world.user()

    world.run(world.begin())

    assert world.charges() == [2_000, 2_000]
    assert world.services.credits.losses.window(ANN).of("provider_failed").count == 1


def test_a_picture_cut_by_our_time_limit_is_paid_for():
    world = AgentWorld(job=(thinks("", ("generate_image", {"prompt": "x"})), thinks("done")))
    world.image_model.script = [UpstreamTimedOut()]
    world.user()

    task = world.run(world.begin(budget=2 * CREDIT))

    assert (task.status, task.spent) == ("completed", 2 * THOUGHT + PAINTED)
    assert world.steps(task)[2].body["failure"] == "upstream_unavailable"
