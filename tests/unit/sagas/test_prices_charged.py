"""Cached, written and long input, and single requests, cost their own prices in chat, OpenAI calls and agents."""

from fractions import Fraction
from typing import Any

import pytest

from shared.ai.agents.thinking import Thought
from shared.ai.tokens import Usage
from shared.platform.memory.chat_model import says
from shared.platform.memory.passthrough import chunk
from shared.sagas.agents.tools.ask_model import AskModel
from tests.support.agents import AgentWorld, thinks
from tests.support.chat import ANN, CREDIT, World
from tests.support.openai import OpenAIBackend

PRICES: dict[str, Any] = {
    "input_usd_per_mtok": "2.50",
    "output_usd_per_mtok": "10.00",
    "cached_input_usd_per_mtok": "1.25",
    "cache_write_usd_per_mtok": "3.125",
    "request_usd": "0.0007",
    "context_tiers": [
        {
            "above_input_tokens": 50_000,
            "input_usd_per_mtok": "5",
            "output_usd_per_mtok": "15",
            "cached_input_usd_per_mtok": "0.5",
        }
    ],
    "context_window": 128_000,
}
CASES = {
    "cached": (Usage(input_tokens=22_729, output_tokens=457, cached_input_tokens=17_323), "4.043875"),
    "written": (Usage(input_tokens=1_001, output_tokens=3, cache_write_tokens=333), "0.3440625"),
    "long": (Usage(input_tokens=50_001, output_tokens=5), "25.078"),
    "long and cached": (Usage(input_tokens=60_000, output_tokens=5, cached_input_tokens=50_000), "7.5775"),
}


def charge_of(used: Usage) -> int:
    """Return the charge by the issue's own arithmetic, in µcr: 100 credits a dollar, rounded up once."""
    tier = PRICES if used.input_tokens <= 50_000 else PRICES["context_tiers"][0]
    plain = used.input_tokens - used.cached_input_tokens - used.cache_write_tokens
    counted = (
        (plain, "input_usd_per_mtok"),
        (used.output_tokens, "output_usd_per_mtok"),
        (used.cached_input_tokens, "cached_input_usd_per_mtok"),
        (used.cache_write_tokens, "cache_write_usd_per_mtok"),
    )
    usd = sum(tokens * Fraction(tier.get(name, tier["input_usd_per_mtok"])) for tokens, name in counted)
    return -(-(usd + Fraction(PRICES["request_usd"]) * 1_000_000) * 100 // 1)


def report_of(used: Usage) -> dict[str, Any]:
    """Return the last chunk of a stream, which tells the usage."""
    details = {"cached_tokens": used.cached_input_tokens, "cache_write_tokens": used.cache_write_tokens}
    usage = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": details,
    }
    return {**chunk({}), "choices": [], "usage": usage}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request) -> tuple[Usage, int]:
    used, told = request.param
    cost = charge_of(used)
    assert cost == -(-Fraction(told) * CREDIT // 1), "the row agrees with the arithmetic"
    return used, cost


def test_a_chat_turn_costs_each_token_of_its_report_exactly(case):
    used, cost = case
    world = World(scripts=[says("ok", usage=used)], prices=PRICES)
    world.user(100 * CREDIT)

    answer = world.ask(world.conversation())

    assert (answer.cost, world.charges()) == (cost, [cost])


@pytest.mark.parametrize("is_streamed", [True, False], ids=["streamed", "plain"])
def test_a_call_of_the_door_costs_each_token_of_its_report_exactly(case, is_streamed):
    used, cost = case
    backend = OpenAIBackend(chunk({"content": "ok"}), chunk({}, finish_reason="stop"), report_of(used), prices=PRICES)
    backend.world.user(100 * CREDIT)

    answered = backend.ask(is_streamed=is_streamed)

    assert (answered.cost, backend.world.charges()) == (cost, [cost])


def test_a_thought_of_an_agent_costs_each_token_of_its_report_exactly(case):
    used, cost = case
    world = AgentWorld(job=(Thought(text="done", calls=(), usage=used),), prices=PRICES)
    world.user(1_000 * CREDIT)

    task = world.run(world.begin(budget=500 * CREDIT))

    assert (task.status, task.spent, world.charges()) == ("completed", cost, [cost])


def test_a_question_of_an_agent_costs_each_token_of_its_report_exactly(case):
    used, cost = case
    job = (thinks("", (AskModel.name, {"question": "Well?"})), thinks("done"))
    world = AgentWorld(job=job, prices=PRICES)
    world.chat_model.scripts = [says("ok", usage=used)]
    world.user(1_000 * CREDIT)

    world.run(world.begin(budget=500 * CREDIT))

    assert cost in world.charges()


@pytest.mark.parametrize("limit", [None, 20], ids=["unlimited", "limited"])
def test_an_estimate_bounds_the_charge_of_a_call_that_writes_all_to_a_cache(limit):
    world = World(prices=PRICES)
    estimate = world.turn.estimate(ANN, content="x" * 60_000, max_output_tokens=limit)
    used = Usage(
        input_tokens=estimate.input_tokens_at_most,
        output_tokens=estimate.output_tokens_at_most,
        cache_write_tokens=estimate.input_tokens_at_most,
    )

    assert charge_of(used) <= estimate.ceiling
    assert estimate.expected == charge_of(
        Usage(input_tokens=estimate.input_tokens_expected, output_tokens=estimate.output_tokens_expected)
    )


def test_a_limited_call_holds_what_it_may_cost_in_its_dearest_tier():
    world = World(scripts=[says("ok", usage=Usage(input_tokens=60_000, output_tokens=1))], prices=PRICES)
    world.user(100 * CREDIT)
    conversation = world.conversation()
    events = world.run(conversation, "x" * 60_000, max_output_tokens=5)

    next(events)
    held = world.ledger.balance(ANN).held
    events.close()
    world.read_on()

    assert held >= charge_of(Usage(input_tokens=60_000, output_tokens=5))
