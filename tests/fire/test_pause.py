"""Check that a call is paid once if its instance stands still while the caller asks another instance.

Method: the caller leaves, the process is paused, and the caller repeats the request with the same key.
"""

from collections.abc import Iterator
from itertools import islice

import pytest

from shared.kernel.documents import Patch, Query, Where
from shared.kernel.ids import new_id, operation_id
from shared.ledger.commands import Freeze
from tests.fire.stage import Person, Server, Stage, deltas, started
from tests.support.processes import wait_for

WORDS = [" word"] * 40
DELAY_MS = 100
HEARD = 5
LAST = len(WORDS) - 1
"""The provider waits here: however slow the machine is, the answer has not ended when the instance is paused."""
CREDITS = 10_000_000
SECONDS_MAX = 120
CEILING = 400


@pytest.fixture(scope="module")
def instances(stage: Stage) -> Iterator[tuple[Server, Server]]:
    with started(stage, {}, {}) as (one, other):
        yield one, other


def left_and_paused(stage: Stage, server: Server, key: str) -> tuple[Person, str, int]:
    """Hear some words, go, and stop the instance once the call's bound is written down. The bound is what is held."""
    person = Person(stage, CREDITS)
    content = f"Leave me paused, {person.uid}"
    stage.upstream.script(contains=content, reply="".join(WORDS), delay_ms=DELAY_MS, pause_at=LAST)
    with person.say(server, content, key=key, stream=True, max_output_tokens=CEILING) as response:
        assert len(list(islice(deltas(response), HEARD))) == HEARD
        bound = person.held
    ledger = stage.services.credits.ledger
    wait_for(lambda: ledger.balance(person.uid).seq > 2, seconds=SECONDS_MAX, what="the bound is written down")
    server.pause()
    return person, content, bound


def end_the_lease(stage: Stage, person: Person) -> None:
    """Nobody renews it while its instance stands still; a test does not wait for it."""
    found = stage.services.ports.documents().query(
        Query(collection="turns", where=(Where("uid", "==", person.uid),), limit=1)
    )
    stage.services.ports.documents().commit([Patch(found[0].path, {"lease_until": 0}, found[0].version)])


def charges(stage: Stage, person: Person) -> list[int]:
    found = stage.services.credits.ledger.history(person.uid, before=None, limit=20, kinds=frozenset({"charge"})).items
    return [-entry.amount for entry in reversed(found)]


@pytest.mark.parametrize("is_frozen", [False, True], ids=["open", "frozen"])
def test_each_call_is_paid_once_when_its_instance_pauses_and_its_caller_asks_again(stage, instances, is_frozen):
    one, other = instances
    key = new_id("key")
    person, content, bound = left_and_paused(stage, one, key)
    try:
        end_the_lease(stage, person)
        if is_frozen:
            freeze = Freeze(operation=operation_id("fire", person.uid, "freeze"))
            stage.services.credits.ledger.execute(person.uid, freeze)
        again = person.say(other, content, key=key, stream=True, max_output_tokens=CEILING)
        told = again.text
        paid = charges(stage, person)
    finally:
        one.go_on()
        stage.upstream.go(content)

    assert again.status_code == (403 if is_frozen else 200), told
    assert paid[0] == bound
    wait_for(lambda: all(each["outcome"] != "open" for each in stage.asked(content)), seconds=SECONDS_MAX)
    bills = [each["bill"] for each in stage.asked(content)]
    billed = [100 * bill["input_tokens"] + 200 * bill["output_tokens"] for bill in bills]
    assert len(billed) == len(paid) == (1 if is_frozen else 2)
    assert paid[1:] == billed[1:]
    assert paid[0] >= billed[0]
    assert charges(stage, person) == paid
    assert person.held == 0
    person.check_books()
