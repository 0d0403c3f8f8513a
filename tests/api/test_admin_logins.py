"""Acts on logins: sign out, disable and enable, on record and harmless when repeated."""

import pytest

from shared.kernel.documents import StoreUnavailable
from shared.sagas.accounts.first_sight import SEEN_LIFETIME_SECONDS
from shared.users.profiles import Profiles
from tests.api.world import Person, problem
from tests.support.faults import FaultyDocuments

WHY = {"reason": "stolen phone"}


def act(person, uid, name):
    return person.post(f"/admin/users/{uid}/{name}", WHY)


def signed_in(world, person):
    return Person(world=world, uid=person.uid, token=world.identity.token(person.uid))


def acts_on(world, uid):
    records = world.services.users.audit.page(cursor=None, limit=50).items
    return [(each.act, each.actor, each.reason, each.state) for each in records if each.target == uid]


def test_a_disabled_user_is_refused_with_token_and_key(world, admin, alice):
    key = alice.key("read")
    assert key.get("/credits/balance").status_code == 200

    told = act(admin, alice.uid, "disable")

    assert (told.status_code, told.json["disabled"]) == (200, True)
    assert problem(alice.get("/me")) == (401, "login_disabled")
    assert problem(key.get("/credits/balance")) == (401, "login_disabled")


def test_an_instance_that_knows_the_user_refuses_within_seconds(world, admin, alice):
    alice.get("/me")
    world.services.users.profiles.set_disabled(alice.uid, is_disabled=True)
    world.clock.advance(int(SEEN_LIFETIME_SECONDS * 1_000))

    assert problem(alice.get("/me")) == (401, "login_disabled")


def test_an_enabled_user_calls_again(world, admin, alice):
    key = alice.key("read")
    act(admin, alice.uid, "disable")
    told = act(admin, alice.uid, "enable")
    world.clock.advance(60_000)

    assert told.json["disabled"] is False
    assert signed_in(world, alice).get("/me").status_code == 200
    assert key.get("/credits/balance").status_code == 200


@pytest.mark.parametrize("name", ["sign-out", "disable", "enable"])
def test_an_act_on_a_login_may_be_repeated(world, admin, alice, name):
    told = [act(admin, alice.uid, name).json for _ in range(2)]

    recorded = {"sign-out": "sign_out", "disable": "disable_login", "enable": "enable_login"}[name]
    assert told[0] == told[1]
    assert acts_on(world, alice.uid) == [(recorded, admin.uid, "stolen phone", "done")] * 2


def test_an_operator_who_was_signed_out_reads_no_more(world, admin):
    support = world.person("support")
    world.clock.advance(1)

    act(admin, support.uid, "sign-out")

    assert problem(support.get("/admin/models")) == (401, "token_revoked")
    assert signed_in(world, support).get("/admin/models").status_code == 200


@pytest.mark.parametrize("name", ["disable", "enable"])
def test_nobody_locks_their_own_login(world, admin, name):
    assert problem(act(admin, admin.uid, name)) == (403, "own_account")
    assert acts_on(world, admin.uid)[0][3] == "refused"


@pytest.mark.parametrize("name", ["sign-out", "disable", "enable"])
def test_a_login_of_nobody_is_not_found(world, admin, name):
    assert problem(act(admin, "nobody", name)) == (404, "user_not_found")
    assert acts_on(world, "nobody") == []


def test_a_disabling_that_was_cut_short_is_completed_by_a_repetition(world, admin, alice):
    alice.get("/me")
    acts, profiles = world.services.login_acts, world.services.users.profiles
    broken = FaultyDocuments(world.services.ports.documents(), at=1, when="after", error=StoreUnavailable())
    acts._profiles = Profiles(broken, world.services.clock)
    cut = act(admin, alice.uid, "disable")
    acts._profiles = profiles

    again = act(admin, alice.uid, "disable")

    assert (problem(cut), again.json["disabled"]) == ((503, "store_unavailable"), True)
    assert sorted(each[3] for each in acts_on(world, alice.uid)) == ["begun", "done"]
    assert world.identity.get_user(alice.uid).is_disabled
