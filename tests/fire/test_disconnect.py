"""Check the charge of a client that leaves after any chunk of the answer.

Method: the client of a real functions-framework process closes the connection after each chunk in turn.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
import requests

from shared.sagas.metering.ending import COUNTING_ERROR
from tests.fire.stage import Person, Server, Stage, deltas
from tests.support.processes import wait_for
from tests.support.questions import numbered

LEAVE_AFTER_MAX = 12
TAILS = {"openai": 120, "auto": 30}
"""What the provider would still say: a closed connection is noticed with the second write to it.

On a busy machine a hang-up reaches the provider late. A provider without hang-ups is heard to the end.
"""
DELAY_MS = 150
CREDITS = 10_000_000


@pytest.fixture(scope="module", params=["openai", "auto"])
def served(request, stage: Stage) -> Iterator[tuple[str, Server]]:
    """An instance whose provider ends its bill with an aborted call, or does not."""
    with Server(stage, AI_PLATFORM_PROFILE=request.param) as server:
        yield request.param, server


def words_of(profile: str) -> list[str]:
    return [" word"] * (LEAVE_AFTER_MAX + TAILS[profile])


def scripted(stage: Stage, profile: str, content: str, *, think_ms: int = 0) -> None:
    reply, ends = "".join(words_of(profile)), profile == "openai"
    stage.upstream.script(contains=content, reply=reply, think_ms=think_ms, delay_ms=DELAY_MS, ends=ends)


def leave(stage: Stage, served: tuple[str, Server], after: int) -> tuple[Person, str]:
    """Hear so many pieces, and go."""
    profile, server = served
    person = Person(stage, CREDITS)
    content = numbered(f"Leave after {after}")
    scripted(stage, profile, content)
    with person.say(server, content, stream=True) as response:
        assert len(list(islice(deltas(response), after))) == after
    wait_for(lambda: bool(person.answers()) and not person.held, seconds=120, what="the turn has ended")
    return person, content


def leave_unheard(stage: Stage, served: tuple[str, Server]) -> tuple[Person, str]:
    """Go before the first word, and before the response has begun."""
    profile, server = served
    person = Person(stage, CREDITS)
    content = numbered("Unheard")
    scripted(stage, profile, content, think_ms=3 * DELAY_MS)
    with pytest.raises(requests.ReadTimeout):
        person.say(server, content, timeout_seconds=2 * DELAY_MS / 1000, stream=True)
    wait_for(lambda: bool(person.answers()) and not person.held, seconds=120, what="the turn has ended")
    return person, content


def test_whoever_leaves_after_any_chunk_pays_what_the_provider_bills(stage, served):
    with ThreadPoolExecutor(LEAVE_AFTER_MAX + 2) as pool:
        unheard = pool.submit(leave_unheard, stage, served)
        left = list(pool.map(lambda after: leave(stage, served, after), range(LEAVE_AFTER_MAX + 1)))

    check(stage, served[0], *unheard.result(), least=0)
    for after, (person, content) in enumerate(left):
        check(stage, served[0], person, content, least=after)


def check(stage: Stage, profile: str, person: Person, content: str, *, least: int) -> None:
    (asked,) = stage.asked(content)
    (answer,) = person.answers()
    bill, kept, words = asked["bill"], answer.content.count("word"), words_of(profile)
    billed = 100 * bill["input_tokens"] + 200 * bill["output_tokens"]
    assert answer.content == "".join(words[:kept])
    assert person.spent == answer.cost
    if profile == "openai":
        assert (asked["outcome"], answer.finish_reason) == ("aborted", "disconnected")
        assert least <= kept < len(words)
        assert billed <= answer.cost <= billed * (1 + 2 * COUNTING_ERROR) + 200
    else:
        assert (kept, answer.finish_reason, answer.cost) == (len(words), "stop", billed)
    person.check_books()
