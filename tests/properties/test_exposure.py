"""Hostile callers against the ledger: whatever they ask, what they make the platform absorb is bounded.

Each call's provider bills the truth: anything up to the bound of the input, and the output that the hold pays for.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.account import Hold
from shared.ledger.commands import BudgetClaim, CallBound, Capture
from shared.ledger.exposure import ABSORBED_AT_ONCE_MAX, ABSORBED_MAX, INPUT_RISK_ALONE_MAX
from tests.support.books import Books, call, capture, charge, extend, grant, hold, release
from tests.support.ledgers import UID, World
from tests.support.ledgers import grant as granted

UNIT = ABSORBED_MAX // 50
"""So that amounts of a few hundred are as large as what the platform may lose, and larger."""
AMOUNTS = st.integers(0, 150).map(lambda amount: amount * UNIT)
CAPS = st.sets(st.sampled_from(["key", "task"]))
LIMITS = {"key": 100 * UNIT, "task": 60 * UNIT}


class Hostile(RuleBasedStateMachine):
    """One account of hostile callers; `risk` is all that they may make the platform absorb."""

    risk = INPUT_RISK_ALONE_MAX + ABSORBED_MAX

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.count = 0

    @initialize(amount=st.integers(1, 400))
    def begin(self, amount):
        self.prepare()
        self.ask(grant("gift", amount * UNIT))

    def prepare(self) -> None:
        """Nothing."""

    def ask(self, command) -> bool:
        try:
            self.books.do(command)
        except DomainError:
            return False
        return True

    def names(self, kind: str) -> list[str]:
        return sorted(name for name in self.books.account.holds if name.startswith(kind))

    @rule(output=AMOUNTS, expected=AMOUNTS, more=AMOUNTS, caps=CAPS)
    def begin_call(self, output, expected, more, caps):
        self.count += 1
        claims = tuple(BudgetClaim(id=name, limit=Micro(LIMITS[name])) for name in sorted(caps))
        asked = call(expected + output, expected=expected, at_most=expected + more)
        self.ask(hold(f"call{self.count}", **asked, budgets=claims))

    @rule(amount=AMOUNTS)
    def reserve(self, amount):
        self.count += 1
        self.ask(hold(f"reserved{self.count}", amount, is_reservation=True))

    @rule(amount=AMOUNTS, caps=CAPS)
    def spend(self, amount, caps):
        claims = tuple(BudgetClaim(id=name, limit=Micro(LIMITS[name])) for name in sorted(caps))
        self.ask(charge(amount, budgets=claims))

    @precondition(lambda self: self.names("call"))
    @rule(data=st.data(), amount=AMOUNTS)
    def grow(self, data, amount):
        self.ask(extend(data.draw(st.sampled_from(self.names("call"))), amount))

    @precondition(lambda self: self.names("call"))
    @rule(data=st.data(), input_part=st.integers(0, 10), output_part=st.integers(0, 10))
    def end_call(self, data, input_part, output_part):
        name = data.draw(st.sampled_from(self.names("call")))
        assert self.ask(capture(name, true_cost(self.books.account.holds[HoldId(name)], input_part, output_part)))

    @precondition(lambda self: self.names(""))
    @rule(data=st.data())
    def give_back(self, data):
        self.ask(release(data.draw(st.sampled_from(self.names("")))))

    @precondition(lambda self: self.names("reserved"))
    @rule(data=st.data(), amount=AMOUNTS)
    def capture_reserved(self, data, amount):
        self.ask(capture(data.draw(st.sampled_from(self.names("reserved"))), amount))

    @invariant()
    def the_platform_loses_no_more_than_it_risks(self):
        assert -self.books.totals["absorbed"] <= self.risk

    @invariant()
    def caps_are_kept(self):
        for budget in self.books.account.budgets.values():
            assert budget.used + budget.held <= budget.limit


class HostileWithoutRisk(Hostile):
    """The same where another call takes all the risk that is allowed: nothing is absorbed then."""

    risk = 0

    def prepare(self):
        self.ask(hold("risky", **call(0, expected=0, at_most=ABSORBED_AT_ONCE_MAX)))

    def names(self, kind):
        return [name for name in super().names(kind) if name != "risky"]


def true_cost(hold: Hold, input_part: int, output_part: int) -> int:
    """What the provider bills: so many tenths of what the input can cost, and of the output that is held."""
    assert hold.input_at_most is not None
    assert hold.input_held is not None
    return hold.input_at_most * input_part // 10 + (hold.amount - hold.input_held) * output_part // 10


LONG = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
TestHostile = Hostile.TestCase
TestHostile.settings = LONG
TestHostileWithoutRisk = HostileWithoutRisk.TestCase
TestHostileWithoutRisk.settings = LONG


@pytest.mark.parametrize("seed", range(4))
def test_hostile_callers_at_once_make_the_platform_absorb_no_more_than_its_risk(seed):
    world = World()
    balance = 200 * UNIT
    world.ledger.execute(UID, granted("g", balance))
    ledger = world.ledger

    def attack(number: int) -> int:
        chance = random.Random(f"{seed}:{number}")  # no secret hangs on it
        delivered = 0
        for call_number in range(6):
            expected = chance.randrange(1, 10) * UNIT
            at_most = expected * chance.randrange(1, 40)
            bound = CallBound(input_held=Micro(expected), input_at_most=Micro(at_most), at_most=Micro(at_most))
            operation = operation_id(str(seed), str(number), str(call_number))
            try:
                held = ledger.holding(
                    Uid(UID), Micro(expected), operation=operation, expected_step=Micro(1), call=bound
                )
            except DomainError:
                continue
            cost = chance.randrange(expected, at_most + 1)
            command = Capture(operation=operation_id(operation, "end"), hold=held.id, amount=Micro(cost))
            ledger.execute(Uid(UID), command)
            delivered += cost
        return delivered

    with ThreadPoolExecutor(16) as pool:
        delivered = sum(pool.map(attack, range(16)))

    paid = balance - ledger.balance(UID).total
    assert delivered - paid <= INPUT_RISK_ALONE_MAX
    assert ledger.verify(UID) == []
