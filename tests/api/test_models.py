from decimal import Decimal

import pytest

from tests.api.world import MODEL, World, problem

NONE_PREFERRED: dict[str, object] = {
    "chat_model": None,
    "image_model": None,
    "quality": 1,
    "speed": 1,
    "price": 1,
    "allowed_models": [],
    "max_cost_per_message": None,
}


def test_models_are_listed_with_what_their_users_pay():
    world = World({"MARKUP_PERCENT": "40"})

    listed = world.person().get("/models").json

    assert listed == {
        "items": [
            {
                "id": "gpt-4o-mini",
                "quality": 5,
                "speed": 5,
                "price_version": 1,
                **{name: value for name, value in MODEL.items() if "usd" not in name},
                "input_credits_per_mtok": "21",
                "output_credits_per_mtok": "84",
                "cached_input_credits_per_mtok": "21",
                "cache_write_credits_per_mtok": "21",
                "context_tiers": [],
                "request_credits": "0",
                "image_credits": None,
                "image_credits_by_size": None,
                "image_credits_by_quality": None,
            }
        ],
        "next_cursor": None,
    }


TIER = {"above_input_tokens": 4_000, "input_usd_per_mtok": "0.3", "cached_input_usd_per_mtok": "0.03"}
DETAILED = {
    **MODEL,
    "cached_input_usd_per_mtok": "0.075",
    "cache_write_usd_per_mtok": "0.1875",
    "request_usd": "0.001",
    "context_tiers": [TIER],
    "upstream_model": "secret-name",
}


def test_tiers_caches_and_requests_are_listed_in_credits():
    world = World({"MARKUP_PERCENT": "40"})
    world.services.models.catalogue.put("gpt-4o-mini", DETAILED)

    answered = world.person().get("/models")
    (listed,) = answered.json["items"]

    assert (listed["cached_input_credits_per_mtok"], listed["cache_write_credits_per_mtok"]) == ("10.5", "26.25")
    assert listed["request_credits"] == "0.14"
    assert listed["context_tiers"] == [
        {
            "above_input_tokens": 4_000,
            "input_credits_per_mtok": "42",
            "output_credits_per_mtok": "84",
            "cached_input_credits_per_mtok": "4.2",
            "cache_write_credits_per_mtok": "42",
        }
    ]
    assert "usd" not in answered.text
    assert "secret-name" not in answered.text


PAINTER = {
    "kind": "image",
    "image_usd": "0.042",
    "image_usd_by_size": {"1024x1024": "0.042", "1536x1024": "0.063"},
    "image_usd_by_quality": {"high": {"1024x1024": "0.167"}},
}


@pytest.mark.parametrize(
    ("wanted", "listed_as", "cost"),
    [
        ({}, ("image_credits",), "5.88"),
        ({"size": "1536x1024"}, ("image_credits_by_size", "1536x1024"), "8.82"),
        ({"quality": "high", "size": "1024x1024"}, ("image_credits_by_quality", "high", "1024x1024"), "23.38"),
    ],
)
def test_a_picture_costs_what_the_list_and_the_estimate_say(wanted, listed_as, cost):
    world = World({"MARKUP_PERCENT": "40"})
    world.services.models.catalogue.put("painter", PAINTER)
    alice = world.person(credits_=200)

    told = next(item for item in alice.get("/models").json["items"] if item["id"] == "painter")
    for name in listed_as:
        told = told[name]
    asked = {"model": "painter", "n": 2, **wanted}
    estimate = alice.post("/models/estimate-cost", {"kind": "images", "content": "A fox", **asked}).json
    begun = alice.post("/images/generate", {"prompt": "A fox", **asked}).json
    world.services.images.job.run(begun["task_id"])

    twice = f"{2 * Decimal(cost):f}".rstrip("0").rstrip(".")
    assert told == cost
    assert (estimate["ceiling"], estimate["expected"], begun["ceiling"]) == (twice, twice, twice)
    assert 200 - Decimal(alice.available) == 2 * Decimal(cost)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"kind": "images", "model": "painter", "size": "64x64"}, "size_not_offered"),
        ({"kind": "images", "model": "painter", "quality": "low"}, "quality_not_offered"),
        ({"kind": "agent_task"}, "invalid_value"),
        ({"kind": "agent_task", "budget": "5"}, "model_without_tools"),
        ({"kind": "film"}, "invalid_request"),
    ],
)
def test_what_cannot_be_done_is_not_estimated(world, alice, wanted, code):
    world.services.models.catalogue.put("painter", PAINTER)

    assert problem(alice.post("/models/estimate-cost", {"content": "A fox", **wanted})) == (422, code)


