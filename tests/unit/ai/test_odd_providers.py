"""Calls of tools, usage, ends and errors in forms that providers' servers are known to send beside OpenAI's own."""

import json

import pytest

from shared.ai.openai.completions import ChatCompletions
from shared.ai.ports import UpstreamUnavailable, UsageReport
from shared.ai.tokens import Usage
from shared.platform.memory.passthrough import chunk
from shared.platform.openai.event_stream import Event, is_end, told

USED = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
TEXT, END = chunk({"content": "Hi"}), chunk({}, finish_reason="tool_calls")


def answer(*objects):
    """The assembled answer, and the last reported usage."""
    dialect = ChatCompletions()
    reader, transcript, usage = dialect.reader({}, "auto"), dialect.transcript({}), None
    events = [event for raw in objects for event in reader.events(raw)]
    for event in [*events, *reader.end(is_done=True)]:
        usage = event.usage if isinstance(event, UsageReport) else usage
        if hasattr(event, "raw"):
            transcript.take(event.raw)
    return transcript.end("stop", None)["choices"][0], usage


def call(**members):
    return chunk({"tool_calls": [members]})


def calls_of(*objects):
    choice, _ = answer(*objects, END)
    calls = choice["message"]["tool_calls"]
    return [(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in calls]


BEGUN = {"index": 0, "id": "a", "type": "function"}


@pytest.mark.parametrize(
    "objects",
    [
        [call(**BEGUN, function={"name": "f", "arguments": "{}"}), call(index=0, function={"arguments": '{"x": 1}'})],
        [call(**BEGUN, function={"name": "f", "arguments": {}}), call(index=0, function={"arguments": '{"x": 1}'})],
        [chunk({"tool_calls": {**BEGUN, "function": {"name": "f", "arguments": '{"x": 1}'}}})],
        [call(**BEGUN, name="f", arguments='{"x": 1}')],
        [call(**BEGUN, function={"name": "f", "parameters": {"x": 1}})],
        [call(id="a", function={"name": "f", "arguments": '{"x"'}), call(id="b", function={"arguments": ": 1}"})],
        [call(index="0", id="a", function={"name": "f", "arguments": '{"x"'}), call(function={"arguments": ": 1}"})],
        [chunk({"content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]})],
    ],
    ids=[
        "empty first",
        "object first",
        "not listed",
        "flat",
        "parameters",
        "ids by piece",
        "index as text",
        "in parts",
    ],
)
def test_call_of_a_tool_is_read_in_each_form(objects):
    assert calls_of(*objects) == [("a", "f", '{"x": 1}')]


def test_call_without_arguments_keeps_its_empty_object():
    begun = call(**BEGUN, function={"name": "f", "arguments": "{}"})
    other = call(index=1, id="b", function={"name": "g", "arguments": "{}"})

    assert calls_of(begun, other) == [("a", "f", "{}"), ("b", "g", "{}")]


@pytest.mark.parametrize(
    "report",
    [
        {"metrics": {"usage": USED}},
        {"meta": {"tokens": {"input_tokens": 20, "output_tokens": 5}}},
        {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 20, "outputTokenCount": 5}},
        {"usage": [USED]},
        {"usage": json.dumps(USED)},
        {"prompt_tokens": 20, "completion_tokens": 5},
        {"usage": {"input_tokens": 5, "output_tokens": 5, "cache_read_input_tokens": 15}},
    ],
    ids=["metrics", "meta", "bedrock", "list", "text", "bare", "cached beside"],
)
def test_usage_is_read_at_each_place(report):
    _, usage = answer(TEXT, END, report)

    assert (usage.input_tokens, usage.output_tokens) == (20, 5)


def test_input_of_anthropic_s_own_report_includes_what_was_cached_and_written():
    told_by = {"input_tokens": 5, "output_tokens": 5, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5}

    _, usage = answer(TEXT, END, {"usage": told_by})

    assert usage == Usage(input_tokens=20, output_tokens=5, cached_input_tokens=10, cache_write_tokens=5)


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("END_OF_TURN", "stop"),
        ("finish", "stop"),
        ("max_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("content-filter", "content_filter"),
        ("ContentFilter", "content_filter"),
        ("tool-calls", "tool_calls"),
        ("null", "stop"),
    ],
)
def test_end_is_read_in_each_spelling(reason, ended):
    choice, _ = answer(TEXT, chunk({}, finish_reason=reason))

    assert choice["finish_reason"] == ended


@pytest.mark.parametrize("reason", ["other", "abort", "cancelled", "network_error", "insufficient_system_resource"])
def test_unknown_end_is_a_failure(reason):
    with pytest.raises(UpstreamUnavailable):
        answer(TEXT, chunk({}, finish_reason=reason))


@pytest.mark.parametrize(
    "failure",
    [
        {"detail": "overloaded"},
        {"code": "InternalError", "message": "no", "request_id": "r"},
        {"errors": [{"message": "no"}]},
        {"success": False},
        {"status_code": 500},
        {"fault": {"faultstring": "no"}},
        {"Error": {"Message": "no"}},
        {"status": "error"},
        chunk({"error": {"message": "no"}}, finish_reason="stop"),
        told(Event("exception", b'{"message": "no"}')),
    ],
    ids=str,
)
def test_error_in_any_form_is_a_failure(failure):
    with pytest.raises(UpstreamUnavailable):
        answer(TEXT, failure, chunk({}, finish_reason="stop"))


@pytest.mark.parametrize("event", [{"type": "ping", "message": "alive"}, {"status": "queued", "message": "wait"}, {}])
def test_sign_of_life_is_no_failure(event):
    choice, _ = answer(event, TEXT, event, chunk({}, finish_reason="stop"))

    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", "stop")


def test_end_of_a_stream_is_read_in_small_letters():
    assert is_end(b" [done]")
    assert not is_end(b'{"done": true}')
