"""Responses that refer to earlier ones, and tools as Codex sends them, over HTTP."""

import json

import pytest

from shared.ai.openai.kept_responses import CHAIN_MAX, KEPT_FOR
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.documents import Query
from shared.platform.memory.passthrough import ScriptedPassthrough
from tests.api.world import MODEL, World

PATH = "/openai/responses"
ASK = {"model": "gpt-4o-mini", "input": "Weather?"}
HEAD = {"object": "response", "created_at": 1_790_000_000, "model": "m", "store": False}
USAGE = {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret", "status": "completed"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}


def message(text, name="msg_1"):
    part = {"type": "output_text", "text": text, "annotations": [{"type": "url_citation", "url": "https://x.org"}]}
    return {"type": "message", "id": name, "role": "assistant", "status": "completed", "content": [part]}


def answer_of(*output, name="resp_1"):
    """The script of a streamed response with these items."""
    head = {**HEAD, "id": name}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": {**head, "status": "in_progress", "output": []}}
    ]
    for at, item in enumerate(output):
        events.append({"type": "response.output_item.added", "output_index": at, "item": item})
        events.append({"type": "response.output_item.done", "output_index": at, "item": item})
    whole = {**head, "status": "completed", "output": list(output), "usage": USAGE}
    return [*events, {"type": "response.completed", "response": whole}]


def world_of(*scripts, **env) -> World:
    world = World(env=env, passthrough=ScriptedPassthrough(scripts={"/responses": list(scripts)}))
    world.services.models.catalogue.put("thinker", {**MODEL, "capabilities": ["chat", "reasoning"]})
    return world


def asked(world):
    return world.passthrough.requests[-1][1]


def failed(response):
    return response.status_code, response.json["error"]["code"]


def reference(name):
    return {"type": "item_reference", "id": name}


# References -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [False, True])
def test_items_of_an_earlier_answer_are_resolved_before_the_provider_is_asked(is_streamed):
    world = world_of(answer_of(REASONING, CALL), answer_of(message("Sunny.")))
    alice = world.person(credits_=1)
    alice.post(PATH, {**ASK, "stream": is_streamed}).get_data()

    question = {"role": "user", "content": "Weather?"}
    given = [question, reference("rs_1"), reference("fc_1"), OUTPUT]
    answer = alice.post(PATH, {**ASK, "input": given, "stream": is_streamed})

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert asked(world)["input"] == [
        question,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
        OUTPUT,
    ]
    assert asked(world)["store"] is False


def test_reasoning_that_is_not_encrypted_is_left_out():
    plain = {**REASONING, "encrypted_content": None}
    world = world_of(answer_of(plain, CALL), answer_of(message("Sunny.")))
    alice = world.person(credits_=1)
    alice.post(PATH, ASK)

    answer = alice.post(PATH, {**ASK, "input": [reference("rs_1"), reference("fc_1"), OUTPUT]})

    assert answer.status_code == 200
    assert [item["type"] for item in asked(world)["input"]] == ["function_call", "function_call_output"]


def test_previous_response_brings_the_whole_chain():
    world = world_of(
        answer_of(message("One."), name="resp_1"),
        answer_of(message("Two.", "msg_2"), name="resp_2"),
        answer_of(message("Three.", "msg_3"), name="resp_3"),
    )
    alice = world.person(credits_=1)
    alice.post(PATH, {**ASK, "input": "first"})
    second = alice.post(PATH, {**ASK, "input": "second", "previous_response_id": "resp_1"})

    alice.post(PATH, {**ASK, "input": "third", "previous_response_id": "resp_2"})

    texts = [
        item["content"] if isinstance(item["content"], str) else item["content"][0]["text"]
        for item in asked(world)["input"]
    ]
    assert texts == ["first", "One.", "second", "Two.", "third"]
    assert "previous_response_id" not in asked(world)
    assert (second.json["previous_response_id"], second.json["store"]) == ("resp_1", True)


def test_resolved_items_count_as_input_before_the_hold():
    world = world_of(answer_of(message("word " * 3_000)), answer_of(message("Two.", "msg_2"), name="resp_2"))
    alice = world.person(credits_=10)
    alice.post(PATH, ASK)

    refused = alice.post(PATH, {**ASK, "input": "word " * 6_000, "previous_response_id": "resp_1"})

    assert failed(refused) == (400, "context_length_exceeded")
    assert len(world.passthrough.requests) == 1


