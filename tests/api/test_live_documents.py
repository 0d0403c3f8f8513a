"""What a listener reads of a thing is what GET answers of it: the same names, units and times, and the owner's uid."""

from typing import Any

import pytest

from shared.ai.agents.thinking import Thought, ToolCall
from shared.ai.ports import UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.documents import Query
from shared.platform.memory.image_model import ScriptedImageModel
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.memory.thinking import ScriptedThinkingModel
from tests.api.world import MODEL, Person, World
from tests.support.adapters import replace_adapters

PAINTER = {"kind": "image", "image_usd": "0.01"}
USAGE = Usage(input_tokens=100, output_tokens=10)
WRITES = ToolCall(id="c", name="write_artifact", arguments='{"name": "a.md", "content": "x"}')
LINK = {"link", "link_expires_at"}


@pytest.fixture
def world():
    world = World()
    replace_adapters(world.services, publisher=MemoryPublisher())
    thoughts = [Thought(text="First.", calls=(WRITES,), usage=USAGE), Thought(text="Done.", calls=(), usage=USAGE)]
    replace_adapters(world.services, thinking_model=ScriptedThinkingModel(thoughts))
    world.services.models.catalogue.put("gpt-image-1", PAINTER)
    world.services.models.catalogue.put(
        "gpt-4o-mini", {**MODEL, "capabilities": ["chat", "tools"], "context_window": 32_000}
    )
    return world


def listened(person: Person, path: str) -> dict[str, Any]:
    """The document that a listener of this person reads, without the owner."""
    found = person.world.services.ports.documents().get(path)
    assert found is not None
    assert found.data["uid"] == person.uid
    return {name: value for name, value in found.data.items() if name != "uid"}


def told_of_images(person: Person, task_id: str) -> dict[str, Any]:
    """What GET answers of an image task; a link ends too soon to stand in a document."""
    told: dict[str, Any] = person.get(f"/images/generate/{task_id}").json
    images = [{name: value for name, value in image.items() if name not in LINK} for image in told["images"]]
    return {**told, "images": images}


def asked_for_images(person: Person, n: int = 2) -> str:
    return str(person.post("/images/generate", {"prompt": "A fox", "n": n}).json["task_id"])


def test_a_queued_image_task_reads_as_get_answers(alice):
    task = asked_for_images(alice)

    assert listened(alice, f"image_tasks/{task}") == told_of_images(alice, task)


def test_a_finished_image_task_reads_as_get_answers(world, alice):
    replace_adapters(world.services, image_model=ScriptedImageModel([UpstreamUnavailable()]))
    task = asked_for_images(alice)
    world.clock.advance(1_234)

    world.services.images.job.run(task)

    told = told_of_images(alice, task)
    assert listened(alice, f"image_tasks/{task}") == told
    assert (told["status"], len(told["images"]), len(told["failures"]), told["cost"]) == ("done", 1, 1, "1")


def test_a_deleted_image_leaves_what_a_listener_reads(world, alice):
    task = asked_for_images(alice)
    world.services.images.job.run(task)
    gone, kept = (image["id"] for image in told_of_images(alice, task)["images"])

    assert alice.call("DELETE", f"/images/{gone}").status_code == 204

    assert listened(alice, f"image_tasks/{task}") == told_of_images(alice, task)
    assert [image["id"] for image in listened(alice, f"image_tasks/{task}")["images"]] == [kept]


def test_an_image_deleted_while_others_are_painted_stays_deleted(world, alice):
    class Deleting(ScriptedImageModel):
        """A model during whose second call the owner deletes the first image."""

        def generate(self, request):
            if len(self.requests) == 1:
                (image,) = alice.get("/images").json["items"]
                assert alice.call("DELETE", f"/images/{image['id']}").status_code == 204
            return super().generate(request)

    replace_adapters(world.services, image_model=Deleting())
    task = asked_for_images(alice)

    world.services.images.job.run(task)

    told = told_of_images(alice, task)
    assert listened(alice, f"image_tasks/{task}") == told
    assert (told["status"], len(told["images"]), told["cost"]) == ("done", 1, "2")


