"""The OpenAI routes as they are served: a client that leaves, one that asks again, a key that was revoked."""

import threading
import time
from decimal import Decimal
from typing import Any

import openai
import pytest
import requests

from emulator.seed import MODELS
from emulator.upstream import REPLY
from tests.fire.stage import Server
from tests.support.processes import wait_for

QUESTION: Any = [{"role": "user", "content": "Say something"}]
MODEL = "gpt-4o-mini"
PATIENCE_SECONDS = 90
REVOKED_SECONDS_MAX = 5.0


def cost_of(usage: dict[str, int]) -> Decimal:
    """Credits for this usage of MODEL, at 100 credits for a dollar."""
    prices = MODELS[MODEL]
    told = zip(("prompt_tokens", "completion_tokens"), ("input_usd_per_mtok", "output_usd_per_mtok"), strict=True)
    return sum((usage[count] * Decimal(prices[price]) for count, price in told), Decimal(0)) / 10_000


@pytest.fixture
def client(counter):
    with openai.OpenAI(base_url=counter.base_url, api_key=counter.api_key, max_retries=0) as it:
        yield it


def streamed(client, *, key: str) -> list[Any]:
    headers = {"Idempotency-Key": key}
    return list(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True, extra_headers=headers))


def text_of(chunks) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.slow
def test_a_client_that_leaves_pays_what_the_provider_bills(counter, client, client_upstream):
    client_upstream.script(reply="word " * 100, delay_ms=20)
    stream = client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
    said = text_of(next(stream) for _ in range(5))

    stream.close()

    assert said
    wait_for(lambda: client_upstream.requests[-1]["outcome"] == "answered", what="the answer that is read on")
    wait_for(lambda: counter.spent == cost_of(client_upstream.requests[-1]["usage"]), what="the charge")
    assert client_upstream.requests[-1]["chunks_sent"] >= 100
    counter.check_books()


@pytest.mark.slow
def test_a_stream_that_is_asked_for_again_is_told_again_and_paid_once(counter, client, client_upstream):
    first = streamed(client, key="once")
    spent = counter.spent

    second = streamed(client, key="once")

    assert text_of(first) == text_of(second) == REPLY
    assert first[-1].model_extra["credits"] == second[-1].model_extra["credits"]
    assert (len(client_upstream.requests), counter.spent) == (1, spent)
    counter.check_books()


@pytest.mark.slow
def test_a_key_that_was_revoked_is_refused(counter, client):
    client.chat.completions.create(model=MODEL, messages=QUESTION)

    counter.revoke()

    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=MODEL, messages=QUESTION)


@pytest.mark.slow
def test_a_stream_is_data_and_comments_and_ends_with_done(counter):
    body = {"model": MODEL, "messages": QUESTION, "stream": True}
    headers = {"Authorization": f"Bearer {counter.api_key}"}

    answer = requests.post(f"{counter.base_url}/chat/completions", json=body, headers=headers, timeout=PATIENCE_SECONDS)

    lines = [line for line in answer.text.splitlines() if line]
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith(("data: ", ": ")) for line in lines)


@pytest.mark.slow
def test_a_key_revoked_on_one_instance_is_refused_by_another_process_within_five_seconds(stage, counter):
    """In real time, of a key that the other instance has just used and goes on using."""
    headers = {"Authorization": f"Bearer {counter.api_key}"}
    with Server(stage) as other:

        def status() -> int:
            return requests.get(f"{other.url}/openai/models", headers=headers, timeout=PATIENCE_SECONDS).status_code

        assert status() == 200
        counter.revoke()
        asked_at = accepted_at = revoked_at = time.monotonic()
        while (answered := status()) == 200 and asked_at < revoked_at + PATIENCE_SECONDS:
            accepted_at = asked_at
            threading.Event().wait(0.05)
            asked_at = time.monotonic()

    assert answered == 401
    assert accepted_at - revoked_at <= REVOKED_SECONDS_MAX, "however long the machine took to say so"


@pytest.mark.slow
def test_a_call_that_had_begun_when_its_key_was_revoked_goes_on_to_its_end(counter, client, client_upstream):
    client_upstream.script(reply="word " * 40, delay_ms=25)
    stream = client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
    said = text_of(next(stream) for _ in range(5))

    counter.revoke()
    said += text_of(chunks := list(stream))

    assert said.split() == ["word"] * 40
    assert chunks[-1].model_extra["credits"]["cost"] == f"{counter.spent.normalize():f}"
    counter.check_books()
