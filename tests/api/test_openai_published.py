"""Every answer of the OpenAI routes is as OpenAI publishes it, however odd the provider's own answer is."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.ai.openai.passthrough import RequestRefused
from shared.ai.openai.wire_texts import RaggedObject
from shared.ai.ports import UpstreamUnavailable
from shared.platform.memory.passthrough import chunk, completion, embeddings, response, usage_chunk
from shared.platform.openai.event_stream import events as sent_events
from shared.platform.openai.event_stream import is_end, told
from tests.api.openai_world import ask, events, world_of
from tests.support.openai_published import PublishedByOpenAI

ROWS = Path(__file__).resolve().parents[3] / "shared" / "cases" / "upstreams" / "answers.json"
PAINTER = {"kind": "image", "display_name": "Painter", "image_usd": "0.04"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USED = {"prompt_tokens": 10, "completion_tokens": 2}
HALF = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Hi"}}]}
ODD: dict[str, list[Any]] = {
    "openai": completion("Hi", usage=(10, 1)),
    "one piece": [{"id": "x", "created": 1, "model": "m", **HALF}],
    "no head": [HALF],
    "numbers as head": [{"id": 7, "created": 1.5, "model": "m", **HALF}],
    "nulls": [{**chunk({"content": "Hi"}), "id": None, "created": None, "model": None, "usage": None}],
    "zeros only": [{**chunk({"content": "Hi"}, finish_reason="stop"), "usage": dict.fromkeys(USED, 0)}],
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
SAID = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
CALLED = {"type": "function_call", "name": "f", "arguments": {"a": 1}}
ANSWER = {"object": "response", "status": "completed", "output": [SAID, CALLED]}
RESPONSES: dict[str, list[Any]] = {
    "openai": response("Hi", " there"),
    "no usage": response("Hi", usage=None),
    "usage behind the end": [{"type": "response.completed", "response": ANSWER}, {"usage": USED}],
    "whole": [{**ANSWER, "usage": USED}],
    "whole without status": [{"object": "response", "output": [SAID]}],
    "whole with nothing": [{"object": "response", "status": "completed", "output": None}],
    "whole, too long": [{**ANSWER, "status": "incomplete", "incomplete_details": {"reason": "length"}}],
    "only the end": [{"type": "response.completed", "response": ANSWER}],
    "another name of the end": [{"type": "response.done", "response": {**ANSWER, "usage": USED}}],
    "end without output": [
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    ],
    "deltas without places": [
        {"type": "response.reasoning.delta", "delta": "Hm"},
        {"type": "response.output_text.delta", "item_id": "", "output_index": -1, "content_index": -1, "delta": "Hi"},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
        {"type": "response.completed", "response": {"output": [SAID]}},
    ],
    "items under one number": [
        *({"type": "response.output_item.done", "output_index": 0, "item": {**CALLED, "id": each}} for each in "abc"),
        {"type": "response.completed", "response": {"output": [{**CALLED, "id": each} for each in "abc"]}},
    ],
    "events and items that nobody publishes": [
        {"type": "ping"},
        {"type": "response.thinking.begun", "text": "Hm"},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "browser_call", "id": "b"}},
        {"type": "response.browser_call.delta", "output_index": 0, "item_id": "b", "delta": "x"},
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "b", "delta": "x"},
        {"type": "response.output_text.delta", "output_index": 1, "item_id": "m", "delta": "Hi"},
        {"type": "response.completed", "response": {"output": [{"type": "browser_call", "id": "b"}, SAID]}},
    ],
    "halves of characters": [
        RaggedObject({"type": "response.output_text.delta", "output_index": 0, "delta": "a\ud83d"}),
        RaggedObject({"type": "response.output_text.delta", "output_index": 0, "delta": "\ude00b\ud83d"}),
        RaggedObject({"type": "response.completed", "response": {"output": [SAID]}}),
    ],
    "failed": [{"type": "response.failed", "response": {"status": "failed", "error": {"code": "x", "message": "No."}}}],
    "failed midway": [*response("Hi")[:3], {"type": "error", "message": "No.", "code": 500}],
    "refused": [RequestRefused({"message": "No.", "code": 7, "param": ["x"]})],
    "broken midway": [*response("Hi")[:3], UpstreamUnavailable(has_begun=True)],
    "a chat completion": completion("Hi", usage=(10, 1)),
    "not an answer": [{"hello": "world"}],
}
ASK = {"model": "gpt-4o-mini", "input": "Hello", "tools": [{"type": "function", "name": "f"}], "metadata": {"a": "b"}}
TEXTS: dict[str, list[Any]] = {
    "openai": [{"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [{"text": "Hi"}]}],
    "chat": completion("Hi", usage=(10, 1)),
    "calls": [chunk({"content": "Hi", "tool_calls": [CALL]}), chunk({}, finish_reason="tool_calls")],
    "broken midway": [chunk({"content": "Hi"}), UpstreamUnavailable(has_begun=True)],
}


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


@pytest.mark.parametrize("name", RESPONSES)
def test_response_is_as_published(published, name):
    answer = world_of(RESPONSES[name], path="/responses").person(credits_=100).post("/openai/responses", ASK)

    schema, value = ("Response", answer.json) if answer.status_code == 200 else ("Error", answer.json["error"])
    assert published.faults(schema, value) == []


@pytest.mark.parametrize("name", RESPONSES)
def test_streamed_response_is_as_published(published, name):
    alice = world_of(RESPONSES[name], path="/responses").person(credits_=100)

    answer = alice.post("/openai/responses", {**ASK, "stream": True})

    if answer.status_code != 200:
        assert published.faults("Error", answer.json["error"]) == []
        return
    told = events(answer)
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert [fault for each in told for fault in published.faults("ResponseStreamEvent", each)] == []


@pytest.mark.parametrize("name", ["openai", "whole", "end without output", "halves of characters"])
def test_stored_response_is_as_published(published, name):
    alice = world_of(RESPONSES[name], path="/responses").person(credits_=100)
    answered = alice.post("/openai/responses", ASK).json

    stored = alice.get(f"/openai/responses/{answered['id']}").json

    assert published.faults("Response", stored) == []
    assert stored == {name: value for name, value in answered.items() if name != "credits"}


@pytest.mark.parametrize("path", ["/openai/responses/none", "/openai/models/none"])
def test_absence_is_as_published(published, path):
    answer = world_of().person(credits_=1).get(path)

    assert answer.status_code == 404
    assert published.faults("Error", answer.json["error"]) == []


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_text_completion_is_as_published(published, name, is_streamed):
    alice = world_of(TEXTS[name]).person(credits_=100)

    answer = alice.post("/openai/completions", {"model": "gpt-4o-mini", "prompt": "Hello", "stream": is_streamed})

    told = events(answer)[:-1] if is_streamed else [answer.json]
    for each in told:
        schema, value = ("Error", each["error"]) if "error" in each else ("CreateCompletionResponse", ended(each))
        assert published.faults(schema, value) == []


def ended(completion_: Any) -> Any:
    """Give each piece of a text completion an end: OpenAI sends null there, which its document forgets."""
    choices = [{**each, "finish_reason": each["finish_reason"] or "stop"} for each in completion_["choices"]]
    return {**completion_, "choices": choices}


@pytest.mark.parametrize(
    "script",
    [
        embeddings(2),
        [{"object": "list", "data": [], "model": "m"}],
        [{"data": [{"embedding": [1]}], "usage": {"prompt_tokens": 2.0, "completion_tokens": None}}],
        [{"data": [[0.5, 1], {"index": "1", "embedding": "AACAPwAAAAA="}], "model": None}],
        [{"data": [{"embedding": None}]}],
        [{"object": "error", "message": "No.", "code": 400}],
    ],
    ids=["openai", "no usage", "no head", "no objects", "no embedding", "error"],
)
def test_embeddings_are_as_published(published, script):
    alice = world_of(script, path="/embeddings").person(credits_=1)

    answer = alice.post("/openai/embeddings", {"model": "embedder", "input": "Hello"})

    is_answer = answer.status_code == 200
    schema, value = ("CreateEmbeddingResponse", answer.json) if is_answer else ("Error", answer.json["error"])
    assert published.faults(schema, value) == []


def test_embedding_in_base64_comes_as_the_numbers_that_were_asked_for():
    script = [{"data": [{"embedding": "AACAPwAAAAA="}], "usage": {"prompt_tokens": 2}}]
    alice = world_of(script, script, path="/embeddings").person(credits_=1)

    numbers, packed = (
        alice.post("/openai/embeddings", {"model": "embedder", "input": "Hello", **more}).json["data"][0]["embedding"]
        for more in ({}, {"encoding_format": "base64"})
    )

    assert (numbers, packed) == ([1.0, 0.0], "AACAPwAAAAA=")


def test_halves_of_a_character_are_joined_over_the_events_of_a_response():
    alice = world_of(RESPONSES["halves of characters"], path="/responses").person(credits_=100)

    told = events(alice.post("/openai/responses", {**ASK, "stream": True}))

    assert "".join(each["delta"] for each in told if each["type"] == "response.output_text.delta") == "a😀b\ufffd"


def test_models_and_pictures_are_as_published(published):
    world = world_of()
    world.services.models.catalogue.put("painter", PAINTER)
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
