import pytest

from shared.kernel.clock import HOUR
from tests.api.world import Person, World, problem


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token x", "bearer"])
def test_a_call_says_who_is_calling(world, header):
    headers = {} if header is None else {"Authorization": header}

    refused = world.call("GET", "/me", headers=headers)

    assert problem(refused) == (401, "unauthenticated")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="credits"'


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 10_000, "ü", "null", "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_that_is_not_ours_is_refused(world, token):
    refused = world.call("GET", "/me", headers={"Authorization": f"Bearer {token}"})

    assert problem(refused) == (401, "token_invalid")


def test_an_expired_token_is_refused(world, alice):
    world.clock.advance(HOUR)

    assert problem(alice.get("/me")) == (401, "token_expired")


def test_the_scheme_may_be_spelt_in_any_case(world, alice):
    assert world.call("GET", "/me", headers={"Authorization": f"bearer  {alice.token}"}).status_code == 200


def test_public_pages_ask_for_nothing(world):
    for path in ("", "/ledger/keys", "/docs/openapi.json", "/docs/swagger", "/docs/playground", "/monitoring/health"):
        assert world.call("GET", path).status_code == 200


def checked(mode):
    world = World(env={"APP_CHECK": mode})
    return world, world.person()


def test_enforced_app_check_lets_our_app_in_and_nobody_else():
    world, alice = checked("enforce")

    assert problem(alice.get("/me")) == (401, "app_check_failed")
    assert problem(alice.get("/me", headers={"X-Firebase-AppCheck": "forged"})) == (401, "app_check_failed")
    assert alice.get("/me", headers={"X-Firebase-AppCheck": world.identity.app_check_token()}).status_code == 200


def test_monitored_app_check_only_tells(capsys):
    _, alice = checked("monitor")

    assert alice.get("/me").status_code == 200
    assert "app_check_failed" in capsys.readouterr().out


def test_app_check_that_is_off_is_not_looked_at(capsys):
    _, alice = checked("off")

    assert alice.get("/me", headers={"X-Firebase-AppCheck": "forged"}).status_code == 200
    assert "app_check" not in capsys.readouterr().out


def test_a_stranger_is_refused_before_the_body_is_looked_at(world):
    refused = world.call("POST", "/credits/reserve", data=b"{", content_type="application/json")

    assert problem(refused) == (401, "unauthenticated")


def test_the_uid_is_the_tokens_whatever_else_is_said(world, alice):
    bob = world.person(credits_=3)

    seen = bob.get("/credits/balance", headers={"X-Uid": alice.uid})

    assert isinstance(bob, Person)
    assert seen.json["available"] == "3"
