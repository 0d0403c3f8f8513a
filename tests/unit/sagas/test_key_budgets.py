"""Caps of keys are budgets: counted per window, exact at its edges, forgotten with the key."""

from datetime import UTC, datetime

import pytest

from shared.kernel.clock import DAY, HOUR, SECOND, from_datetime
from shared.kernel.documents import OutcomeUnknown
from shared.kernel.ids import new_id, operation_id
from shared.kernel.money import Micro
from shared.ledger.account import BUDGETS_MAX
from shared.ledger.commands import Charge
from shared.ledger.errors import BudgetExceeded
from shared.platform.memory.chat_model import says
from shared.sagas.metering.key_budgets import KeyBudgets, claims
from shared.users.api_keys import ApiKey, ApiKeys, KeyWanted
from shared.users.spend_cap import Period, SpendCap
from tests.support.chat import ANN, World, answer_of
from tests.support.faults import FaultyDocuments

CAP = Micro(1_000)


class Capped:
    """Ann's account and a key of hers that may spend 1 000 µcr per period."""

    def __init__(self, period: Period = "day") -> None:
        self.world = World()
        self.world.clock.advance(from_datetime(datetime(2026, 11, 24, tzinfo=UTC)) - self.world.clock.now())
        self.world.user(10**9)
        self.keys = ApiKeys(self.world.documents, self.world.clock)
        self.budgets = KeyBudgets(self.world.ledger, self.world.clock)
        self.key = self.another(period)

    def another(self, period: Period) -> ApiKey:
        wanted = KeyWanted(name="k", scopes=frozenset({"chat"}), cap=SpendCap(amount=CAP, period=period))
        return self.keys.create(ANN, wanted, operation_id(new_id("op")), "f")[0]

    def spend(self, amount: int, *, asked_at: int | None = None, key: ApiKey | None = None) -> None:
        """As a call that came in at `asked_at` does, or one that comes in now."""
        at = self.world.clock.now() if asked_at is None else asked_at
        charge = Charge(
            operation=operation_id(new_id("op")),
            amount=Micro(amount),
            purpose="chat",
            budgets=claims((key or self.key).principal.key, at),
        )
        self.world.ledger.execute(ANN, charge)

    @property
    def used(self) -> int:
        return self.budgets.used(ANN, [self.key])[self.key.id]


def test_a_key_without_a_cap_counts_against_nothing():
    capped = Capped()
    wanted = KeyWanted(name="k", scopes=frozenset({"chat"}))
    key, _ = capped.keys.create(ANN, wanted, operation_id("op"), "f")

    assert claims(key.principal.key, capped.world.clock.now()) == claims(None, 0) == ()
    assert capped.budgets.used(ANN, [key]) == {}


def test_a_cap_is_used_up_exactly():
    capped = Capped()
    capped.spend(CAP - 1)

    with pytest.raises(BudgetExceeded):
        capped.spend(2)
    capped.spend(1)

    assert capped.used == CAP


@pytest.mark.parametrize(("period", "days"), [("day", 1), ("week", 6), ("month", 7)])
def test_the_next_window_begins_with_nothing_used(period, days):
    capped = Capped(period)
    capped.spend(CAP)
    capped.world.clock.advance(days * DAY - SECOND)
    with pytest.raises(BudgetExceeded):
        capped.spend(1)

    capped.world.clock.advance(SECOND)

    assert capped.used == 0
    capped.spend(CAP)
    assert capped.used == CAP


def test_a_total_is_used_up_for_ever():
    capped = Capped("total")
    capped.spend(CAP)
    capped.world.clock.advance(1_000 * DAY)

    with pytest.raises(BudgetExceeded):
        capped.spend(1)

    assert capped.used == CAP


def test_a_call_of_the_last_moment_still_counts_against_the_window_it_came_in():
    capped = Capped("day")
    capped.spend(CAP)
    last_moment = capped.world.clock.now() + DAY - 1
    capped.world.clock.advance(DAY + SECOND)

    with pytest.raises(BudgetExceeded):
        capped.spend(1, asked_at=last_moment)

    capped.spend(CAP)
    assert capped.used == CAP


def test_windows_that_are_over_leave_the_account():
    capped = Capped("day")
    for _ in range(400):
        capped.spend(1)
        capped.world.clock.advance(DAY)

    assert len(capped.world.ledger._account(ANN).budgets) <= 2


@pytest.mark.parametrize("failing", [None, 1, 2])
def test_a_key_that_is_revoked_takes_its_budget_along_an_hour_later(failing):
    capped = Capped("total")
    capped.spend(CAP)
    budgets = capped.budgets
    if failing:
        faulty = FaultyDocuments(capped.world.documents, at=failing, when="after", error=OutcomeUnknown())
        world = capped.world
        budgets = KeyBudgets(world.ledger_on(faulty), world.clock)

    budgets.forget_budget(capped.key)
    budgets.forget_budget(capped.key)

    with pytest.raises(BudgetExceeded):
        capped.spend(1)
    capped.world.clock.advance(HOUR + SECOND)
    assert capped.world.ledger.budgets(ANN) == {}
    assert capped.world.ledger.balance(ANN).held == 0
    assert capped.world.ledger.verify(ANN) == []


