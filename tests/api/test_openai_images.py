"""`/v1/openai/images/generations`: our own image tasks, in OpenAI's shapes, while the caller waits."""

import base64
from decimal import Decimal

import pytest

from functions.http import openai_images
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import UpstreamBusy, UpstreamMisconfigured, UpstreamRejected, UpstreamUnavailable
from shared.platform.memory.image_model import png
from shared.platform.memory.publisher import MemoryPublisher
from tests.api.openai_world import failed
from tests.api.world import World
from tests.support.adapters import replace_adapters

PATH = "/openai/images/generations"
PAINTER = {
    "kind": "image",
    "image_usd": "0.01",
    "image_usd_by_size": {"1024x1024": "0.01", "1536x1024": "0.025"},
}


@pytest.fixture
def world():
    world = World()
    replace_adapters(world.services, publisher=MemoryPublisher())
    world.services.models.catalogue.put("gpt-image-1", PAINTER)
    return world


def painted(person, *, key=None, **body):
    return person.post(PATH, {"prompt": "A fox", "model": "gpt-image-1", **body}, key=key)


def test_images_are_made_told_kept_and_charged(world, alice):
    answered = painted(alice.key("images"), n=2, size="1536x1024", response_format="b64_json", user="u")

    assert answered.status_code == 200
    assert [base64.b64decode(each["b64_json"]) for each in answered.json["data"]] == [png(4), png(5)]
    assert answered.json["created"] == world.clock.now() // 1_000
    assert answered.json["credits"] == {"cost": "5", "available": "5", "estimated": False}
    assert (answered.headers["X-Credits-Cost"], answered.headers["X-Credits-Available"]) == ("5", "5")
    assert len(alice.get("/images").json["items"]) == 2
    assert alice.get("/credits/balance").json["held"] == "0"


@pytest.mark.parametrize(
    ("quality", "sent", "cost"),
    [(None, None, "1"), ("auto", None, "1"), ("standard", None, "1"), ("high", "high", "16.7"), ("low", "low", "0.3")],
)
@pytest.mark.parametrize("path", [PATH, "/images/generate"])
def test_a_quality_is_sent_and_costs_its_price(world, path, quality, sent, cost):
    by_quality = {"high": {"1024x1024": "0.167"}, "low": {"1024x1024": "0.003"}}
    world.services.models.catalogue.put("gpt-image-1", {**PAINTER, "image_usd_by_quality": by_quality})
    alice = world.person(credits_=100)
    before = Decimal(alice.available)

    asked = alice.post(path, {"prompt": "A fox", "model": "gpt-image-1", "quality": quality})
    if path != PATH and quality in {"auto", "standard"}:
        assert (asked.status_code, asked.json["code"]) == (422, "quality_not_offered")
        return
    if path != PATH:
        world.services.images.job.run(asked.json["task_id"])

    assert [request.quality for request in world.services.ports.image_model().requests] == [sent]
    assert before - Decimal(alice.available) == Decimal(cost)


def test_prompt_that_is_refused_is_told_in_the_providers_words(world, alice):
    words = "Your request was rejected by the safety system."
    world.services.ports.image_model().script = [RequestRefused({"message": words})]

    assert painted(alice, n=2).json["error"]["message"] == words
    assert (alice.available, len(world.services.ports.image_model().requests)) == ("10", 1)


def test_pictures_without_room_in_the_answer_come_as_links(world, alice, monkeypatch):
    monkeypatch.setattr(openai_images, "PICTURES_BYTES_MAX", len(png(4)) * 4 // 3 + 1)

    first, second = painted(alice, n=2).json["data"]

    assert base64.b64decode(first["b64_json"]) == png(4)
    assert world.call("GET", second["url"].removeprefix("/v1")).data == png(5)


@pytest.mark.parametrize("size", [None, "auto"])
def test_without_a_size_it_is_the_models_own(alice, size):
    assert painted(alice, size=size).json["size"] == "1024x1024"


def test_the_same_key_answers_the_same_without_painting_again(world, alice):
    first, second = (painted(alice, key="k") for _ in range(2))

    assert second.get_data() == first.get_data()
    assert len(world.services.ports.image_model().requests) == 1
    assert alice.available == "9"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (UpstreamUnavailable(), (502, "upstream_unavailable")),
        (UpstreamRejected(), (502, "upstream_rejected")),
        (b"no picture", (400, "no_picture")),
        (RequestRefused({"message": "Your request was rejected by the safety system."}), (400, "request_refused")),
        (UpstreamBusy(), (429, "rate_limit_exceeded")),
        (UpstreamMisconfigured(), (503, "upstream_misconfigured")),
    ],
)
def test_what_fails_costs_nothing(world, alice, failure, told):
    world.services.ports.image_model().script = [failure]

    assert failed(painted(alice)) == told
    assert (alice.available, alice.get("/credits/balance").json["held"]) == ("10", "0")


def test_what_was_made_is_told_and_charged_when_the_rest_fails(world, alice):
    world.services.ports.image_model().script = [None, UpstreamUnavailable()]

    answered = painted(alice, n=2)

    assert len(answered.json["data"]) == 1
    assert answered.json["credits"]["cost"] == "1"


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": ""},
        {"n": 0},
        {"n": 11},
        {"size": "1x1"},
        {"response_format": "url"},
        {"quality": "high"},
        {"background": "transparent"},
        {"stream": True},
        {"style": "vivid"},
        {"x_new": 1},
    ],
)
def test_what_would_have_another_price_or_answer_is_refused(world, alice, more):
    assert failed(painted(alice, **more))[0] == 400
    assert world.services.ports.image_model().requests == []
    assert alice.available == "10"


def test_an_empty_balance_a_missing_model_and_a_missing_scope(world, alice):
    assert failed(painted(world.person())) == (402, "insufficient_credits")
    assert failed(painted(alice, model="gpt-4o-mini")) == (404, "model_not_found")
    assert failed(painted(alice.key("chat"))) == (403, "scope_missing")


def test_a_task_that_another_worker_has_is_waited_for(world, alice):
    job = world.services.images.job
    run, calls = job.run, list[str]()

    class Busy:
        """The first look finds another worker, who finishes meanwhile."""

        def run(self, task_id):
            calls.append(task_id)
            task = run(task_id)
            return None if len(calls) == 1 else task

    world.services.images.__dict__["job"] = Busy()

    assert painted(alice).status_code == 200
    assert len(calls) == 1


def test_a_task_that_does_not_end_is_left_to_a_worker_and_found_by_its_key(world, alice):
    job = world.services.images.job

    class Never:
        def run(self, task_id):
            return None

    world.services.images.__dict__["job"] = Never()
    token = alice.token
    refused = painted(alice, key="k")
    assert failed(refused) == (409, "still_running")
    (message,) = world.services.ports.publisher().on("image-jobs")
    job.run(message.data["task_id"])

    answered = painted(alice, key="k")

    assert (answered.status_code, alice.token) == (200, token)
    assert alice.available == "9"
