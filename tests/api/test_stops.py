import pytest

from functions.http.stops import CALLS_PER_MINUTE
from shared.ai.tokens import Usage
from shared.platform.memory.chat_model import ScriptedChatModel, says
from shared.platform.memory.passthrough import ScriptedPassthrough, completion
from tests.api.openai_world import EMBEDDER
from tests.api.world import World, problem
from tests.support.chat import change_message

USAGE = Usage(input_tokens=10, output_tokens=1)
COST = "0.00021"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def world():
    passthrough = ScriptedPassthrough({"/chat/completions": [completion("Hi", usage=(10, 1))]})
    return World(chat_model=ScriptedChatModel(scripts=[says("Hi", usage=USAGE)]), passthrough=passthrough)


@pytest.fixture
def alice(world):
    return world.person(credits_=1)


def conversation_of(person):
    return person.post("/chat/conversations", {}).json["id"]


def test_a_stop_where_nothing_runs_answers_the_last_message_and_its_cost(alice):
    path = f"/chat/conversations/{conversation_of(alice)}"
    said = alice.post(f"{path}/messages", {"content": "Hello"}).json

    stopped = alice.post(f"{path}/stop")

    assert stopped.status_code == 200
    told = stopped.json
    assert (told["status"], told["cost"], told["at_most"]) == ("ended", COST, None)
    assert (told["message"], told["usage"], told["balance"]) == (said["message"], said["usage"], said["balance"])
    assert told["calls"] == []


def test_a_stop_in_an_empty_conversation_answers_no_message(alice):
    told = alice.post(f"/chat/conversations/{conversation_of(alice)}/stop", {"request_id": "r-1"}).json

    assert (told["status"], told["message"], told["cost"], told["calls"]) == ("ended", None, None, [])


def test_an_ended_call_is_found_by_the_id_its_client_sent_or_was_answered(alice):
    own = alice.post("/openai/chat/completions", ASKED, key="kept", headers={"X-Request-Id": "mine"})
    answered = alice.post("/openai/chat/completions", ASKED)

    for request_id in ("mine", answered.headers["X-Request-Id"]):
        told = alice.post("/openai/stop", {"request_id": request_id}).json
        assert (told["status"], told["cost"]) == ("ended", COST)
    assert own.headers["X-Request-Id"] == "mine"


def test_the_answer_of_a_kept_call_comes_with_its_cost(alice):
    alice.post("/openai/chat/completions", ASKED, key="kept", headers={"X-Request-Id": "mine"})

    told = alice.post("/openai/stop", {"request_id": "mine"}).json

    message = told["message"]
    assert (message["role"], message["content"], message["finish_reason"]) == ("assistant", "Hi", "stop")
    assert told["usage"] == {"input_tokens": 10, "output_tokens": 1, "estimated": False}
    assert told["calls"] == [{name: told[name] for name in ("status", "message", "usage", "cost", "at_most")}]


def test_an_unknown_call_is_not_found_in_openais_form(alice):
    refused = alice.post("/openai/stop", {"request_id": "nobody"})

    assert refused.status_code == 404
    assert refused.json["error"]["code"] == "call_not_found"


def test_others_calls_and_conversations_are_not_found(world, alice):
    bob = world.person(credits_=1)
    conversation = conversation_of(bob)
    bob.post("/openai/chat/completions", ASKED, headers={"X-Request-Id": "bobs"})

    assert alice.post("/openai/stop", {"request_id": "bobs"}).status_code == 404
    assert problem(alice.post(f"/chat/conversations/{conversation}/stop")) == (404, "conversation_not_found")


def test_a_key_without_chat_may_not_stop(alice):
    key = alice.key("images")

    assert problem(key.post(f"/chat/conversations/{conversation_of(alice)}/stop")) == (403, "scope_missing")
    assert key.post("/openai/stop", {"request_id": "r"}).status_code == 403


def test_a_key_is_not_told_of_its_owners_calls(alice):
    alice.post("/openai/chat/completions", ASKED, headers={"X-Request-Id": "mine"})
    key = alice.key("chat")
    key.post("/openai/chat/completions", ASKED, headers={"X-Request-Id": "keys"})

    assert key.post("/openai/stop", {"request_id": "mine"}).status_code == 404
    assert key.post("/openai/stop", {"request_id": "keys"}).status_code == 200
    assert alice.post("/openai/stop", {"request_id": "keys"}).status_code == 200


@pytest.mark.parametrize("body", [{}, {"request_id": ""}, {"request_id": "a b"}, {"request_id": 1}, {"id": "x"}])
def test_a_stop_without_a_proper_id_is_refused(alice, body):
    assert alice.post("/openai/stop", body).status_code == 400


def test_a_stop_is_nothing_for_guests(world):
    assert world.guest().post("/openai/stop", {"request_id": "r"}).status_code == 403


def test_made_up_ids_are_refused_after_a_while(alice):
    answers = [alice.post("/openai/stop", {"request_id": f"r-{number}"}) for number in range(40)]

    assert {answer.status_code for answer in answers} == {404, 429}
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_caller_who_stops_too_often_stops_no_other_callers_stops(alice):
    path = f"/chat/conversations/{conversation_of(alice)}/stop"
    key = alice.key("chat")

    answers = [key.post(path) for _ in range(CALLS_PER_MINUTE + 5)]

    assert (answers[0].status_code, answers[-1].status_code) == (200, 429)
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert alice.post(path).status_code == 200


def test_a_settling_message_shows_at_most_what_it_costs_and_later_its_cost(world, alice):
    path = f"/chat/conversations/{conversation_of(alice)}"
    said = alice.post(f"{path}/messages", {"content": "Hello"}).json["message"]["id"]
    message = world.services.chat.conversations.message(alice.uid, path.rpartition("/")[2], said)
    change_message(world.services.ports.documents(), message, settles_by=world.clock.now() + 1_000)

    settling = alice.get(f"{path}/messages").json["items"][0]
    world.clock.advance(1_000)
    settled = alice.get(f"{path}/messages").json["items"][0]

    assert (settling["status"], settling["cost"], settling["at_most"]) == ("settling", None, COST)
    assert (settled["cost"], settled.keys() & {"status", "at_most"}) == (COST, set())


def test_an_ended_embedding_without_a_hold_tells_its_cost_to_its_caller_alone(world, alice):
    world.services.models.catalogue.put("embedder", EMBEDDER)
    embedding = {"model": "embedder", "input": "Hello"}
    key = alice.key("chat")
    answered = key.post("/openai/embeddings", embedding, headers={"X-Request-Id": "keys"}).json
    alice.post("/openai/embeddings", embedding, headers={"X-Request-Id": "mine"})

    told = key.post("/openai/stop", {"request_id": "keys"}).json

    assert (told["status"], told["cost"]) == ("ended", answered["credits"]["cost"])
    assert [key.post("/openai/stop", {"request_id": each}).status_code for each in ("mine", "keys")] == [404, 200]
    assert [alice.post("/openai/stop", {"request_id": each}).status_code for each in ("mine", "keys")] == [200, 200]
