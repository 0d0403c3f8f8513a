"""The adapter of OpenAI's SDK, against a stand-in with OpenAI's shapes on loopback."""

import socket
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.ai.models.profiles import LIMIT_FIELDS, PROFILES
from shared.ai.ports import (
    AnswerEnd,
    ChatEvent,
    ChatRequest,
    PromptMessage,
    TextDelta,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
    UsageReport,
)
from shared.ai.tokens import Usage
from shared.platform.openai import upstream as transport
from shared.platform.openai.chat import OpenAIChatModel
from shared.platform.openai.upstream import OpenAIUpstream
from shared.sagas.chat.turn import Delta
from tests.support.chat import ANN, CREDIT, World, answer_of, text_of
from tests.support.processes import wait_for

ASK = ChatRequest(
    model="gpt-4o-mini", messages=(PromptMessage(role="user", content="Say two words"),), max_output_tokens=50
)


@pytest.fixture
def model(upstream):
    model = OpenAIChatModel(OpenAIUpstream(base_url=f"{upstream.url}/v1", api_key="sk-test"))
    yield model
    model.close()


def reading(stream):
    """Reads in a thread of its own, as a turn does; what it got, and how it ended."""
    got, errors = [], []

    def read():
        try:
            got.extend(iter(stream))
        except Exception as error:  # noqa: BLE001  # the test looks at it
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread, got, errors


def test_an_answer_arrives_in_pieces_with_its_reason_and_its_usage(upstream, model):
    upstream.script(reply="Hello there", usage={"prompt_tokens": 7, "completion_tokens": 2})

    events = list(model.stream(ASK))

    assert events == [
        TextDelta("Hello"),
        TextDelta(" there"),
        AnswerEnd("stop"),
        UsageReport(Usage(input_tokens=7, output_tokens=2)),
    ]


def test_what_is_asked_reaches_the_upstream(upstream, model):
    list(model.stream(ASK))

    (seen,) = upstream.requests
    assert seen["path"] == "/v1/chat/completions"
    assert seen["body"] == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Say two words"}],
        "max_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("profile", "is_reasoning", "name"),
    [
        ("openai", True, "max_completion_tokens"),
        ("openai", False, "max_tokens"),
        ("deepseek", True, "max_tokens"),
        ("auto", True, "max_tokens"),
    ],
)
def test_limit_goes_by_the_name_that_the_profile_says(upstream, profile, is_reasoning, name):
    request = ChatRequest(model="o9", messages=ASK.messages, max_output_tokens=50, is_reasoning=is_reasoning)
    asked = OpenAIUpstream(base_url=f"{upstream.url}/v1", api_key="sk-test", profile=PROFILES[profile])

    with closing(OpenAIChatModel(asked)) as model:
        list(model.stream(request))

    body = upstream.requests[0]["body"]
    assert {each: body[each] for each in LIMIT_FIELDS if each in body} == {name: 50}


def test_an_answer_of_one_piece_says_the_same(upstream, model):
    upstream.script(reply="Hello there", usage={"prompt_tokens": 7, "completion_tokens": 2})

    events = list(model.stream(replace(ASK, is_whole=True)))

    assert events == [
        TextDelta("Hello there"),
        AnswerEnd("stop"),
        UsageReport(Usage(input_tokens=7, output_tokens=2)),
    ]
    assert upstream.requests[0]["body"].keys() == {"model", "messages", "max_tokens"}


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ({"fail_after": 1}, UpstreamUnavailable),
        ({"error": {"status": 400, "message": "no"}}, UpstreamRejected),
        ({"error": {"status": 503, "message": "no"}}, UpstreamUnavailable),
    ],
)
def test_an_answer_of_one_piece_fails_typed_and_is_never_asked_for_twice(upstream, model, script, error):
    upstream.script(**script, times=0)

    with pytest.raises(error):
        list(model.stream(replace(ASK, is_whole=True)))

    assert len(upstream.requests) == 1


def test_an_answer_of_one_piece_has_its_limit_in_time(upstream, model, monkeypatch):
    monkeypatch.setattr(transport, "WHOLE_SECONDS_MAX", 0.2)
    upstream.script(delay_ms=60_000)

    with pytest.raises(UpstreamTimedOut):
        list(model.stream(replace(ASK, is_whole=True)))


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1, "completion_tokens": 2}])
def test_no_usage_or_nonsense_is_no_report(upstream, model, usage):
    upstream.script(reply="Hello", usage=usage)

    assert list(model.stream(ASK)) == [TextDelta("Hello"), AnswerEnd("stop")]


