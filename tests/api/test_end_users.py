"""Whoever calls, and whatever they say of themselves: the provider hears our pseudonym of the user who pays."""

import pytest

from shared.ai.agents.thinking import Thought, ToolCall
from shared.ai.tokens import Usage
from shared.platform.memory.image_model import ScriptedImageModel
from shared.platform.memory.thinking import ScriptedThinkingModel
from tests.api.world import MODEL
from tests.support.adapters import replace_adapters

HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
CLAIMED = {"user": "victim", "safety_identifier": "victim"}
DOORS = [
    ("/openai/chat/completions", HELLO),
    ("/openai/chat/completions", {**HELLO, "stream": True}),
    ("/openai/responses", {"model": "gpt-4o-mini", "input": "Hello"}),
    ("/openai/embeddings", {"model": "embed", "input": "Hello"}),
]


@pytest.fixture
def world(world):
    world.services.models.catalogue.put(
        "embed", {"kind": "embedding", "input_usd_per_mtok": "0.02", "context_window": 8_192}
    )
    return world


def pseudonym(world, person) -> str:
    return world.services.users.end_users.of(person.uid)


@pytest.mark.parametrize(("path", "body"), DOORS)
def test_what_a_client_says_of_its_user_is_replaced(world, alice, path, body):
    # OpenAI's embeddings know the older name only, so the door takes no other there.
    claimed = {"user": "victim"} if path == "/openai/embeddings" else CLAIMED
    assert alice.post(path, {**body, **claimed}).status_code == 200

    (_, sent), (end_user,) = world.passthrough.requests[0], world.passthrough.end_users
    assert {*(sent[name] for name in claimed), end_user} == {pseudonym(world, alice)}
    assert "victim" not in str(sent)


@pytest.mark.parametrize("claimed", [None, "", 17, ["victim"], {"id": "victim"}])
def test_an_odd_user_of_a_client_is_not_forwarded(world, alice, claimed):
    alice.post("/openai/chat/completions", {**HELLO, "user": claimed})

    assert {sent.get("user") for _, sent in world.passthrough.requests} <= {None, pseudonym(world, alice)}
    assert set(world.passthrough.end_users) <= {pseudonym(world, alice)}


def test_a_user_has_one_pseudonym_on_every_route(world, alice):
    image_model = ScriptedImageModel()
    question = ToolCall(id="c", name="ask_model", arguments='{"question": "Well?"}')
    picture = ToolCall(id="d", name="generate_image", arguments='{"prompt": "A fox"}')
    usage = Usage(input_tokens=10, output_tokens=1)
    thinker = ScriptedThinkingModel(
        [Thought(text="", calls=(question, picture), usage=usage), Thought(text="Done.", usage=usage)]
    )
    replace_adapters(world.services, image_model=image_model, thinking_model=thinker)
    world.services.models.catalogue.put(
        "gpt-4o-mini", {**MODEL, "capabilities": ["chat", "tools"], "context_window": 32_000}
    )
    world.services.models.catalogue.put("gpt-image-1", {"kind": "image", "image_usd": "0.01"})

    talk = alice.post("/chat/conversations", {"message": "Hello"}).json
    alice.key("chat").post(f"/chat/conversations/{talk['id']}/title", {})
    alice.post("/openai/chat/completions", HELLO)
    world.services.images.job.run(alice.post("/images/generate", {"prompt": "A fox"}).json["task_id"])
    task = alice.post("/chat/agent-tasks", {"goal": "Go.", "budget": "5"}).json
    world.services.agents.slice.run(task["id"])

    heard = [request.end_user for request in (*world.chat_model.requests, *image_model.requests, *thinker.requests)]
    assert len(world.chat_model.requests) == 3
    assert len(image_model.requests) == len(thinker.requests) == 2
    assert {*heard, *world.passthrough.end_users} == {pseudonym(world, alice)}


def test_two_users_have_two_pseudonyms(world, alice):
    bob = world.person(credits_=5)

    for person in (alice, bob):
        person.post("/openai/chat/completions", HELLO)

    assert world.passthrough.end_users == [pseudonym(world, alice), pseudonym(world, bob)]
    assert len(set(world.passthrough.end_users)) == 2
