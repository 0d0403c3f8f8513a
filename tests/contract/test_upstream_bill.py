"""The stand-in provider bills each call, reported or not, by rules that the backend does not share."""

import base64
import json
from typing import Any, cast

import openai
import pytest
import requests

from emulator.provider.painting import painted
from emulator.provider.tokens import chat_tokens, text_tokens
from emulator.provider.vision import image_tokens
from emulator.upstream import REPLY, Upstream, tokens_of
from tests.support.processes import wait_for

QUESTION = [{"role": "user", "content": "How are you?"}]
WHOLE = len(tokens_of(REPLY))
PATIENCE_SECONDS = 60


@pytest.fixture
def client(upstream: Upstream):
    with openai.OpenAI(api_key="sk-laptop", base_url=f"{upstream.url}/v1", max_retries=0) as it:
        yield it


def stream(client: openai.OpenAI, **more: Any):
    return client.chat.completions.create(
        **{"model": "gpt-4o-mini", "messages": cast("Any", QUESTION), "stream": True, **more}
    )


def bill(upstream: Upstream) -> dict[str, Any]:
    return cast("dict[str, Any]", upstream.requests[-1]["bill"])


def leave_after(chunks: int, client: openai.OpenAI, upstream: Upstream, **more: Any) -> None:
    """Read so many chunks while the provider waits behind them, then hang up."""
    answer = stream(client, **more)
    for _ in range(chunks + 1):
        next(answer)
    answer.close()
    wait_for(lambda: upstream.requests[-1]["outcome"] == "aborted")


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_call_that_ends_is_billed_what_it_reports(client, upstream, is_streamed):
    options: Any = {"stream_options": {"include_usage": True}} if is_streamed else {}
    answer: Any = stream(client, **{**options, "stream": is_streamed})
    usage = list(answer)[-1].usage if is_streamed else answer.usage

    billed = bill(upstream)
    assert (billed["input_tokens"], billed["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert billed["is_reported"]
    assert billed["delivered_tokens"] == WHOLE


def test_a_hang_up_is_billed_to_the_end_unless_the_profile_ends_it(client, upstream):
    upstream.script(pause_at=5)
    leave_after(5, client, upstream)
    to_the_end = bill(upstream)
    upstream.script(pause_at=5, ends=True)
    leave_after(5, client, upstream)

    assert (to_the_end["output_tokens"], to_the_end["delivered_tokens"], to_the_end["is_reported"]) == (WHOLE, 5, False)
    assert bill(upstream) == {**to_the_end, "output_tokens": 5}


def test_a_plain_call_is_billed_to_the_end_whatever_the_profile(upstream):
    upstream.script(pause_at=0, ends=True)
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{upstream.url}/v1/chat/completions",
            json={"model": "gpt-4o-mini", "messages": QUESTION},
            headers={"Authorization": "Bearer x"},
            timeout=0.3,
        )

    wait_for(lambda: [seen["outcome"] for seen in upstream.requests] == ["aborted"])
    assert bill(upstream)["output_tokens"] == WHOLE


def test_hidden_reasoning_is_billed_before_the_first_word(client, upstream):
    upstream.script(pause_at=0, ends=True)

    leave_after(0, client, upstream, model="o4-mini", reasoning_effort="high")

    assert (bill(upstream)["output_tokens"], bill(upstream)["reasoning_tokens"]) == (512, 512)


def test_reasoning_counts_within_the_limit(client, upstream):
    answer: Any = stream(client, model="o4-mini", max_completion_tokens=130, stream=False)

    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == "".join(tokens_of(REPLY)[:2])
    assert answer.usage.completion_tokens_details.reasoning_tokens == 128
    assert answer.usage.completion_tokens == bill(upstream)["output_tokens"] == 130


@pytest.mark.parametrize(("how", "output"), [({}, WHOLE), ({"as": "event"}, 3), ({"ends": True}, 3)])
def test_a_broken_stream_is_billed_to_its_end_or_to_the_break(client, upstream, how, output):
    upstream.script(**{"fail_after": 3, **how})

    with pytest.raises(Exception):  # noqa: B017, PT011  # the SDK has a name for each
        list(stream(client))

    assert (bill(upstream)["output_tokens"], bill(upstream)["is_reported"]) == (output, False)


def test_a_refusal_is_not_billed(client, upstream):
    upstream.script(error={"status": 503, "message": "overloaded"})

    with pytest.raises(openai.InternalServerError):
        list(stream(client))

    assert (bill(upstream)["input_tokens"], bill(upstream)["output_tokens"]) == (0, 0)


def test_one_call_is_scripted_by_its_prompt_and_one_by_a_header(client, upstream):
    prompt: Any = [{"role": "user", "content": 'Hi <<stand-in {"reply": "Hello there", "chunk_tokens": 5}>>'}]
    header = {"X-Stand-In-Script": json.dumps({"reply": "Goodbye", "reasoning_tokens": 7})}

    told = [stream(client, stream=False, messages=prompt), stream(client, stream=False, extra_headers=header)]

    assert [each.choices[0].message.content for each in told] == ["Hello there", "Goodbye"]
    assert [each["bill"]["output_tokens"] for each in upstream.requests] == [10, 8]


LOOK_UP: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CALL_ONCE = '<<stand-in {"tool_calls": [{"name": "look_up"}], "recall": "it is (\\\\w+)"}>>'


def test_prompt_calls_an_offered_tool_once_and_recalls_the_result(client, upstream):
    asked: list[Any] = [{"role": "user", "content": CALL_ONCE}]
    first = stream(client, stream=False, messages=asked, tools=[LOOK_UP]).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "it is sunny"}

    second = stream(client, stream=False, messages=[*asked, first, result], tools=[LOOK_UP]).choices[0].message
    titled = stream(client, stream=False, messages=asked).choices[0].message

    assert (first.tool_calls[0].function.name, first.content) == ("look_up", None)
    assert (second.tool_calls, second.content) == (None, "sunny")
    assert (titled.tool_calls, titled.content) == (None, "nothing")


