"""Chunks of a chat completion, as providers really send them: merged into one answer, whatever their shape."""

from dataclasses import replace

import pytest

from shared.ai.models.catalogue import parse_model
from shared.ai.models.image_tokens import UNKNOWN_AT_MOST, UNKNOWN_EXPECTED, PromptImage, Tiles
from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.dialect import ModelWithoutVision
from shared.ai.openai.responses import Responses
from shared.ai.ports import AnswerEnd, PassedEvent, RawDelta, UsageReport
from shared.ai.tokens import Usage, prompt_at_most, prompt_expected
from shared.kernel.errors import InvalidValue

DIALECT = ChatCompletions()
MODEL = parse_model(
    "m",
    {
        "kind": "chat",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "1",
        "context_window": 1_000_000,
        "max_output_tokens": 1_000,
    },
)

SEEING = replace(MODEL, capabilities=("vision",))


def heard(*chunks):
    """Everything that these objects of one answer mean."""
    reader = DIALECT.reader({}, "auto")
    return [event for chunk in chunks for event in reader.events(chunk)]


def merged(*chunks, reason="stop", counted=None):
    transcript = DIALECT.transcript({})
    shown = [transcript.take(event.raw) for event in heard(*chunks) if isinstance(event, RawDelta | PassedEvent)]
    return transcript.end(reason, counted), [each for each in shown if each is not None]


def piece(delta, **beside):
    return {"id": "c", "choices": [{"index": 0, "delta": delta, **beside}]}


def message_of(answer):
    return answer["choices"][0]["message"]


def demand(*messages, **body):
    return DIALECT.demand({"messages": list(messages), **body})


def test_nulls_that_come_before_values_are_no_values():
    answer, _ = merged(
        piece({"role": "assistant", "content": None, "function_call": None, "tool_calls": None}),
        piece({"function_call": {"name": "f", "arguments": '{"a"'}}),
        piece({"function_call": {"arguments": ": 1}"}}),
        piece({}, finish_reason="function_call"),
    )

    assert message_of(answer)["function_call"] == {"name": "f", "arguments": '{"a": 1}'}
    assert answer["choices"][0]["finish_reason"] == "function_call"


def test_a_role_that_is_said_again_is_not_doubled():
    answer, _ = merged(piece({"role": "assistant", "content": "a"}), piece({"role": "assistant", "content": "b"}))

    assert message_of(answer) == {"role": "assistant", "content": "ab", "refusal": None}


def test_what_nobody_here_knows_is_kept():
    answer, shown = merged(
        {**piece({"content": "a", "x_new": {"n": [1]}}), "x_head": 1, "system_fingerprint": None},
        {**piece({"x_new": {"n": [2]}}, x_beside="y"), "system_fingerprint": "fp"},
    )

    assert message_of(answer)["x_new"] == {"n": [1, 2]}
    assert (answer["x_head"], answer["system_fingerprint"], answer["choices"][0]["x_beside"]) == (1, "fp", "y")
    assert shown[0]["choices"][0]["delta"]["x_new"] == {"n": [1]}


def test_text_and_end_in_one_chunk_are_told_apart():
    raw = piece({"content": "a"}, finish_reason="stop") | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}

    delta, *ends = heard(raw)
    _, shown = merged(raw)

    assert (delta.text, ends) == ("a", [AnswerEnd("stop"), UsageReport(Usage(input_tokens=1, output_tokens=1))])
    head = {"object": "chat.completion.chunk", "created": 0, "model": ""}
    assert shown == [piece({"content": "a"}, finish_reason=None) | head]


def test_a_whole_answer_of_an_upstream_that_does_not_stream_is_taken_as_one_piece():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "tool_calls": [call]}
    raw = {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }

    (delta, *_) = heard(raw)
    answer, shown = merged(raw)

    assert isinstance(delta, RawDelta)
    assert delta.text == "Hif{}"
    assert message_of(answer) == {**message, "refusal": None}
    assert shown[0]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **call}]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"choices": None},
        {"choices": "x"},
        {"choices": [None, 5]},
        {"choices": [{"delta": None}]},
        {"choices": [{"index": "x", "delta": "y"}]},
        {"choices": [{"index": None, "delta": {"tool_calls": [None, "x"]}}]},
        {"usage": "x"},
        {"usage": {"prompt_tokens": True, "completion_tokens": 1}},
    ],
)
def test_nonsense_says_nothing_and_breaks_nothing(raw):
    assert [event for event in heard(raw) if isinstance(event, RawDelta)] == []
    answer, _ = merged(raw, piece({"content": "a"}))
    assert message_of(answer)["content"] == "a"


def test_an_answer_cut_by_us_ends_by_its_length_and_counts_what_was_counted():
    answer, _ = merged(piece({"content": "a"}), reason="credit_limit", counted=Usage(input_tokens=3, output_tokens=1))

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