def test_keys_of_a_user_share_what_is_kept_and_others_see_nothing():
    world = world_of(answer_of(message("One.")), answer_of(message("Two.", "msg_2"), name="resp_2"))
    alice, bob = world.person(credits_=1), world.person(credits_=1)
    keys = [alice.post("/api-keys", {"name": n, "scopes": ["chat"]}).json["key"] for n in ("a", "b")]
    headers = [{"Authorization": f"Bearer {key}"} for key in keys]
    world.call("POST", PATH, body=ASK, headers=headers[0])

    by_another_key = world.call("GET", f"{PATH}/resp_1", headers=headers[1])
    by_bob = [
        bob.get(f"{PATH}/resp_1"),
        bob.call("DELETE", f"{PATH}/resp_1"),
        bob.post(PATH, {**ASK, "previous_response_id": "resp_1"}),
        bob.post(PATH, {**ASK, "input": [reference("msg_1")]}),
    ]

    assert by_another_key.json["id"] == "resp_1"
    assert [failed(each) for each in by_bob] == [
        (404, "response_not_found"),
        (404, "response_not_found"),
        (400, "previous_response_not_found"),
        (404, "item_not_found"),
    ]
    assert len(world.passthrough.requests) == 1


def test_store_false_keeps_nothing():
    world = world_of(answer_of(message("One.")))
    alice = world.person(credits_=1)

    answer = alice.post(PATH, {**ASK, "store": False})

    assert (answer.status_code, answer.json["store"]) == (200, False)
    assert failed(alice.get(f"{PATH}/resp_1")) == (404, "response_not_found")
    assert world.services.ports.documents().query(Query(collection="responses", limit=9)) == []
    assert world.services.ports.documents().query(Query(collection="response_items", limit=9)) == []


def test_failed_answer_is_not_kept():
    world = world_of([*answer_of(message("One."))[:2], UpstreamUnavailable(has_begun=True)])
    alice = world.person(credits_=1)

    alice.post(PATH, ASK)

    assert failed(alice.get(f"{PATH}/resp_1")) == (404, "response_not_found")


def test_response_is_read_deleted_and_not_cancelled():
    world = world_of(answer_of(message("One.")))
    alice = world.person(credits_=1)
    answered = alice.post(PATH, ASK).json

    read = alice.get(f"{PATH}/resp_1")
    cancelled = alice.post(f"{PATH}/resp_1/cancel")
    deleted = alice.call("DELETE", f"{PATH}/resp_1")

    assert read.json == {name: value for name, value in answered.items() if name != "credits"}
    assert (cancelled.status_code, cancelled.json["error"]["message"]) == (400, "Cannot cancel a synchronous response.")
    assert deleted.json == {"id": "resp_1", "object": "response", "deleted": True}
    assert failed(alice.get(f"{PATH}/resp_1")) == (404, "response_not_found")
    assert failed(alice.post(PATH, {**ASK, "input": [reference("msg_1")]})) == (404, "item_not_found")


def test_what_is_kept_ends_after_thirty_days_and_with_the_user():
    world = world_of(answer_of(message("One.")))
    alice, bob = world.person(credits_=1), world.person(credits_=1)
    for person in (alice, bob):
        person.post(PATH, ASK)
    alice.call("DELETE", "/me")
    left = {doc.data["uid"] for c in ("responses", "response_items") for doc in _all(world, c)}

    world.clock.advance(KEPT_FOR)

    assert left == {bob.uid}
    assert world.services.openai.kept_responses.resolved(bob.uid, {"input": "Hi"}) == {"input": "Hi"}
    assert failed(world.person(credits_=1).get(f"{PATH}/resp_1"))[0] == 404
    with pytest.raises(Exception, match="not found"):
        world.services.openai.kept_responses.get(bob.uid, "resp_1")


def _all(world, collection):
    return world.services.ports.documents().query(Query(collection=collection, limit=99))


def test_chain_is_bounded():
    world = world_of(*(answer_of(message("x", f"msg_{n}"), name=f"resp_{n}") for n in range(CHAIN_MAX + 2)))
    alice = world.person(credits_=10)
    alice.post(PATH, {**ASK, "input": "x"})
    for n in range(CHAIN_MAX):
        more = alice.post(PATH, {**ASK, "input": "x", "previous_response_id": f"resp_{n}"})
        assert more.status_code == 200
        world.clock.advance(10_000)

    refused = alice.post(PATH, {**ASK, "input": "x", "previous_response_id": f"resp_{CHAIN_MAX}"})

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "previous_response_id")


@pytest.mark.parametrize("more", [{}, {"include": ["message.output_text.logprobs"]}])
def test_reasoning_model_is_asked_for_encrypted_reasoning_that_is_kept(more):
    world = world_of(answer_of(message("One.")))
    alice = world.person(credits_=1)

    alice.post(PATH, {**ASK, "model": "thinker", **more})
    kept = asked(world)["include"]
    alice.post(PATH, {**ASK, "model": "thinker", "store": False, **more})

    assert kept == [*more.get("include", []), "reasoning.encrypted_content"]
    assert asked(world).get("include") == more.get("include")


