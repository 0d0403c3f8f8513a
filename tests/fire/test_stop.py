"""Check that a call can be stopped by a request to another instance than the running one.

Method: two functions-framework processes share one store.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import requests

from shared.kernel.ids import new_id
from shared.kernel.money import parse_credits
from shared.sagas.metering.ending import COUNTING_ERROR
from tests.fire.stage import CALL_SECONDS_MAX, Person, Server, Stage, started
from tests.support.processes import wait_for
from tests.support.questions import numbered

READ = 20
WORDS = {"openai": 225, "auto": READ + 20}
"""Tokens of the whole answer. A provider that does not hear a hang-up waits with the last until a stop was answered."""
DELAY_MS = 60
HEARD_CHUNKS_MAX = 6_000 // DELAY_MS
"""Chunks that a provider sends until a stop is heard and the connection is closed, also on a busy machine."""
CREDITS = 10_000_000
SETTLES_SECONDS_MAX = 60


@pytest.fixture(scope="module", params=["openai", "auto"])
def instances(request, stage: Stage) -> Iterator[tuple[str, Server, Server]]:
    """Two instances whose provider ends its bill with an aborted call, or does not."""
    settings = {"AI_PLATFORM_PROFILE": request.param}
    with started(stage, settings, settings) as (runner, asker):
        yield request.param, runner, asker


def scripted(stage: Stage, profile: str) -> str:
    """A message whose answer takes longer than whoever stops it waits for its cost."""
    content, words = numbered("Stop me"), WORDS[profile]
    ending = {"ends": True} if profile == "openai" else {"pause_at": words - 1}
    stage.upstream.script(contains=content, reply=" word" * words, delay_ms=DELAY_MS, **ending)
    return content


def read(lines: Iterator[bytes], piece: bytes) -> None:
    """Read on to the last piece that is wanted. A caller who drops `lines` hangs up."""
    assert sum(1 for _ in islice((line for line in lines if piece in line), READ)) == READ


def told(server: Server, person: Person, path: str, body: Any) -> Any:
    answer = requests.post(f"{server.url}{path}", json=body, headers=person.headers, timeout=CALL_SECONDS_MAX)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stopped(stage: Stage, content: str, server: Server, person: Person, path: str, body: Any) -> Any:
    """What a stop of the call is told. Only then may the provider go on to its end."""
    first = told(server, person, path, body)
    stage.upstream.go(content)
    return first


def check_cost(stage: Stage, profile: str, person: Person, content: str, end: Any) -> None:
    """What is told, stored, charged and gone from the balance is one number: what was billed, or a little more."""
    (asked,) = stage.asked(content)
    bill = asked["bill"]
    billed = 100 * bill["input_tokens"] + 200 * bill["output_tokens"]
    cost = parse_credits(end["cost"])
    assert person.spent == cost
    if profile == "openai":
        assert asked["outcome"] == "aborted"
        assert READ <= bill["output_tokens"] <= READ + HEARD_CHUNKS_MAX
        assert billed <= cost <= billed * (1 + 2 * COUNTING_ERROR)
    else:
        assert (bill["output_tokens"], cost) == (WORDS[profile], billed)
    person.check_books()


def settled(server: Server, person: Person, path: str, body: Any) -> Any:
    """Ask until the cost is known."""
    ends: list[Any] = []

    def is_known() -> bool:
        ends.append(told(server, person, path, body))
        return ends[-1]["status"] != "settling"

    wait_for(is_known, seconds=SETTLES_SECONDS_MAX, what="the cost is known")
    return ends[-1]


def check_status(profile: str, end: Any) -> None:
    if profile == "openai":
        assert (end["status"], end["at_most"]) == ("stopped", None)
    else:
        assert (end["status"], end["cost"]) == ("settling", None)
        assert parse_credits(end["at_most"]) > 0


def test_a_turn_is_stopped_by_another_instance(stage, instances):
    profile, runner, asker = instances
    person, content = Person(stage, CREDITS), scripted(stage, profile)
    path = f"/chat/conversations/{person.conversation}/stop"

    with person.say(runner, content, stream=True) as response:
        lines = response.iter_lines(chunk_size=1)
        read(lines, b"delta")
        first = stopped(stage, content, asker, person, path, {})
        rest = [line for line in lines if line]

    check_status(profile, first)
    assert b"event: done" in rest
    end = settled(asker, person, path, {})
    (answer,) = person.answers()
    assert (answer.finish_reason, answer.cost) == ("stopped", parse_credits(end["cost"]))
    assert end["message"]["content"] == answer.content == first["message"]["content"]
    assert READ <= answer.content.count("word") <= READ + HEARD_CHUNKS_MAX
    check_cost(stage, profile, person, content, end)


def test_a_call_in_openais_protocol_is_stopped_by_its_request_id(stage, instances):
    profile, runner, asker = instances
    person, content = Person(stage, CREDITS), scripted(stage, profile)
    person.use_key(runner)
    request_id = new_id("mine")
    body = {"model": stage.model, "stream": True, "messages": [{"role": "user", "content": content}]}

    with requests.post(
        f"{runner.url}/openai/chat/completions",
        json=body,
        headers={**person.headers, "X-Request-Id": request_id},
        stream=True,
        timeout=CALL_SECONDS_MAX,
    ) as response:
        lines = response.iter_lines(chunk_size=1)
        read(lines, b"word")
        first = stopped(stage, content, asker, person, "/openai/stop", {"request_id": request_id})
        rest = [line for line in lines if line]

    check_status(profile, first)
    assert rest[-1] == b"data: [DONE]"
    end = settled(asker, person, "/openai/stop", {"request_id": request_id})
    assert end["message"]["content"].count("word") >= READ
    check_cost(stage, profile, person, content, end)


def test_a_client_that_has_left_unheard_can_still_stop(stage, instances):
    """The connection stays open, as behind a proxy that swallows the hang-up."""
    profile, runner, asker = instances
    person, content = Person(stage, CREDITS), scripted(stage, profile)
    with person.say(runner, content, stream=True) as response:
        lines = response.iter_lines(chunk_size=1)
        read(lines, b"delta")
        path = f"/chat/conversations/{person.conversation}/stop"

        stopped(stage, content, asker, person, path, {})
        end = settled(asker, person, path, {})

    check_cost(stage, profile, person, content, end)


def test_a_stop_that_comes_first_ends_the_call_before_it_is_asked(stage, instances):
    _, runner, asker = instances
    person, content = Person(stage, CREDITS), f"Never ask, {new_id('stop')}"
    warm(stage, runner, person)
    before = person.spent
    path = f"/chat/conversations/{person.conversation}/stop"
    request_id = new_id("early")
    assert told(asker, person, path, {"request_id": request_id})["status"] == "ended"

    person.headers["X-Request-Id"] = request_id
    with person.say(runner, content, stream=True) as response:
        lines = list(response.iter_lines())

    end = told(asker, person, path, {"request_id": request_id})
    assert (end["cost"], end["message"]["content"], end["message"]["finish_reason"]) == ("0", "", "stopped")
    assert b"event: done" in lines
    assert (stage.asked(content), person.spent) == ([], before)


def warm(stage: Stage, server: Server, person: Person) -> None:
    """Let the instance have its watch."""
    content = f"Warm, {new_id('warm')}"
    stage.upstream.script(contains=content, reply="Yes.", delay_ms=1_000)
    assert person.say(server, content).status_code == 201


def test_a_killed_instances_call_settles_at_what_is_written_down(stage):
    person, content = Person(stage, CREDITS), scripted(stage, "auto")
    with started(stage, {}, {"HOLD_LIFETIME_SECONDS": "12"}) as (asker, runner):
        with person.say(runner, content, stream=True) as response:
            lines = response.iter_lines(chunk_size=1)
            read(lines, b"delta")
            runner.kill()
        path = f"/chat/conversations/{person.conversation}/stop"
        first = told(asker, person, path, {})
        end = settled(asker, person, path, {})

    assert first["status"] == "settling"
    assert parse_credits(first["at_most"]) > 0
    assert end["message"] is None
    assert person.held == 0
    person.check_books()