def test_a_stream_that_is_told_again_is_the_same_answer():
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer, _ = merged(
        piece({"role": "assistant", "content": "a"}),
        piece({"tool_calls": [call]}),
        piece({}, finish_reason="tool_calls"),
        counted=Usage(input_tokens=1, output_tokens=2),
    )
    told = {**answer, "credits": {"cost": "1"}}

    again, _ = merged(*DIALECT.pieces(answer), *DIALECT.tail(told, {"stream_options": {"include_usage": True}}, 0))

    assert {name: value for name, value in again.items() if name != "credits"} == answer


# What a request asks for -----------------------------------------------------------------------------------------


def test_every_text_that_a_model_sees_is_counted():
    plain = demand({"role": "user", "content": "Hello"})
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 1_000}}]
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "y" * 500}}]}
    more = demand(
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        called,
        {"role": "tool", "tool_call_id": "c", "content": "z" * 250},
        tools=tools,
        response_format={"type": "json_schema", "json_schema": {"schema": {"d": "w" * 125}}},
    )

    assert "".join(plain.texts) == "Hello"
    told = "".join(more.texts)
    assert [told.count(letter * size) for letter, size in (("x", 1_000), ("y", 500), ("z", 250), ("w", 125))] == [1] * 4
    assert (more.uses_tools, plain.uses_tools) == (True, False)


def test_thinking_that_a_client_sends_back_is_counted():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm" * 500}]}

    asked = demand({"role": "assistant", "content": [thinking, {"type": "text", "text": "Hello"}]})

    assert "hm" * 500 in asked.texts[0]


def test_the_ceiling_of_a_prompt_is_never_below_its_bytes():
    content = "नमस्ते " * 100

    prompt = demand({"role": "user", "content": content}).prompt(MODEL)

    assert prompt.input_at_most > len(content.encode()) > prompt.input_expected > 0


def test_images_are_counted_as_images():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}

    asked = demand({"role": "user", "content": [picture, picture]})

    assert (asked.images, asked.needs.capabilities) == ((PromptImage(),) * 2, frozenset({"vision"}))
    assert asked.prompt(SEEING).input_expected == 2 * UNKNOWN_EXPECTED + prompt_expected([""])
    assert asked.prompt(SEEING).input_at_most == 2 * UNKNOWN_AT_MOST + prompt_at_most([""])


def test_a_predicted_answer_has_output_that_nobody_sees():
    predicted = {"type": "content", "content": "The same text again."}
    plain, asked = ({"role": "user", "content": "Fix it."},), {"prediction": predicted}

    assert [demand(*plain, **body).prompt(MODEL).has_hidden_output for body in ({}, asked)] == [False, True]


@pytest.mark.parametrize(
    ("body", "thinks"),
    [
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning": {"effort": "low"}}, True),
        ({"reasoning": {"max_tokens": 2_000}}, True),
        ({"reasoning": {"summary": "auto"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1_024}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"enable_thinking": True}, True),
        ({"enable_thinking": False}, False),
    ],
)
def test_a_body_that_asks_for_reasoning_has_output_that_nobody_sees(body, thinks):
    chat = demand({"role": "user", "content": "Prove it."}, **body)
    response = Responses().demand({"input": "Prove it.", **body})

    assert [each.prompt(MODEL).has_hidden_output for each in (chat, response)] == [thinks, thinks]


def test_images_are_refused_when_the_model_has_no_vision():
    asked = demand(
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    )

    with pytest.raises(ModelWithoutVision) as refusal:
        asked.prompt(MODEL)

    assert refusal.value.params == {"model": "m"}


def test_billed_multiples_of_images_do_not_take_the_window():
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    small = replace(SEEING, image_formula=Tiles(base=2_833, tile=5_667), context_window=8_000)

    prompt = demand({"role": "user", "content": [picture] * 4}).prompt(small)

    assert prompt.input_expected > 4 * 48_169
    assert prompt.input_at_most >= prompt.input_expected
    assert 0 < prompt.output_at_most <= 1_000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": {}},
        {"type": "image_url", "image_url": {"url": 5}},
        {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,JVBERi0="}},
        {"type": "image_url", "image_url": {"url": "DATA:video/mp4;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
    ],
    ids=lambda part: str(part)[:50],
)
def test_a_part_without_a_price_in_tokens_is_refused(part):
    with pytest.raises(InvalidValue):
        demand({"role": "user", "content": [part]})


@pytest.mark.parametrize("name", ["audio", "images", "files", "video"])
def test_a_message_with_uncounted_media_beside_its_content_is_refused(name):
    with pytest.raises(InvalidValue) as refusal:
        demand({"role": "assistant", "content": "Hi", name: [{"id": "audio_1"}]})

    assert refusal.value.params["field"] == f"messages.0.{name}"


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 7),
        ({"max_tokens": None}, None),
    ],
)
def test_the_smaller_limit_counts(body, limit):
    assert demand({"role": "user", "content": "x"}, **body).limit == limit


@pytest.mark.parametrize("options", ["x", 5, ["include_usage"]])
def test_stream_options_are_an_object(options):
    with pytest.raises(InvalidValue):
        demand({"role": "user", "content": "x"}, stream_options=options)
