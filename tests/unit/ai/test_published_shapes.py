"""Answers of every dialect are as OpenAI publishes them, even if a provider changes any one member of an answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.dialect import Dialect
from shared.ai.openai.embeddings import Embeddings
from shared.ai.openai.responses import Responses
from shared.ai.openai.text_completions import TextCompletions
from shared.ai.ports import UsageReport
from shared.ai.tokens import Usage
from shared.kernel.errors import DomainError
from tests.support.odd_answers import mutations
from tests.support.openai_published import PublishedByOpenAI

NUMBERED = {"id": "x1", "created": 1_790_000_000, "model": "m", "system_fingerprint": "fp", "service_tier": "default"}
TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
LOGPROBS = {"content": [{**TOKEN, "top_logprobs": [TOKEN]}], "refusal": None}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CITED = {
    "type": "url_citation",
    "url_citation": {"url": "https://x.org", "title": "X", "start_index": 0, "end_index": 2},
}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 5,
    "total_tokens": 25,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
}
MESSAGE = {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [CITED], "tool_calls": [CALL]}
COMPLETION = {
    **NUMBERED,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": LOGPROBS, "finish_reason": "stop"}],
    "usage": USAGE,
}


def chunk(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "logprobs": LOGPROBS, "finish_reason": finish}]
    return {**NUMBERED, "object": "chat.completion.chunk", "choices": choices, **more}


CHUNKS = [
    chunk({"role": "assistant", "content": "Hi"}),
    chunk({"tool_calls": [{"index": 0, **CALL}]}),
    chunk({}, "tool_calls"),
    {**NUMBERED, "object": "chat.completion.chunk", "choices": [], "usage": USAGE},
]
TEXT = {
    **NUMBERED,
    "object": "text_completion",
    "choices": [{"index": 0, "text": "Hi", "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE,
}
EMBEDDED = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
    "model": "m",
    "usage": {"prompt_tokens": 20, "total_tokens": 20},
}
QUOTE = {"type": "url_citation", "url": "https://x.org", "title": "X", "start_index": 0, "end_index": 2}
PART = {"type": "output_text", "text": "Hi", "annotations": [QUOTE], "logprobs": LOGPROBS["content"]}
ITEMS: list[Any] = [
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "S"}],
        "content": [{"type": "reasoning_text", "text": "T"}],
        "encrypted_content": "e",
        "status": "completed",
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "phase": "final_answer",
        "content": [PART, {"type": "refusal", "refusal": "No"}],
    },
    {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "f",
        "namespace": "n",
        "arguments": "{}",
        "status": "completed",
    },
    {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "x", "status": "completed"},
]
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "completed_at": 1_790_000_001,
    "status": "completed",
    "model": "m",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be brief.",
    "metadata": {"a": "b"},
    "parallel_tool_calls": True,
    "temperature": 1,
    "top_p": 1,
    "tool_choice": "auto",
    "tools": [
        {"type": "function", "name": "f", "parameters": {}, "strict": True, "description": "F"},
        {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}},
    ],
    "background": False,
    "max_output_tokens": 100,
    "max_tool_calls": 1,
    "previous_response_id": None,
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low", "summary": "auto"},
    "safety_identifier": "u",
    "service_tier": "default",
    "store": False,
    "text": {"format": {"type": "json_schema", "name": "s", "schema": {}, "strict": True}, "verbosity": "low"},
    "top_logprobs": 1,
    "truncation": "disabled",
    "user": "u",
    "output": ITEMS,
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 25,
    },
}
HERE = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
SUMMED = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
CALLED = {"item_id": "fc_1", "output_index": 2}
ANNOUNCED = {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}}


def added(at, **emptied):
    item = {**ITEMS[at], **emptied, "status": "in_progress"}
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(at):
    return {"type": "response.output_item.done", "output_index": at, "item": ITEMS[at]}


EVENTS: list[Any] = [
    ANNOUNCED,
    added(0, summary=[], content=[]),
    {"type": "response.reasoning_summary_part.added", **SUMMED, "part": {"type": "summary_text", "text": ""}},
    {"type": "response.reasoning_summary_text.delta", **SUMMED, "delta": "S"},
    {"type": "response.reasoning_summary_text.done", **SUMMED, "text": "S"},
    {"type": "response.reasoning_summary_part.done", **SUMMED, "part": ITEMS[0]["summary"][0]},
    done(0),
    added(1, content=[]),
    {"type": "response.content_part.added", **HERE, "part": {**PART, "text": "", "annotations": []}},
    {"type": "response.output_text.delta", **HERE, "delta": "Hi", "logprobs": LOGPROBS["content"]},
    {"type": "response.output_text.annotation.added", **HERE, "annotation_index": 0, "annotation": QUOTE},
    {"type": "response.output_text.done", **HERE, "text": "Hi", "logprobs": LOGPROBS["content"]},
    {"type": "response.content_part.done", **HERE, "part": PART},
    {"type": "response.refusal.delta", **HERE, "content_index": 1, "delta": "No"},
    done(1),
    added(2, arguments=""),
    {"type": "response.function_call_arguments.delta", **CALLED, "delta": "{}"},
    {"type": "response.function_call_arguments.done", **CALLED, "name": "f", "arguments": "{}"},
    done(2),
    {"type": "response.completed", "response": RESPONSE},
]
ASKED = {"model": "m", "input": "Hi", "messages": [{"role": "user", "content": "Hi"}], "prompt": "Hi"}
STEP = 11
"""Every eleventh change is tried, so that each member meets some of the dozen values."""
COUNTED = Usage(input_tokens=20, output_tokens=5)


@dataclass(frozen=True)
class Kind:
    """A dialect, its published schemas, and OpenAI's own answer as the provider's objects."""

    dialect: Dialect
    whole: str
    event: str
    answer: Sequence[Any]


KINDS = {
    "chat": Kind(ChatCompletions(), "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", [COMPLETION]),
    "chat streamed": Kind(
        ChatCompletions(), "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", CHUNKS
    ),
    "responses": Kind(Responses(), "Response", "ResponseStreamEvent", [RESPONSE]),
    "responses streamed": Kind(Responses(), "Response", "ResponseStreamEvent", EVENTS),
    "embeddings": Kind(Embeddings(), "CreateEmbeddingResponse", "", [EMBEDDED]),
    "text": Kind(TextCompletions(is_direct=True), "CreateCompletionResponse", "CreateCompletionResponse", [TEXT]),
}


@pytest.fixture(scope="module")
def published() -> PublishedByOpenAI:
    return PublishedByOpenAI()


def told(kind: Kind, objects: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each object that clients get of an answer, with its schema. A failure ends the answer."""
    transcript, reader = kind.dialect.transcript(ASKED), kind.dialect.reader(ASKED, "auto")
    is_reported = False
    try:
        events = [event for raw in objects if isinstance(raw, dict) for event in reader.events(raw)]
        events += reader.end(is_done=True)
    except DomainError:
        return
    if not events:
        return
    for event in events:
        is_reported = is_reported or isinstance(event, UsageReport)
        shown = transcript.take(event.raw) if hasattr(event, "raw") else None
        if shown is not None:
            yield kind.event, shown
    answer = {**transcript.end("stop", None if is_reported else COUNTED), "credits": {"cost": "1"}}
    yield kind.whole, answer
    yield from ((kind.event, each) for each in kind.dialect.pieces(answer))
    options = {**ASKED, "stream_options": {"include_usage": True}}
    yield from ((kind.event, each) for each in kind.dialect.tail(answer, options, transcript.told))


