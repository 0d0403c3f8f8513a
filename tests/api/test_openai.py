"""`/v1/openai` over HTTP: OpenAI's shapes in and out, what it costs, and failures in OpenAI's form."""

import json

import pytest

from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.kernel.clock import DAY
from shared.platform.memory.passthrough import ScriptedPassthrough, chunk, completion, embeddings, response, usage_chunk
from tests.api.world import MODEL, Person, World

CHAT = "/openai/chat/completions"
QUESTION = [{"role": "user", "content": "Hello"}]
COST = "0.00021"
"""10 × 0.15 $ + 1 × 0.6 $ per million tokens, at 100 credits for a dollar."""


EMBEDDER = {"kind": "embedding", "input_usd_per_mtok": "0.02", "context_window": 8_192}


def offered(**options) -> World:
    """A world that offers embeddings too."""
    world = World(**options)
    world.services.models.catalogue.put("embedder", EMBEDDER)
    world.services.models.catalogue.put(
        "seeing", {**MODEL, "capabilities": ["chat", "vision"], "upstream_model": "gpt-4o-mini"}
    )
    return world


@pytest.fixture
def world():
    return offered()


def world_of(*scripts, path="/chat/completions") -> World:
    return offered(passthrough=ScriptedPassthrough(scripts={path: list(scripts)}))


def ask(person, *, path=CHAT, key=None, **body):
    return person.post(path, {"model": "gpt-4o-mini", "messages": QUESTION, **body}, key=key)


def sent(world) -> dict:
    """What the upstream was asked last."""
    return dict(world.passthrough.requests[-1][1])


def events(response_):
    """The data of each frame."""
    frames = response_.get_data(as_text=True).split("\n\n")[:-1]
    datas = [
        line.removeprefix("data: ") for frame in frames for line in frame.splitlines() if line.startswith("data: ")
    ]
    return [data if data == "[DONE]" else json.loads(data) for data in datas]