def test_a_reported_zero_is_a_report(upstream, model):
    upstream.script(reply="Hello", usage={"prompt_tokens": 0, "completion_tokens": 0})

    assert list(model.stream(ASK))[-1] == UsageReport(Usage(input_tokens=0, output_tokens=0))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, UpstreamRejected),
        (401, UpstreamMisconfigured),
        (404, UpstreamMisconfigured),
        (408, UpstreamUnavailable),
        (429, UpstreamUnavailable),
        (500, UpstreamUnavailable),
        (503, UpstreamUnavailable),
    ],
)
def test_an_error_is_typed_and_never_tried_twice(upstream, model, status, error):
    upstream.script(error={"status": status, "message": "no"}, times=0)

    with pytest.raises(error):
        list(model.stream(ASK))

    assert len(upstream.requests) == 1


@pytest.mark.parametrize("how", ["cut", "event"])
def test_a_stream_that_breaks_is_unavailable_after_what_it_said(upstream, model, how):
    upstream.script(reply="one two three", fail_after=2, **{"as": how})
    stream, got = model.stream(ASK), list[ChatEvent]()

    with pytest.raises(UpstreamUnavailable) as failure:
        got.extend(event for event in stream)

    assert got == [TextDelta("one"), TextDelta(" two")]
    assert failure.value.has_begun


def test_nobody_there_has_not_begun_to_answer_and_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = OpenAIChatModel(OpenAIUpstream(base_url=f"http://127.0.0.1:{free.getsockname()[1]}/v1", api_key=""))

        with pytest.raises(UpstreamUnavailable) as failure:
            list(nobody.stream(ASK))
        nobody.close()
        assert not failure.value.has_begun


def test_closing_in_the_middle_aborts_the_upstream(upstream, model):
    upstream.script(reply="one" + " more" * 500, delay_ms=200)
    stream = model.stream(ASK)
    first = next(stream)

    stream.close()
    stream.close()

    assert first == TextDelta("one")
    wait_for(lambda: upstream.requests[0]["outcome"] == "aborted")
    with pytest.raises((StopIteration, UpstreamUnavailable)):
        next(stream)


@pytest.mark.parametrize("waits_for", ["the answer to begin", "the next piece"])
def test_closing_wakes_a_thread_that_is_blocked_in_reading(upstream, model, waits_for):
    if waits_for == "the answer to begin":
        upstream.script(error={"status": 500}, delay_ms=600_000)
    else:
        upstream.script(reply="one two", delay_ms=600_000)
    stream = model.stream(ASK)
    thread, _, errors = reading(stream)
    wait_for(lambda: len(upstream.requests) == 1)
    threading.Event().wait(0.1)

    stream.close()
    thread.join(60)

    assert not thread.is_alive()
    assert [type(error) for error in errors] == [UpstreamUnavailable]
    wait_for(lambda: upstream.requests[0]["outcome"] == "aborted")


def test_closing_before_the_call_means_that_nothing_is_sent(upstream, model):
    stream = model.stream(ASK)

    stream.close()
    with pytest.raises(UpstreamUnavailable):
        next(stream)

    assert upstream.requests == []


def test_closing_what_has_ended_does_not_touch_the_connections_next_call(upstream, model):
    first = model.stream(ASK)
    list(first)
    upstream.script(reply="one two three", delay_ms=50)
    thread, got, errors = reading(model.stream(ASK))
    wait_for(lambda: len(upstream.requests) == 2)

    first.close()
    thread.join(60)

    assert (errors, [event for event in got if isinstance(event, TextDelta)]) == (
        [],
        [TextDelta("one"), TextDelta(" two"), TextDelta(" three")],
    )


def test_many_calls_at_once_and_aborts_among_them_do_not_disturb_each_other(upstream, model):
    upstream.script(reply="a b c d e f", delay_ms=10, times=0)
    streams = [model.stream(ASK) for _ in range(24)]
    readers = [reading(stream) for stream in streams]
    wait_for(lambda: len(upstream.requests) == 24)

    for stream in streams[::2]:
        stream.close()
    for thread, _, _ in readers:
        thread.join(60)

    kept = [(len(got), errors) for _, got, errors in readers[1::2]]
    assert kept == [(8, [])] * 12


class Provider:
    """A server that answers each request with these very bytes. `callers` are the connections it was asked over."""

    def __init__(self, answer):
        self.callers: set[tuple[str, int]] = set()
        self._leaving = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                provider.callers.add(self.client_address)
                self.rfile.read(int(self.headers["Content-Length"]))
                self.wfile.write(answer)
                if not answer.endswith(b"0\r\n\r\n"):
                    provider._leaving.wait(600)
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        address = f"http://127.0.0.1:{self._server.server_port}/v1"
        self.model = OpenAIChatModel(OpenAIUpstream(base_url=address, api_key="sk-test"))

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._leaving.set()
        self.model.close()
        self._server.shutdown()
        self._server.server_close()


