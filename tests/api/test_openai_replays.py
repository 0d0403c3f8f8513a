"""Calls of the OpenAI routes with the same key, and what is stored of them."""

import pytest

from shared.kernel.clock import DAY
from shared.platform.memory.passthrough import chunk, usage_chunk
from tests.api.openai_world import CHAT, QUESTION, ask, events, failed, joined_calls, offered, world_of
from tests.api.world import Person


@pytest.fixture
def world():
    return offered()


def stored(world):
    """All documents in the memory of the store, by path."""
    return world.services.ports.documents().inner.inner.inner._documents


def kept(world):
    return [path for path in stored(world) if path.startswith(("answers/", "turns/"))]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "gpt-4o-mini", "messages": QUESTION}),
        ("/openai/responses", {"model": "gpt-4o-mini", "input": "Hello"}),
        ("/openai/embeddings", {"model": "embedder", "input": "Hello"}),
    ],
)
def test_the_same_key_answers_the_same_without_a_second_call(path, body):
    world = offered()
    alice = world.person(credits_=1)

    first, second = (alice.post(path, body, key="k") for _ in range(2))

    assert (second.status_code, second.get_data()) == (200, first.get_data())
    assert second.headers["X-Credits-Cost"] == first.headers["X-Credits-Cost"]
    assert len(world.passthrough.requests) == 1


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
def test_the_same_key_streams_the_same_without_a_second_call(options):
    first_call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    script = [chunk({"content": "Hi"}), chunk({"tool_calls": [first_call]}), chunk({}, finish_reason="tool_calls")]
    world = world_of([*script, usage_chunk(10, 2)])
    alice = world.person(credits_=1)

    first, second = (events(ask(alice, stream=True, stream_options=options, key="k")) for _ in range(2))

    def whole(chunks):
        deltas = [c["choices"][0]["delta"] for c in chunks[:-1] if c["choices"]]
        return "".join(d.get("content") or "" for d in deltas), joined_calls(chunks[:-1])

    assert whole(second) == whole(first) == ("Hi", {0: ("f", "{}")})
    assert second[-2:] == first[-2:]
    assert len(world.passthrough.requests) == 1


def test_the_same_key_streams_the_same_response():
    world = offered()
    alice = world.person(credits_=1)
    body = {"model": "gpt-4o-mini", "input": "Hello", "stream": True}

    first, second = (events(alice.post("/openai/responses", body, key="k")) for _ in range(2))

    def text(told):
        return "".join(e["delta"] for e in told if e["type"] == "response.output_text.delta")

    assert text(first) == text(second) == "Hello there."
    assert second[-1]["response"] == first[-1]["response"]
    assert [e["sequence_number"] for e in second] == list(range(len(second)))
    assert len(world.passthrough.requests) == 1


def test_the_same_key_with_another_body_or_on_another_route(alice):
    ask(alice, key="k")

    assert failed(ask(alice, key="k", seed=1)) == (409, "idempotency_mismatch")
    assert alice.post("/openai/responses", {"model": "gpt-4o-mini", "input": "Hi"}, key="k").status_code == 200


def test_an_answer_is_kept_for_a_day_and_then_neither_told_nor_asked_again(world, alice):
    ask(alice, key="k")
    spent = alice.available
    world.clock.advance(DAY - 1)
    fresh = Person(world=world, uid=alice.uid, token=world.identity.token(alice.uid))
    assert ask(fresh, key="k").status_code == 200

    world.clock.advance(1)

    assert failed(ask(fresh, key="k")) == (409, "answer_not_kept")
    assert fresh.available == spent
    assert len(world.passthrough.requests) == 1


def test_an_answer_that_is_too_large_to_keep_is_told_once(monkeypatch):
    monkeypatch.setattr("shared.ai.openai.answers.CONTENT_BYTES_MAX", 10)
    world = offered()
    alice = world.person(credits_=1)

    assert ask(alice, key="k").status_code == 200
    assert failed(ask(alice, key="k")) == (409, "answer_not_kept")
    assert len(world.passthrough.requests) == 1


def test_without_a_key_nothing_of_a_call_is_stored(world, alice):
    ask(alice, messages=[{"role": "user", "content": "a very private question"}])

    assert "private question" not in repr(list(stored(world).values()))
    assert not [path for path in stored(world) if path.startswith("answers/")]


def test_what_was_kept_goes_with_the_user(world, alice):
    ask(alice, key="k")
    assert kept(world)

    alice.call("DELETE", "/me")

    assert not kept(world)


def test_prompts_and_answers_are_never_logged(world, alice, capsys):
    ask(alice, messages=[{"role": "user", "content": "a very private question"}], key="k")

    told = capsys.readouterr().out
    assert "private question" not in told
    assert "there" not in told
