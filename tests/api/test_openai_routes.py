"""Embeddings, responses and models in OpenAI's protocol."""

import pytest

from shared.platform.memory.passthrough import embeddings, response
from tests.api.openai_world import COST, ask, events, failed, offered, sent, world_of


@pytest.fixture
def world():
    return offered()


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
