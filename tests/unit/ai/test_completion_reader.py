"""Chat completions of every provider, read by one reader: text, calls, ends and usage in OpenAI's shape and meaning."""

import json

import pytest

from shared.ai.openai.completion_reader import CompletionReader
from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import PassedEvent, RawDelta, UpstreamBusy, UpstreamMisconfigured, UpstreamUnavailable
from shared.ai.tokens import expected_tokens

DIALECT = ChatCompletions()
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
BERN, ROME = '{"city": "Bern"}', '{"city": "Rome"}'


def piece(delta=None, finish=None, **beside):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {**HEAD, "choices": [{**choice, **beside}]}


def assembled(*chunks, is_done=True):
    """The plain answer that a stream comes to."""
    reader, transcript = DIALECT.reader({}, "auto"), DIALECT.transcript({})
    events = [event for chunk in chunks for event in reader.events(chunk)]
    for event in [*events, *reader.end(is_done=is_done)]:
        if isinstance(event, RawDelta | PassedEvent):
            transcript.take(event.raw)
    return transcript.end("stop", None)


def message_of(*chunks):
    return assembled(*chunks)["choices"][0]["message"]


def calls_of(*chunks):
    calls = message_of(*chunks).get("tool_calls") or []
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


def call(arguments, name="get_weather", **own):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **own}


def rest(arguments, **own):
    return {"function": {"arguments": arguments}, **own}


TWO = [("a", "get_weather", BERN), ("b", "get_weather", ROME)]


@pytest.mark.parametrize(
    "deltas",
    [
        [[call(BERN, id="a", index=0)], [call(ROME, id="b", index=1)]],
        [[call(BERN, id="a", index=None)], [call(ROME, id="b", index=None)]],
        [[call(BERN, id="a", index=0)], [call(ROME, id="b", index=0)]],
        [[call(BERN, id="a")], [call(ROME, id="b")]],
        [[call(BERN, id="a"), call(ROME, id="b")]],
        [[call("", id="a")], [rest(BERN)], [call("", id="b")], [rest(ROME)]],
        [[call("", id="a")], [rest(BERN[:5])], [rest(BERN[5:], id="")], [call("", id="b")], [rest(ROME, id=None)]],
        [[call(BERN[:7], id="a", index=0)], [call(ROME[:7], id="b", index=1)],
         [rest(BERN[7:], index=0)], [rest(ROME[7:], index=1)]],
        [[call(BERN, id="a", index=1)], [call(ROME, id="b", index=2)]],
        [[call({"city": "Bern"}, id="a")], [call({"city": "Rome"}, id="b")]],
        [[call(BERN, id="a", index=0)], [call(BERN, id="a", index=0)], [call(ROME, id="b", index=1)]],
    ],
)  # fmt: skip
def test_two_calls_stay_two_calls_however_they_come(deltas):
    chunks = [piece({"tool_calls": each}) for each in deltas]

    assert calls_of(*chunks, piece(finish="tool_calls")) == TWO


@pytest.mark.parametrize(
    "deltas",
    [
        [[call(BERN)], [call(ROME)]],
        [[call(BERN, index=0)], [call(ROME, index=0)]],
        [[call(BERN, id="", index=None)], [call(ROME, id="", index=None)]],
    ],
)
def test_calls_without_ids_are_told_apart_and_named(deltas):
    told = calls_of(*[piece({"tool_calls": each}) for each in deltas], piece(finish="stop"))

    assert [arguments for _, _, arguments in told] == [BERN, ROME]
    assert len({own_id for own_id, _, _ in told if own_id}) == 2


def test_name_said_in_each_piece_is_not_joined():
    pieces = [call(BERN[:4], id="a", index=0), call(BERN[4:9], id="a", index=0), call(BERN[9:], id="a", index=0)]

    assert calls_of(*[piece({"tool_calls": [each]}) for each in pieces], piece(finish="stop")) == [TWO[0]]


