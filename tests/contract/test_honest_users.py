"""Honest users are not worse off: a call that ends by itself costs what its provider reported, to the µcr."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from emulator.upstream import Upstream
from tests.support.billed_callers import CREDIT, Json, Payer, Stage

NUMBERS = itertools.count(1)
PROSE = "The ship sailed slowly into the harbour before the storm. "
PAINTED = 4_200_000
"""µcr for one picture of gpt-image-1 at its usual size."""
AFFORDABLE, WIDTH = 13, 4


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Upstream() as upstream, Stage(upstream) as it:
        yield it


@pytest.fixture(scope="module")
def live() -> Iterator[Stage]:
    """The same on a real clock, for callers who wait for each other."""
    with Upstream(delay_ms=1) as upstream, Stage(upstream, is_live=True) as it:
        yield it


def marked() -> str:
    return f"[honest {next(NUMBERS)}]"


def messages(marker: str) -> list[Json]:
    return [{"role": "user", "content": f"{PROSE} {marker}"}]


def said(payer: Payer, marker: str, model: str = "gpt-4o-mini", **more: Any) -> Any:
    """One message in a conversation of its own."""
    made = payer.call("POST", "/chat/conversations", {"model": model})
    path = f"/chat/conversations/{made.json['id']}/messages"
    return payer.call("POST", path, {"content": f"{PROSE} {marker}", **more})


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("limit", [{}, {"max_tokens": 5}, {"max_tokens": 400}], ids=["no limit", "short", "long"])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o", "o4-mini"])
def test_a_chat_completion_costs_what_is_reported(stage, model, limit, is_streamed):
    payer, marker = stage.payer(), marked()
    body = {"model": model, "messages": messages(marker), **limit, "stream": is_streamed}

    answer = payer.call("POST", "/openai/chat/completions", body)

    assert answer.status_code == 200, answer.text
    assert payer.settled().charged == stage.owed(marker) > 0


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "o4-mini"])
def test_a_response_costs_what_is_reported(stage, model, is_streamed):
    payer, marker = stage.payer(), marked()
    body = {"model": model, "input": f"{PROSE} {marker}", "store": False, "stream": is_streamed}

    answer = payer.call("POST", "/openai/responses", body)

    assert answer.status_code == 200, answer.text
    assert payer.settled().charged == stage.owed(marker) > 0


@pytest.mark.parametrize("is_streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("limit", [{}, {"max_output_tokens": 5}, {"max_output_tokens": 400}])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "o4-mini"])
def test_a_message_costs_what_is_reported(stage, model, limit, is_streamed):
    payer, marker = stage.payer(), marked()

    answer = said(payer, marker, model, stream=is_streamed, **limit)

    assert answer.status_code == 200 if is_streamed else 201, answer.text
    assert payer.settled().charged == stage.owed(marker) > 0


def test_embeddings_cost_what_is_reported(stage):
    payer, marker = stage.payer(), marked()
    body = {"model": "text-embedding-3-small", "input": [PROSE * 20, marker]}

    answer = payer.call("POST", "/openai/embeddings", body)

    assert answer.status_code == 200, answer.text
    assert payer.settled().charged == stage.owed(marker) > 0


def test_an_agents_task_costs_what_its_steps_report(stage):
    payer, marker = stage.payer(), marked()
    goal = {"goal": f"Work out 2^10. {marker}", "model": "gpt-4o-mini", "budget": "5"}
    task = payer.call("POST", "/chat/agent-tasks", goal).json["id"]

    stage.first.services.agents.slice.run(task)

    ended = payer.call("GET", f"/chat/agent-tasks/{task}").json
    assert (ended["status"], len(stage.billed(marker))) == ("completed", 4)
    assert payer.settled().charged == stage.owed(marker) > 0


@pytest.mark.parametrize("count", [1, 3])
def test_images_cost_their_price(stage, count):
    payer = stage.payer()

    answer = payer.call("POST", "/openai/images/generations", {"model": "gpt-image-1", "prompt": "a cat", "n": count})

    assert answer.status_code == 200, answer.text
    assert payer.settled().charged == count * PAINTED


def test_all_calls_that_the_balance_pays_for_are_served_four_at_a_time(live):
    marker = marked()
    teacher = live.payer()
    for _ in range(4):
        said(teacher, marker)
    cost = live.owed(marker) // 4
    payer = live.payer((AFFORDABLE + 0.5) * cost / CREDIT)

    with ThreadPoolExecutor(WIDTH) as pool:
        answers = list(pool.map(lambda _: said(payer, marker), range(AFFORDABLE)))

    assert [answer.status_code for answer in answers] == [201] * AFFORDABLE
    assert {answer.json["message"]["finish_reason"] for answer in answers} == {"stop"}
    assert payer.settled().absorbed == 0
