"""The closed day on the status page: a word for anybody, numbers for operators."""

import pytest

from shared.kernel.clock import DAY


@pytest.fixture
def day(world, alice):
    """A closed day, with its sample."""
    assert alice.post("/chat/conversations", {"message": "Hello"}).status_code == 201
    world.services.jobs.run_schedule("every_minute")
    world.clock.advance(DAY)
    for _ in range(2):
        world.services.jobs.run_schedule("every_minute")
    world.services.jobs.run_schedule("every_day")
    return world.services.credits.days.state().last


def closed_day(caller):
    return caller.get("/monitoring/status").json["components"]["closed_day"]


def test_the_public_reads_one_word_of_the_closed_day(world, day, alice):
    assert world.call("GET", "/monitoring/status").json["components"]["closed_day"] == {"status": "ok"}
    assert closed_day(alice) == {"status": "ok"}


def test_operators_read_the_closed_day_and_its_sample(world, day):
    told = closed_day(world.person("auditor"))
    books = world.person("auditor").get("/admin/books/latest").json

    assert (told["day"], told["tree_size"], told["root"]) == (day, books["size"], books["root"])
    assert (told["accounts"], told["differences"]) == (books["accounts"], [])
    assert told["sample"]["accounts"] == books["accounts"]
    assert (told["sample"]["day"], told["sample"]["findings"]) == (day, 0)


def test_a_day_that_nobody_closes_is_late(world, day):
    world.clock.advance(2 * DAY)

    assert world.call("GET", "/monitoring/status").json["components"]["closed_day"] == {"status": "late"}


def test_a_bad_token_reads_the_public_word(world, day):
    headers = {"Authorization": "Bearer nonsense"}

    assert world.call("GET", "/monitoring/status", headers=headers).json["components"]["closed_day"] == {"status": "ok"}
