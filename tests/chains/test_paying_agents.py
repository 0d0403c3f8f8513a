"""Check that who pays by x402 has the credits once and the call once, and who does not pay has neither.

Method: every kind of fault some times, over memory adapters. `make chains` is the long form.
"""

import pytest

from tests.chains.paying_agents import TURNS, PayingAgents

SEED = 11
TIMES = 2


@pytest.fixture(scope="module")
def agents() -> PayingAgents:
    return PayingAgents(SEED)


@pytest.mark.parametrize("name", TURNS)
def test_who_paid_has_credits_and_call_once(agents: PayingAgents, name: str):
    for _ in range(TIMES):
        agents.play(name)

    assert sum(number for turn, number in agents.tally.items() if turn.startswith(f"{name}: ")) == TIMES
