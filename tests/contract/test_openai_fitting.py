"""Requests that an upstream refuses for a field that was added here: asked once more without it, and remembered."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.ai.models.profiles import PROFILES
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import UpstreamBusy, UpstreamMisconfigured, UpstreamOverloaded
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.openai.upstream import OpenAIUpstream

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
CHAT = "/chat/completions"
ASKED = {"model": "m", "messages": [], "max_tokens": 9, "stream_options": {"include_usage": True}, "seed": 1}


@contextmanager
def strict(forbidden, refusal, status=422, **headers):
    """A provider that refuses requests with a forbidden field; yields its address and the bodies it was asked."""
    seen: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            is_refused = not forbidden or any(name in body for name in forbidden)
            raw = json.dumps(refusal if is_refused else ANSWER).encode()
            self.send_response(status if is_refused else 200)
            self.send_header("Content-Length", str(len(raw)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


FORBIDDEN = {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "no"}]}
LIMIT = {
    "error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.", "param": "max_tokens"}
}
USER = {"object": "error", "message": {"detail": [{"loc": ["body", "user"], "msg": "Extra inputs are not permitted"}]}}


def test_field_of_ours_that_is_refused_is_left_out_and_remembered():
    with strict(["stream_options"], FORBIDDEN) as (url, seen):
        upstream = OpenAIUpstream(base_url=url, api_key="")
        answers = [list(upstream.read(CHAT, ASKED)) for _ in range(2)]

    assert answers == [[ANSWER]] * 2
    assert ["stream_options" in body for body in seen] == [True, False, False]
    assert all(body["seed"] == 1 for body in seen)


def test_limit_that_is_refused_takes_its_other_name_for_that_model():
    with strict(["max_tokens"], LIMIT, 400) as (url, seen):
        upstream = OpenAIUpstream(base_url=url, api_key="")
        for model in ("o9", "o9", "other"):
            list(upstream.read(CHAT, {**ASKED, "model": model}))

    limits = [next(name for name in body if name.startswith("max_")) for body in seen]
    assert limits == ["max_tokens", *["max_completion_tokens"] * 2, "max_tokens", "max_completion_tokens"]


def test_end_user_that_is_refused_is_told_no_more():
    with strict(["user"], USER) as (url, seen):
        upstream = OpenAIUpstream(base_url=url, api_key="", end_user_fields=("user",))
        for _ in range(2):
            list(upstream.read(CHAT, ASKED, "user_1"))

    assert ["user" in body for body in seen] == [True, False, False]


def test_field_of_the_clients_own_is_refused_in_the_providers_words():
    words = {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    with strict(["seed"], words) as (url, seen), pytest.raises(RequestRefused, match="seed: Extra inputs"):
        list(OpenAIUpstream(base_url=url, api_key="").read(CHAT, ASKED))

    assert len(seen) == 1


def test_refusal_that_does_not_end_is_asked_twice_at_most():
    with strict([], LIMIT, 400) as (url, seen), pytest.raises(RequestRefused):
        list(OpenAIUpstream(base_url=url, api_key="").read(CHAT, ASKED))

    assert len(seen) == 2


def test_profile_leaves_out_what_the_provider_is_known_to_refuse():
    with strict(["stream_options", "max_completion_tokens"], FORBIDDEN) as (url, seen):
        upstream = OpenAIUpstream(base_url=url, api_key="", profile=PROFILES["mistral"])
        asked = {**ASKED, "max_completion_tokens": 7}
        list(upstream.read(CHAT, asked))

    (body,) = seen
    assert (body["max_tokens"], "max_completion_tokens" in body) == (7, False)


WORDS = "This model's maximum context length is 4096 tokens."


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (400, {"error": {"message": WORDS, "code": "context_length_exceeded"}}),
        (400, {"object": "error", "message": WORDS, "type": "BadRequestError", "code": 400}),
        (400, [{"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT"}}]),
        (400, {"error": WORDS}),
        (422, {"detail": WORDS}),
        (422, {"detail": [{"loc": ["body"], "msg": WORDS}]}),
        (422, {"message": {"detail": [{"loc": ["body", "seed"], "msg": WORDS}]}}),
    ],
)
def test_refusal_is_told_in_its_words_whichever_server_wrote_it(status, refusal):
    with strict([], refusal, status) as (url, _), pytest.raises(RequestRefused) as refused:
        list(OpenAIUpstream(base_url=url, api_key="").read(CHAT, {"model": "m"}))

    assert WORDS in refused.value.detail


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
def test_operators_trouble_is_alerted_once_and_told_without_words(status):
    refusal = {"error": {"message": "Incorrect key sk-SECRET", "code": "insufficient_quota"}}
    alerts, told = MemoryAlerts(), list[str]()
    with strict([], refusal, status) as (url, _):
        upstream = OpenAIUpstream(base_url=url, api_key="", alerts=alerts)
        for _ in range(2):
            try:
                list(upstream.read(CHAT, {"model": "m"}))
            except UpstreamMisconfigured as failure:
                told.append(failure.detail)

    assert (len(told), "SECRET" in "".join(told)) == (2, False)
    assert [(alert.event, alert.fields["status"]) for alert in alerts.raised] == [("upstream_misconfigured", status)]


@pytest.mark.parametrize(
    ("status", "error"), [(429, UpstreamBusy), (503, UpstreamOverloaded), (529, UpstreamOverloaded)]
)
def test_busy_provider_says_for_how_long(status, error):
    busy = {"error": {"message": "busy"}}
    with strict([], busy, status, Retry_After="20") as (url, _), pytest.raises(error) as failure:
        list(OpenAIUpstream(base_url=url, api_key="").read(CHAT, {"model": "m"}))

    assert failure.value.params == {"retry_after_ms": 20_000}


def test_busy_provider_says_until_when_by_a_date():
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    with strict([], {}, 429, Retry_After=until) as (url, _), pytest.raises(UpstreamBusy) as failure:
        list(OpenAIUpstream(base_url=url, api_key="").read(CHAT, {"model": "m"}))

    assert 80_000 <= int(failure.value.params["retry_after_ms"]) <= 91_000


@pytest.mark.parametrize(
    ("told", "params"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", {"retry_after_ms": 0}),
        ("Fri, 31 Dec 2199 23:59:59 GMT", {}),
        ("soon", {}),
        ("-5", {}),
        ("nan", {}),
    ],
)
def test_wait_of_a_provider_is_read_only_if_it_makes_sense(told, params):
    with strict([], {}, 429, Retry_After=told) as (url, _), pytest.raises(UpstreamBusy) as failure:
        list(OpenAIUpstream(base_url=url, api_key="").read(CHAT, {"model": "m"}))

    assert failure.value.params == params
