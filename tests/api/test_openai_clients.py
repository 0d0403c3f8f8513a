"""`/v1/openai` as real clients use it: headers, paths and names of their making, and answers that end their retries."""

import base64
import json

import pytest

from functions.http import sse
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.pictures import NoPicture
from shared.ai.ports import (
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from shared.platform.memory.passthrough import ScriptedPassthrough, completion
from tests.api.world import MODEL, World

CHAT = "/openai/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def world_of(*scripts, path="/chat/completions") -> World:
    return World(passthrough=ScriptedPassthrough(scripts={path: list(scripts)}))


def key_of(person) -> str:
    made = person.post("/api-keys", {"name": "client", "scopes": ["chat"]})
    return str(made.json["key"])


# Headers and paths ------------------------------------------------------------------------------------------------


def test_api_key_header_names_the_caller_as_authorization_does():
    world = world_of(completion("Hi"))
    key = key_of(world.person(credits_=1))

    answer = world.call("POST", CHAT, body=BODY, headers={"api-key": key})

    assert answer.status_code == 200


def test_api_key_header_does_not_stand_in_for_a_wrong_authorization():
    world = world_of(completion("Hi"))
    key = key_of(world.person(credits_=1))

    answer = world.call("POST", CHAT, body=BODY, headers={"api-key": key, "Authorization": "Bearer ics_nobody"})

    assert answer.status_code == 401


SPELLINGS = ("/openai/chat/completions/", "/openai//chat/completions", "/openai/v1/chat/completions")


@pytest.mark.parametrize("path", SPELLINGS)
def test_path_is_taken_with_a_slash_at_an_end_or_a_version_behind_the_base_url(path):
    alice = world_of(completion("Hi")).person(credits_=1)

    assert alice.post(path, BODY).status_code == 200


@pytest.mark.parametrize("name", ["maker/small", "maker:small"])
def test_model_is_found_by_its_name_with_a_slash(name):
    world = world_of(completion("Hi"))
    world.services.models.catalogue.put("maker:small", {**MODEL, "upstream_model": "maker/small"})
    alice = world.person(credits_=1)

    answer = alice.post(CHAT, {**BODY, "model": name})
    listed = alice.get(f"/openai/models/{name}")

    assert (answer.status_code, listed.status_code, listed.json["id"]) == (200, 200, "maker:small")
    assert world.passthrough.requests[-1][1]["model"] == "maker/small"


def test_keep_alive_is_a_comment_without_a_blank_line_behind():
    assert sse.PING == ": ping\n"


# Retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamRejected(), 502),
        (RequestRefused({"message": "No."}), 400),
        (UpstreamMisconfigured(), 503),
        (UpstreamTimedOut(), 502),
        (NoPicture("it is cut"), 400),
    ],
)
def test_failure_that_no_retry_helps_says_so(error, status):
    alice = world_of([error]).person(credits_=1)

    failed = alice.post(CHAT, BODY)

    assert (failed.status_code, failed.headers.get("X-Should-Retry")) == (status, "false")


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (UpstreamUnavailable(), "1"),
        (UpstreamBusy(retry_after_ms=20_000), "20"),
        (UpstreamOverloaded(retry_after_ms=1_500), "2"),
        (RuntimeError("a surprise"), "1"),
    ],
)
def test_failure_that_passes_says_when_to_ask_again(error, wait):
    alice = world_of([error]).person(credits_=1)

    failed = alice.post(CHAT, BODY)

    assert (failed.headers.get("Retry-After"), failed.headers.get("X-Should-Retry")) == (wait, None)


def test_empty_balance_unknown_model_and_wrong_field_end_retries():
    world = world_of(completion("Hi"))
    poor, rich = world.person(), world.person(credits_=1)

    failed = [
        poor.post(CHAT, BODY),
        rich.post(CHAT, {**BODY, "model": "nobody"}),
        rich.post(CHAT, {**BODY, "max_tokens": -1}),
        world.call("POST", CHAT, body=BODY),
    ]

    assert [each.status_code for each in failed] == [402, 404, 400, 401]
    assert {each.headers.get("X-Should-Retry") for each in failed} == {"false"}