def failed(response_):
    """Status, code and message of a failure in OpenAI's form."""
    assert response_.mimetype == "application/json"
    error = response_.get_json()["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    return response_.status_code, error["code"]


# Chat completions ------------------------------------------------------------------------------------------------


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


def joined_calls(chunks):
    """The name and the arguments of each streamed tool call, by the call's index."""
    calls: dict[int, tuple[str, str]] = {}
    for piece in (each for c in chunks if c["choices"] for each in c["choices"][0]["delta"].get("tool_calls", ())):
        name, arguments = calls.get(piece["index"], ("", ""))
        function = piece["function"]
        calls[piece["index"]] = (name or function["name"], arguments + (function.get("arguments") or ""))
    return calls


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


# Embeddings, responses, models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["one", ["one", "two"], [1, 2, 3], [[1], [2, 3]]])
def test_embeddings_are_told_as_they_are_and_charged_by_what_went_in(given):
    world = world_of(embeddings(2, tokens=1_000), path="/embeddings")
    alice = world.person(credits_=1)

    answered = alice.post("/openai/embeddings", {"model": "embedder", "input": given, "encoding_format": "float"})

    assert answered.status_code == 200
    assert [row["embedding"] for row in answered.json["data"]] == [[0.25, -0.5]] * 2
    assert answered.json["usage"] == {"prompt_tokens": 1_000, "total_tokens": 1_000}
    assert answered.json["credits"]["cost"] == answered.headers["X-Credits-Cost"] == "0.002"
    assert sent(world) == {"model": "embedder", "input": given, "encoding_format": "float"}


@pytest.mark.parametrize("given", [None, "", [], [""], [1.5], ["a", 1], {}, [[]], [True], "x" * 900_000])
def test_what_cannot_be_embedded_is_refused(given):
    world = offered()

    refused = world.person(credits_=1).post("/openai/embeddings", {"model": "embedder", "input": given})

    assert failed(refused)[0] == 400
    assert world.passthrough.requests == []


def test_embeddings_without_a_reported_usage_are_counted():
    world = world_of([{"object": "list", "data": [], "model": "m"}], path="/embeddings")

    answered = world.person(credits_=1).post("/openai/embeddings", {"model": "embedder", "input": "some words here"})

    assert answered.json["credits"]["estimated"] is True
    assert answered.json["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("text", ["word " * 2_000, [7] * 2_000], ids=["texts", "tokens"])
def test_each_of_many_texts_may_be_as_long_as_the_model_takes_and_all_of_them_are_paid_for(text):
    world = world_of([{"object": "list", "data": [], "model": "m"}], path="/embeddings")
    alice = world.person(credits_=1)

    answered = alice.post("/openai/embeddings", {"model": "embedder", "input": [text] * 50})

    assert answered.status_code == 200, answered.json
    assert 50 * 2_500 <= answered.json["usage"]["prompt_tokens"] <= 50 * 2_580  # counted by samples
    assert answered.json["credits"]["cost"] == answered.headers["X-Credits-Cost"] >= "0.2"


def test_a_text_may_fill_the_window_to_its_last_token():
    """As LangChain cuts them."""
    world = offered()

    answered = world.person(credits_=1).post("/openai/embeddings", {"model": "embedder", "input": [[7] * 8_192] * 2})

    assert answered.status_code == 200, answered.json


@pytest.mark.parametrize("text", ["word " * 9_000, [7] * 8_193], ids=["text", "tokens"])
def test_one_text_that_is_too_long_is_told_in_openais_words(text):
    world = offered()

    refused = world.person(credits_=1).post("/openai/embeddings", {"model": "embedder", "input": ["short", text]})

    assert failed(refused) == (400, "context_length_exceeded")
    assert world.passthrough.requests == []


def test_a_response_is_told_whole_and_as_events():
    world = world_of(response("Hi", "!", usage=(10, 1)), path="/responses")
    alice = world.person(credits_=1)
    body = {"model": "gpt-4o-mini", "input": "Hello", "instructions": "Be brief."}

    plain = alice.post("/openai/responses", body)
    streamed = events(alice.post("/openai/responses", {**body, "stream": True}))

    assert plain.json["output"][0]["content"][0]["text"] == "Hi!"
    assert plain.json["credits"]["cost"] == plain.headers["X-Credits-Cost"] == COST
    assert [e["delta"] for e in streamed if e["type"] == "response.output_text.delta"] == ["Hi", "!"]
    assert (streamed[0]["type"], streamed[-1]["type"]) == ("response.created", "response.completed")
    assert streamed[-1]["response"]["credits"]["cost"] == COST
    assert [e["sequence_number"] for e in streamed] == list(range(len(streamed)))
    assert sent(world) | {"max_output_tokens": 0} == {
        **body, "max_output_tokens": 0, "stream": True, "store": False
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"previous_response_id": 5},
        {"conversation": "conv_1"},
        {"background": True},
        {"prompt": {"id": "p"}},
        {"tools": [{"type": "web_search"}], "tool_choice": "required"},
        {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}], "tool_choice": {"type": "file_search"}},
        {"tools": [{"googleSearch": {}}]},
        {"tools": [{"type": "namespace", "name": "x"}]},
        {"tools": "x"},
        {"models": ["dear"]},
        {"provider": {"order": ["dear"]}},
        {"plugins": [{"id": "web"}]},
        {"service_tier": "priority"},
        {"input": [{"type": "item_reference", "id": ""}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        {"input": []},
        {"input": 5},
        {"max_output_tokens": 0},
        {"max_output_tokens": "x"},
    ],
)
def test_a_response_refers_to_nothing_that_is_kept_and_uses_nothing_without_a_price(more):
    world = offered()

    refused = world.person(credits_=1).post("/openai/responses", {"model": "gpt-4o-mini", "input": "Hello", **more})

    assert failed(refused)[0] == 400
    assert world.passthrough.requests == []