def test_making_and_revoking_keys_for_ever_fills_no_account():
    capped = Capped("total")
    for _ in range(BUDGETS_MAX + 5):
        key = capped.another("total")
        capped.spend(1, key=key)
        capped.keys.revoke(ANN, key.id)
        capped.budgets.forget_budget(key)
        capped.world.clock.advance(2 * HOUR)

    capped.spend(1)
    assert len(capped.world.ledger.budgets(ANN)) == 1


def test_a_call_of_an_instance_that_has_not_heard_of_it_brings_no_budget_back_for_ever():
    capped = Capped("total")
    capped.spend(1)
    capped.budgets.forget_budget(capped.key)

    capped.spend(2)

    assert capped.used == 3
    capped.world.clock.advance(HOUR + SECOND)
    assert capped.world.ledger.budgets(ANN) == {}
    assert capped.world.ledger.verify(ANN) == []


def test_forgetting_costs_nothing_and_shows_in_no_history():
    capped = Capped("total")
    capped.spend(7)
    before = capped.world.ledger.balance(ANN).available

    capped.budgets.forget_budget(capped.key)

    history = capped.world.ledger.history(ANN, before=None, limit=10).items
    assert capped.world.ledger.balance(ANN).available == before
    assert [entry.kind for entry in history] == ["charge", "grant"]


# A turn in a key's name --------------------------------------------------------------------------------------------


def made(capped: Capped, cap: int) -> ApiKey:
    """A key with another cap."""
    wanted = KeyWanted(name="k", scopes=frozenset({"chat"}), cap=SpendCap(amount=Micro(cap), period="day"))
    return capped.keys.create(ANN, wanted, operation_id(new_id("op")), "f")[0]


def asked(capped: Capped, key: ApiKey):
    """A turn in this key's name, not started yet."""
    world, principal = capped.world, key.principal
    budgets = claims(principal.key, world.clock.now())
    return world.run(world.conversation(), budgets=budgets, principal=principal.spender)


def answered(capped: Capped, cap: int):
    """An answer to a key with another cap."""
    key = made(capped, cap)
    return key, answer_of(asked(capped, key))


def bound_of(capped: Capped) -> int:
    """What a cap has to have room for: the input's bound, and the answer as it is expected."""
    request = capped.world.request(capped.world.conversation(), "Hello?")
    plan = capped.world.turn.kind.plan(request, ()).plan
    call = plan.call(is_billed_to_its_end=True)
    return plan.hold + call.input_at_most - call.input_held


def test_a_cap_with_room_for_the_bound_serves_a_model_that_nobody_knows_yet():
    capped = Capped()

    key, answer = answered(capped, bound_of(capped))

    assert answer.message.finish_reason == "stop"
    assert capped.budgets.used(ANN, [key])[key.id] == answer.cost


def test_a_cap_with_less_room_than_the_bound_refuses_and_says_it():
    capped = Capped()
    bound = bound_of(capped)

    with pytest.raises(BudgetExceeded) as refusal:
        answered(capped, bound - 1)

    assert refusal.value.params["required"] == bound
    assert capped.world.upstream.requests == []
    assert capped.world.charges() == []


def test_a_cap_that_runs_out_on_the_way_ends_the_answer_within_it():
    capped = Capped()
    capped.world.upstream.scripts = [says(*[" word"] * 900)]
    expected = capped.world.turn.estimate(ANN, content="Hello?").expected

    key, answer = answered(capped, 2 * expected)

    assert answer.message.finish_reason == "credit_limit"
    assert answer.cost <= 2 * expected
    assert capped.budgets.used(ANN, [key])[key.id] == answer.cost
    assert capped.world.ledger.balance(ANN).held == 0
    assert capped.world.ledger.verify(ANN) == []


def test_a_call_over_midnight_is_ended_by_the_cap_of_the_day_it_began_in_and_the_next_day_is_whole():
    capped = Capped()
    capped.world.upstream.scripts = [says(*[" word"] * 900)]
    key = made(capped, 2 * capped.world.turn.estimate(ANN, content="Hello?").expected)
    (yesterday,) = claims(key.principal.key, capped.world.clock.now())
    capped.world.clock.advance(DAY - SECOND)
    events = asked(capped, key)
    next(events)

    capped.world.clock.advance(2 * SECOND)
    answer = answer_of(events)

    budgets = capped.world.ledger.budgets(ANN)
    assert (answer.message.finish_reason, budgets[yesterday.id].used) == ("credit_limit", answer.cost)
    assert answer.cost <= yesterday.limit
    assert capped.budgets.used(ANN, [key])[key.id] == 0
    assert answer_of(asked(capped, key)).cost > answer.cost // 2
    assert capped.world.ledger.budgets(ANN)[yesterday.id].used == answer.cost
