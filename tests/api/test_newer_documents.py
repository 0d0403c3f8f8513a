"""Documents of a newer release: an instance that cannot read them answers 503, judges nobody and changes nothing."""

from typing import Any

import pytest

from shared.kernel.documents import Patch
from shared.kernel.schemas import SCHEMA_VERSION
from tests.api.world import World, problem

NEWER = 99


@pytest.fixture
def world() -> World:
    return World()


def memory(world: World) -> Any:
    documents: Any = world.services.ports.documents()
    return documents.inner.inner.inner


def numbered(world: World, path: str, number: int) -> None:
    memory(world).commit([Patch(path, {SCHEMA_VERSION: number})])


@pytest.mark.parametrize("path", ["accounts/{uid}", "accounts/{uid}/sealed/state"])
def test_account_of_a_newer_release_is_refused_not_frozen(world, path):
    alice = world.person(credits_=5)
    before = alice.get("/credits/balance").json
    document = path.format(uid=alice.uid)
    known = memory(world).get(document).data[SCHEMA_VERSION]
    numbered(world, document, NEWER)
    stored = memory(world).get(document)

    refused = alice.post("/credits/reserve", {"amount": "1"})
    world.services.jobs.run_schedule("every_day")

    assert problem(refused) == (503, "schema_unknown")
    assert "Retry-After" in refused.headers
    assert memory(world).get(document) == stored
    numbered(world, document, known)
    assert alice.get("/credits/balance").json == before
    assert alice.post("/credits/reserve", {"amount": "1"}).status_code == 201


def test_conversation_of_a_newer_release_is_refused_and_stays(world):
    alice = world.person(credits_=5)
    conversation = alice.post("/chat/conversations", {"title": "Tea"}).json["id"]
    path = f"conversations/{conversation}"
    for each in (path, f"conversation_states/{conversation}"):
        numbered(world, each, NEWER)
    stored = memory(world).get(path)

    answers = [
        alice.get(f"/chat/conversations/{conversation}"),
        alice.call("PATCH", f"/chat/conversations/{conversation}", body={"title": "Coffee"}),
        alice.post(f"/chat/conversations/{conversation}/messages", {"content": "Hello"}),
    ]

    assert [problem(each) for each in answers] == [(503, "schema_unknown")] * 3
    assert memory(world).get(path) == stored
    assert alice.available == "5"