def test_empty_and_null_replace_no_id_and_no_name():
    later = {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": BERN[5:]}}
    last = {"index": 0, "id": "", "function": {"name": "", "arguments": ""}}

    told = calls_of(*[piece({"tool_calls": [each]}) for each in (call(BERN[:5], id="a", index=0), later, last)])

    assert told == [TWO[0]]


def test_call_keeps_the_signature_of_its_provider():
    signature = {"google": {"thought_signature": "c2ln"}}

    message = message_of(piece({"tool_calls": [call(BERN, id="a", extra_content=signature)]}), piece(finish="stop"))

    assert message["tool_calls"][0]["extra_content"] == signature


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("SAFETY", "content_filter"),
    ],
)
def test_reason_to_end_is_told_in_openais_word(said, ended):
    answer = assembled(piece({"content": "a"}), piece(finish=said))

    assert answer["choices"][0]["finish_reason"] == ended


def test_stop_behind_calls_is_an_end_by_calls():
    answer = assembled(piece({"tool_calls": [call(BERN, id="a")]}), piece(finish="stop"))

    assert answer["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "failed",
    [
        piece(finish="error"),
        piece(finish="insufficient_system_resource"),
        piece(finish="whatever"),
        {**piece(finish="error"), "error": {"code": 502, "message": "gone"}},
        {**HEAD, "choices": [], "error": {"code": 502, "message": "gone"}},
        piece({"content": ""}, error={"code": 502}),
        {"error": "gone"},
        {"object": "error", "message": "gone", "code": 500},
        {"type": "error", "message": "gone"},
        {"base_resp": {"status_code": 1004, "status_msg": "gone"}},
    ],
)
def test_failure_is_a_failure_wherever_it_is_told(failed):
    reader = CompletionReader()
    reader.read(piece({"content": "a"}))

    with pytest.raises(UpstreamUnavailable):
        reader.read(failed)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"message": "slow down", "code": 429}, UpstreamBusy),
        ({"message": "slow down", "type": "rate_limit_error"}, UpstreamBusy),
        ({"message": "no key", "code": 401}, UpstreamMisconfigured),
        ({"message": "too long", "code": 400}, RequestRefused),
        ({"message": "gone", "code": 502}, UpstreamUnavailable),
    ],
)
def test_failure_before_anything_is_told_by_its_code(told, error):
    with pytest.raises(error) as failure:
        CompletionReader().read({"error": told})

    assert type(failure.value) is error


@pytest.mark.parametrize(
    ("is_done", "last", "finish"),
    [
        (True, [], "stop"),
        (False, [], None),
        (False, [{**HEAD, "choices": [], "usage": USAGE}], "stop"),
        (False, [{**piece({"content": "b"}), "usage": USAGE}], None),
    ],
)
def test_answer_without_a_reason_has_ended_only_by_its_protocol(is_done, last, finish):
    reader = CompletionReader()
    for chunk in [piece({"content": "a"}), *last]:
        reader.read(chunk)

    assert reader.end(is_done=is_done).finish == finish


def test_nothing_said_is_no_answer_even_when_done():
    reader = CompletionReader()
    reader.read({**HEAD, "choices": [], "usage": USAGE})

    assert reader.end(is_done=True).finish is None


