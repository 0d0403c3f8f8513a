"""A client that leaves, after any chunk, through functions-framework itself."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
import requests

from shared.ai.tokens import prompt_expected
from tests.fire.stage import Person, Server, Stage, deltas
from tests.support.processes import wait_for

LEAVE_AFTER_MAX = 12
TAIL = 400
"""What the provider would still say, a minute long: a closed connection is noticed with the second write to it."""
WORDS = [" word"] * (LEAVE_AFTER_MAX + TAIL)
DELAY_MS = 150
CREDITS = 1_000_000


def leave(stage: Stage, server: Server, after: int) -> Person:
    """Hear so many pieces, and go."""
    person = Person(stage, CREDITS)
    content = f"Leave after {after}, {person.uid}"
    stage.upstream.script(contains=content, reply="".join(WORDS), delay_ms=DELAY_MS)
    with person.say(server, content, stream=True) as response:
        assert len(list(islice(deltas(response), after))) == after
    wait_for(lambda: bool(person.answers()) and not person.held, seconds=120, what="the turn has ended")
    return person


def leave_unheard(stage: Stage, server: Server) -> tuple[Person, str]:
    """Go before the first word, and before the response has begun."""
    person = Person(stage, CREDITS)
    content = f"Unheard, {person.uid}"
    stage.upstream.script(contains=content, reply="".join(WORDS), delay_ms=5 * DELAY_MS)
    with pytest.raises(requests.ReadTimeout):
        person.say(server, content, timeout_seconds=3 * DELAY_MS / 1000, stream=True)
    wait_for(lambda: bool(person.answers()) and not person.held, seconds=120, what="the turn has ended")
    return person, content


def test_after_every_chunk_the_upstream_is_aborted_and_what_was_delivered_is_charged(stage):
    with Server(stage) as server, ThreadPoolExecutor(LEAVE_AFTER_MAX + 2) as pool:
        unheard = pool.submit(leave_unheard, stage, server)
        people = list(pool.map(lambda after: leave(stage, server, after), range(LEAVE_AFTER_MAX + 1)))

    check(stage, *unheard.result(), least=0)
    for after, person in enumerate(people):
        check(stage, person, f"Leave after {after}, {person.uid}", least=after)


def check(stage: Stage, person: Person, content: str, *, least: int) -> None:
    (asked,) = stage.asked(content)
    (answer,) = person.answers()
    delivered = answer.content.count("word")
    assert (asked["outcome"], answer.finish_reason) == ("aborted", "disconnected")
    assert least <= delivered < len(WORDS)
    assert answer.content == "".join(WORDS[:delivered])
    assert person.spent == answer.cost == 100 * prompt_expected([content]) + 200 * delivered
    person.check_books()
