"""What a listener reads of a thing is what GET answers of it: the same names, units and times, and the owner's uid."""

from typing import Any

import pytest

from shared.ai.ports import UpstreamUnavailable
from shared.platform.memory.image_model import ScriptedImageModel
from shared.platform.memory.publisher import MemoryPublisher
from tests.api.world import Person, World

PAINTER = {"kind": "image", "image_usd": "0.01"}
LINK = {"link", "link_expires_at"}


@pytest.fixture
def world():
    world = World()
    world.services.__dict__["publisher"] = MemoryPublisher()
    world.services.catalogue.put("gpt-image-1", PAINTER)
    return world


def listened(person: Person, path: str) -> dict[str, Any]:
    """The document that a listener of this person reads, without the owner."""
    found = person.world.services.documents.get(path)
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
    world.services.__dict__["image_model"] = ScriptedImageModel([UpstreamUnavailable()])
    task = asked_for_images(alice)
    world.clock.advance(1_234)

    world.services.image_job.run(task)

    told = told_of_images(alice, task)
    assert listened(alice, f"image_tasks/{task}") == told
    assert (told["status"], len(told["images"]), len(told["failures"]), told["cost"]) == ("done", 1, 1, "1")


def test_a_deleted_image_leaves_what_a_listener_reads(world, alice):
    task = asked_for_images(alice)
    world.services.image_job.run(task)
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

    world.services.__dict__["image_model"] = Deleting()
    task = asked_for_images(alice)

    world.services.image_job.run(task)

    told = told_of_images(alice, task)
    assert listened(alice, f"image_tasks/{task}") == told
    assert (told["status"], len(told["images"]), told["cost"]) == ("done", 1, "2")