def test_answers_side_by_side_end_when_each_has_ended():
    reader = CompletionReader(choices=2)
    first = reader.read(piece({"content": "a"}, "stop"))
    second = reader.read({**HEAD, "choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}]})

    assert (first.finish, second.finish) == (None, "length")


def test_closing_whole_message_adds_only_what_was_not_said():
    whole = {**HEAD, "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "one two three"}}]}
    reader = CompletionReader()

    shown = [reader.read(chunk).shown for chunk in (piece({"content": "one "}), piece({"content": "two "}), whole)]

    assert shown == ["one ", "two ", "three"]
    assert message_of(piece({"content": "one "}), whole)["content"] == "one two three"


def test_half_characters_are_joined_and_never_lost():
    chunks = [piece({"content": "Nice \ud83d"}), piece({"content": "\ude00"}), piece({"content": " day\ud83d"})]

    assert message_of(*chunks, piece(finish="stop"))["content"] == "Nice 😀 day\ufffd"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_counted_and_not_shown(name):
    heard = CompletionReader().read(piece({name: "hm hm", "content": "Hello"}))

    assert (heard.shown, heard.hidden, heard.metered) == ("Hello", "hm hm", "Hellohm hm")


def test_content_in_parts_is_text_and_thinking():
    thinking = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}
    chunks = [piece(thinking), piece({"content": [{"type": "text", "text": "Hello"}]}), piece({"content": " there"})]

    message = message_of(*chunks, piece(finish="stop"))

    assert (message["content"], message["reasoning_content"]) == ("Hello there", "hm")


@pytest.mark.parametrize(
    "delta",
    [
        {"content": [{"type": "text", "text": "word " * 50}]},
        {"content": [{"type": "unheard_of", "value": "word " * 50}]},
        {"unheard_of": "word " * 50},
        {"unheard_of": {"deep": ["word " * 50]}},
        {"reasoning_content": "word " * 50},
        {"audio": {"data": "word " * 50}},
        {"tool_calls": [{"index": 0, "id": "a", "custom": {"name": "f", "input": "word " * 50}}]},
    ],
)
def test_nothing_is_passed_on_unmetered(delta):
    heard = CompletionReader().read(piece(delta))

    assert expected_tokens(heard.metered) >= 50


def test_members_beside_the_choices_are_metered_once():
    reader = CompletionReader()
    cited = {**piece({"content": "a"}), "citations": ["https://example.com/" + "x" * 100]}

    first, second = reader.read(cited), reader.read(cited)

    assert len(first.metered) > 100
    assert second.metered == "a"


def test_metadata_replaces_neither_id_nor_model():
    blank = {**HEAD, "id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": []}
    other = {**piece({"content": "b"}), "id": "other", "model": "router"}

    answer = assembled(blank, piece({"content": "a"}), other, {"type": "ping"}, piece(finish="stop"))

    assert (answer["id"], answer["model"], answer.get("type")) == ("c1", "m", None)
    assert answer["choices"][0]["message"]["content"] == "ab"


def test_report_of_a_choice_is_told_as_openai_tells_usage():
    answer = assembled(piece({"content": "a"}), piece(finish="stop", usage={**USAGE, "total_tokens": 1_025}))

    assert answer["usage"]["completion_tokens"] == 1_005
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1_000}
    assert "usage" not in answer["choices"][0]


PLAIN = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE}
ENDED = {**HEAD, "choices": [], "usage": USAGE}


def plain(message, finish="stop"):
    return {**PLAIN, "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("stream", "whole"),
    [
        ([piece({"role": "assistant", "content": "a"}), piece({"content": "b"}), piece(finish="stop"), ENDED],
         plain({"content": "ab"})),
        ([piece({"role": "assistant", "tool_calls": [call(BERN, id="a")]}), piece({"content": ""}, "stop"), ENDED],
         plain({"content": None, "tool_calls": [call(BERN, id="a")]}, "tool_calls")),
        ([piece({"role": "assistant", "refusal": "No"}), piece({"refusal": "."}), piece(finish="stop"), ENDED],
         plain({"content": None, "refusal": "No."})),
        ([piece({"role": "assistant", "content": "a", "format": "f"}), piece({"content": "b", "format": "f"}),
          piece({"format": "f"}, "stop"), ENDED],
         plain({"content": "ab", "format": "f"})),
        ([piece({"role": "assistant", "content": [{"type": "text", "text": "a"}]}), piece(finish="stop"), ENDED],
         plain({"content": [{"type": "text", "text": "a"}]})),
    ],
    ids=["text", "calls", "refusal", "repeats", "parts"],
)  # fmt: skip
def test_stream_comes_to_the_plain_answer_of_its_provider(stream, whole):
    assert json.dumps(assembled(*stream), sort_keys=True) == json.dumps(assembled(whole), sort_keys=True)
