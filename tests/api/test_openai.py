"""Chat completions of `/v1/openai` over HTTP: OpenAI's shapes in and out, and their cost."""

import pytest

from shared.platform.memory.passthrough import chunk, completion, usage_chunk
from tests.api.openai_world import CHAT, COST, QUESTION, ask, events, failed, joined_calls, offered, sent, world_of


@pytest.fixture
def world():
    return offered()


def test_a_completion_has_openais_shape_its_usage_and_its_cost():
    world = world_of(completion("Hi", "!", usage=(10, 1)))
    alice = world.person(credits_=1)

    answered = ask(alice)

    assert (answered.status_code, answered.mimetype) == (200, "application/json")
    assert answered.json == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "upstream-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi!", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
        "credits": {"cost": COST, "available": "0.99979", "estimated": False},
    }
    assert (answered.headers["X-Credits-Cost"], answered.headers["X-Credits-Available"]) == (COST, "0.99979")
    assert alice.available == "0.99979"


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_usage": True}])
def test_a_stream_is_chunks_then_its_cost_then_done(options):
    alice = world_of(completion("Hi", "!", usage=(10, 1))).person(credits_=1)

    streamed = ask(alice, stream=True, **({"stream_options": options} if options else {}))

    assert (streamed.status_code, streamed.mimetype) == (200, "text/event-stream")
    *chunks, done = events(streamed)
    wants_usage = bool(options and options["include_usage"])
    assert done == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "Hi!"
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    assert chunks[-1]["credits"] == {"cost": COST, "available": "0.99979", "estimated": False}
    assert [c.get("usage") for c in chunks if c.get("usage")] == (
        [{"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}] if wants_usage else []
    )


@pytest.mark.parametrize("is_streamed", [True, False])
def test_openais_own_fields_pass_through(is_streamed):
    world = world_of(completion("Hi", usage=(10, 1)))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    beside = {
        "temperature": 0.2,
        "seed": 7,
        "tools": tools,
        "tool_choice": "auto",
        "logprobs": True,
    }

    ask(world.person(credits_=1), **beside, max_tokens=20, stream=is_streamed)

    assert sent(world) == {
        "model": "gpt-4o-mini",
        "messages": QUESTION,
        **beside,
        "max_tokens": 20,
        **({"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}),
    }


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        ({"max_tokens": 1_024}, True),
        ({"max_tokens": 512, "n": 2}, True),
        ({"max_completion_tokens": 600, "n": 2}, False),
        ({"max_tokens": 512, "n": 3}, False),
        ({"max_tokens": 20, "stream": True}, False),
        ({}, False),
    ],
)
def test_an_answer_is_asked_for_in_one_piece_where_all_of_it_is_held_for_and_nobody_reads_along(body, is_whole):
    world = world_of(completion("Hi", usage=(10, 1)))

    answered = ask(world.person(credits_=1_000), **body)

    assert answered.status_code == 200
    assert ("stream" not in sent(world)) == is_whole


def test_nothing_is_kept_with_the_provider():
    world = offered()

    ask(world.person(credits_=1), store=True, metadata={"run": "7"})

    assert not {"store", "metadata"} & sent(world).keys()


def test_metadata_of_what_nobody_asked_to_keep_is_the_providers_to_judge():
    world = offered()

    ask(world.person(credits_=1), metadata={"run": "7"})

    assert sent(world)["metadata"] == {"run": "7"}


def test_a_schema_of_ten_levels_passes_through():
    world = offered()
    schema: dict[str, object] = {"type": "string"}
    for _ in range(10):
        schema = {"type": "object", "properties": {"inner": {"anyOf": [{"type": "array", "items": schema}]}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]

    ask(world.person(credits_=10), tools=tools)

    assert sent(world)["tools"] == tools


@pytest.mark.parametrize(
    ("name", "other"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_a_limit_goes_by_the_name_the_client_used(name, other):
    world = offered()

    ask(world.person(credits_=1), **{name: 17})

    assert (sent(world)[name], other in sent(world)) == (17, False)


def test_without_a_limit_the_provider_may_generate_what_the_balance_pays_for():
    world = world_of(completion("Hi", usage=(10, 1)))
    poor = world.person()
    world._with_credits(poor, 1)
    poor.post("/credits/reserve", {"amount": "0.99"})

    ask(poor)

    assert 1 <= sent(world)["max_tokens"] <= 1_024


def test_tool_calls_are_told_whole_and_in_pieces():
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    second = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "see", "arguments": "{}"}}
    script = [
        chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"q":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ' "x"}'}}]}),
        chunk({"tool_calls": [second]}),
        chunk({}, finish_reason="tool_calls"),
        usage_chunk(10, 9),
    ]
    alice = world_of(script).person(credits_=1)

    plain, streamed = ask(alice).json, events(ask(alice, stream=True))

    choice = plain["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"q": "x"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "see", "arguments": "{}"}},
    ]
    assert [c["choices"][0]["delta"] for c in streamed[:3]] == [c["choices"][0]["delta"] for c in script[:3]]
    assert list(joined_calls(streamed[:-1]).values()) == [("look", '{"q": "x"}'), ("see", "{}")]