@pytest.mark.parametrize("budget", ["5", "0.000001"])
def test_an_agent_task_is_estimated_within_its_budget(world, alice, budget):
    world.services.models.catalogue.put("gpt-4o-mini", {**MODEL, "capabilities": ["tools"]})

    estimate = alice.post("/models/estimate-cost", {"kind": "agent_task", "content": "Find it", "budget": budget}).json

    assert estimate["ceiling"] == budget
    assert 0 < Decimal(estimate["expected"]) <= Decimal(budget)
    assert estimate["output_tokens_expected"] == 64


def test_preferences_are_kept_and_replaced(world, alice):
    world.services.models.catalogue.put("painter", {"kind": "image", "image_usd": "0.04"})

    assert alice.get("/models/preferences").json == NONE_PREFERRED
    stored = alice.call("PUT", "/models/preferences", body={"chat_model": "gpt-4o-mini", "image_model": "painter"})
    assert stored.json == {**NONE_PREFERRED, "chat_model": "gpt-4o-mini", "image_model": "painter"}
    assert alice.get("/models/preferences").json == stored.json
    assert alice.call("PUT", "/models/preferences", body={}).json == NONE_PREFERRED


def test_what_auto_goes_by_is_a_preference_too(world, alice):
    wanted = {
        "chat_model": "auto",
        "quality": 0,
        "price": 10,
        "allowed_models": ["gpt-4o-mini"],
        "max_cost_per_message": "0.5",
    }

    stored = alice.call("PUT", "/models/preferences", body=wanted)

    assert stored.json == {**NONE_PREFERRED, **wanted}
    assert alice.post("/models/estimate-cost", {"content": "Hello"}).json["model_reason"].startswith("9.5 of 10 points")


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed_models": ["gone"]},
        {"allowed_models": ["auto"]},
        {"image_model": "auto"},
        {"chat_model": "gone"},
        {"quality": 11},
        {"quality": 0, "speed": 0, "price": 0},
        {"max_cost_per_message": "0"},
        {"max_cost_per_message": 1},
    ],
)
def test_what_cannot_be_preferred_is_refused_and_changes_nothing(alice, wrong):
    refused = alice.call("PUT", "/models/preferences", body=wrong)

    assert problem(refused)[0] in {404, 422}
    assert alice.get("/models/preferences").json == NONE_PREFERRED


def test_auto_is_said_where_a_model_is_named(alice):
    begun = alice.post("/chat/conversations", {"model": "auto", "message": "Hello"}).json
    said = alice.post(f"/chat/conversations/{begun['id']}/messages", {"content": "And?", "model": "auto"}).json

    assert begun["model"] == "auto"
    assert {begun["message"]["model"], said["message"]["model"]} == {"gpt-4o-mini"}
    assert said["message"]["model_reason"].startswith("6.7 of 10 points among 1 models")


def test_nothing_fits_is_told_with_the_reasons(alice):
    alice.call("PUT", "/models/preferences", body={"max_cost_per_message": "0.000001"})

    refused = alice.post("/chat/conversations", {"model": "auto", "message": "Hello"})

    assert problem(refused) == (422, "no_model_fits")
    assert refused.json["params"] == {"too_expensive": 1}


def test_an_estimate_is_never_exceeded_by_the_message_it_is_for(alice):
    wanted = {"content": "Hello", "max_output_tokens": 40}

    estimate = alice.post("/models/estimate-cost", wanted)
    begun = alice.post("/chat/conversations", {"title": "One"}).json["id"]
    said = alice.post(f"/chat/conversations/{begun}/messages", wanted).json

    assert estimate.status_code == 200
    assert float(said["cost"]) <= float(estimate.json["ceiling"])
    assert float(estimate.json["expected"]) <= float(estimate.json["ceiling"])
    assert estimate.json["output_tokens_at_most"] == 40


def test_an_estimate_costs_nothing_and_is_for_guests_too(world):
    estimate = world.guest().post("/models/estimate-cost", {"content": "Hello"})

    assert estimate.status_code == 200
    assert world.chat_model.requests == []


def test_a_model_without_a_price_is_refused_not_given_away():
    world = World()
    broken = {**MODEL, "input_usd_per_mtok": "NaN"}
    world.services.ports.documents().commit([_put("models/free", broken)])
    alice = world.person(credits_=1)

    refused = alice.post("/models/estimate-cost", {"content": "Hello", "model": "free"})

    assert problem(refused) == (422, "model_unpriced")


def _put(path, data):
    from shared.kernel.documents import Put

    return Put(path, data)


@pytest.mark.parametrize(
    ("profile", "capabilities", "is_saving"),
    [("openai", ["chat"], True), ("openai", ["chat", "reasoning"], False), ("groq", ["chat"], False)],
)
def test_an_estimate_says_whether_stopping_saves(profile, capabilities, is_saving):
    world = World({"AI_PLATFORM_PROFILE": profile})
    world.services.models.catalogue.put("gpt-4o-mini", {**MODEL, "capabilities": capabilities})

    estimate = world.person(credits_=1).post("/models/estimate-cost", {"content": "Hello"})

    assert estimate.json["stop_saves"] is is_saving
