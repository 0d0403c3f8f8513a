"""An entry explained: the provider's events, the payment or task, the entry, and the entries that followed."""

import pytest

from tests.api.test_payments import PACKAGE, bought
from tests.api.world import problem


@pytest.fixture
def shop(world, admin):
    """One package on sale."""
    assert admin.call("PUT", "/admin/packages/small", body=PACKAGE).status_code == 200
    return world


@pytest.fixture
def stripe(world):
    return world.services.ports.payment_providers()["stripe"]


def explained(person, uid, seq):
    answer = person.get(f"/admin/entries/{uid}/{seq}/explain")
    assert answer.status_code == 200, answer.json
    return answer.json


def told(shop, provider) -> None:
    """The provider's events come, and are handled."""
    for event in provider.events:
        shop.services.payments.inbox.store(event)
        shop.services.payments.notices.handle(f"stripe:{event.id}")


def grants(person):
    return person.get("/credits/history?kind=grant").json["items"]


def test_a_purchase_is_explained_from_event_to_refund(shop, admin, alice, stripe):
    payment = bought(alice, stripe)
    entry = next(each for each in grants(alice) if each["purpose"] == "purchase")
    admin.post(f"/admin/payments/{payment}/refund", {"reason": "sorry"})
    told(shop, stripe)

    answer = explained(admin, alice.uid, entry["seq"])

    assert answer["entry"] == entry
    assert answer["payment"]["id"] == payment
    assert answer["payment"]["status"] == "refunded"
    assert answer["work"] is None
    assert [event["provider"] for event in answer["provider_events"]] == ["stripe"] * len(stripe.events)
    assert {event["status"] for event in answer["provider_events"]} == {"done"}
    assert answer["postings"][0]["from"] == "world:stripe"
    assert {each["purpose"] for each in answer["related"]} == {"bonus", "refund"}
    assert answer["is_whole"] is True
    assert entry["seq"] not in [each["seq"] for each in answer["related"]]


def test_a_call_is_explained_by_the_entries_of_its_hold(shop, admin, alice):
    said = alice.post("/chat/conversations", {"message": "Hello"})
    assert said.status_code == 201
    charge = alice.get("/credits/history?kind=charge").json["items"][0]

    answer = explained(admin, alice.uid, charge["seq"])

    assert answer["payment"] is None
    assert answer["provider_events"] == []
    assert answer["work"]["type"] == charge["ref"]["type"]
    assert [each["kind"] for each in answer["related"]] == ["hold"]


def test_an_entry_is_published_once_the_relay_was_there(shop, admin, alice):
    assert explained(admin, alice.uid, 1)["is_published"] is False

    shop.services.jobs.run_schedule("every_minute")

    assert explained(admin, alice.uid, 1)["is_published"] is True


@pytest.mark.parametrize("seq", ["0", "99", "x", "-1", "9" * 30])
def test_an_entry_that_is_not_there_is_not_found(admin, alice, seq):
    assert problem(admin.get(f"/admin/entries/{alice.uid}/{seq}/explain")) == (404, "entry_not_found")


def test_an_entry_of_nobody_is_not_found(admin):
    assert problem(admin.get("/admin/entries/nobody/1/explain")) == (404, "user_not_found")


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_an_explanation_is_for_operators(world, alice, role, status):
    assert world.person(role).get(f"/admin/entries/{alice.uid}/1/explain").status_code == status
