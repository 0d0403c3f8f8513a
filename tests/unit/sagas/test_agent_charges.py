"""Charges of an agent's thoughts: several at once, from one hold, and each as the price of its own thought."""

import pytest

from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.ids import OperationId
from shared.ledger.commands import Freeze
from shared.sagas.agents.task_record import LEASE_SECONDS
from tests.support.agents import ANN, BY_OUTPUT, SAID, AgentWorld, assert_shown, crashed, thinks
from tests.support.faults import FaultyDocuments

CALL = ("calculator", {"expression": "1+1"})
JOB = (*(thinks(str(number), CALL) for number in range(3)), thinks("done"))
MOST = 1_000 * 200
"""The most that a thought of this model can cost."""


@pytest.fixture
def world():
    return AgentWorld(job=JOB, prices=BY_OUTPUT)


def held_while_thinking(world):
    seen = []
    world.thinker.before = lambda _: seen.append(world.services.credits.ledger.balance(ANN).held)
    return seen


def test_thoughts_of_a_slice_are_one_charge_with_the_cost_of_each(world):
    world.user()
    task = world.run(world.begin())

    assert world.charges() == [4 * SAID]
    assert [task.charge_of(step.number) for step in world.steps(task) if step.kind != "observe"] == [
        *[SAID, 0] * 3,
        SAID,
    ]
    assert_shown(world, task)


def test_charge_of_several_thoughts_counts_as_several_uses(world):
    world.user()
    world.run(world.begin())

    days = world.services.credits.analytics.report(ANN, "0000-01-01", "9999-12-31").days
    (amounts,) = (each for day in days.values() for each in day.uses.values())

    assert (amounts.count, amounts.cost, amounts.input_tokens, amounts.output_tokens) == (4, 4 * SAID, 400, 40)


def test_hold_covers_two_thoughts_where_they_are_free(world):
    world.user()
    held = held_while_thinking(world)
    world.run(world.begin())

    assert held == [2 * MOST] * 4


@pytest.mark.parametrize("credits_", [MOST, MOST + 1, 2 * MOST - 1])
def test_hold_covers_one_thought_where_two_are_not_free(world, credits_):
    world.user(credits_)
    held = held_while_thinking(world)
    task = world.run(world.begin())

    assert task.status == "completed"
    assert held[0] == MOST
    assert world.spent(of=credits_) == task.spent == 4 * SAID


def test_user_sees_due_charges_before_they_are_made(world):
    world.user()
    task = world.begin()
    seen = []
    world.thinker.before = lambda _: seen.append(world.task(task).spent_or_due)
    world.run(task)

    assert seen == [0, SAID, 2 * SAID, 3 * SAID]


def test_steps_whose_hold_has_ended_are_corrected_to_no_charge(world):
    world.user()
    task = world.begin()
    dying = world.on(FaultyDocuments(world.documents, at=6))
    assert crashed(lambda: dying.agents.slice.run(task.id))
    due = len(world.task(task).owed)
    world.clock.advance(20 * MINUTE)

    task = world.run(task)

    assert due == 2
    assert (task.spent, world.spent()) == (2 * SAID, 2 * SAID)
    assert_shown(world, task)


def test_thoughts_before_a_refusal_are_charged_and_nothing_stays_held(world):
    world.user()

    def freeze_later(_):
        if len(world.thinker.requests) == 2:
            world.services.credits.ledger.execute(ANN, Freeze(operation=OperationId("op_f")))
            world.clock.advance(3 * MINUTE)

    world.thinker.before = freeze_later
    task = world.begin()
    world.services.agents.slice.run(task.id)
    world.services.agents.slice.run(task.id)

    task = world.task(task)
    assert (task.status, task.reason, task.owed) == ("paused", "account_frozen", ())
    assert world.charges() == [2 * SAID]
    assert world.services.credits.ledger.balance(ANN).held == 0


def test_overtaken_worker_leaves_due_thoughts_to_the_next(world):
    world.user()
    task = world.begin()

    def overtake(_):
        if len(world.thinker.requests) == 3:
            world.clock.advance(LEASE_SECONDS * SECOND)
            world.on(world.documents).agents.slice.run(task.id)

    world.thinker.before = overtake
    world.services.agents.slice.run(task.id)

    task = world.task(task)
    assert (task.status, task.spent, world.spent()) == ("completed", 4 * SAID, 4 * SAID)
    assert world.services.credits.ledger.balance(ANN).held == 0