@pytest.mark.parametrize(
    "more",
    [
        {"messages": []},
        {"messages": None},
        {"messages": ["x"]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"max_tokens": 0},
        {"max_tokens": -5},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"n": 0},
        {"n": 1_000},
        {"stream": "yes"},
        {"audio": {"voice": "x"}},
        {"modalities": ["text", "audio"]},
        {"web_search_options": {"x": 1}},
        {"web_search_options": {}},
        {"models": ["dear"]},
        {"provider": {"order": ["dear"]}},
        {"plugins": [{"id": "web"}]},
        {"fallbacks": ["dear"]},
        {"search_parameters": {"mode": "on"}},
        {"enable_search": True},
        {"tools": [{"type": "web_search"}]},
        {"tools": ["x"]},
        {"service_tier": "priority"},
        {"model": ""},
        {"model": 5},
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_has_no_price_or_makes_no_sense_is_refused_before_it_costs(more, is_streamed):
    world = offered()
    alice = world.person(credits_=1)

    refused = ask(alice, **{"stream": is_streamed, **more})

    assert failed(refused)[0] == 400
    assert refused.json["error"]["type"] == "invalid_request_error"
    assert refused.json["error"]["param"]
    assert world.passthrough.requests == []
    assert alice.available == "1"


@pytest.mark.parametrize("nothing", [None, False, []])
def test_what_has_no_price_may_be_said_to_be_off(nothing):
    world = offered()

    answered = ask(world.person(credits_=1), plugins=nothing, audio=None, web_search_options=None, models=None)

    assert answered.status_code == 200


def test_models_are_listed_as_openai_lists_them(world, alice):
    listed = alice.key("read").get("/openai/models").json
    one = alice.key("chat").get("/openai/models/gpt-4o-mini").json

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["embedder", "gpt-4o-mini", "seeing"]
    assert one in listed["data"]
    assert one["object"] == "model"
    assert failed(alice.get("/openai/models/none")) == (404, "model_not_found")


# Failures in OpenAI's form ---------------------------------------------------------------------------------------


def test_who_is_nobody_has_an_invalid_key(world):
    nobody = Person(world=world, uid=world.person().uid, token="ics_" + "0" * 48)

    refused = ask(nobody)

    assert failed(refused) == (401, "invalid_api_key")
    assert refused.headers["WWW-Authenticate"]
    assert failed(world.call("POST", CHAT, body={})) == (401, "invalid_api_key")


def test_an_empty_balance_is_402_which_no_client_tries_again(world):
    refused = ask(world.person())

    assert failed(refused) == (402, "insufficient_credits")
    assert refused.json["error"]["params"]["available"] == "0"
    assert refused.json["error"]["type"] == "insufficient_quota"


@pytest.mark.parametrize("model", ["none", "embedder"])
def test_a_model_that_cannot_chat_is_not_found(alice, model):
    assert failed(ask(alice, model=model)) == (404, "model_not_found")


def test_a_key_without_the_scope_may_not(alice):
    assert failed(ask(alice.key("read"))) == (403, "scope_missing")


def test_guests_may_not_spend(world):
    assert failed(ask(world.guest())) == (403, "forbidden")


def test_too_many_calls_are_told_when_to_come_back():
    world = offered(env={"RATE_LIMIT_BURST": "2", "RATE_LIMIT_PER_MINUTE": "1"})
    alice = world.person(credits_=1)

    answers = [ask(alice) for _ in range(3)]

    assert [a.status_code for a in answers] == [200, 200, 429]
    assert failed(answers[2]) == (429, "rate_limit_exceeded")
    assert int(answers[2].headers["Retry-After"]) > 0


def test_a_prompt_that_does_not_fit_is_told_in_openais_words(alice):
    refused = ask(alice, messages=[{"role": "user", "content": "word " * 20_000}])

    assert failed(refused) == (400, "context_length_exceeded")


def test_a_path_that_is_not_there_and_a_body_that_is_no_json(alice):
    assert failed(alice.get("/openai/assistants")) == (404, "not_found")
    assert failed(alice.call("DELETE", CHAT)) == (405, "method_not_allowed")
    assert failed(alice.call("POST", CHAT, data=b"{", content_type="application/json")) == (400, "malformed_request")


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UpstreamUnavailable(), (502, "upstream_unavailable")),
        (UpstreamRejected(), (502, "upstream_rejected")),
        (RequestRefused({"message": "Bad schema.", "code": "bad", "param": "tools"}), (400, "bad")),
        (RequestRefused({}), (400, "request_refused")),
    ],
)
def test_an_upstream_that_fails_costs_nothing(error, told, is_streamed):
    alice = world_of([error]).person(credits_=1)

    refused = ask(alice, stream=is_streamed)

    assert failed(refused) == told
    assert (alice.available, alice.get("/credits/balance").json["held"]) == ("1", "0")


def test_a_wrong_request_is_told_in_the_providers_words():
    told = {"message": "Bad schema.", "type": "invalid_request_error", "code": None, "param": "tools"}

    refused = ask(world_of([RequestRefused(told)]).person(credits_=1))

    assert (refused.json["error"]["message"], refused.json["error"]["param"]) == ("Bad schema.", "tools")


def test_a_stream_that_breaks_says_so_and_what_was_delivered_is_charged():
    world = world_of([*completion("Hi", " you")[:3], UpstreamUnavailable()])
    alice = world.person(credits_=1)

    streamed = events(ask(alice, stream=True))

    assert streamed[-1]["error"]["code"] == "upstream_unavailable"
    assert "[DONE]" not in streamed
    assert 0 < 1 - float(alice.available) < 0.01
    assert alice.get("/credits/balance").json["held"] == "0"


def test_a_plain_answer_that_breaks_costs_nothing():
    world = world_of([*completion("Hi", " you")[:3], UpstreamUnavailable()])
    alice = world.person(credits_=1)

    assert failed(ask(alice)) == (502, "upstream_unavailable")
    assert alice.available == "1"


def test_a_surprise_tells_nothing_of_itself(capsys):
    world = world_of([ZeroDivisionError("secret")])

    refused = ask(world.person(credits_=1))

    assert failed(refused) == (502, "upstream_unavailable")
    assert "secret" not in refused.get_data(as_text=True) + capsys.readouterr().out


