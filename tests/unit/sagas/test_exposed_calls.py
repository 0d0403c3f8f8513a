"""Calls whose input may cost more than is expected of it: what is asked, what is refused, and who pays."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.ai.models.catalogue import parse_model
from shared.ai.tokens import Usage
from shared.kernel.clock import SystemClock
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, derived_id
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim
from shared.ledger.errors import BudgetExceeded, InsufficientCredits
from shared.ledger.exposure import ABSORBED_AT_ONCE_MAX, USER_CEILINGS_FROM
from shared.platform.memory.chat_model import says
from shared.sagas.agents.budget import CreditsHeld, TaskBudget
from shared.sagas.metering.call_cost import CallCost
from tests.support.agents import AgentWorld
from tests.support.chat import ANN, CREDIT, World, answer_of, end_of

DENSE = "\U0001f9ff\u1369\u0e5b" * 400
"""Text that is many tokens, and as many as it has bytes if its provider has never seen it."""
DEAR = {"input_usd_per_mtok": "15", "output_usd_per_mtok": "75", "context_window": 200_000, "max_output_tokens": 32_000}

SMART = parse_model("smart", {"kind": "chat", **DEAR})


def worst(world: World, content: str) -> int:
    """The most input tokens that this message can be."""
    plan = world.turn.kind.plan(world.request(world.conversation(), content), ()).plan
    return plan.prompt.input_at_most


def test_dense_input_at_once_costs_the_platform_no_more_than_it_risks():
    world = World(clock=SystemClock(), prices=DEAR)
    world.upstream.scripts = [says("Hi", usage=Usage(input_tokens=worst(world, DENSE), output_tokens=1))]
    world.user(20 * CREDIT)

    def ask(_: int) -> int:
        try:
            answer_of(world.run(world.conversation(), DENSE))
        except DomainError:
            return 0
        return 1

    with ThreadPoolExecutor(12) as pool:
        served = sum(pool.map(ask, range(12)))

    billed = len(world.upstream.requests) * (1_500 * worst(world, DENSE) + 7_500)
    assert 0 < served == len(world.upstream.requests)
    assert billed - world.spent(20 * CREDIT) <= ABSORBED_AT_ONCE_MAX
    assert world.ledger.verify(ANN) == []


def test_a_cap_buys_no_more_than_it_says():
    world = World(prices=DEAR)
    world.upstream.scripts = [says("Hi", usage=Usage(input_tokens=worst(world, DENSE), output_tokens=1))]
    world.user(1_000 * CREDIT)
    plan = world.turn.kind.plan(world.request(world.conversation(), DENSE), ()).plan
    cap = (BudgetClaim(id="key", limit=Micro(plan.hold)),)

    with pytest.raises(BudgetExceeded) as refusal:
        world.ask(world.conversation(), DENSE, budgets=cap)

    assert int(refusal.value.params["required"]) > 1_500 * worst(world, DENSE)
    assert world.upstream.requests == []


def test_a_call_that_can_be_ended_is_asked_for_all_that_the_balance_pays():
    world = World(profile="openai")
    world.user(CREDIT)

    world.ask(world.conversation())

    [request] = world.upstream.requests
    assert request.max_output_tokens == 1_000


@pytest.mark.parametrize("profile", ["openai", "mistral"])
def test_calls_at_once_are_asked_for_no_more_than_one_balance_pays(profile):
    world = World(profile=profile, prices={"max_output_tokens": 8_000, "context_window": 20_000})
    world.user(CREDIT)
    turns = [world.run(world.conversation()) for _ in range(4)]

    for turn in turns:
        next(turn)
    asked = sum(request.max_output_tokens for request in world.upstream.requests)
    for turn in turns:
        end_of(list(turn))

    assert (200 * asked <= CREDIT + ABSORBED_AT_ONCE_MAX) is (profile == "mistral")


def test_an_absorbed_call_beyond_the_limit_has_the_next_one_held_at_its_ceiling():
    world = World(prices=DEAR)
    world.user(CREDIT)
    cost = CREDIT + USER_CEILINGS_FROM
    world.upstream.scripts = [says("Hi", usage=Usage(input_tokens=cost // 1_500 + 10, output_tokens=1))]
    world.ask(world.conversation(), max_output_tokens=1)
    world.user(100 * CREDIT)

    with pytest.raises(InsufficientCredits) as refusal:
        world.ask(world.conversation())

    assert int(refusal.value.params["required"]) > 100 * CREDIT
    assert world.ask(world.conversation(), max_output_tokens=10).message.finish_reason == "stop"


# A task's budget --------------------------------------------------------------------------------------------------


def task_budget(budget: int, balance: int) -> tuple[AgentWorld, TaskBudget]:
    world = AgentWorld()
    world.user(balance)
    task = world.begin(budget=budget)
    return world, TaskBudget(world.services.credits.ledger, world.clock, task, 1)


def cost(*, expected: int, at_most: int, least: int = 5, output: int = 100) -> CallCost:
    return CallCost(
        input_expected=Micro(expected),
        input_at_most=Micro(at_most),
        output_least=Micro(least),
        at_most=Micro(at_most + output),
    )


def held(world: AgentWorld, own: TaskBudget) -> tuple[int, int | None, int | None]:
    hold_id = HoldId(derived_id("hold", own.operation("think:1", 1)))
    hold = world.services.credits.ledger._account(ANN).holds[hold_id]
    return hold.amount, hold.input_held, hold.input_at_most


def test_a_budget_holds_the_whole_call_or_what_is_left_behind_its_input_s_bound():
    for budget, expected in ((500, 300), (250, 250)):
        world, own = task_budget(budget, 10_000)

        assert own.hold("think:1", SMART, cost(expected=50, at_most=200)).amount == expected
        assert held(world, own) == (expected, 200, 200)


def test_a_budget_that_is_short_of_the_bound_refuses_and_says_it():
    _, own = task_budget(204, 10_000)

    with pytest.raises(BudgetExceeded) as refusal:
        own.hold("think:1", SMART, cost(expected=50, at_most=200))

    assert refusal.value.params["required"] == 205


def test_a_balance_that_is_short_of_the_bound_holds_all_there_is():
    world, own = task_budget(1_000, 100)

    assert own.hold("think:1", SMART, cost(expected=50, at_most=200)).amount == 100
    assert held(world, own) == (100, 50, 200)


def test_a_balance_that_is_short_of_the_expectation_refuses_and_says_it():
    _, own = task_budget(1_000, 54)

    with pytest.raises(InsufficientCredits) as refusal:
        own.hold("think:1", SMART, cost(expected=50, at_most=200))

    assert refusal.value.params["required"] == 55


def test_a_purse_waits_for_what_other_work_of_its_task_may_give_back():
    _, own = task_budget(300, 10_000)
    own.hold("act:1", SMART, cost(expected=150, at_most=150, output=0))

    with pytest.raises(CreditsHeld):
        own.hold("think:1", SMART, cost(expected=50, at_most=200))


def test_a_known_price_is_held_exactly_or_refused():
    world, own = task_budget(100, 10_000)

    assert own.hold("think:1", SMART, CallCost.exactly(Micro(100))).amount == 100
    assert held(world, own) == (100, 0, 0)
    with pytest.raises(CreditsHeld):
        own.hold("think:2", SMART, CallCost.exactly(Micro(1)))
