"""Every look of an operator at a user's data is on record before the answer."""

import pytest

from functions.http.table import ROUTES
from shared.kernel.documents import StoreUnavailable
from shared.users.looks import Looks
from tests.api.world import problem
from tests.support.faults import FaultyDocuments

WITHOUT_USERS = {
    "/v1/admin/alerts",
    "/v1/admin/alerts/{id}",
    "/v1/admin/audit",
    "/v1/admin/books/{day}",
    "/v1/admin/cohorts",
    "/v1/admin/kpis",
    "/v1/admin/liability",
    "/v1/admin/models",
    "/v1/admin/models/{id}",
    "/v1/admin/models/{id}/prices",
    "/v1/admin/money",
    "/v1/admin/sign-ups",
    "/v1/admin/packages",
    "/v1/admin/packages/{id}",
    "/v1/payments/analytics",
}
"""Operators' routes that show no user's data."""
RECORDED_AS_SEARCH = {"/v1/admin/search"}


def looks(world):
    found = world.services.users.audit.page(cursor=None, limit=100).items
    return [(each.actor, each.target, each.reason, each.after["routes"]) for each in found if each.act == "look"]


@pytest.fixture
def support(world):
    return world.person("support")


def test_each_route_of_operators_records_looks_or_shows_no_user():
    silent = {each.path for each in ROUTES if each.access.roles and each.method == "GET" and each.looks_at is None}

    assert silent == WITHOUT_USERS | RECORDED_AS_SEARCH


@pytest.mark.parametrize("what", ["", "/entries", "/export"])
def test_a_look_at_a_user_is_recorded_with_the_reason(world, support, alice, what):
    answer = support.get(f"/admin/users/{alice.uid}{what}", headers={"X-Reason": "ticket%20%C3%BC"})

    assert answer.status_code == 200
    assert looks(world) == [(support.uid, alice.uid, "ticket ü", [f"GET /v1/admin/users/{{uid}}{what}"])]


def test_a_user_found_by_address_is_recorded_by_uid(world, support, alice):
    support.get("/admin/users?email=alice@example.com")
    support.get("/admin/users?email=nobody@example.com")

    assert looks(world) == [(support.uid, alice.uid, None, ["GET /v1/admin/users"])]


@pytest.mark.parametrize("path", ["payments", "crypto/deposits"])
def test_a_list_is_recorded_for_its_user_or_for_many(world, support, alice, path):
    support.get(f"/admin/{path}")
    support.get(f"/admin/{path}?uid={alice.uid}")

    route = [f"GET /v1/admin/{path}"]
    assert sorted(looks(world)) == sorted([(support.uid, alice.uid, None, route), (support.uid, "many", None, route)])


def test_a_look_at_nobody_is_not_recorded(world, support):
    support.get("/admin/users/nobody")

    assert looks(world) == []


def test_nothing_is_shown_when_the_look_cannot_be_recorded(world, support, alice):
    broken = FaultyDocuments(world.services.ports.documents(), at=1, error=StoreUnavailable())
    world.services.users.looks = Looks(broken, world.services.clock)

    refused = support.get(f"/admin/users/{alice.uid}")

    assert problem(refused) == (503, "store_unavailable")
    assert "alice@example.com" not in refused.text


@pytest.mark.parametrize("reason", ["x" * 501, "a%00b"])
def test_a_reason_that_cannot_be_kept_is_refused(world, support, alice, reason):
    refused = support.get(f"/admin/users/{alice.uid}", headers={"X-Reason": reason})

    assert problem(refused) == (422, "invalid_request")
    assert looks(world) == []