# Text completions -------------------------------------------------------------------------------------------------

COMPLETIONS = "/openai/completions"
PROMPT = {"model": "gpt-4o-mini", "prompt": "def add(a, b):", "max_tokens": 20}


def datas(answer):
    lines = answer.get_data(as_text=True).splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def text(raw, index=0, finish=None, usage=None):
    choice = {"index": index, "text": raw, "logprobs": None, "finish_reason": finish}
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **({"usage": usage} if usage else {})}


@pytest.mark.parametrize("prompt", ["def add(a, b):", ["def add(a, b):"]])
def test_text_completion_is_told_in_its_shape_and_charged(prompt):
    world = world_of(completion("re", "turn", usage=(30, 2)))
    alice = world.person(credits_=1)

    answer = alice.post(COMPLETIONS, {**PROMPT, "prompt": prompt, "stop": ["\n"], "temperature": 0})

    told = answer.json
    assert (told["object"], told["choices"]) == (
        "text_completion",
        [{"index": 0, "text": "return", "logprobs": None, "finish_reason": "stop"}],
    )
    assert told["usage"] == {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}
    assert told["credits"]["cost"] == answer.headers["X-Credits-Cost"] == "0.00057"
    path, asked = world.passthrough.requests[-1]
    assert (path, asked["messages"][-1]["content"], asked["max_tokens"]) == (
        "/chat/completions",
        "def add(a, b):",
        20,
    )
    assert (asked["stop"], "prompt" in asked) == (["\n"], False)


def test_text_completion_streams_texts_usage_and_done():
    alice = world_of(completion("re", "turn", usage=(30, 2))).person(credits_=1)

    streamed = datas(alice.post(COMPLETIONS, {**PROMPT, "stream": True, "stream_options": {"include_usage": True}}))

    chunks = [json.loads(data) for data in streamed[:-1]]
    assert streamed[-1] == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"]) == "return"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert chunks[-1]["credits"]["cost"] == "0.00057"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_text_completion_goes_to_a_provider_that_knows_them_with_its_suffix(is_streamed):
    usage = {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}
    script = [text("re"), text("turn"), text("", finish="stop"), {**text("", usage=usage), "choices": []}]
    world = World(
        env={"AI_PLATFORM_PROFILE": "vllm"}, passthrough=ScriptedPassthrough(scripts={"/completions": [script]})
    )
    alice = world.person(credits_=1)

    answer = alice.post(COMPLETIONS, {**PROMPT, "suffix": "\n\n", "stream": is_streamed})

    path, asked = world.passthrough.requests[-1]
    assert (path, asked["prompt"], asked["suffix"], asked["max_tokens"]) == (
        "/completions",
        "def add(a, b):",
        "\n\n",
        20,
    )
    assert "messages" not in asked
    if not is_streamed:
        assert answer.json["choices"][0]["text"] == "return"
    assert answer.status_code == 200
    assert len(datas(answer)) == (4 if is_streamed else 0)
    assert alice.available == "0.99943"


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2]},
        {"prompt": ""},
        {"suffix": "x"},
        {"echo": True},
        {"best_of": 3},
        {"logprobs": 2},
        {"speed": "fast"},
        {"max_tokens": 0},
    ],
    ids=str,
)
def test_text_completion_refuses_what_it_does_not_offer_by_name(more):
    world = world_of(completion("Hi"))

    refused = world.person(credits_=1).post(COMPLETIONS, {**PROMPT, **more})

    assert (refused.status_code, refused.json["error"]["param"]) == (400, next(iter(more)))
    assert world.passthrough.requests == []


def test_text_completion_without_a_limit_has_openais_own():
    world = world_of(completion("Hi"))

    world.person(credits_=1).post(COMPLETIONS, {"model": "gpt-4o-mini", "prompt": "Hi"})

    assert world.passthrough.requests[-1][1]["max_tokens"] == 16


