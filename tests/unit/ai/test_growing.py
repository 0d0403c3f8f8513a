"""Answers put together from pieces: the same whatever their number, in time in proportion to it."""

import time

import pytest

from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.growing import GrowingObject
from shared.ai.openai.responses import Responses
from shared.platform.memory.passthrough import chunk

FEW, MANY = 2_000, 8_000
GROWTH_MAX = 8.0
TRIES_MAX = 4
"""Measurements before a growth counts as too large: a neighbour on the processor may slow one down, not all."""
"""Four times as many pieces take four times as long; sixteen times, if each looks at all before."""


def grown(*deltas):
    known = GrowingObject()
    for delta in deltas:
        known.add(delta)
    return known.whole


@pytest.mark.parametrize(
    ("deltas", "whole"),
    [
        ([{"content": "a"}, {"content": "b"}], {"content": "ab"}),
        ([{"role": "assistant"}, {"role": "assistant"}], {"role": "assistant"}),
        ([{"content": None}, {"content": "b"}], {"content": "b"}),
        ([{"content": "a"}, {"content": None}], {"content": "a"}),
        ([{"n": 1}, {"n": 2}], {"n": 2}),
        ([{"a": {"b": "c"}}, {"a": {"b": "d", "e": "f"}}], {"a": {"b": "cd", "e": "f"}}),
        ([{"a": [1]}, {"a": [2, {"x": 1}]}], {"a": [1, 2, {"x": 1}]}),
        (
            [{"calls": [{"index": 0, "id": "x", "f": "a"}]}, {"calls": [{"index": 1}, {"index": 0, "f": "b"}]}],
            {"calls": [{"index": 0, "id": "x", "f": "ab"}, {"index": 1}]},
        ),
        ([{"a": [{"index": None, "f": "a"}]}, {"a": [{"index": None, "f": "b"}]}], {"a": [{"index": None, "f": "ab"}]}),
        ([{"a": [{"index": [0]}]}, {"a": [{"index": [0]}]}], {"a": [{"index": [0]}, {"index": [0]}]}),
        ([{"f": "same"}, {"f": "same"}, {"f": "same"}], {"f": "same"}),
        ([{"id": "x", "f": "a"}, {"id": "", "f": None}], {"id": "x", "f": "a"}),
        ([{"content": "ha"}, {"content": "ha"}], {"content": "haha"}),
        ([{"a": "text"}, {"a": ["list"]}, {"a": {"an": "object"}}], {"a": {"an": "object"}}),
    ],
)
def test_object_grows_as_openais_sdks_merge(deltas, whole):
    assert grown(*deltas) == whole


def logprobs(number):
    said = chunk({"content": f" w{number}"})
    top = [{"token": "x", "logprob": -1.5, "bytes": [120]}] * 5
    entry = {"token": f" w{number}", "logprob": -0.1, "bytes": [32, 119], "top_logprobs": top}
    said["choices"][0]["logprobs"] = {"content": [entry], "refusal": None}
    return said


def arguments(number):
    return chunk({"tool_calls": [{"index": 0, "function": {"arguments": f"{number},"}}]})


def response_text(number):
    here = {"output_index": 0, "content_index": 0, "sequence_number": number}
    return {"type": "response.output_text.delta", **here, "delta": " word" * 8}


def response_arguments(number):
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "output_index": 0, "sequence_number": number, "delta": " word" * 8}


def cpu_seconds(dialect, pieces):
    """The least of several runs: what else this machine does is not measured."""
    times = []
    for _ in range(3):
        transcript, reader = dialect.transcript({}), dialect.reader({}, "auto")
        began = time.process_time()
        for piece in pieces:
            for event in reader.events(piece):
                transcript.take(event.raw)
        transcript.end("stop", None)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    ("dialect", "piece"),
    [
        (ChatCompletions(), logprobs),
        (ChatCompletions(), arguments),
        (Responses(), response_text),
        (Responses(), response_arguments),
    ],
    ids=["logprobs", "arguments", "response text", "response arguments"],
)
def test_answer_takes_time_in_proportion_to_its_length(dialect, piece):
    pieces = [piece(number) for number in range(MANY)]

    growths = (cpu_seconds(dialect, pieces) / cpu_seconds(dialect, pieces[:FEW]) for _ in range(TRIES_MAX))

    assert any(growth < GROWTH_MAX for growth in growths)


def test_response_part_beyond_the_last_is_not_believed():
    transcript, reader = Responses().transcript({}), Responses().reader({}, "auto")

    for at in (10**9, -1, "x", None):
        for event in reader.events({**response_text(1), "content_index": at, "delta": "a"}):
            transcript.take(getattr(event, "raw", {}))

    assert transcript.end("stop", None)["output"][0]["content"] == [
        {"type": "output_text", "text": "aaaa", "annotations": [], "logprobs": []}
    ]
