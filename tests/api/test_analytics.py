from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.kernel.clock import DAY, to_datetime
from shared.ledger.usage import MOVES
from shared.platform.memory.publisher import MemoryPublisher
from tests.api.openai_world import EMBEDDER
from tests.api.world import World, problem
from tests.support.adapters import replace_adapters


@pytest.fixture
def world():
    return World()


@pytest.fixture
def alice(world):
    return world.person(credits_=10)


def today(world, back=0):
    return (to_datetime(world.clock.now()) - timedelta(days=back)).date().isoformat()


def say(person, **more):
    begun = person.post("/chat/conversations", {"title": "One"}).json["id"]
    return person.post(f"/chat/conversations/{begun}/messages", {"content": "Hello", **more}).json


def test_what_a_message_cost_stands_under_its_day_model_and_kind(world, alice):
    said = say(alice)

    told = alice.get("/models/analytics").json
    row = {"model": "gpt-4o-mini", "kind": "chat", "key": None, "count": 1, "cost": said["cost"]}
    tokens = {name: said["usage"][name] for name in ("input_tokens", "output_tokens")}
    assert told["total"] == {"count": 1, "cost": said["cost"], **tokens, "models": [{**row, **tokens}]}
    assert told["items"][-1] == {"start": today(world), **told["total"]}
    assert (told["from"], told["to"], told["bucket"]) == (today(world, 29), today(world), "day")
    assert len(told["items"]) == 30
    assert told["seq"] == alice.get("/credits/balance").json["seq"]


def test_the_moves_of_all_days_are_the_balance(world, alice):
    cost = say(alice)["cost"]
    world.clock.advance(2 * DAY)
    alice = replace(alice, token=world.identity.token(alice.uid))
    alice.post("/credits/reserve", {"amount": "1.5"})

    told = alice.get(f"/credits/analytics?from={today(world, 2)}&to={today(world)}").json

    assert [(item["start"], item["granted"], item["spent"]) for item in told["items"]] == [
        (today(world, 2), "10", f"-{cost}"),
        (today(world, 1), "0", "0"),
        (today(world), "0", "0"),
    ]
    moved = sum(Decimal(told["total"][name]) for name in MOVES)
    assert moved == Decimal(alice.get("/credits/balance").json["total"])
    assert told["total"]["kinds"] == [{"kind": "chat", "count": 1, "cost": cost}]
    assert told["total"]["keys"] == [{"key": None, "count": 1, "cost": cost}]


def test_months_begin_on_their_first(alice, world):
    say(alice)
    first = datetime(2026, 1, 1, tzinfo=UTC).date().isoformat()

    told = alice.get(f"/credits/analytics?bucket=month&to={today(world)}").json
    year = alice.get(f"/credits/analytics?bucket=month&from={first}&to=2026-12-31").json

    assert {item["start"][-3:] for item in told["items"]} == {"-01"}
    assert [item["start"] for item in year["items"]] == [f"2026-{month:02d}-01" for month in range(1, 13)]


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-02-30",
        "from=yesterday",
        "from=20260101",
        "from=2026-02-02&to=2026-02-01",
        "from=2024-01-01&to=2026-01-01",
        "bucket=hour",
    ],
)
def test_what_is_no_period_is_refused(alice, query):
    for path in ("/credits/analytics", "/models/analytics"):
        assert problem(alice.get(f"{path}?{query}"))[0] == 422


def test_the_first_days_of_the_calendar_are_days_too(alice):
    told = alice.get("/credits/analytics?to=0001-01-02")

    assert [item["start"] for item in told.json["items"]] == ["0001-01-01", "0001-01-02"]


def test_others_see_nothing_of_it(world, alice):
    say(alice)

    assert world.person().get("/models/analytics").json["total"]["count"] == 0


def test_what_an_api_key_used_stands_under_that_key(world, alice):
    made = alice.post("/api-keys", {"name": "server", "scopes": ["chat", "read"]}).json
    say(alice)
    said = say(replace(alice, token=made["key"]))

    told = replace(alice, token=made["key"]).get("/credits/analytics").json

    assert told["total"]["count"] == 2
    assert {row["key"]: row["cost"] for row in told["total"]["keys"]} == {None: said["cost"], made["id"]: said["cost"]}


def test_images_are_a_kind_of_use_of_their_own(world, alice):
    replace_adapters(world.services, publisher=MemoryPublisher())
    world.services.models.catalogue.put("painter", {"kind": "image", "image_usd": "0.01"})
    task = alice.post("/images/generate", {"prompt": "A fox", "model": "painter"}).json["task_id"]
    world.services.images.job.run(task)

    told = alice.get("/models/analytics").json["total"]["models"]

    assert [(row["kind"], row["model"], row["count"], row["cost"]) for row in told] == [("image", "painter", 1, "1")]


def test_what_embeddings_of_a_key_cost_stands_under_their_model_and_key(world, alice):
    world.services.models.catalogue.put("embedder", EMBEDDER)
    key = alice.key("chat")
    answered = [key.post("/openai/embeddings", {"model": "embedder", "input": "Hello"}).json for _ in range(2)]
    cost = sum(Decimal(each["credits"]["cost"]) for each in answered)

    [row] = alice.get("/models/analytics").json["total"]["models"]

    assert (row["model"], row["kind"], row["count"], Decimal(row["cost"])) == ("embedder", "embedding", 2, cost)
    assert row["key"] == alice.get("/api-keys").json["items"][0]["id"]
    assert row["input_tokens"] == 10
