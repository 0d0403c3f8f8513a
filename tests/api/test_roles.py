"""Roles: who may call each route of operators, as one table, and how soon a role that was taken away stops."""

from urllib.parse import quote

import pytest

from functions.http.examples import bodies_of, parameter_of
from functions.http.routes import Route
from functions.http.table import ROUTES
from shared.kernel.clock import HOUR, SECOND
from tests.api.world import World

OPERATORS = {"support", "auditor", "admin"}
AUDITORS = {"auditor", "admin"}
ADMINS = {"admin"}
TABLE = {
    "GET /v1/payments/analytics": OPERATORS,
    "GET /v1/admin/users": OPERATORS,
    "GET /v1/admin/users/{uid}": OPERATORS,
    "PUT /v1/admin/users/{uid}/roles": ADMINS,
    "POST /v1/admin/users/{uid}/credits": ADMINS,
    "POST /v1/admin/users/{uid}/freeze": ADMINS,
    "POST /v1/admin/users/{uid}/unfreeze": ADMINS,
    "POST /v1/admin/users/{uid}/archive": ADMINS,
    "POST /v1/admin/users/{uid}/unarchive": ADMINS,
    "POST /v1/admin/users/{uid}/sign-out": ADMINS,
    "POST /v1/admin/users/{uid}/disable": ADMINS,
    "POST /v1/admin/users/{uid}/enable": ADMINS,
    "GET /v1/admin/users/{uid}/holds": OPERATORS,
    "GET /v1/admin/users/{uid}/keys": OPERATORS,
    "GET /v1/admin/users/{uid}/tasks": OPERATORS,
    "GET /v1/admin/users/{uid}/usage": OPERATORS,
    "GET /v1/admin/users/{uid}/sign-ins": OPERATORS,
    "GET /v1/admin/users/{uid}/audit": AUDITORS,
    "GET /v1/admin/users/{uid}/entries": OPERATORS,
    "GET /v1/admin/users/{uid}/export": OPERATORS,
    "GET /v1/admin/money": OPERATORS,
    "GET /v1/admin/sign-ups": OPERATORS,
    "GET /v1/admin/models": OPERATORS,
    "GET /v1/admin/models/{id}": OPERATORS,
    "GET /v1/admin/models/{id}/prices": OPERATORS,
    "PUT /v1/admin/models/{id}": ADMINS,
    "GET /v1/admin/audit": AUDITORS,
    "GET /v1/admin/entries/{uid}/{seq}/explain": OPERATORS,
    "POST /v1/admin/entries/{uid}/{seq}/redact": ADMINS,
    "GET /v1/admin/alerts": OPERATORS,
    "GET /v1/admin/alerts/{id}": OPERATORS,
    "POST /v1/admin/alerts/{id}/acknowledge": ADMINS,
    "POST /v1/admin/alerts/{id}/resolve": ADMINS,
    "GET /v1/admin/books/{day}": OPERATORS,
    "GET /v1/admin/kpis": OPERATORS,
    "GET /v1/admin/cohorts": OPERATORS,
    "GET /v1/admin/liability": OPERATORS,
    "GET /v1/admin/payments": OPERATORS,
    "GET /v1/admin/payments/{id}": OPERATORS,
    "POST /v1/admin/payments/{id}/refund": ADMINS,
    "POST /v1/admin/payments/{id}/replay": ADMINS,
    "GET /v1/admin/packages": OPERATORS,
    "GET /v1/admin/packages/{id}": OPERATORS,
    "PUT /v1/admin/packages/{id}": ADMINS,
    "POST /v1/admin/payments/{id}/refunds/{refund_id}/sent": ADMINS,
    "POST /v1/admin/payments/{id}/refunds/{refund_id}/cancel": ADMINS,
    "GET /v1/admin/search": OPERATORS,
    "GET /v1/admin/crypto/deposits": OPERATORS,
    "POST /v1/admin/crypto/deposits/{address}/assign": ADMINS,
    "POST /v1/admin/crypto/deposits/{address}/ignore": ADMINS,
}
"""Roles that may call a route. Everybody else is refused."""
CALLERS = ("nobody", "user", "support", "auditor", "admin")


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


OPERATORS_ROUTES = [route for route in ROUTES if route.access.roles or "/admin/" in route.path]
ACTS = [route for route in OPERATORS_ROUTES if route.method != "GET"]
READS = [route for route in OPERATORS_ROUTES if route.method == "GET"]


@pytest.fixture(scope="module")
def town():
    return World()


def send(world: World, route: Route, token: str | None) -> str:
    """Call a route with its examples, and return the refusal's code; `passed` if the gate did not refuse."""
    path = route.path.removeprefix("/v1")
    for name in route.path_names:
        path = path.replace(f"{{{name}}}", quote(str(parameter_of(route.name, name)), safe=""))
    bodies = bodies_of(route.name) if route.body is not None else None
    body = None if bodies is None else next(iter(bodies.values()))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    address = {"REMOTE_ADDR": f"10.0.0.{world.clock.now() // SECOND % 250}"}
    answer = world.call(route.method, path, body=body, headers=headers, environ_base=address)
    world.clock.advance(SECOND)
    return answer.json["code"] if answer.status_code in {401, 403} else "passed"


def outcome(world: World, route: Route, caller: str) -> str:
    token = None if caller == "nobody" else world.person(caller).token
    return send(world, route, token)


def test_each_route_of_operators_has_a_row_in_the_table():
    assert sorted(map(named, OPERATORS_ROUTES)) == sorted(TABLE)


@pytest.mark.parametrize("route", OPERATORS_ROUTES, ids=named)
def test_each_route_admits_the_roles_of_its_row_alone(town, route):
    told = {caller: outcome(town, route, caller) for caller in CALLERS}

    passed = {caller: "passed" if caller in TABLE[named(route)] else "forbidden" for caller in CALLERS}
    assert told == {**passed, "nobody": "unauthenticated"}


@pytest.mark.parametrize("route", ACTS, ids=named)
def test_a_role_taken_away_stops_acts_at_once(town, route):
    admin = town.person("admin")
    town.identity.set_roles(admin.uid, frozenset({"auditor"}))

    assert send(town, route, admin.token) == "forbidden"


@pytest.mark.parametrize("route", READS, ids=named)
def test_a_role_taken_away_stops_reads_with_the_token(town, route):
    admin = town.person("admin")
    town.identity.set_roles(admin.uid, frozenset())
    later = town.identity.token(admin.uid)

    told = [send(town, route, admin.token), send(town, route, later)]

    assert told == ["passed", "forbidden"]


def test_a_token_with_a_role_lives_for_an_hour_at_most(world):
    admin = world.person("admin")
    world.clock.advance(HOUR)

    assert admin.get("/admin/audit").status_code == 401


def test_an_operators_api_key_has_no_role(world):
    key = world.person("admin").key("read")

    assert send(world, READS[0], key.token) == "forbidden"
