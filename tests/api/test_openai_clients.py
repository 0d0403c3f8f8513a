"""`/v1/openai` as real clients use it: headers, paths and names of their making, and answers that end their retries."""

import pytest

from functions.http import sse
from shared.ai.passthrough import RequestRefused
from shared.ai.pictures import NoPicture
from shared.ai.ports import (
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamTimedOut,
    UpstreamUnavailable,
)
from shared.platform.memory.passthrough import ScriptedPassthrough, completion
from tests.api.world import MODEL, World

CHAT = "/openai/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def world_of(*scripts, path="/chat/completions") -> World:
    return World(passthrough=ScriptedPassthrough(scripts={path: list(scripts)}))


def key_of(person) -> str:
    made = person.post("/api-keys", {"name": "client", "scopes": ["chat"]})
    return str(made.json["key"])


# Headers and paths ------------------------------------------------------------------------------------------------


def test_api_key_header_names_the_caller_as_authorization_does():
    world = world_of(completion("Hi"))
    key = key_of(world.person(credits_=1))

    answer = world.call("POST", CHAT, body=BODY, headers={"api-key": key})

    assert answer.status_code == 200


def test_api_key_header_does_not_stand_in_for_a_wrong_authorization():
    world = world_of(completion("Hi"))
    key = key_of(world.person(credits_=1))

    answer = world.call("POST", CHAT, body=BODY, headers={"api-key": key, "Authorization": "Bearer ics_nobody"})

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/openai/chat/completions/", "/openai//chat/completions"])
def test_slash_that_ends_the_base_url_or_path_is_taken(path):
    alice = world_of(completion("Hi")).person(credits_=1)

    assert alice.post(path, BODY).status_code == 200


@pytest.mark.parametrize("name", ["maker/small", "maker:small"])
def test_model_is_found_by_its_name_with_a_slash(name):
    world = world_of(completion("Hi"))
    world.services.catalogue.put("maker:small", {**MODEL, "upstream_model": "maker/small"})
    alice = world.person(credits_=1)

    answer = alice.post(CHAT, {**BODY, "model": name})
    listed = alice.get(f"/openai/models/{name}")

    assert (answer.status_code, listed.status_code, listed.json["id"]) == (200, 200, "maker:small")
    assert world.passthrough.requests[-1][1]["model"] == "maker/small"


def test_keep_alive_is_a_comment_without_a_blank_line_behind():
    assert sse.PING == ": ping\n"


# Retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamRejected(), 502),
        (RequestRefused({"message": "No."}), 400),
        (UpstreamMisconfigured(), 503),
        (UpstreamTimedOut(), 502),
        (NoPicture("it is cut"), 400),
    ],
)
def test_failure_that_no_retry_helps_says_so(error, status):
    alice = world_of([error]).person(credits_=1)

    failed = alice.post(CHAT, BODY)

    assert (failed.status_code, failed.headers.get("X-Should-Retry")) == (status, "false")


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (UpstreamUnavailable(), "1"),
        (UpstreamBusy(retry_after_ms=20_000), "20"),
        (UpstreamOverloaded(retry_after_ms=1_500), "2"),
        (RuntimeError("a surprise"), "1"),
    ],
)
def test_failure_that_passes_says_when_to_ask_again(error, wait):
    alice = world_of([error]).person(credits_=1)

    failed = alice.post(CHAT, BODY)

    assert (failed.headers.get("Retry-After"), failed.headers.get("X-Should-Retry")) == (wait, None)


def test_empty_balance_unknown_model_and_wrong_field_end_retries():
    world = world_of(completion("Hi"))
    poor, rich = world.person(), world.person(credits_=1)

    failed = [
        poor.post(CHAT, BODY),
        rich.post(CHAT, {**BODY, "model": "nobody"}),
        rich.post(CHAT, {**BODY, "max_tokens": -1}),
        world.call("POST", CHAT, body=BODY),
    ]

    assert [each.status_code for each in failed] == [402, 404, 400, 401]
    assert {each.headers.get("X-Should-Retry") for each in failed} == {"false"}
