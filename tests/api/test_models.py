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


def test_models_are_listed_with_their_prices(alice):
    listed = alice.get("/models").json

    assert listed == {
        "items": [
            {
                "id": "gpt-4o-mini",
                "image_usd": None,
                "image_usd_by_size": None,
                "quality": 5,
                "speed": 5,
                "price_version": 1,
                **MODEL,
            }
        ],
        "next_cursor": None,
    }


def test_preferences_are_kept_and_replaced(world, alice):
    world.services.catalogue.put("painter", {"kind": "image", "image_usd": "0.04"})

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
    world.services.documents.commit([_put("models/free", broken)])
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
    world.services.catalogue.put("gpt-4o-mini", {**MODEL, "capabilities": capabilities})

    estimate = world.person(credits_=1).post("/models/estimate-cost", {"content": "Hello"})

    assert estimate.json["stop_saves"] is is_saving