def test_a_client_that_leaves_pays_for_what_it_got_and_ends_the_call():
    silent = ScriptedPassthrough(scripts={"/chat/completions": [[*completion("Hi")[:2], 30.0]]})
    world = offered(passthrough=silent, env={"AI_PLATFORM_PROFILE": "openai"})
    alice = world.person(credits_=1)
    body = {"model": "gpt-4o-mini", "messages": QUESTION, "stream": True}

    answer = alice.post(CHAT, body, buffered=False)
    parts = iter(answer.response)
    first, second = next(parts), next(parts)
    answer.close()

    assert "Hi" in str(first) + str(second)
    assert world.passthrough.streams[0].is_aborted
    assert alice.get("/credits/balance").json["held"] == "0"
    assert 0 < 1 - float(alice.available) < 0.01


# Once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "gpt-4o-mini", "messages": QUESTION}),
        ("/openai/responses", {"model": "gpt-4o-mini", "input": "Hello"}),
        ("/openai/embeddings", {"model": "embedder", "input": "Hello"}),
    ],
)
def test_the_same_key_answers_the_same_without_a_second_call(path, body):
    world = offered()
    alice = world.person(credits_=1)

    first, second = (alice.post(path, body, key="k") for _ in range(2))

    assert (second.status_code, second.get_data()) == (200, first.get_data())
    assert second.headers["X-Credits-Cost"] == first.headers["X-Credits-Cost"]
    assert len(world.passthrough.requests) == 1


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
def test_the_same_key_streams_the_same_without_a_second_call(options):
    first_call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    script = [chunk({"content": "Hi"}), chunk({"tool_calls": [first_call]}), chunk({}, finish_reason="tool_calls")]
    world = world_of([*script, usage_chunk(10, 2)])
    alice = world.person(credits_=1)

    first, second = (events(ask(alice, stream=True, stream_options=options, key="k")) for _ in range(2))

    def whole(chunks):
        deltas = [c["choices"][0]["delta"] for c in chunks[:-1] if c["choices"]]
        return "".join(d.get("content") or "" for d in deltas), joined_calls(chunks[:-1])

    assert whole(second) == whole(first) == ("Hi", {0: ("f", "{}")})
    assert second[-2:] == first[-2:]
    assert len(world.passthrough.requests) == 1


def test_the_same_key_streams_the_same_response():
    world = offered()
    alice = world.person(credits_=1)
    body = {"model": "gpt-4o-mini", "input": "Hello", "stream": True}

    first, second = (events(alice.post("/openai/responses", body, key="k")) for _ in range(2))

    def text(told):
        return "".join(e["delta"] for e in told if e["type"] == "response.output_text.delta")

    assert text(first) == text(second) == "Hello there."
    assert second[-1]["response"] == first[-1]["response"]
    assert [e["sequence_number"] for e in second] == list(range(len(second)))
    assert len(world.passthrough.requests) == 1


def test_the_same_key_with_another_body_or_on_another_route(alice):
    ask(alice, key="k")

    assert failed(ask(alice, key="k", seed=1)) == (409, "idempotency_mismatch")
    assert alice.post("/openai/responses", {"model": "gpt-4o-mini", "input": "Hi"}, key="k").status_code == 200


def test_an_answer_is_kept_for_a_day_and_then_neither_told_nor_asked_again(world, alice):
    ask(alice, key="k")
    spent = alice.available
    world.clock.advance(DAY - 1)
    fresh = Person(world=world, uid=alice.uid, token=world.identity.token(alice.uid))
    assert ask(fresh, key="k").status_code == 200

    world.clock.advance(1)

    assert failed(ask(fresh, key="k")) == (409, "answer_not_kept")
    assert fresh.available == spent
    assert len(world.passthrough.requests) == 1


def test_an_answer_that_is_too_large_to_keep_is_told_once(monkeypatch):
    monkeypatch.setattr("shared.ai.openai.answers.CONTENT_BYTES_MAX", 10)
    world = offered()
    alice = world.person(credits_=1)

    assert ask(alice, key="k").status_code == 200
    assert failed(ask(alice, key="k")) == (409, "answer_not_kept")
    assert len(world.passthrough.requests) == 1


def test_without_a_key_nothing_of_a_call_is_stored(world, alice):
    ask(alice, messages=[{"role": "user", "content": "a very private question"}])

    stored = repr(list(world.services.ports.documents().inner._documents.values()))
    assert "private question" not in stored
    assert not [path for path in world.services.ports.documents().inner._documents if path.startswith("answers/")]


def test_what_was_kept_goes_with_the_user(world, alice):
    ask(alice, key="k")
    assert [
        path for path in world.services.ports.documents().inner._documents if path.startswith(("answers/", "turns/"))
    ]

    alice.call("DELETE", "/me")

    assert not [
        path for path in world.services.ports.documents().inner._documents if path.startswith(("answers/", "turns/"))
    ]


def test_prompts_and_answers_are_never_logged(world, alice, capsys):
    ask(alice, messages=[{"role": "user", "content": "a very private question"}], key="k")

    told = capsys.readouterr().out
    assert "private question" not in told
    assert "there" not in told
