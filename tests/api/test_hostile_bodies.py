"""Bodies made to cost a server more than their sender: refused cheaply, briefly, and before they are looked at.

The short form counts what Python does for each body, which is the same on every machine. `make hostile` measures
processor time and memory, and prints them.
"""

import json
import os
import sys
from collections import Counter

import pytest

from functions.http.fields import ERRORS_MAX
from functions.http.json_text import JSON_VALUES_MAX, parse_json
from functions.http.means import LARGE_BODY_BYTES
from tests.api.world import Response, World, problem
from tests.support.hostile import cost_of, excesses, lists, served

ANSWER_BYTES_MAX = 64 * 1024
CALLS_MAX = 60_000
CALLS_PER_VALUE_MAX = 14
BYTES_PER_CALL = 4
"""Counting the tokens of a text looks at its words."""
JSON = "application/json"
CPU_SECONDS_MAX = 0.5
MEMORY_MB_MAX = 64
EMBEDDING = {"kind": "embedding", "display_name": "E", "input_usd_per_mtok": "0.02", "context_window": 8_192}
MEASURED = os.environ.get("HOSTILE") == "1"


@pytest.fixture(scope="module")
def busy():
    world = World(env={"RATE_LIMIT_PER_MINUTE": "60000", "RATE_LIMIT_BURST": "60000"})
    world.services.models.catalogue.put("text-embedding", EMBEDDING)
    who = world.person("admin", credits_=1_000)
    headers = {"Authorization": f"Bearer {who.token}"}
    for path in ("/v1/credits/reserve", "/v1/openai/chat/completions"):
        world.client.post(path, data=b"{}", headers=headers, content_type="application/json")
    return world, headers


def calls_of(busy, hostile) -> tuple[Response, int]:
    """The answer, and how many calls of Python functions it took."""
    world, headers = busy
    count = Counter[str]()
    sys.setprofile(lambda frame, event, argument: count.update((event,)) if event == "call" else None)
    try:
        path, method = f"/v1{hostile.path}", hostile.route.method
        answer = world.client.open(path, method=method, data=hostile.body, headers=headers, content_type=JSON)
    finally:
        sys.setprofile(None)
    return answer, count["call"]


@pytest.mark.parametrize("hostile", list(lists()), ids=lambda each: each.name)
def test_hostile_list_takes_few_calls_and_a_short_answer(busy, hostile):
    answer, calls = calls_of(busy, hostile)

    assert answer.status_code < 500
    assert len(answer.data) <= ANSWER_BYTES_MAX
    assert calls <= CALLS_MAX


@pytest.mark.parametrize("hostile", list(served()), ids=lambda each: each.name)
def test_crowded_body_takes_calls_in_proportion_to_its_size(busy, hostile):
    answer, calls = calls_of(busy, hostile)

    assert answer.status_code < 500
    assert len(answer.data) <= ANSWER_BYTES_MAX
    assert calls <= CALLS_MAX + CALLS_PER_VALUE_MAX * hostile.body.count(b",") + len(hostile.body) // BYTES_PER_CALL


@pytest.mark.parametrize(
    "hostile", [each for each in excesses() if each.route.name == "openai_chat_completions"], ids=lambda each: each.name
)
def test_excessive_body_is_refused_with_a_short_answer(busy, hostile):
    world, headers = busy

    answer = world.client.post(f"/v1{hostile.path}", data=hostile.body, headers=headers, content_type=JSON)

    assert answer.status_code in {400, 413, 422}
    assert len(answer.data) <= ANSWER_BYTES_MAX


@pytest.mark.skipif(not MEASURED, reason="measures processor time: make hostile")
def test_hostile_body_takes_half_a_second_and_64_megabytes_at_most(busy, capsys):
    world, headers = busy

    costs = [(each, cost_of(world.client, each, headers)) for each in (*lists(), *served(), *excesses())]

    with capsys.disabled():
        for hostile, cost in sorted(costs, key=lambda pair: -pair[1].cpu_seconds):
            print(  # noqa: T201  # what make hostile is for
                f"{cost.cpu_seconds:6.2f} s {cost.memory_mb:4} MB {cost.answer_kb:6.1f} KB {cost.status}"
                f" {len(hostile.body):>9,} bytes  {hostile.name}"
            )
    for hostile, cost in costs:
        assert cost.status < 500, hostile.name
        assert cost.cpu_seconds <= CPU_SECONDS_MAX, hostile.name
        assert cost.memory_mb <= MEMORY_MB_MAX, hostile.name
        assert cost.answer_kb <= ANSWER_BYTES_MAX / 1024, hostile.name


def test_refusal_names_the_first_errors_only(world, alice):
    wrong = {f"field_{number}": 1 for number in range(150)}

    refused = alice.post("/credits/reserve", wrong)

    assert problem(refused) == (422, "invalid_request")
    assert len(refused.json["errors"]) == ERRORS_MAX


def test_refusal_quotes_a_long_name_in_part(alice):
    refused = alice.post("/credits/reserve", {"💰" * 50_000: 1})

    assert problem(refused) == (422, "invalid_request")
    assert len(refused.data) < 4_000


@pytest.mark.parametrize("path", ["/openai/chat/completions", "/chat/conversations", "/chat/agent-tasks"])
def test_large_body_is_not_parsed_for_someone_without_credits(world, path):
    poor, rich = world.person(), world.person(credits_=1)
    not_json = b"[" + b" " * LARGE_BODY_BYTES

    told = [each.call("POST", path, data=not_json, content_type="application/json") for each in (poor, rich)]

    assert [each.status_code for each in told] == [402, 400]


def test_large_call_is_answered_again_once_its_credits_are_spent(world):
    rich = world.person(credits_=10)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a"}], "user": "u" * LARGE_BODY_BYTES}
    first = rich.post("/openai/chat/completions", body, key="once")
    spend = rich.available
    assert rich.post("/credits/reserve", {"amount": spend}, key="all").status_code == 201
    made = rich.post("/credits/reserve", {"amount": spend}, key="all").json["id"]
    assert rich.post(f"/credits/reservations/{made}/capture", {"amount": spend}).status_code == 200

    again = rich.post("/openai/chat/completions", body, key="once")
    other = rich.post("/openai/chat/completions", body, key="another")

    assert (first.status_code, rich.available) == (200, "0")
    assert again.json == first.json
    assert other.status_code == 402


def test_query_string_is_refused_when_it_is_long(alice):
    assert problem(alice.get("/credits/history?" + "a=1&" * 5_000)) == (422, "invalid_request")


@pytest.mark.parametrize(
    "text",
    ['["\\\\"]', '{"a": "[[[\\"{{{"}', '"a,b,c"', '[1, -2.5e3, "x", null, true, {"k": []}]', '"\\u00e9💰"', "  1 "],
)
def test_json_is_read_as_it_stands(text):
    assert parse_json(text.encode(), values_max=9)[0] == json.loads(text)


@pytest.mark.parametrize("element", ["1", "{}", "[]", '""', '"\\\\"', '"\\""'])
def test_json_has_as_many_values_as_its_limit(element):
    text = f"[{','.join([element] * 50)}]".encode()

    assert len(parse_json(text, values_max=JSON_VALUES_MAX)[0]) == 50
    with pytest.raises(ValueError, match="more than 49 values"):
        parse_json(text, values_max=49)
