from tests.api.world import MODEL, World, problem


def test_models_are_listed_with_their_prices(alice):
    listed = alice.get("/models").json

    assert listed == {
        "items": [{"id": "gpt-4o-mini", "image_usd": None, "image_usd_by_size": None, "price_version": 1, **MODEL}],
        "next_cursor": None,
    }


def test_preferences_are_kept_and_replaced(world, alice):
    world.services.catalogue.put("painter", {"kind": "image", "image_usd": "0.04"})

    assert alice.get("/models/preferences").json == {"chat_model": None, "image_model": None}
    stored = alice.call("PUT", "/models/preferences", body={"chat_model": "gpt-4o-mini", "image_model": "painter"})
    assert stored.json == {"chat_model": "gpt-4o-mini", "image_model": "painter"}
    assert alice.get("/models/preferences").json == stored.json
    assert alice.call("PUT", "/models/preferences", body={}).json == {"chat_model": None, "image_model": None}


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
