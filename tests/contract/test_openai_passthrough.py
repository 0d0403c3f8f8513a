"""The upstream as it is: JSON in, JSON or events out, refusals told apart, a call that can be ended from anywhere."""

import socket
import threading

import pytest

from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.openai.responses import Responses
from shared.ai.ports import (
    ChatEvent,
    PassedEvent,
    RawDelta,
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from shared.platform.openai import upstream as transport
from shared.platform.openai.event_stream import events
from shared.platform.openai.passthrough import OpenAIPassthrough
from shared.platform.openai.upstream import OpenAIUpstream
from tests.support.processes import wait_for

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say two words"}]}
STREAMED = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
CHAT = "/chat/completions"


@pytest.fixture
def model(upstream):
    model = OpenAIPassthrough(OpenAIUpstream(base_url=f"{upstream.url}/v1", api_key="sk-test"))
    yield model
    model.close()


def test_a_plain_answer_is_one_object(upstream, model):
    upstream.script(reply="Hello there")

    (answer,) = model.ask(CHAT, QUESTION)

    assert answer["choices"][0]["message"]["content"] == "Hello there"
    assert upstream.requests[0]["body"] == QUESTION


def test_a_stream_is_its_events(upstream, model):
    upstream.script(reply="Hello there", usage={"prompt_tokens": 7, "completion_tokens": 2})

    chunks = list(model.ask(CHAT, STREAMED))

    texts = [c["choices"][0]["delta"].get("content") for c in chunks if c["choices"]]
    assert [text for text in texts if text] == ["Hello", " there"]
    assert chunks[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def test_what_nobody_here_knows_reaches_the_upstream(upstream, model):
    body = {**QUESTION, "x_new": {"deep": [1, None, "ü"]}, "temperature": 0.1}

    list(model.ask(CHAT, body))

    assert upstream.requests[0]["body"] == body


def test_responses_and_embeddings_come_through(model):
    events = list(model.ask("/responses", {"model": "m", "input": "Hello", "stream": True}))
    (vectors,) = model.ask("/embeddings", {"model": "m", "input": ["one", "two"]})

    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    assert len(vectors["data"]) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRefused),
        (401, UpstreamMisconfigured),
        (403, UpstreamMisconfigured),
        (404, UpstreamMisconfigured),
        (405, UpstreamRejected),
        (408, UpstreamUnavailable),
        (413, RequestRefused),
        (422, RequestRefused),
        (429, UpstreamBusy),
        (500, UpstreamUnavailable),
        (503, UpstreamUnavailable),
    ],
)
def test_refusals_are_told_apart(upstream, model, status, error):
    upstream.script(error={"status": status, "message": "So it is.", "code": "c", "param": "p"})

    with pytest.raises(error) as refused:
        list(model.ask(CHAT, STREAMED))

    assert type(refused.value) is error
    if error is RequestRefused:
        assert (refused.value.detail, refused.value.told["code"], refused.value.told["param"]) == (
            "So it is.",
            "c",
            "p",
        )
    else:
        assert "So it is." not in str(refused.value)


@pytest.mark.parametrize("how", [{}, {"as": "event"}])
def test_a_stream_that_breaks_is_unavailable_behind_what_came(upstream, model, how):
    upstream.script(fail_after=2, **how)
    reader, got = ChatCompletions().reader(STREAMED, "auto"), list[ChatEvent]()

    with pytest.raises(UpstreamUnavailable):
        got.extend(event for raw in model.ask(CHAT, STREAMED) for event in reader.events(raw))

    assert len(got) == 3


def test_an_upstream_that_is_not_there_is_unavailable():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]

        nobody_there = OpenAIUpstream(base_url=f"http://127.0.0.1:{port}/v1", api_key="")
        with pytest.raises(UpstreamUnavailable):
            list(OpenAIPassthrough(nobody_there).ask(CHAT, QUESTION))