def test_answers_side_by_side_are_each_told_and_all_charged():
    script = [
        chunk({"role": "assistant", "content": "A"}),
        chunk({"role": "assistant", "content": "B"}, index=1),
        chunk({"content": "a"}),
        chunk({}, finish_reason="stop"),
        chunk({"content": "b"}, index=1),
        chunk({}, index=1, finish_reason="length"),
        usage_chunk(10, 4),
    ]
    world = world_of(script)
    alice = world.person(credits_=1)

    plain = ask(alice, n=2, max_tokens=30).json

    assert [(c["message"]["content"], c["finish_reason"]) for c in plain["choices"]] == [
        ("Aa", "stop"),
        ("Bb", "length"),
    ]
    assert plain["credits"]["cost"] == "0.00039"
    assert sent(world)["max_tokens"] == 30
    streamed = events(ask(alice, n=2, stream=True))
    ends = [(c["index"], c["finish_reason"]) for e in streamed[:-1] for c in e["choices"] if c["finish_reason"]]
    assert ends == [(0, "stop"), (1, "length")]


def test_answers_side_by_side_are_held_for_one_by_one():
    world = offered()
    alice = world.person(credits_=1)
    ceiling = float(
        alice.post("/models/estimate-cost", {"content": "Hello", "max_output_tokens": 1_000}).json["ceiling"]
    )
    server = alice.key("chat", spend_cap={"amount": f"{2 * ceiling:.6f}"})

    assert failed(ask(server, n=3, max_tokens=1_000)) == (402, "budget_exceeded")
    assert ask(server, n=1, max_tokens=1_000).status_code == 200


def test_usage_that_is_not_reported_is_counted_and_flagged():
    alice = world_of(completion("One ", "two ", "three")).person(credits_=1)

    answered = ask(alice).json

    assert answered["credits"]["estimated"] is True
    assert answered["usage"]["completion_tokens"] > 0
    assert answered["usage"]["total_tokens"] == sum(
        answered["usage"][n] for n in ("prompt_tokens", "completion_tokens")
    )


def test_log_probabilities_come_through():
    told = {"content": [{"token": "Hi", "logprob": -0.1, "top_logprobs": []}], "refusal": None}
    more = {"content": [{"token": "!", "logprob": -0.2, "top_logprobs": []}], "refusal": None}
    script = [chunk({"content": "Hi"}), chunk({"content": "!"}), chunk({}, finish_reason="stop"), usage_chunk(1, 2)]
    script[0]["choices"][0]["logprobs"], script[1]["choices"][0]["logprobs"] = told, more
    alice = world_of(script).person(credits_=1)

    assert [t["token"] for t in ask(alice, logprobs=True).json["choices"][0]["logprobs"]["content"]] == ["Hi", "!"]


def test_an_image_in_a_message_is_not_taken_for_its_text():
    world = offered()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]

    answered = ask(world.person(credits_=1), model="seeing", messages=messages)

    assert answered.status_code == 200
    assert sent(world)["messages"] == messages


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            CHAT,
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.org/a"}}]}
                ]
            },
        ),
        (
            "/openai/responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x.org/a"}]}]},
        ),
    ],
    ids=["chat", "responses"],
)
def test_an_image_is_refused_when_the_model_has_no_vision(world, path, body):
    alice = world.person(credits_=1)

    refused = alice.post(path, {"model": "gpt-4o-mini", **body})

    assert failed(refused)[:2] == (400, "model_without_vision")
    assert "gpt-4o-mini" in refused.get_json()["error"]["message"]
    assert world.passthrough.requests == []


def test_a_larger_body_is_read_here_and_a_too_large_one_is_refused():
    alice = offered().person(credits_=1)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 2_000_000}}

    assert ask(alice, model="seeing", messages=[{"role": "user", "content": [picture]}]).status_code == 200
    assert failed(ask(alice, model="seeing", messages=[{"role": "user", "content": [picture] * 3}])) == (
        413,
        "body_too_large",
    )
