"""Images over HTTP: asked for, watched, listed, shown whole and in parts, linked and removed."""

import hashlib

import pytest

from functions.agent_execution import _named
from functions.edge import MalformedEvent, TopicEvent
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.clock import MINUTE, rfc3339
from shared.kernel.objects import StorageUnavailable
from shared.platform.memory.image_model import png
from shared.platform.memory.publisher import MemoryPublisher
from tests.api.world import World, problem
from tests.support.adapters import replace_adapters

PAINTER = {
    "kind": "image",
    "image_usd": "0.01",
    "image_usd_by_size": {"1024x1024": "0.01", "1536x1024": "0.025"},
}
PICTURE = png(4)
ETAG = f'"{hashlib.sha256(PICTURE).hexdigest()[:32]}"'


@pytest.fixture
def world():
    world = World()
    replace_adapters(world.services, publisher=MemoryPublisher())
    world.services.models.catalogue.put("gpt-image-1", PAINTER)
    return world


def generated(person, **body):
    """A finished task, as its owner sees it."""
    asked = person.post("/images/generate", {"prompt": "A fox", **body})
    assert asked.status_code == 202, asked.json
    person.world.services.images.job.run(asked.json["task_id"])
    return person.get(f"/images/generate/{asked.json['task_id']}").json


def test_images_of_a_revoked_key_end_without_a_charge(world, alice):
    server = alice.key("images")
    asked = server.post("/images/generate", {"prompt": "A fox", "n": 2}).json
    (key,) = alice.get("/api-keys").json["items"]

    assert alice.call("DELETE", f"/api-keys/{key['id']}").status_code == 204

    task = alice.get(f"/images/generate/{asked['task_id']}").json
    assert (task["status"], task["cost"], task["images"]) == ("failed", "0", [])
    assert [failure["code"] for failure in task["failures"]] == ["api_key_revoked"] * 2
    assert alice.get("/credits/balance").json["held"] == "0"


def test_images_of_a_disabled_login_end_without_a_charge(world, alice):
    asked = alice.post("/images/generate", {"prompt": "A fox"}).json
    world.identity.disable(alice.uid)
    world.clock.advance(MINUTE)

    world.services.images.job.run(asked["task_id"])

    task = alice.get(f"/images/generate/{asked['task_id']}").json
    assert (task["status"], task["cost"], task["failures"][0]["code"]) == ("failed", "0", "login_disabled")


def test_images_of_a_user_survive_the_revocation_of_a_key(world, alice):
    alice.key("images")
    asked = alice.post("/images/generate", {"prompt": "A fox"}).json
    (key,) = alice.get("/api-keys").json["items"]
    alice.call("DELETE", f"/api-keys/{key['id']}")

    world.services.images.job.run(asked["task_id"])

    assert alice.get(f"/images/generate/{asked['task_id']}").json["status"] == "done"


# Asking ----------------------------------------------------------------------------------------------------------


def test_an_image_is_asked_for_and_its_price_is_set_aside(world, alice):
    asked = alice.post("/images/generate", {"prompt": "A fox", "size": "1536x1024", "n": 2})

    assert asked.status_code == 202
    told = dict(asked.json)
    task_id = told.pop("task_id")
    assert told == {
        "status": "queued",
        "model": "gpt-image-1",
        "size": "1536x1024",
        "n": 2,
        "ceiling": "5",
        "created_at": rfc3339(world.clock.now()),
    }
    assert asked.headers["X-Credits-Available"] == "5"
    assert alice.get("/credits/balance").json["held"] == "5"
    assert [message.data for message in world.services.ports.publisher().on("image-jobs")] == [{"task_id": task_id}]


def test_a_task_tells_what_became_of_each_image(world, alice):
    world.services.ports.image_model().script = [None, UpstreamUnavailable()]

    told = generated(alice, n=3)

    images = told.pop("images")
    now = rfc3339(world.clock.now())
    assert told.pop("task_id").startswith("imgtask_")
    assert told == {
        "status": "done",
        "prompt": "A fox",
        "model": "gpt-image-1",
        "size": "1024x1024",
        "n": 3,
        "failures": [{"index": 1, "code": "upstream_unavailable"}],
        "cost": "2",
        "created_at": now,
        "updated_at": now,
        "finished_at": now,
    }
    assert [image["content_type"] for image in images] == ["image/png"] * 2
    assert alice.available == "8"


def test_a_queued_task_is_told_as_such(alice):
    task_id = alice.post("/images/generate", {"prompt": "A fox"}).json["task_id"]

    told = alice.get(f"/images/generate/{task_id}").json

    assert (told["status"], told["images"], told["failures"], told["cost"]) == ("queued", [], [], "0")
    assert told["finished_at"] is None


