"""Forty and two hundred callers of two real instances, with credits for four of them."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fire.stage import Person, Server, Stage

LIMIT = 40
WORDS = " word" * LIMIT
SECONDS = {40: 5, 200: 12} if os.environ.get("FIRE") else {40: 5}
"""How long an answer takes when so many call: nobody has finished before everybody has asked."""


@pytest.fixture(scope="module")
def servers(stage: Stage):
    with Server(stage) as first, Server(stage) as second:
        yield first, second


@pytest.mark.parametrize("callers", SECONDS)
def test_exactly_as_many_are_answered_as_there_are_ceilings(stage, servers, callers):
    person = Person(stage, 0)
    content = f"Four of {callers}, {person.uid}"
    estimate = stage.services.chat_turn.estimate(
        person.uid, content=content, model=stage.model, max_output_tokens=LIMIT
    )
    person.give(4 * estimate.ceiling)
    stage.upstream.script(contains=content, reply=WORDS, delay_ms=1_000 * SECONDS[callers] // LIMIT, times=0)

    with ThreadPoolExecutor(callers) as pool:
        answers = list(
            pool.map(lambda number: person.say(servers[number % 2], content, max_output_tokens=LIMIT), range(callers))
        )

    good = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer.json()["code"] for answer in answers if answer.status_code != 201]
    assert [answer["message"]["content"] for answer in good] == [WORDS] * 4
    assert refused == ["insufficient_credits"] * (callers - 4)
    assert [each["outcome"] for each in stage.asked(content)] == ["answered"] * 4
    assert person.held == 0
    person.check_books()