# Codex's tools ----------------------------------------------------------------------------------------------------

EXEC = {"type": "function", "name": "exec", "parameters": {"type": "object", "properties": {}}, "strict": False}
SPAWN = {"type": "function", "name": "spawn", "description": "Starts one.", "parameters": {"type": "object"}}
SPACE = {"type": "namespace", "name": "agents", "description": "Agents.", "tools": [SPAWN]}
SEARCH = {"type": "web_search", "external_web_access": False}


@pytest.mark.parametrize("is_streamed", [False, True])
def test_namespace_is_flattened_and_its_calls_are_named_back(is_streamed):
    call = {**CALL, "name": "agents__spawn"}
    world = world_of(answer_of(call), answer_of(message("Done.")))
    alice = world.person(credits_=1)

    answer = alice.post(PATH, {**ASK, "tools": [EXEC, SPACE], "stream": is_streamed})

    told = {"name": "spawn", "namespace": "agents"}
    assert [tool["name"] for tool in asked(world)["tools"]] == ["exec", "agents__spawn"]
    assert all(tool["type"] == "function" for tool in asked(world)["tools"])
    text = answer.get_data(as_text=True)
    assert "agents__spawn" not in text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")] or [answer.json]
    items = [event["item"] for event in events if "item" in event] + (events[-1].get("response") or events[-1])[
        "output"
    ]
    assert all(told.items() <= item.items() for item in items)

    back = {**CALL, **told}
    alice.post(PATH, {**ASK, "input": [{"role": "user", "content": "x"}, back, OUTPUT], "tools": [EXEC, SPACE]})

    assert asked(world)["input"][1] == {**CALL, "name": "agents__spawn"}


def test_kept_call_of_a_namespace_is_flattened_again():
    world = world_of(answer_of({**CALL, "name": "agents__spawn"}), answer_of(message("Done.")))
    alice = world.person(credits_=1)
    alice.post(PATH, {**ASK, "tools": [SPACE]})

    alice.post(PATH, {**ASK, "input": [OUTPUT], "previous_response_id": "resp_1", "tools": [SPACE]})

    assert asked(world)["input"][1]["name"] == "agents__spawn"
    assert "namespace" not in asked(world)["input"][1]


def test_hosted_tool_is_left_out_and_named():
    world = world_of(answer_of(message("Hi.")))

    answer = world.person(credits_=1).post(PATH, {**ASK, "tools": [EXEC, SEARCH], "tool_choice": "auto"})

    assert (answer.status_code, answer.headers["X-Dropped-Fields"]) == (200, "tools.1.web_search")
    assert (asked(world)["tools"], asked(world)["tool_choice"]) == ([EXEC], "auto")


def test_hosted_tools_alone_leave_no_choice_of_tools():
    world = world_of(answer_of(message("Hi.")))
    more = {"tools": [SEARCH], "tool_choice": "auto", "parallel_tool_calls": True}

    answer = world.person(credits_=1).post(PATH, {**ASK, **more})

    assert answer.status_code == 200
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & asked(world).keys()


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [SEARCH], "tool_choice": "required"},
        {"tools": [EXEC, SEARCH], "tool_choice": {"type": "web_search"}},
        {"tools": [EXEC, SEARCH], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]}},
    ],
    ids=str,
)
def test_hosted_tool_that_must_be_used_is_refused(more):
    world = world_of(answer_of(message("Hi.")))

    refused = world.person(credits_=1).post(PATH, {**ASK, **more})

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "tool_choice")
    assert world.passthrough.requests == []


def test_hosted_tool_is_refused_by_setting_in_words_that_name_the_setting():
    world = world_of(answer_of(message("Hi.")), UPSTREAM_HOSTED_TOOLS="refuse")

    refused = world.person(credits_=1).post(PATH, {**ASK, "tools": [EXEC, SEARCH]})

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "tools.1")
    assert "UPSTREAM_HOSTED_TOOLS" in refused.json["error"]["message"]


def test_functions_of_two_namespaces_keep_apart():
    spaces = [{**SPACE, "name": name} for name in ("a", "a__spawn"[:1] + "b", "x" * 70)]
    flat = {**SPAWN, "name": "a__spawn"}
    world = world_of(answer_of(message("Hi.")))

    world.person(credits_=1).post(PATH, {**ASK, "tools": [flat, *spaces]})

    names = [tool["name"] for tool in asked(world)["tools"]]
    assert len(set(names)) == 4
    assert all(len(name) <= 64 for name in names)