def test_the_same_key_answers_the_same_also_when_all_is_done(world, alice):
    asked = [alice.post("/images/generate", {"prompt": "A fox"}, key="k")]
    world.services.images.job.run(asked[0].json["task_id"])
    world.clock.advance(MINUTE)
    asked.append(alice.post("/images/generate", {"prompt": "A fox"}, key="k"))

    assert asked[0].get_data() == asked[1].get_data()
    assert problem(alice.post("/images/generate", {"prompt": "A cat"}, key="k")) == (409, "idempotency_mismatch")
    assert alice.available == "9"


def test_who_cannot_pay_is_told_at_once_and_nothing_is_queued(world):
    poor = world.person(credits_=1)

    refused = poor.post("/images/generate", {"prompt": "A fox", "n": 2})

    assert problem(refused) == (402, "insufficient_credits")
    assert (refused.json["required"], refused.json["available"]) == ("2", "1")
    assert world.services.ports.publisher().on("image-jobs") == []


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (422, "invalid_request")),
        ({"prompt": ""}, (422, "invalid_request")),
        ({"prompt": None}, (422, "invalid_request")),
        ({"prompt": "é" * 16_001}, (422, "invalid_request")),
        ({"prompt": "A fox", "n": 0}, (422, "invalid_request")),
        ({"prompt": "A fox", "n": 11}, (422, "invalid_request")),
        ({"prompt": "A fox", "n": "2"}, (422, "invalid_request")),
        ({"prompt": "A fox", "quality": "high"}, (422, "quality_not_offered")),
        ({"prompt": "A fox", "size": "64x64"}, (422, "size_not_offered")),
        ({"prompt": "A fox", "model": "gpt-4o-mini"}, (404, "model_not_found")),
        ({"prompt": "A fox", "model": "nobody"}, (404, "model_not_found")),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(alice, body, refusal):
    assert problem(alice.post("/images/generate", body)) == refusal
    assert alice.available == "10"


def test_a_guest_paints_nothing(world):
    assert problem(world.guest().post("/images/generate", {"prompt": "A fox"})) == (403, "forbidden")


def test_a_key_paints_within_its_scope_and_cap(alice):
    chatting, painting = alice.key("chat"), alice.key("images", spend_cap={"amount": "2", "period": "day"})
    reading = alice.key("read")

    assert problem(chatting.post("/images/generate", {"prompt": "A fox"}))[0] == 403
    assert generated(painting)["status"] == "done"
    assert problem(painting.post("/images/generate", {"prompt": "A fox", "n": 2})) == (402, "budget_exceeded")
    (image,) = reading.get("/images").json["items"]
    assert reading.get(f"/images/{image['id']}/content").status_code == 200
    assert problem(reading.call("DELETE", f"/images/{image['id']}"))[0] == 403


# Listing and removing --------------------------------------------------------------------------------------------


def test_images_are_listed_newest_first_in_pages(world, alice):
    for _ in range(3):
        generated(alice)
        world.clock.advance(1_000)

    first = alice.get("/images?limit=2").json
    second = alice.get(f"/images?limit=2&cursor={first['next_cursor']}").json

    listed = [*first["items"], *second["items"]]
    assert len({image["id"] for image in listed}) == 3
    assert [image["created_at"] for image in listed] == sorted((i["created_at"] for i in listed), reverse=True)
    assert second["next_cursor"] is None
    assert alice.get(f"/images/{listed[0]['id']}").json == listed[0]


def test_a_deleted_image_is_gone_everywhere(world, alice):
    (image,) = (told := generated(alice))["images"]

    deleted = alice.call("DELETE", f"/images/{image['id']}")

    assert (deleted.status_code, deleted.get_data()) == (204, b"")
    assert problem(alice.get(f"/images/{image['id']}")) == (404, "image_not_found")
    assert problem(alice.get(f"/images/{image['id']}/content")) == (404, "image_not_found")
    assert problem(alice.call("DELETE", f"/images/{image['id']}")) == (404, "image_not_found")
    assert problem(world.call("GET", image["link"].removeprefix("/v1"))) == (404, "image_not_found")
    assert alice.get("/images").json["items"] == []
    assert alice.get(f"/images/generate/{told['task_id']}").json["images"] == []
    assert world.services.ports.objects().names("images/") == []


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/images/generate/{task_id}", "image_task_not_found"),
        ("GET", "/images/{id}", "image_not_found"),
        ("GET", "/images/{id}/content", "image_not_found"),
        ("DELETE", "/images/{id}", "image_not_found"),
    ],
)
def test_others_images_do_not_exist(world, alice, method, path, code):
    told = generated(alice)
    named = path.replace("{task_id}", told["task_id"]).replace("{id}", told["images"][0]["id"])

    assert problem(world.person().call(method, named)) == (404, code)
    assert problem(world.call(method, named)) == (401, "unauthenticated")


def test_who_leaves_leaves_no_image_behind(world, alice):
    (image,) = generated(alice)["images"]

    assert alice.call("DELETE", "/me").status_code == 204

    assert problem(world.call("GET", image["link"].removeprefix("/v1"))) == (404, "image_not_found")
    assert world.services.ports.objects().names("images/") == []
    assert world.services.ports.documents().get(f"image_tasks/{image['task_id']}") is None


