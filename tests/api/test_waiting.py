"""One instance has one room for callers who wait; a full room answers at once instead."""

import json
from contextlib import ExitStack, contextmanager

import pytest

from functions.http.idempotency import intention
from functions.http.json_text import parse_json
from tests.api.world import problem

CHAT = "/openai/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@contextmanager
def full(room):
    """Meanwhile others wait on every place."""
    with ExitStack() as waiting:
        assert all(waiting.enter_context(room.place(f"other-{number}")) for number in range(room.places))
        yield


def begin_twin(world, person, path, template, values, body, key):
    """Another instance runs this call: its turn has begun."""
    _, canonical = parse_json(json.dumps(body).encode())
    asked = intention(key, person.uid, f"POST /v1{template}", values, canonical)
    _, claim = world.services.metering.turns.begin_turn(
        asked.operation, uid=person.uid, conversation_id=values.get("id", ""), fingerprint=asked.fingerprint
    )
    claim.stop()


@pytest.mark.parametrize("kind", ["door", "chat"])
def test_twin_of_a_running_call_is_answered_at_once_in_a_full_room(world, alice, kind):
    path, template, values, body = CHAT, CHAT, {}, BODY
    if kind == "chat":
        conversation = alice.post("/chat/conversations", {}).json["id"]
        path, template = f"/chat/conversations/{conversation}/messages", "/chat/conversations/{id}/messages"
        values, body = {"id": conversation}, {"content": "Hello"}
    begin_twin(world, alice, path, template, values, body, "once")
    began = world.clock.monotonic()

    with full(world.services.metering.waiting_room):
        refused = alice.post(path, body, key="once")

    assert refused.status_code == 409
    assert world.clock.monotonic() == began


def test_call_without_credits_is_refused_at_once_in_a_full_room(world):
    poor = world.person(credits_=1)
    assert poor.post("/credits/reserve", {"amount": "1"}).status_code == 201
    began = world.clock.monotonic()

    with full(world.services.metering.waiting_room):
        refused = poor.post(CHAT, BODY)

    assert refused.status_code == 402
    assert world.clock.monotonic() == began


def test_call_without_credits_waits_for_others_where_there_is_room(world):
    poor = world.person(credits_=1)
    assert poor.post("/credits/reserve", {"amount": "1"}).status_code == 201
    began = world.clock.monotonic()

    refused = poor.post(CHAT, BODY)

    assert refused.status_code == 402
    assert world.clock.monotonic() > began


def test_large_queue_of_one_user_leaves_places_for_others(world):
    room = world.services.metering.waiting_room

    with ExitStack() as waiting:
        taken = [waiting.enter_context(room.place("greedy")) for _ in range(room.places)]
        with room.place("honest") as has_place:
            assert has_place

    assert sum(taken) == room.places_per_caller <= world.services.settings.threads // 4


def test_problem_of_a_full_room_says_to_ask_again(world, alice):
    conversation = alice.post("/chat/conversations", {}).json["id"]
    path, template = f"/chat/conversations/{conversation}/messages", "/chat/conversations/{id}/messages"
    begin_twin(world, alice, path, template, {"id": conversation}, {"content": "Hello"}, "once")

    with full(world.services.metering.waiting_room):
        assert problem(alice.post(path, {"content": "Hello"}, key="once")) == (409, "still_running")


def test_openai_call_expects_what_chat_has_learned(world, alice):
    conversation = alice.post("/chat/conversations", {}).json["id"]
    ask = {**BODY, "messages": [{"role": "user", "content": "Hello?"}]}
    first = held_for(world, alice, ask)

    for _ in range(40):
        assert alice.post(f"/chat/conversations/{conversation}/messages", {"content": "Hello?"}).status_code == 201

    assert held_for(world, alice, ask) < first


def held_for(world, person, body):
    """The credits that the ledger set aside for a call, in µcr."""
    assert person.post(CHAT, body).status_code == 200
    entries = world.services.credits.ledger.history(person.uid, before=None, limit=4, kinds=frozenset({"hold"})).items
    return entries[0].held_after