# Anthropic's parts ------------------------------------------------------------------------------------------------


def test_tool_calls_and_results_in_anthropics_parts_become_openais():
    world = world_of(completion("Done"))
    messages = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Reading."},
                {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "file"}]},
                {"type": "text", "text": "go on"},
            ],
        },
    ]
    tools = [{"name": "read", "description": "Reads.", "input_schema": {"type": "object", "properties": {}}}]
    choice = {"type": "auto"}

    answer = world.person(credits_=1).post(CHAT, {**BODY, "messages": messages, "tools": tools, "tool_choice": choice})

    assert answer.status_code == 200, answer.json
    asked = world.passthrough.requests[-1][1]
    assert asked["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Reading."}],
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "file"}]},
        {"role": "user", "content": [{"type": "text", "text": "go on"}]},
    ]
    function = {"name": "read", "description": "Reads.", "parameters": {"type": "object", "properties": {}}}
    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == "auto"


# PDF files --------------------------------------------------------------------------------------------------------

PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4\n1 0 obj <</Type /Page>> endobj\n2 0 R").decode()
CHAT_FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}
RESPONSE_FILE = {"type": "input_file", "filename": "a.pdf", "file_data": PDF}


def reading_world() -> World:
    world = world_of(completion("A summary", usage=(2_000, 5)))
    world.services.models.catalogue.put("reader", {**MODEL, "capabilities": ["chat", "files"]})
    return world


def said(part, kind="text"):
    return [{"role": "user", "content": [{"type": kind, "text": "sum up"}, part]}]


@pytest.mark.parametrize(
    ("path", "name", "messages"),
    [
        (CHAT, "messages", said(CHAT_FILE)),
        ("/openai/responses", "input", said(RESPONSE_FILE, "input_text")),
    ],
)
def test_pdf_goes_to_a_model_that_takes_files_and_is_refused_by_others(path, name, messages):
    world = reading_world()
    alice = world.person(credits_=5)

    taken = alice.post(path, {"model": "reader", name: messages})
    refused = alice.post(path, {"model": "gpt-4o-mini", name: messages})

    assert taken.status_code == 200, taken.json
    assert world.passthrough.requests[0][1][name] == messages
    assert (refused.status_code, refused.json["error"]["code"]) == (400, "model_without_files")
    assert len(world.passthrough.requests) == 1


def test_pdf_is_held_for_at_its_bound_and_charged_as_reported():
    world = reading_world()
    poor, rich = world.person(), world.person(credits_=5)

    failed = poor.post(CHAT, {"model": "reader", "messages": said(CHAT_FILE)})
    answer = rich.post(CHAT, {"model": "reader", "messages": said(CHAT_FILE)})

    assert failed.status_code == 402
    assert answer.json["credits"]["cost"] == "0.0303"


def test_pdf_of_an_earlier_turn_does_not_lock_the_conversation():
    world = reading_world()
    answered = [{"role": "assistant", "content": "It says so."}, {"role": "user", "content": "go on"}]

    answer = world.person(credits_=5).post(CHAT, {**BODY, "messages": [*said(CHAT_FILE), *answered]})

    assert (answer.status_code, answer.headers["X-Dropped-Fields"]) == (200, "messages.0.content.1")
    asked = world.passthrough.requests[-1][1]["messages"]
    assert asked[0]["content"][1] == {
        "type": "text",
        "text": "[The file a.pdf was left out: this model takes no files.]",
    }


@pytest.mark.parametrize(
    "file",
    [
        {"file_id": "file_1"},
        {"file_data": "data:text/plain;base64,aGk="},
        {"file_data": "data:application/pdf;base64,aGk="},
        {"file_data": "https://x.org/a.pdf"},
        {},
    ],
    ids=str,
)
def test_other_files_are_refused_before_they_cost(file):
    world = reading_world()

    refused = world.person(credits_=5).post(CHAT, {"model": "reader", "messages": said({"type": "file", "file": file})})

    assert refused.status_code == 400
    assert world.passthrough.requests == []
