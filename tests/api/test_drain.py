"""Drained: calls that would spend are refused at the door; all others, and those that have begun, go on."""

import pytest

from functions.http.table import ROUTES
from shared.kernel.clock import MINUTE
from tests.api.world import World, problem

MESSAGES = [{"role": "user", "content": "Hello"}]
SPENDING = {
    "/credits/reserve": {"amount": "1"},
    "/chat/conversations": {"message": "Hello"},
    "/images/generate": {"prompt": "A moth"},
    "/chat/agent-tasks": {"goal": "Count.", "budget": "1"},
    "/openai/chat/completions": {"model": "gpt-4o-mini", "messages": MESSAGES},
    "/openai/completions": {"model": "gpt-4o-mini", "prompt": "Hello"},
    "/openai/responses": {"model": "gpt-4o-mini", "input": "Hello"},
    "/openai/embeddings": {"model": "gpt-4o-mini", "input": "Hello"},
    "/openai/images/generations": {"prompt": "A moth"},
}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ann(world: World):
    return world.person(credits_=10)


def drained(world: World) -> None:
    world.services.metering.drain.begin("a release")


def test_the_table_of_spending_calls_is_complete():
    drained_paths = {route.path.removeprefix("/v1") for route in ROUTES if route.is_drained}

    assert drained_paths == SPENDING.keys() | {"/chat/conversations/{id}/messages"}


@pytest.mark.parametrize("path", SPENDING)
def test_a_spending_call_is_refused_before_anything_is_held(world: World, ann, path: str):
    drained(world)

    refused = ann.post(path, SPENDING[path])

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
    assert refused.json.get("error", refused.json)["code"] == "draining"
    assert ann.get("/credits/balance").json["held"] == "0"


def test_a_stranger_learns_nothing_of_a_drain(world: World):
    drained(world)

    assert problem(world.call("POST", "/credits/reserve", body={"amount": "1"}))[0] == 401


def test_a_begun_hold_is_captured_while_new_ones_are_refused(world: World, ann):
    held = ann.post("/credits/reserve", {"amount": "2"}).json["id"]
    drained(world)

    assert problem(ann.post("/credits/reserve", {"amount": "1"})) == (503, "draining")
    assert ann.post(f"/credits/reservations/{held}/capture", {"amount": "1.5"}).status_code == 200
    assert ann.available == "8.5"


def test_a_finished_call_is_answered_again_by_its_key(world: World, ann):
    first = ann.post("/chat/conversations", {"message": "Hello"}, key="k")
    drained(world)

    again = ann.post("/chat/conversations", {"message": "Hello"}, key="k")
    new = ann.post("/chat/conversations", {"message": "Hello"}, key="other")

    assert (again.status_code, again.json["message"]) == (201, first.json["message"])
    assert new.status_code == 503


def test_a_conversation_without_a_message_is_refused_too_and_reading_goes_on(world: World, ann):
    drained(world)

    assert ann.post("/chat/conversations", {}).status_code == 503
    assert [ann.get(path).status_code for path in ("/me", "/credits/history", "/models", "/chat/conversations")] == [
        200,
        200,
        200,
        200,
    ]


def test_calls_are_taken_again_after_the_drain(world: World, ann):
    drained(world)
    world.services.metering.drain.end()
    world.clock.advance(MINUTE)

    assert ann.post("/credits/reserve", {"amount": "1"}).status_code == 201
