import pytest

from tests.api.world import problem


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/credits/reserve", {"amount": "2"}),
        ("/credits/welcome-bonus", None),
        ("/chat/conversations", {"title": "One"}),
        ("/chat/conversations", {"message": "Hello"}),
    ],
)
def test_the_same_key_has_one_effect_and_one_answer(world, alice, path, body):
    first = alice.post(path, body, key="k")
    after_first = alice.available
    world.clock.advance(1)

    second = alice.post(path, body, key="k")

    assert (second.status_code, second.get_data()) == (first.status_code, first.get_data()) != (None, b"")
    assert first.status_code == 201
    assert second.headers.get("X-Credits-Cost") == first.headers.get("X-Credits-Cost")
    assert alice.available == after_first


def test_the_same_key_with_another_body_is_a_conflict(alice):
    alice.post("/credits/reserve", {"amount": "2"}, key="k")

    assert problem(alice.post("/credits/reserve", {"amount": "3"}, key="k")) == (409, "idempotency_mismatch")


def test_the_order_of_a_bodys_fields_does_not_matter(alice):
    first = alice.post("/credits/reserve", {"amount": "2", "ttl_seconds": 60}, key="k")
    second = alice.post("/credits/reserve", {"ttl_seconds": 60, "amount": "2"}, key="k")

    assert second.json == first.json


def test_a_key_belongs_to_its_user_and_its_route(world, alice):
    bob = world.person(credits_=10)
    first = alice.post("/credits/reserve", {"amount": "2"}, key="k").json

    assert bob.post("/credits/reserve", {"amount": "2"}, key="k").json["id"] != first["id"]
    assert alice.post("/chat/conversations", {"title": "One"}, key="k").status_code == 201


def test_the_same_key_on_two_reservations_captures_both(alice):
    one = alice.post("/credits/reserve", {"amount": "2"}).json
    two = alice.post("/credits/reserve", {"amount": "2"}).json

    captured = [
        alice.post(f"/credits/reservations/{made['id']}/capture", {"amount": "1"}, key="k") for made in (one, two)
    ]

    assert [answer.status_code for answer in captured] == [200, 200]
    assert alice.available == "8"


def test_a_capture_is_replayed_not_refused(alice):
    made = alice.post("/credits/reserve", {"amount": "2"}).json
    path = f"/credits/reservations/{made['id']}/capture"

    first, second = (alice.post(path, {"amount": "1"}, key="k") for _ in range(2))

    assert (second.status_code, second.json) == (200, first.json)


def test_without_a_key_every_call_is_an_intention_of_its_own(alice):
    one, two = (alice.post("/credits/reserve", {"amount": "2"}).json for _ in range(2))

    assert one["id"] != two["id"]
    assert alice.available == "6"


def test_what_was_refused_is_not_remembered(world, alice):
    refused = alice.post("/credits/reserve", {"amount": "15"}, key="k")
    world._with_credits(alice, 10)

    assert problem(refused) == (402, "insufficient_credits")
    assert alice.post("/credits/reserve", {"amount": "15"}, key="k").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "schlüssel", "a\tb"])
def test_an_impossible_key_is_refused(alice, key):
    assert problem(alice.post("/credits/reserve", {"amount": "2"}, key=key)) == (400, "malformed_request")
    assert alice.available == "10"


def test_a_key_may_have_255_printable_characters(alice):
    assert alice.post("/credits/reserve", {"amount": "2"}, key="~" * 255).status_code == 201
