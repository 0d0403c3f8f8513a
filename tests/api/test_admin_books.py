"""The books of the whole ledger, as operators read them for a closed day."""

import pytest

from shared.kernel.clock import DAY
from shared.kernel.documents import Patch
from shared.kernel.money import format_credits
from shared.ledger.log.day_store import closed_path
from tests.api.world import problem


@pytest.fixture
def day(world, alice):
    """A day on which somebody used a model, closed."""
    assert alice.post("/chat/conversations", {"message": "Hello"}).status_code == 201
    world.services.jobs.run_schedule("every_minute")
    world.clock.advance(DAY)
    for _ in range(2):
        world.services.jobs.run_schedule("every_minute")
    return world.services.credits.days.state().last


def test_books_of_a_day_add_up(world, alice, day):
    told = world.person("auditor").get(f"/admin/books/{day}").json

    assert told["differences"] == []
    assert sum(map(float, told["flows"].values())) == 0
    total = format_credits(world.services.credits.ledger.balance(alice.uid).total)
    assert told["liability"] == told["accounts_posted"] == total
    assert float(told["flows"]["revenue:chat"]) > 0
    assert told["day"] == day
    assert told["accounts"] >= 1


def test_latest_books_are_those_of_the_last_closed_day(world, day):
    auditor = world.person("auditor")

    assert auditor.get("/admin/books/latest").json == auditor.get(f"/admin/books/{day}").json


@pytest.mark.parametrize("wanted", ["2001-01-01", "x", "2026-13-45", "9" * 50])
def test_a_day_that_was_not_closed_is_not_found(admin, wanted):
    assert problem(admin.get(f"/admin/books/{wanted}")) == (404, "day_not_closed")


def test_before_the_first_close_there_are_no_latest_books(admin):
    assert problem(admin.get("/admin/books/latest")) == (404, "day_not_closed")


def test_a_changed_record_is_not_shown(world, day):
    record = world.services.ports.documents().get(closed_path(day)).data["record"]
    changed = {"record": record.replace('"accounts":', '"accounts":1')}
    world.services.ports.documents().commit([Patch(closed_path(day), changed)])

    assert problem(world.person("auditor").get(f"/admin/books/{day}")) == (409, "closed_day_broken")


@pytest.mark.parametrize(("role", "status"), [("user", 403), ("support", 200), ("auditor", 200), ("admin", 200)])
def test_books_are_for_operators(world, day, role, status):
    assert world.person(role).get(f"/admin/books/{day}").status_code == status