def faults(published: PublishedByOpenAI, kind: Kind, objects: Sequence[Any]) -> list[str]:
    found = list[str]()
    for schema, value in told(kind, objects):
        found += [f"{schema} {fault}" for fault in published.faults(schema, as_document(schema, value))]
    return found


def as_document(schema: str, value: Any) -> Any:
    """Give the pieces of a text completion an end: OpenAI sends null there, and its document forgets the streams."""
    if schema != "CreateCompletionResponse":
        return value
    return {
        **value,
        "choices": [{**each, "finish_reason": each["finish_reason"] or "stop"} for each in value["choices"]],
    }


@pytest.mark.parametrize("name", KINDS)
def test_answer_of_openais_own_is_as_published(published, name):
    assert faults(published, KINDS[name], KINDS[name].answer) == []


@pytest.mark.parametrize("name", KINDS)
def test_answer_is_as_published_whatever_a_member_holds(published, name):
    kind, changes = KINDS[name], list(mutations(KINDS[name].answer))

    found = {change: told for change, objects in changes[::STEP] if (told := faults(published, kind, objects))}

    assert found == {}


@pytest.mark.parametrize("name", KINDS)
def test_answer_of_openais_own_is_no_failure(name):
    assert [schema for schema, _ in told(KINDS[name], KINDS[name].answer)] != []