# The picture itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def shown(alice):
    """The path of an image's content."""
    (image,) = generated(alice)["images"]
    return f"/images/{image['id']}/content"


def test_the_picture_comes_whole_for_private_caches_only(alice, shown):
    response = alice.get(shown)

    assert (response.status_code, response.mimetype, response.get_data()) == (200, "image/png", PICTURE)
    assert {name: response.headers[name] for name in ("ETag", "Accept-Ranges", "Cache-Control")} == {
        "ETag": ETAG,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600, immutable",
    }
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith('inline; filename="img_')
    assert response.headers["Content-Length"] == str(len(PICTURE))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1-3", 1, 3),
        ("bytes=60-", 60, len(PICTURE) - 1),
        ("bytes=-4", len(PICTURE) - 4, len(PICTURE) - 1),
        ("bytes=5-99999", 5, len(PICTURE) - 1),
    ],
)
def test_a_part_is_sent_when_a_part_is_asked_for(alice, shown, asked, first, last):
    response = alice.get(shown, headers={"Range": asked})

    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(PICTURE)}"
    assert response.get_data() == PICTURE[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "lines=1-2", "bytes", "bytes=x-y", "bytes=3-1", ""])
def test_a_range_that_is_none_asks_for_the_whole(alice, shown, asked):
    response = alice.get(shown, headers={"Range": asked})

    assert (response.status_code, response.get_data()) == (200, PICTURE)


def test_a_range_beyond_the_end_is_told_the_size(alice, shown):
    refused = alice.get(shown, headers={"Range": "bytes=99999-"})

    assert problem(refused) == (416, "range_not_satisfiable")
    assert refused.headers["Content-Range"] == f"bytes */{len(PICTURE)}"


@pytest.mark.parametrize(("validator", "status"), [(ETAG, 206), ('"another"', 200), ("", 200)])
def test_a_range_of_another_version_asks_for_the_whole(alice, shown, validator, status):
    response = alice.get(shown, headers={"Range": "bytes=1-3", "If-Range": validator})

    assert response.status_code == status


@pytest.mark.parametrize("known", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*"])
def test_what_is_known_is_not_sent_again(alice, shown, known):
    response = alice.get(shown, headers={"If-None-Match": known})

    assert (response.status_code, response.get_data(), response.headers["ETag"]) == (304, b"", ETAG)


def test_a_head_tells_the_same_without_the_picture(alice, shown):
    response = alice.call("HEAD", shown)

    assert (response.status_code, response.get_data()) == (200, b"")
    assert (response.headers["ETag"], response.headers["Content-Length"]) == (ETAG, str(len(PICTURE)))


def test_a_storage_that_is_away_is_told_as_such(world, alice, shown):
    class Away:
        def read(self, *_):
            raise StorageUnavailable

    world.services.images.store._objects = Away()

    refused = alice.get(shown)

    assert problem(refused) == (503, "storage_unavailable")
    assert refused.headers["Cache-Control"] == "no-store"


# Links -----------------------------------------------------------------------------------------------------------


def test_a_link_shows_the_picture_to_whoever_has_it_until_its_time_is_up(world, alice):
    (image,) = generated(alice)["images"]
    path = image["link"].removeprefix("/v1")

    shown = world.call("GET", path)
    world.clock.advance(15 * MINUTE)

    assert (shown.status_code, shown.mimetype, shown.get_data()) == (200, "image/png", PICTURE)
    assert shown.headers["Cache-Control"].startswith("private, max-age=")
    assert world.call("GET", path, headers={"Range": "bytes=1-3"}).status_code == 404
    assert problem(world.call("GET", path)) == (404, "link_invalid")
    assert alice.get(f"/images/{image['id']}").json["link"] != image["link"]


def test_a_link_opens_that_image_only(world, alice):
    first, second = generated(alice, n=2)["images"]
    forged = first["link"].replace(first["id"], second["id"]).removeprefix("/v1")

    assert problem(world.call("GET", forged)) == (404, "link_invalid")
    for path in ("/images", f"/images/{first['id']}", f"/images/{first['id']}/content"):
        assert problem(world.call("GET", path)) == (401, "unauthenticated")


def test_a_picture_is_cached_no_longer_than_its_link_lives(world, alice):
    (image,) = generated(alice)["images"]
    world.clock.advance(9 * MINUTE)

    seconds = int(
        world.call("GET", image["link"].removeprefix("/v1")).headers["Cache-Control"].split("=")[1].split(",")[0]
    )

    assert rfc3339(world.clock.now() + seconds * 1_000) == image["link_expires_at"]


# The function ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{}, {"task_id": None}, {"task_id": 7}, {"task_id": "a/b"}, {"task_id": ""}])
def test_a_message_that_names_no_task_is_malformed(world, data):
    event = TopicEvent(id="m1", data=data, ordering_key="", at=world.clock.now())

    with pytest.raises(MalformedEvent):
        _named(event, "task_id")
