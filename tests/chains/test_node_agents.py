"""Check on a real node with a real facilitator that who pays by x402 has credits and call once, and others neither.

Method: every kind of fault once. `make chains` is the long form.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.chains.node_agents import FAULTS, NodeAgents, node_agents
from tests.support.x402_base import DOLLAR
from tests.support.x402_payers import decoded

SEED = 11
MOMENTS = (7, 11)
"""Commits before or after which the worker is killed: the payment is stored, and the facilitator may have settled."""


@pytest.fixture(scope="module")
def agents() -> Iterator[NodeAgents]:
    with node_agents(SEED, Counter()) as made:
        yield made


@pytest.mark.parametrize("name", FAULTS)
def test_who_paid_on_a_node_has_credits_and_call_once(agents: NodeAgents, name: str):
    agents.play(name)

    assert sum(number for fault, number in agents.tally.items() if fault.startswith(f"{name}: ")) == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_dies_on_the_way_leaves_the_payment_to_the_next(agents: NodeAgents, moment: int):
    agent = agents.agent()
    agent.ask_a_doomed_worker(moment)
    assert agent.clock.ahead > 0, "the worker was killed"

    assert agent.check(agent.ask_until_answered())


def test_a_facilitator_that_fails_costs_and_gives_nothing(agents: NodeAgents):
    agent = agents.agent()
    agents.town.facilitator.behave("failing")

    answer = agent.ask()
    agents.town.facilitator.behave("well")

    assert (answer.status_code, answer.json["error"]["code"]) == (402, "top_up_failed")
    assert decoded(answer.headers["PAYMENT-RESPONSE"])["errorReason"] == "unexpected_settle_error"
    assert (agent.upstream.requests, agents.town.coins(agent.payer.address)) == ([], 5 * DOLLAR)
    assert agent.services.credits.ledger.balance(agent.uid).total == 0
