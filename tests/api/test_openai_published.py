"""Every answer of the OpenAI routes is as OpenAI publishes it, however odd the provider's own answer is."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import UpstreamUnavailable
from shared.platform.memory.passthrough import chunk, completion, embeddings, usage_chunk
from shared.platform.openai.event_stream import events as sent_events
from shared.platform.openai.event_stream import is_end, told
from tests.api.test_openai import ask, events, world_of
from tests.support.openai_published import PublishedByOpenAI

ROWS = Path(__file__).resolve().parents[3] / "shared" / "cases" / "upstreams" / "answers.json"
PAINTER = {"kind": "image", "display_name": "Painter", "image_usd": "0.04"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HALF = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Hi"}}]}
ODD: dict[str, list[Any]] = {
    "openai": completion("Hi", usage=(10, 1)),
    "one piece": [{"id": "x", "created": 1, "model": "m", **HALF}],
    "no head": [HALF],
    "numbers as head": [{"id": 7, "created": 1.5, "model": "m", **HALF}],
    "nulls": [{**chunk({"content": "Hi"}), "id": None, "created": None, "model": None, "usage": None}],
    "no finish reason": [chunk({"content": "Hi"}), usage_chunk(10, 1)],
    "odd finish reason": [chunk({"content": "Hi"}), chunk({}, finish_reason="eos")],
    "calls without index": [chunk({"tool_calls": [CALL]}), chunk({}, finish_reason="stop"), usage_chunk(10, 1)],
    "refused": [RequestRefused({"message": "No.", "code": 7, "param": ["x"]})],
    "broken": [UpstreamUnavailable()],
    "broken midway": [chunk({"content": "Hi"}), UpstreamUnavailable(has_begun=True)],
    "error beside": [{"error": {"message": "No.", "code": 500}}],
}


def recorded() -> dict[str, list[Any]]:
    """The rows beside the project, if they are there."""
    rows = json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.is_file() else {"stream": {}, "whole": {}}
    found = {f"whole {name}": [row["json"]] for name, row in rows["whole"].items()}
    for name, row in rows["stream"].items():
        objects = list[Any]()
        for event in sent_events([row["body"].encode("utf-8", "surrogatepass")]):
            if is_end(event.data):
                break
            try:
                objects.append(told(event))
            except ValueError:
                objects.append(UpstreamUnavailable(has_begun=True))
        found[f"stream {name}"] = [each for each in objects if each is not None]
    return found


SCRIPTS = {**ODD, **recorded()}


@pytest.fixture(scope="module")
def published() -> PublishedByOpenAI:
    return PublishedByOpenAI()


@pytest.mark.parametrize("name", SCRIPTS)
def test_completion_is_as_published(published, name):
    answer = ask(world_of(SCRIPTS[name]).person(credits_=100))

    schema, value = ("CreateChatCompletionResponse", answer.json)
    if answer.status_code != 200:
        schema, value = ("Error", answer.json["error"])
    assert published.faults(schema, value) == []


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("options", [None, {"include_usage": True}])
def test_streamed_completion_is_as_published(published, name, options):
    answer = ask(world_of(SCRIPTS[name]).person(credits_=100), stream=True, stream_options=options)

    if answer.status_code != 200:
        assert published.faults("Error", answer.json["error"]) == []
        return
    for each in events(answer):
        schema = "Error" if "error" in each else "CreateChatCompletionStreamResponse"
        assert each == "[DONE]" or published.faults(schema, each.get("error", each)) == []


@pytest.mark.parametrize(
    "script",
    [embeddings(2), [{"object": "list", "data": [], "model": "m"}]],
    ids=["openai", "no usage"],
)
def test_embeddings_are_as_published(published, script):
    alice = world_of(script, path="/embeddings").person(credits_=1)

    answer = alice.post("/openai/embeddings", {"model": "embedder", "input": "Hello"})

    assert published.faults("CreateEmbeddingResponse", answer.json) == []


def test_models_and_pictures_are_as_published(published):
    world = world_of()
    world.services.catalogue.put("painter", PAINTER)
    alice = world.person(credits_=10)

    painted = alice.post("/openai/images/generations", {"model": "painter", "prompt": "A cat"})
    listed = alice.get("/openai/models").json

    assert published.faults("ImagesResponse", painted.json) == []
    assert [fault for model in listed["data"] for fault in published.faults("Model", model)] == []


@pytest.mark.parametrize("body", [{"messages": []}, {"speed": "fast"}, {"model": "none"}, {"max_tokens": -1}], ids=str)
def test_refusals_are_as_published(published, body):
    answer = ask(world_of().person(credits_=1), **body)

    assert answer.status_code in {400, 404}
    assert published.faults("Error", answer.json["error"]) == []


def test_fault_of_an_answer_is_found(published):
    assert published.faults("Model", {"id": "m", "object": "chat", "created": 1}) != []
