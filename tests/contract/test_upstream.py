"""The stand-in provider speaks as OpenAI's own SDK expects, and does every unusual thing tests ask of it."""

import base64
import json
from typing import Any, cast

import openai
import pytest
import requests

from emulator.provider.tokens import chat_tokens
from emulator.upstream import REPLY, Upstream, tokens_of
from tests.support.processes import wait_for

QUESTION = [{"role": "user", "content": "How are you?"}]
WITH_USAGE = {"include_usage": True}
PATIENCE_SECONDS = 60


@pytest.fixture
def client(upstream: Upstream):
    with openai.OpenAI(api_key="sk-laptop", base_url=f"{upstream.url}/v1", max_retries=0) as it:
        yield it


def ask(client: openai.OpenAI, **more):
    return client.chat.completions.create(model="gpt-4o-mini", messages=cast("Any", QUESTION), **more)


def stream(client: openai.OpenAI, **more):
    return ask(client, stream=True, stream_options=WITH_USAGE, **more)


def text_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_plain_answer_and_a_stream_say_and_count_the_same(client: openai.OpenAI):
    plain = ask(client)
    chunks = list(stream(client))

    assert plain.choices[0].message.content == REPLY == text_of(chunks)
    assert plain.usage == chunks[-1].usage
    assert plain.usage.prompt_tokens == chat_tokens(QUESTION) > 0
    assert plain.usage.completion_tokens == len(tokens_of(REPLY)) > 30
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_usage_is_exactly_as_scripted(client: openai.OpenAI, upstream: Upstream):
    upstream.script(usage={"prompt_tokens": 17, "completion_tokens": 99_999})
    upstream.script(usage={"prompt_tokens": 0, "completion_tokens": 0})

    usages = [list(stream(client))[-1].usage, ask(client).usage]

    assert [(usage.prompt_tokens, usage.completion_tokens) for usage in usages] == [(17, 99_999), (0, 0)]


def test_usage_can_be_missing(client: openai.OpenAI, upstream: Upstream):
    upstream.script(usage=None, times=2)

    assert ask(client).usage is None
    assert all(chunk.usage is None for chunk in stream(client))
    assert ask(client).usage is not None


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_on_tokens_ends_the_reply_by_length(client: openai.OpenAI, name: str):
    answer = ask(client, **{name: 5})

    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == "".join(tokens_of(REPLY)[:5])
    assert answer.usage.completion_tokens == 5


def test_a_client_that_goes_away_is_noticed_between_two_chunks(client: openai.OpenAI, upstream: Upstream):
    upstream.script(reply=" word" * 2_000, delay_ms=30)

    chunks = stream(client)
    text_of(next(chunks) for _ in range(4))
    chunks.close()

    wait_for(lambda: upstream.requests[0]["outcome"] == "aborted")
    assert 3 <= upstream.requests[0]["chunks_sent"] < 2_000


def test_it_refuses_before_the_first_token(client: openai.OpenAI, upstream: Upstream):
    upstream.script(error={"status": 429, "code": "rate_limit_exceeded", "message": "slow down"})

    with pytest.raises(openai.RateLimitError) as refused:
        stream(client)

    assert refused.value.code == "rate_limit_exceeded"
    assert [seen["outcome"] for seen in upstream.requests] == ["refused"]


def test_it_breaks_in_the_middle_as_a_cut_line(client: openai.OpenAI, upstream: Upstream):
    import httpx

    upstream.script(fail_after=3)

    received = []
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, openai.APIConnectionError)):
        received.extend(stream(client))

    assert upstream.requests[0]["outcome"] == "cut"
    assert upstream.requests[0]["chunks_sent"] == 3


def test_it_breaks_in_the_middle_with_an_error_event(client: openai.OpenAI, upstream: Upstream):
    upstream.script(**{"fail_after": 3, "as": "event"})

    chunks = iter(stream(client))
    assert text_of(next(chunks) for _ in range(4)) == "".join(tokens_of(REPLY)[:3])
    with pytest.raises(openai.APIError):
        next(chunks)


def test_a_script_may_be_for_one_question_or_one_model(client: openai.OpenAI, upstream: Upstream):
    upstream.script(contains="weather", reply="Sunny.")
    upstream.script(model="gpt-4o", reply="Not for you.")
    upstream.script(contains="are you", reply="Fine.")

    assert ask(client).choices[0].message.content == "Fine."


def test_tools_are_called_as_scripted(client: openai.OpenAI, upstream: Upstream):
    upstream.script(tool_calls=[{"name": "look_up", "arguments": {"q": "credits"}}], times=2)

    plain = ask(client).choices[0]
    streamed = [chunk.choices[0].delta.tool_calls for chunk in stream(client) if chunk.choices]

    assert plain.finish_reason == "tool_calls"
    assert plain.message.tool_calls[0].function.name == "look_up"
    assert next(filter(None, streamed))[0].function.arguments == '{"q": "credits"}'


def test_the_journal_holds_every_request_until_it_is_cleared(client: openai.OpenAI, upstream: Upstream):
    ask(client)
    list(stream(client))

    assert [(seen["path"], seen["outcome"]) for seen in upstream.requests] == [
        ("/v1/chat/completions", "answered"),
        ("/v1/chat/completions", "answered"),
    ]
    assert upstream.requests[0]["body"]["messages"] == QUESTION


def test_images_embeddings_and_models_have_openais_shapes(client: openai.OpenAI):
    images = client.images.generate(model="gpt-image-1", prompt="a cat", n=2)
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)

    pictures = [base64.b64decode(image.b64_json or "")[:4] for image in images.data or []]
    assert pictures == [b"\x89PNG"] * 2
    assert [len(row.embedding) for row in vectors.data] == [8, 8]
    assert "gpt-4o-mini" in {model.id for model in client.models.list()}


def test_a_client_without_a_key_is_refused(upstream: Upstream):
    answer = requests.post(f"{upstream.url}/v1/chat/completions", json={"messages": QUESTION}, timeout=PATIENCE_SECONDS)

    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")


def test_an_agents_task_that_nobody_scripted_is_played(client: openai.OpenAI):
    names = ("plan", "calculator", "web_fetch", "write_artifact", "generate_image")
    tools: list[Any] = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in names]
    goal = "Work out 1.15^30, read https://example.com/a-1, paint it, and write it to growth.md"
    messages: list[Any] = [{"role": "user", "content": goal}]
    called: list[tuple[str, Any]] = []
    while not (
        said := client.chat.completions.create(model="m", messages=messages, tools=tools).choices[0].message
    ).content:
        calls = cast("Any", said.tool_calls)
        called += [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        messages.append({"role": "assistant", "content": None, "tool_calls": [call.model_dump() for call in calls]})
        messages += [{"role": "tool", "tool_call_id": call.id, "content": f"({call.function.name})"} for call in calls]

    names_called = [name for name, _ in called]
    given = dict(called)
    assert names_called == ["plan", "calculator", "web_fetch", "generate_image", "plan", "write_artifact"]
    assert given["calculator"] == {"expression": "1.15^30"}
    assert given["web_fetch"] == {"url": "https://example.com/a-1"}
    assert given["write_artifact"]["name"] == "growth.md"
    assert said.content.startswith("1.15^30 is (calculator). What I found is in growth.md.")