# Agent tasks -----------------------------------------------------------------------------------------------------


def begun(person: Person, **more: Any) -> str:
    return str(person.post("/chat/agent-tasks", {"goal": "Count.", "budget": "5", **more}).json["id"])


def assert_listened_as_told(person: Person, task: str) -> dict[str, Any]:
    """The task and its steps read as GET answers, which is returned."""
    told: dict[str, Any] = person.get(f"/chat/agent-tasks/{task}").json
    assert listened(person, f"agent_tasks/{task}") == told
    found = person.world.services.ports.documents().query(Query(collection=f"agent_tasks/{task}/steps", limit=100))
    steps = person.get(f"/chat/agent-tasks/{task}/steps?limit=100").json["items"]
    assert [{**step, "uid": person.uid} for step in steps] == [document.data for document in found]
    return told


def test_a_queued_agent_task_reads_as_get_answers(alice):
    told = assert_listened_as_told(alice, begun(alice, documents=[{"name": "n.txt", "content": "notes"}]))

    assert (told["status"], told["spent"], [file["name"] for file in told["files"]]) == ("queued", "0", ["n.txt"])


def test_a_completed_agent_task_reads_as_get_answers(world, alice):
    task = begun(alice)
    world.clock.advance(1_234)

    world.services.agents.slice.run(task)

    told = assert_listened_as_told(alice, task)
    assert (told["status"], told["result"]["answer"], told["steps"]) == ("completed", "Done.", 4)
    assert "0" not in {step["cost"] for step in told["result"]["steps"] if step["kind"] in {"think", "answer"}}


def test_a_paused_resumed_and_cancelled_agent_task_reads_as_get_answers(world, alice):
    task = begun(alice, max_steps=1)
    world.services.agents.slice.run(task)

    assert assert_listened_as_told(alice, task)["reason"] == "step_limit"
    assert alice.post(f"/chat/agent-tasks/{task}/resume", {"max_steps": 2}).status_code == 202
    assert assert_listened_as_told(alice, task)["status"] == "queued"
    assert alice.post(f"/chat/agent-tasks/{task}/cancel", {}).status_code == 202
    assert assert_listened_as_told(alice, task)["status"] == "cancelled"


def test_an_agent_task_tells_a_listener_nothing_of_its_work(world, alice):
    task = begun(alice)
    world.services.agents.slice.run(task)

    found = world.services.ports.documents().query(Query(collection=f"agent_tasks/{task}/steps", limit=100))
    told = str([listened(alice, f"agent_tasks/{task}"), *(document.data for document in found)])
    assert not [word for word in ("lease", "fingerprint", "spender", "epoch", "body", "owed") if word in told]


# Conversations ---------------------------------------------------------------------------------------------------


def told_of_conversation(person: Person, conversation: str) -> dict[str, Any]:
    """What GET answers of a conversation; its messages are read by REST only."""
    told: dict[str, Any] = person.get(f"/chat/conversations/{conversation}").json
    return {name: value for name, value in told.items() if name != "messages"}


def test_a_new_conversation_reads_as_get_answers(alice):
    made = alice.post("/chat/conversations", {"model": "gpt-4o-mini", "system_prompt": "Be brief."}).json["id"]

    assert listened(alice, f"conversations/{made}") == told_of_conversation(alice, made)


def test_a_conversation_that_is_used_and_changed_reads_as_get_answers(world, alice):
    made = alice.post("/chat/conversations", {"message": "Hello"}).json["id"]
    world.clock.advance(1_234)

    for step in (
        lambda: alice.post(f"/chat/conversations/{made}/messages", {"content": "Again"}),
        lambda: alice.post(f"/chat/conversations/{made}/title"),
        lambda: alice.call("PATCH", f"/chat/conversations/{made}", body={"model": "gpt-4o-mini", "title": None}),
    ):
        assert step().status_code < 300
        assert listened(alice, f"conversations/{made}") == told_of_conversation(alice, made)
    assert told_of_conversation(alice, made)["title_cost"] not in {None, "0"}
