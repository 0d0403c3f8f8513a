"""Calls of a model provider are counted once each, by model and outcome."""

import pytest

from shared.ai.openai.passthrough import RequestRefused
from shared.kernel.measured import BEFORE_MODEL_TIMES, UPSTREAM_CALLS, UPSTREAM_TIMES
from shared.kernel.tracing import begin_work
from shared.platform.openai.upstream import OpenAIUpstream

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say two words"}]}
CHAT = "/chat/completions"


@pytest.fixture
def client(upstream):
    for meter in (UPSTREAM_CALLS, UPSTREAM_TIMES, BEFORE_MODEL_TIMES):
        meter.clear()
    client = OpenAIUpstream(base_url=f"{upstream.url}/v1", api_key="sk-test")
    yield client
    client.close()


def test_a_whole_answer_and_a_read_stream_are_answered(upstream, client):
    upstream.script(reply="Hello there")

    client.fetch(CHAT, QUESTION)
    list(client.read(CHAT, {**QUESTION, "stream": True}))

    assert UPSTREAM_CALLS.values() == [(("gpt-4o-mini", "answered"), 2)]
    assert [labels for labels, _ in UPSTREAM_TIMES.values()] == [("gpt-4o-mini",)]


def test_a_stream_that_is_not_read_to_its_end_is_left(upstream, client):
    upstream.script(reply="Hello there")

    answer = client.read(CHAT, {**QUESTION, "stream": True})
    next(answer)
    answer.close()

    assert UPSTREAM_CALLS.values() == [(("gpt-4o-mini", "left"), 1)]


def test_a_refused_request_counts_as_refused(upstream, client):
    upstream.script(error={"status": 400, "message": "So it is."})

    with pytest.raises(RequestRefused):
        client.fetch(CHAT, QUESTION)

    assert UPSTREAM_CALLS.values() == [(("gpt-4o-mini", "refused"), 1)]


def test_the_time_before_the_first_call_of_a_work_counts_once(upstream, client):
    upstream.script(reply="Hello there")
    begin_work("p", None, {})

    client.fetch(CHAT, QUESTION)
    client.fetch(CHAT, QUESTION)

    assert [sum(counts) for _, counts, _ in BEFORE_MODEL_TIMES.counts()] == [1]