def test_prompt_of_a_response_calls_an_offered_tool_once(client, upstream):
    asked: list[Any] = [{"role": "user", "content": CALL_ONCE}]
    tools: Any = [{"type": "function", "name": "look_up", "parameters": {"type": "object"}}]
    first = client.responses.create(model="gpt-4o-mini", input=asked, tools=tools).output[0]
    result = {"type": "function_call_output", "call_id": first.call_id, "output": "it is sunny"}

    second = client.responses.create(model="gpt-4o-mini", input=[*asked, first, result], tools=tools)

    assert (first.name, second.output_text) == ("look_up", "sunny")


def test_all_bills_add_up_over_http(client, upstream):
    list(stream(client))
    list(stream(client))

    in_all = requests.get(f"{upstream.url}/__/bill", timeout=PATIENCE_SECONDS).json()

    assert (in_all["input_tokens"], in_all["output_tokens"]) == (2 * chat_tokens(QUESTION), 2 * WHOLE)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The ship sailed slowly into the harbour before the evening storm. " * 10, 110, 160),
        ("xqzvkw jfhdlp wrtzbn kqjxvp " * 100, 1_100, 2_400),
        (" \t\n\r\f\v" * 1_000, 4_000, 6_000),
        (" " * 8_000, 60, 200),
        ("Корабль медленно вошёл в гавань. " * 100, 600, 1_100),
        ("ሰላም ለዓለም " * 100, 1_200, 2_400),
        ("aGVsbG8gd29ybGQhIQ0KQUJDREVGRw" * 100, 1_500, 2_900),
    ],
    ids=["prose", "random", "mixed space", "spaces", "russian", "amharic", "base64"],
)
def test_text_that_no_vocabulary_knows_is_many_tokens(text, least, most):
    assert least <= text_tokens(text) <= min(most, len(text.encode()))


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", "1024x1024", "high", 765),
        ("gpt-4o", "1024x2048", "high", 1_105),
        ("gpt-4o", "1024x1024", "low", 85),
        ("gpt-4o-mini", "1024x1024", "auto", 25_501),
        ("o4-mini", "1024x1024", "auto", 1_762),
        ("gpt-4o", "", "auto", 1_445),
        ("gpt-4o-mini", "", "high", 48_169),
    ],
)
def test_images_are_billed_by_openais_formulas(model, size, detail, tokens):
    data = base64.b64encode(painted("a cat", size)).decode() if size else ""
    url = f"data:image/png;base64,{data}" if size else "https://example.com/cat.png"
    part = {"type": "image_url", "image_url": {"url": url, "detail": detail}}

    assert image_tokens(model, [{"role": "user", "content": [part]}]) == tokens