def streamed(*lines, end=b"0\r\n\r\n"):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    return head + body + end


HELLO = b'data: {"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def test_a_connection_serves_one_answer_after_another():
    with Provider(streamed(HELLO, DONE)) as provider:
        answers = [list(provider.model.stream(ASK)) for _ in range(3)]

    assert answers == [[TextDelta("Hello"), AnswerEnd("stop")]] * 3
    assert len(provider.callers) == 1


def test_an_upstream_that_does_not_hang_up_is_not_waited_for():
    with Provider(streamed(HELLO, DONE, end=b"")) as provider:
        thread, got, errors = reading(provider.model.stream(ASK))
        thread.join(60)

        assert (thread.is_alive(), got, errors) == (False, [TextDelta("Hello"), AnswerEnd("stop")], [])


@pytest.mark.parametrize(
    "chunk",
    [
        b"[]",
        b"7",
        b"null",
        b"{}",
        b'{"choices": null, "usage": []}',
        b'{"choices": {"delta": {}}}',
        b'{"choices": [null, 7, {"delta": null}, {"delta": "text"}, {"delta": {"content": 7}}]}',
    ],
)
def test_a_chunk_of_another_shape_says_nothing(chunk):
    with Provider(streamed(b"data: " + chunk + b"\n\n", HELLO, DONE)) as provider:
        got = list(provider.model.stream(ASK))

    assert got == [TextDelta("Hello"), AnswerEnd("stop")]


@pytest.mark.parametrize("line", [b"data: {\n\n", b'data: {"error": {"message": "overloaded"}}\n\n'])
def test_nonsense_and_a_failure_told_in_the_stream_are_unavailable(line):
    with Provider(streamed(HELLO, line)) as provider:
        thread, got, errors = reading(provider.model.stream(ASK))
        thread.join(60)

    assert got == [TextDelta("Hello"), AnswerEnd("stop")]
    assert [type(error) for error in errors] == [UpstreamUnavailable]


def test_http_client_is_imported_by_the_first_call_only():
    code = (
        "import sys; from shared.platform.openai.chat import OpenAIChatModel as M;"
        "from shared.platform.openai.upstream import OpenAIUpstream as U;"
        "M(U(base_url='http://x/v1', api_key='k')).stream(None);"
        "print([name for name in ('openai', 'httpx2', 'pydantic') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


# A whole turn over it --------------------------------------------------------------------------------------------


@pytest.fixture
def world(model):
    return World(chat_model=model)


def test_a_turn_over_http_charges_what_the_upstream_reports(upstream, world):
    upstream.script(reply="one two three", usage={"prompt_tokens": 11, "completion_tokens": 3})

    answer = answer_of(world.run(world.conversation(world.user())))

    assert (answer.message.content, answer.cost) == ("one two three", 100 * 11 + 200 * 3)
    assert world.spent(CREDIT) == answer.cost


@pytest.mark.parametrize("k", range(1, 6))
def test_leaving_after_any_piece_aborts_the_upstream_and_charges_what_was_delivered(upstream, world, k):
    upstream.script(reply="one" + " more" * 500, delay_ms=100)
    conversation = world.conversation(world.user())
    events = world.run(conversation)
    delivered = [next(events) for _ in range(k)]

    events.close()

    kept = world.conversations.messages(ANN, conversation.id).items[0]
    assert (kept.content, kept.finish_reason) == (text_of(delivered), "disconnected")
    assert world.spent(CREDIT) == kept.cost == 100 * kept.usage.input_tokens + 200 * kept.usage.output_tokens
    assert world.ledger.balance(ANN).held == 0
    wait_for(lambda: upstream.requests[0]["outcome"] == "aborted")


def test_a_refusal_of_the_upstream_costs_nothing(upstream, world):
    upstream.script(error={"status": 400, "message": "no"})

    with pytest.raises(UpstreamRejected):
        next(world.run(world.conversation(world.user())))

    assert world.spent(CREDIT) == 0


def test_credits_that_run_out_abort_the_upstream(upstream, world):
    upstream.script(reply="word " * 200, delay_ms=2)
    world.conversation(world.user(100 * 9 + 200 * 60))

    events = list(world.run(world.conversation()))

    assert Delta("word") in events
    answer = answer_of(event for event in events)
    assert answer.message.finish_reason == "credit_limit"
    wait_for(lambda: upstream.requests[0]["outcome"] in {"aborted", "answered"})
