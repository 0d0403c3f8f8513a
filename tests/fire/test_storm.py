"""Check that of forty and of two hundred callers as many are served as credits or a key's cap allow.

Method: all call two real instances at once. Credits, or the cap of the key, are enough for four calls.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from shared.kernel.money import Micro, format_credits
from tests.fire.stage import Person, Server, Stage, started

LIMIT = 40
WORDS = " word" * LIMIT
SECONDS = {40: 5, 200: 12} if os.environ.get("FIRE") else {40: 5}
"""How long an answer takes when so many call: nobody has finished before everybody has asked."""


@pytest.fixture(scope="module")
def servers(stage: Stage):
    with started(stage, {}, {}) as (first, second):
        yield first, second


class Asked:
    """One question and what its answer may cost at most."""

    def __init__(self, stage: Stage, person: Person, callers: int) -> None:
        self._stage, self._person, self._callers = stage, person, callers
        self._content = f"Four of {callers}, {person.uid}"
        self.ceiling = stage.services.chat.turn.estimate(
            person.uid, content=self._content, model=stage.model, max_output_tokens=LIMIT
        ).ceiling
        delay_ms = 1_000 * SECONDS[callers] // LIMIT
        stage.upstream.script(contains=self._content, reply=WORDS, delay_ms=delay_ms, times=0)

    def by_all_at_once(self, servers: Sequence[Server]) -> tuple[list[str], list[str]]:
        """What was answered, and the codes of the refusals."""

        def say(number: int) -> requests.Response:
            return self._person.say(servers[number % 2], self._content, max_output_tokens=LIMIT)

        with ThreadPoolExecutor(self._callers) as pool:
            answers = list(pool.map(say, range(self._callers)))
        good = [answer.json()["message"]["content"] for answer in answers if answer.status_code == 201]
        return good, [answer.json()["code"] for answer in answers if answer.status_code != 201]

    def outcomes(self) -> list[str]:
        """How the calls ended that reached the provider."""
        return [each["outcome"] for each in self._stage.asked(self._content)]


@pytest.mark.parametrize("callers", SECONDS)
def test_exactly_as_many_are_answered_as_there_are_ceilings(stage, servers, callers):
    person = Person(stage, 0)
    asked = Asked(stage, person, callers)
    person.give(4 * asked.ceiling)

    good, refused = asked.by_all_at_once(servers)

    assert good == [WORDS] * 4
    # Half of an instance's places for bodies are the most for one caller: beyond these, a busy instance says 429.
    assert len(refused) == callers - 4
    assert set(refused) <= {"insufficient_credits", "rate_limited"}
    assert asked.outcomes() == ["answered"] * 4
    assert person.held == 0
    person.check_books()


@pytest.mark.parametrize("callers", SECONDS)
def test_exactly_as_many_are_answered_as_the_cap_of_a_key_pays_for(stage, servers, callers):
    person = Person(stage, 0)
    asked = Asked(stage, person, callers)
    person.give(callers * asked.ceiling)
    cap = {"amount": format_credits(Micro(4 * asked.ceiling))}
    person.use_key(servers[0], spend_cap=cap)

    good, refused = asked.by_all_at_once(servers)

    assert good == [WORDS] * 4
    assert len(refused) == callers - 4
    assert set(refused) <= {"budget_exceeded", "rate_limited"}
    assert asked.outcomes() == ["answered"] * 4
    assert (person.held, person.spent <= 4 * asked.ceiling) == (0, True)
    person.check_books()