def test_closing_from_another_thread_ends_a_read_that_waits(upstream, model):
    upstream.script(delay_ms=600_000)
    stream, errors = model.ask(CHAT, STREAMED), []

    def read():
        try:
            list(stream)
        except UpstreamUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait_for(lambda: upstream.requests)
    stream.close()
    thread.join(60)

    assert len(errors) == 1
    wait_for(lambda: upstream.requests[0]["outcome"] == "aborted")


def test_one_that_was_closed_before_it_began_sends_nothing(upstream, model):
    stream = model.ask(CHAT, STREAMED)
    stream.close()

    with pytest.raises(UpstreamUnavailable):
        next(stream)

    assert upstream.requests == []


def test_the_key_of_the_provider_is_sent_and_not_logged(upstream, model, capsys):
    upstream.script(error={"status": 500, "message": "no"})

    with pytest.raises(UpstreamUnavailable):
        list(model.ask(CHAT, QUESTION))

    assert "sk-test" not in capsys.readouterr().out


def test_events_are_read_however_their_bytes_were_cut():
    text = (
        ': ping\r\n\r\ndata: {"a": "ü\u2028"}\n\nevent: x\ndata:1\ndata: 2\n\n\n\ndata: [DONE]\r\n\r\ndata: never ended'
    )
    whole = text.encode()

    for size in (1, 2, 3, 5, 7, len(whole)):
        parts = [whole[at : at + size] for at in range(0, len(whole), size)]

        assert [(event.name, event.data, event.is_cut) for event in events(parts)] == [
            ("", '{"a": "ü\u2028"}'.encode(), False),
            ("x", b"1\n2", False),
            ("", b"[DONE]", False),
            ("", b"never ended", True),
        ]


def test_the_stand_in_answers_in_the_shape_that_is_asked(model):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
        "required": ["city", "days"],
    }
    tools = [{"type": "function", "function": {"name": "look", "parameters": schema}}]
    shaped = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}

    (answer,) = model.ask(CHAT, {**QUESTION, "response_format": shaped})
    (called,) = model.ask(CHAT, {**QUESTION, "tools": tools, "tool_choice": "required"})

    assert answer["choices"][0]["message"]["content"] == '{"city": "text", "days": [1]}'
    assert called["choices"][0]["message"]["tool_calls"][0]["function"] == {
        "name": "look",
        "arguments": '{"city": "text", "days": [1]}',
    }


def test_a_whole_response_means_what_a_streamed_one_does(model):
    dialect, body = Responses(), {"model": "gpt-4o-mini", "input": "Hi", "max_output_tokens": 60}

    def told(*, stream):
        transcript, reader, text, ends = dialect.transcript(body), dialect.reader(body, "auto"), "", []
        for raw in model.ask("/responses", {**body, "stream": stream}):
            for event in reader.events(raw):
                if isinstance(event, RawDelta | PassedEvent):
                    transcript.take(event.raw)
                    text += getattr(event, "text", "")
                else:
                    ends.append(event)
        answer = transcript.end("stop", None)
        return text, ends, answer["status"], answer["output"][0]["content"], answer["usage"]

    whole, streamed = told(stream=False), told(stream=True)

    assert whole == streamed
    assert whole[0] == whole[3][0]["text"] != ""


def test_an_answer_of_one_piece_has_its_limit_in_time(upstream, model, monkeypatch):
    monkeypatch.setattr(transport, "WHOLE_SECONDS_MAX", 0.2)
    upstream.script(delay_ms=60_000)

    with pytest.raises(UpstreamTimedOut):
        list(model.ask(CHAT, QUESTION))


def test_a_dialect_understands_what_the_stand_in_says(upstream, model):
    reader = ChatCompletions().reader(STREAMED, "auto")
    heard = [event for raw in model.ask(CHAT, STREAMED) for event in reader.events(raw)]

    assert upstream.requests[0]["usage"]["prompt_tokens"] in {
        getattr(getattr(e, "usage", None), "input_tokens", 0) for e in heard
    }
