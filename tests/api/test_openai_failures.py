"""Failures of the OpenAI routes, in OpenAI's form."""

import pytest

from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.platform.memory.passthrough import ScriptedPassthrough, completion
from tests.api.openai_world import CHAT, QUESTION, ask, events, failed, offered, world_of
from tests.api.world import Person


@pytest.fixture
def world():
    return offered()


def test_who_is_nobody_has_an_invalid_key(world):
    nobody = Person(world=world, uid=world.person().uid, token="ics_" + "0" * 48)

    refused = ask(nobody)

    assert failed(refused) == (401, "invalid_api_key")
    assert refused.headers["WWW-Authenticate"]
    assert failed(world.call("POST", CHAT, body={})) == (401, "invalid_api_key")


def test_an_empty_balance_is_402_which_no_client_tries_again(world):
    refused = ask(world.person())

    assert failed(refused) == (402, "insufficient_credits")
    assert refused.json["error"]["params"]["available"] == "0"
    assert refused.json["error"]["type"] == "insufficient_quota"


@pytest.mark.parametrize("model", ["none", "embedder"])
def test_a_model_that_cannot_chat_is_not_found(alice, model):
    assert failed(ask(alice, model=model)) == (404, "model_not_found")


def test_a_key_without_the_scope_may_not(alice):
    assert failed(ask(alice.key("read"))) == (403, "scope_missing")


def test_guests_may_not_spend(world):
    assert failed(ask(world.guest())) == (403, "forbidden")


def test_too_many_calls_are_told_when_to_come_back():
    world = offered(env={"RATE_LIMIT_BURST": "2", "RATE_LIMIT_PER_MINUTE": "1"})
    alice = world.person(credits_=1)

    answers = [ask(alice) for _ in range(3)]

    assert [a.status_code for a in answers] == [200, 200, 429]
    assert failed(answers[2]) == (429, "rate_limit_exceeded")
    assert int(answers[2].headers["Retry-After"]) > 0


def test_a_prompt_that_does_not_fit_is_told_in_openais_words(alice):
    refused = ask(alice, messages=[{"role": "user", "content": "word " * 20_000}])

    assert failed(refused) == (400, "context_length_exceeded")


def test_a_path_that_is_not_there_and_a_body_that_is_no_json(alice):
    assert failed(alice.get("/openai/assistants")) == (404, "not_found")
    assert failed(alice.call("DELETE", CHAT)) == (405, "method_not_allowed")
    assert failed(alice.call("POST", CHAT, data=b"{", content_type="application/json")) == (400, "malformed_request")


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UpstreamUnavailable(), (502, "upstream_unavailable")),
        (UpstreamRejected(), (502, "upstream_rejected")),
        (RequestRefused({"message": "Bad schema.", "code": "bad", "param": "tools"}), (400, "bad")),
        (RequestRefused({}), (400, "request_refused")),
    ],
)
def test_an_upstream_that_fails_costs_nothing(error, told, is_streamed):
    alice = world_of([error]).person(credits_=1)

    refused = ask(alice, stream=is_streamed)

    assert failed(refused) == told
    assert (alice.available, alice.get("/credits/balance").json["held"]) == ("1", "0")


def test_a_wrong_request_is_told_in_the_providers_words():
    told = {"message": "Bad schema.", "type": "invalid_request_error", "code": None, "param": "tools"}

    refused = ask(world_of([RequestRefused(told)]).person(credits_=1))

    assert (refused.json["error"]["message"], refused.json["error"]["param"]) == ("Bad schema.", "tools")


def test_a_stream_that_breaks_says_so_and_what_was_delivered_is_charged():
    world = world_of([*completion("Hi", " you")[:3], UpstreamUnavailable()])
    alice = world.person(credits_=1)

    streamed = events(ask(alice, stream=True))

    assert streamed[-1]["error"]["code"] == "upstream_unavailable"
    assert "[DONE]" not in streamed
    assert 0 < 1 - float(alice.available) < 0.01
    assert alice.get("/credits/balance").json["held"] == "0"


def test_a_plain_answer_that_breaks_costs_nothing():
    world = world_of([*completion("Hi", " you")[:3], UpstreamUnavailable()])
    alice = world.person(credits_=1)

    assert failed(ask(alice)) == (502, "upstream_unavailable")
    assert alice.available == "1"


def test_a_surprise_tells_nothing_of_itself(capsys):
    world = world_of([ZeroDivisionError("secret")])

    refused = ask(world.person(credits_=1))

    assert failed(refused) == (502, "upstream_unavailable")
    assert "secret" not in refused.get_data(as_text=True) + capsys.readouterr().out


def test_a_client_that_leaves_pays_for_what_it_got_and_ends_the_call():
    silent = ScriptedPassthrough(scripts={"/chat/completions": [[*completion("Hi")[:2], 30.0]]})
    world = offered(passthrough=silent, env={"AI_PLATFORM_PROFILE": "openai"})
    alice = world.person(credits_=1)
    body = {"model": "gpt-4o-mini", "messages": QUESTION, "stream": True}

    answer = alice.post(CHAT, body, buffered=False)
    parts = iter(answer.response)
    first, second = next(parts), next(parts)
    answer.close()

    assert "Hi" in str(first) + str(second)
    assert world.passthrough.streams[0].is_aborted
    assert alice.get("/credits/balance").json["held"] == "0"
    assert 0 < 1 - float(alice.available) < 0.01
