"""Request fields at the OpenAI routes: refused by name, dropped by setting, or named by an operator."""

import pytest

from shared.platform.memory.passthrough import ScriptedPassthrough
from tests.api.openai_world import CHAT, EMBEDDER, QUESTION, ask, failed, offered, sent
from tests.api.world import World

ROUTES: dict[str, dict[str, object]] = {
    CHAT: {"model": "gpt-4o-mini", "messages": QUESTION},
    "/openai/responses": {"model": "gpt-4o-mini", "input": "Hello"},
    "/openai/embeddings": {"model": "embedder", "input": "Hello"},
    "/openai/images/generations": {"model": "painter", "prompt": "A cat"},
}
PAINTER = {"kind": "image", "display_name": "Painter", "image_usd": "0.04"}


def world_with(**env) -> World:
    world = World(env=env, passthrough=ScriptedPassthrough())
    world.services.models.catalogue.put("embedder", EMBEDDER)
    world.services.models.catalogue.put("painter", PAINTER)
    return world


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("path", ROUTES)
def test_unknown_field_is_refused_by_name(path, is_streamed):
    world = world_with()
    alice = world.person(credits_=10)
    more = {"stream": True} if is_streamed and "embeddings" not in path and "images" not in path else {}

    answer = alice.post(path, {**ROUTES[path], **more, "speed": "fast"})

    assert failed(answer) == (400, "invalid_value")
    assert (answer.json["error"]["param"], answer.json["error"]["type"]) == ("speed", "invalid_request_error")
    assert world.passthrough.requests == []
    assert alice.available == "10"


@pytest.mark.parametrize("path", ROUTES)
def test_unknown_field_is_dropped_and_named_by_setting(path):
    world = world_with(UPSTREAM_UNKNOWN_FIELDS="drop")

    answer = world.person(credits_=10).post(path, {**ROUTES[path], "speed": "fast", "preset\n": {"x": 1}})

    assert answer.status_code == 200, answer.json
    assert answer.headers["X-Dropped-Fields"] == "preset%0A, speed"
    assert all("speed" not in body for _, body in world.passthrough.requests)


def test_dropped_fields_are_named_on_streams():
    world = world_with(UPSTREAM_UNKNOWN_FIELDS="drop")

    answer = ask(world.person(credits_=10), speed="fast", stream=True)

    assert answer.headers["X-Dropped-Fields"] == "speed"


def test_mark_for_caching_is_named_and_not_sent():
    world = offered()
    content = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]

    answer = ask(world.person(credits_=1), messages=[{"role": "system", "content": content}])

    assert answer.headers["X-Dropped-Fields"] == "messages.0.content.0.cache_control"
    assert sent(world)["messages"] == [{"role": "system", "content": [{"type": "text", "text": "Hi"}]}]


def test_answer_that_an_sdk_parsed_is_taken_back_without_the_parsed_values():
    """OpenAI's SDK for Node adds `parsed` and `parsed_arguments`, and sends both back in its own tool loops."""
    world = world_with()
    function = {"name": "look_up", "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": {**function, "parsed_arguments": {"city": "Oslo"}}}
    said = {"role": "assistant", "content": None, "parsed": {"city": "Oslo"}, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}

    answer = ask(world.person(credits_=1), messages=[said, result])

    assert answer.status_code == 200
    assert sent(world)["messages"][0]["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    assert "parsed" not in sent(world)["messages"][0]


def test_response_that_an_sdk_parsed_is_taken_back_without_the_parsed_values():
    world = world_with()
    part = {"type": "output_text", "text": "{}", "parsed": {"city": "Oslo"}}
    said = {"type": "message", "role": "assistant", "content": [part]}
    call = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    items = [said, {**call, "parsed_arguments": {}}, result]

    answer = world.person(credits_=1).post("/openai/responses", {"model": "gpt-4o-mini", "input": items})

    assert answer.status_code == 200, answer.json
    assert sent(world)["input"][:2] == [{**said, "content": [{"type": "output_text", "text": "{}"}]}, call]


def test_text_part_that_repeats_its_message_is_sent_without_the_repetition():
    """OpenAI's Agents SDK for Node sends an answer back with the message's members inside the text part."""
    world = world_with()
    repeated = {"role": "assistant", "refusal": None, "annotations": [], "tool_calls": [{"id": "call_1"}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": "Hi", **repeated}]}

    answer = ask(world.person(credits_=1), messages=[said])

    assert answer.status_code == 200
    assert sent(world)["messages"] == [{"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}]


def test_field_that_an_operator_names_is_sent_and_held_for():
    world = world_with(AI_PLATFORM_FIELDS="thinking, messages.prefix")
    alice = world.person(credits_=1)
    messages = [{**QUESTION[0], "prefix": True}]

    answer = ask(alice, messages=messages, thinking={"type": "enabled"})
    too_long = ask(alice, messages=messages, thinking={"type": "word " * 9_000})

    assert answer.status_code == 200
    assert (sent(world)["thinking"], sent(world)["messages"]) == ({"type": "enabled"}, messages)
    assert failed(too_long) == (400, "context_length_exceeded")


def test_auto_sends_only_fields_that_every_upstream_takes():
    world = world_with(
        AI_UPSTREAMS="other=https://other.example",
        AI_PLATFORM_FIELDS="thinking,prefix",
        AI_UPSTREAM_OTHER_FIELDS="prefix",
    )
    alice = world.person(credits_=1)

    assert ask(alice, model="auto", prefix=True).status_code == 200
    assert failed(ask(alice, model="auto", thinking={}))[0] == 400
    assert ask(alice, thinking={}).status_code == 200
